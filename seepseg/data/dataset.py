"""The one dataset: tiles of any source as standardised tensors with class indices."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from seepseg.classes import IGNORE
from seepseg.config import Scaling
from seepseg.data.augment import Augmentation
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.scaling import Limits, MeasuredScaling
from seepseg.data.source import Source, read_mask, read_pixels, refuse_non_finite
from seepseg.scenes.mosaic import Cell, framed, inner


class Sample(TypedDict):
    """image float32 (C, H, W) standardised; mask int64 (H, W) class indices, 255 = ignore; valid bool (H, W); id.

    With a margin of m pixels the image is (C, H + 2m, W + 2m), the tile in its middle.
    """

    image: Tensor
    mask: Tensor
    valid: Tensor
    id: str


def margin_of(scaling: Scaling, margin: int, tiles: Iterable[Tile]) -> int:
    """The margin that tiles can have: 0 where none is a cell of a grid, or each is scaled on its own."""
    return margin if scaling.basis != "tile" and any(tile.cell for tile in tiles) else 0


class Draw(NamedTuple):
    """Which tile to take, and the seed of its augmentation (None = as it is)."""

    tile: int
    seed: int | None = None


class _Decoded(NamedTuple):
    unit: NDArray[np.float32]
    mask: NDArray[np.uint8]
    valid: NDArray[np.bool_]


class TileDataset(Dataset[Sample]):
    """Samples of a catalog by `Draw`; a sample is a function of its draw alone.

    Decoded tiles are kept in memory while they fit into `data.cache_gb` (loader workers share them by fork).

    Args:
        limits: of each scene, for scaling by scene.
        augmentation: of draws that have a seed.
        margin: pixels of the neighbouring tiles around a tile that is drawn as it is; see `margin_of`.
        one_pass: tiles are drawn once, in order; so only those of one scene are kept, and none without a margin.
    """

    def __init__(
        self,
        catalog: Catalog,
        source: Source,
        scaling: MeasuredScaling,
        limits: dict[str, Limits],
        augmentation: Augmentation | None = None,
        margin: int = 0,
        *,
        one_pass: bool = False,
    ) -> None:
        self.catalog, self.source, self.scaling, self.limits = catalog, source, scaling, limits
        self.augmentation = augmentation
        self.margin = margin_of(scaling.config, margin, catalog.tiles)
        self._one_pass, self._scene = one_pass, ""
        self._index = {tile.id: i for i, tile in enumerate(catalog.tiles)}
        self._cache: dict[int, _Decoded] = {}
        self._room = source.data.cache_gb * 2**30

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.catalog)

    def __getitem__(self, draw: Draw) -> Sample:
        """The sample of a draw."""
        tile = self._read(draw.tile)
        unit, mask, valid = self._alone(draw.tile, tile)
        if draw.seed is None or self.augmentation is None:
            pixels = self._framed(draw.tile, tile) if self.margin else (unit, valid)
        else:
            unit, mask, valid = self.augmentation(unit, mask, valid, draw.seed)
            pixels = (unit, valid)
        return Sample(
            image=torch.from_numpy(self.scaling.standardise(*pixels)),
            mask=torch.from_numpy(mask.astype(np.int64)),
            valid=torch.from_numpy(valid),
            id=self.catalog.tiles[draw.tile].id,
        )

    def _framed(self, index: int, own: _Decoded) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """A tile with its margin on all sides: pixels and where they are valid; missing cells are no-data."""
        tile = self.catalog.tiles[index]
        if self._around(index):
            return own.unit, own.valid

        def beside(cell: Cell) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
            neighbour = self._cells.get((tile.group, cell))
            if neighbour is None:
                return None
            decoded = self._read(neighbour)
            return decoded.unit, decoded.valid

        unit, valid = framed((own.unit, own.valid), beside, tile.cell, self.margin, (0, False))
        return unit, valid

    @cached_property
    def _cells(self) -> dict[tuple[str, Cell | None], int]:
        """Index of the tile at each cell of each scene."""
        return {(tile.group, tile.cell): i for i, tile in enumerate(self.catalog.tiles) if tile.cell}

    def unit(self, tile: str) -> NDArray[np.float32]:
        """The image (C, H, W) of a tile by its id, scaled to [0, 1]: as it is before it is standardised."""
        index = self._index[tile]
        return self._alone(index, self._read(index)).unit

    def _around(self, index: int) -> int:
        """The margin that a tile is read with: a window of a scene needs no neighbours."""
        return self.margin if self.catalog.tiles[index].window else 0

    def _alone(self, index: int, tile: _Decoded) -> _Decoded:
        """A tile that was read, without what is around it."""
        margin = self._around(index)
        return _Decoded(inner(tile.unit, margin), tile.mask, inner(tile.valid, margin))

    def _read(self, index: int) -> _Decoded:
        """A tile with `_around` pixels on all sides, except for the mask."""
        if index in self._cache:
            return self._cache[index]
        tile = self.catalog.tiles[index]
        around = self._around(index)
        raw, valid = read_pixels(self.source, tile, margin=around)
        refuse_non_finite(raw, valid, tile.image)
        own = inner(valid, around)
        mask = np.where(own, read_mask(self.source, tile, own.shape), np.uint8(IGNORE))
        decoded = _Decoded(self.scaling.to_unit(raw, valid, self.limits.get(tile.group)), mask, valid)
        if self._one_pass and tile.group != self._scene:
            self._cache.clear()
            self._scene, self._room = tile.group, self.source.data.cache_gb * 2**30 if self.margin else 0
        size = sum(a.nbytes for a in decoded)
        if size <= self._room:
            self._room -= size
            self._cache[index] = decoded
        return decoded

    def preload(self) -> None:
        """Decode now what the cache has room for, so that forked loader workers share it."""
        for index in range(len(self)):
            self._read(index)
            if index not in self._cache:
                break
