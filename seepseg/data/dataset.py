"""The one dataset: tiles of any source as standardised tensors with class indices."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from seepseg.classes import IGNORE
from seepseg.config import DataNode, SeepData
from seepseg.data.augment import Augmentation
from seepseg.data.catalog import Catalog
from seepseg.data.copypaste import Bank, cut_out
from seepseg.data.mosaic import columns_of, overlaps
from seepseg.data.scaling import FittedScaling, Limits
from seepseg.data.sources import read_image, read_mask, refuse_non_finite


class Sample(TypedDict):
    """image float32 (C, H, W) standardised; mask int64 (H, W) class indices, 255 = ignore; valid bool (H, W); id."""

    image: Tensor
    mask: Tensor
    valid: Tensor
    id: str


class Draw(NamedTuple):
    """Which tile to take, and the seed of its augmentation (None = as it is)."""

    tile: int
    seed: int | None = None


class _Decoded(NamedTuple):
    unit: NDArray[np.float32]
    mask: NDArray[np.uint8]
    valid: NDArray[np.bool_]


class TileDataset(Dataset[Sample]):
    """Samples of a catalog by `Draw`; what a draw gives depends on nothing but the draw.

    Decoded tiles are kept in memory while they fit into `data.cache_gb` (loader workers share them by fork).
    """

    def __init__(
        self,
        catalog: Catalog,
        data: DataNode,
        scaling: FittedScaling,
        limits: dict[str, Limits],
        augmentation: Augmentation | None = None,
    ) -> None:
        self.catalog, self.data, self.scaling, self.limits = catalog, data, scaling, limits
        self.augmentation = augmentation
        self._index = {tile.id: i for i, tile in enumerate(catalog.tiles)}
        self._cache: dict[int, _Decoded] = {}
        self._room = data.cache_gb * 2**30

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.catalog)

    def __getitem__(self, draw: Draw) -> Sample:
        """The sample of a draw."""
        moved = draw.seed is not None and self.augmentation is not None and self.data.sampling.windows == "random"
        unit, mask, valid = self._moved(draw) if moved else self._decoded(draw.tile)
        if draw.seed is not None and self.augmentation is not None:
            # Streams of their own for what is pasted, for windows and for augmentation: none of them tells of another.
            rng = np.random.default_rng([draw.seed, 1])
            if rng.random() < self.data.augment.copy_paste:
                unit, mask, valid = self._bank.paste(unit, mask, valid, rng)
            unit, mask, valid = self.augmentation(unit, mask, valid, draw.seed)
        return Sample(
            image=torch.from_numpy(self.scaling.standardise(unit, valid)),
            mask=torch.from_numpy(mask.astype(np.int64)),
            valid=torch.from_numpy(valid),
            id=self.catalog.tiles[draw.tile].id,
        )

    def _moved(self, draw: Draw) -> _Decoded:
        """A window of a tile's size somewhere near it, up to half its size away; missing cells are no-data."""
        tile, whole = self.catalog.tiles[draw.tile], self._decoded(draw.tile)
        columns = columns_of(tile.group, self.data.grid) if isinstance(self.data, SeepData) else None
        if columns is None or tile.index is None:
            return whole
        shape = whole.mask.shape
        assert draw.seed is not None
        rng = np.random.default_rng([draw.seed, 2])
        y, x = (int(rng.integers(-(side // 2), side // 2 + 1)) for side in shape)
        window = _Decoded(np.zeros_like(whole.unit), np.full_like(whole.mask, IGNORE), np.zeros_like(whole.valid))
        for cell, there, here in overlaps(tile.index, columns, shape, (y, x)):
            neighbour = self._cells.get((tile.group, cell))
            found = None if neighbour is None else self._decoded(neighbour)
            # A tile cut short at the edge of a scene does not fill its cell: what is beside it would be misplaced.
            if found is not None and found.mask.shape == shape:
                window.unit[:, *here] = found.unit[:, *there]
                window.mask[here] = found.mask[there]
                window.valid[here] = found.valid[there]
        return window

    @cached_property
    def _cells(self) -> dict[tuple[str, int | None], int]:
        """Which tile a cell of a scene is."""
        return {(tile.group, tile.index): i for i, tile in enumerate(self.catalog.tiles)}

    @cached_property
    def _bank(self) -> Bank:
        """What can be pasted: the whole objects of this dataset's tiles."""
        return Bank(cutout for index in range(len(self)) for cutout in cut_out(*self._decoded(index)))

    def unit(self, tile: str) -> NDArray[np.float32]:
        """The image (C, H, W) of a tile by its id, scaled to [0, 1]: as it is before it is standardised."""
        return self._decoded(self._index[tile]).unit

    def _decoded(self, index: int) -> _Decoded:
        found = self._cache.get(index)
        if found is not None:
            return found
        tile = self.catalog.tiles[index]
        raw, valid = read_image(tile.image, self.data)
        refuse_non_finite(raw, valid, tile.image)
        mask = np.where(valid, read_mask(tile, self.catalog, valid.shape), np.uint8(IGNORE))
        decoded = _Decoded(self.scaling.to_unit(raw, valid, self.limits.get(tile.group)), mask, valid)
        size = sum(a.nbytes for a in decoded)
        if size <= self._room:
            self._room -= size
            self._cache[index] = decoded
        return decoded

    def preload(self) -> None:
        """Decode every tile now, so that forked loader workers share what is kept and damage shows before training."""
        for index in range(len(self)):
            self._decoded(index)
        if self.augmentation is not None and self.data.augment.copy_paste:
            _ = self._bank
