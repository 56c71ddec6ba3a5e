"""Whole scenes as training data: windows that are cut as they are read, labelled by masks or polygons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE, ClassTable
from seepseg.config import ScenesData
from seepseg.data.catalog import Catalog, Tile, uncollected
from seepseg.data.tiles import Labels, as_labels
from seepseg.io.image import open_image
from seepseg.scenes.blocks import scene_blocks
from seepseg.scenes.images import read_window
from seepseg.scenes.labelled import Scene, identities, read_scenes
from seepseg.scenes.overlaps import overlaps


@dataclass(frozen=True)
class ScenesSource:
    """The `Source` of scenes; its tiles are windows, cells of a grid that begins in the corner of the scene."""

    data: ScenesData
    token: UUID = field(default_factory=uuid4, compare=False, repr=False)
    per_tile = False
    eight_bit = False

    def __reduce__(self) -> tuple[object, ...]:
        """The config: another process reads the files again, once."""
        return _again, (self.token, self.data)

    @cached_property
    def classes(self) -> ClassTable:
        """The class table."""
        return self.data.class_table()

    @property
    def pixel_size(self) -> float | None:
        """Side of a pixel in metres: as the config says, or in the middle of the scenes, where they agree to 5 %."""
        if self.data.pixel_size:
            return self.data.pixel_size
        sizes = [scene.pixel_size for scene in self.scenes.values()]
        known = [size for size in sizes if size]
        return float(np.mean(known)) if len(known) == len(sizes) and max(known) < 1.05 * min(known) else None

    @uncollected()
    def catalog(self) -> Catalog:
        """The windows of all scenes, row by row.

        Raises:
            DataError: no scenes, or two of one name; labels that belong to none, or do not fit theirs.
        """
        size, tiles = self.data.window, list[Tile]()
        for name, scene in self.scenes.items():
            for row in range(-(-scene.height // size)):
                for column in range(-(-scene.width // size)):
                    tile = self._tile(name, row * size, column * size, f"r{row:04d}c{column:04d}")
                    tiles.append(replace(tile, cell=(row, column)))
        if self.data.split.by == "blocks":
            blocks = scene_blocks(self.data.split, self.scenes, [(t.group, t.window) for t in tiles if t.window])
            tiles = [replace(t, blocks=b) for t, b in zip(tiles, blocks, strict=True)]
        shared, warnings = overlaps(self.scenes, identities(self.data.scenes, self.scenes)), self._read[1]
        return Catalog(tuple(tiles), self.classes, empty=self.data.empty, overlaps=shared, warnings=warnings)

    def between(self, tiles: Sequence[Tile]) -> tuple[Tile, ...]:
        """With a stride shorter than a window, those that lie on several of these windows, and on no other."""
        size, step = self.data.window, self.data.stride or self.data.window
        cells, more = {(tile.group, tile.cell) for tile in tiles}, list[Tile]()
        for name in sorted({tile.group for tile in tiles} if step < size else ()):
            scene = self.scenes[name]
            for y in range(0, max(scene.height - size, 0) + 1, step):
                for x in range(0, max(scene.width - size, 0) + 1, step):
                    rows, columns = ({start // size, (start + size - 1) // size} for start in (y, x))
                    below = {(name, (row, column)) for row in rows for column in columns}
                    if len(below) > 1 and below <= cells:
                        more.append(self._tile(name, y, x, f"y{y:05d}x{x:05d}", training=True))
        return tuple(more)

    def labels(self, tile: Tile, shape: tuple[int, int]) -> Labels | None:
        """Label values of a window: of its mask, or drawn from polygons."""
        if not tile.labelled:
            return None
        assert tile.window, "only windows are labelled"
        scene, mask = self.scenes[tile.group], tile.mask
        if mask and not scene.drawn:
            pixels, info = read_window(mask, tile.window, "labels", lambda: open_image(mask, labels=True))
            values, ignored = as_labels(pixels, info.nodata, mask, self.classes)
        else:
            indices = scene.drawn.window(*tile.window) if scene.drawn else np.zeros(shape, np.uint8)
            values, ignored = self._values.take(indices, mode="clip"), indices == IGNORE
        if (beyond := scene.beyond(tile.window, tile.part)) is not None:
            ignored |= beyond
        return Labels(values, ignored)

    def tile(self, path: Path, name: str) -> Tile:
        """A file as an unlabelled tile, a scene of its own."""
        return Tile(name, path, group=name)

    def flag(self, raw: NDArray[np.generic], mask: NDArray[np.uint8] | None) -> str:
        """Always "": nothing is odd about these tiles."""
        del raw, mask
        return ""

    @property
    def scenes(self) -> dict[str, Scene]:
        """The scenes by name; errors as `catalog`."""
        return self._read[0]

    @cached_property
    def _read(self) -> tuple[dict[str, Scene], tuple[str, ...]]:
        return read_scenes(self.data, self.classes)

    def _tile(self, name: str, row: int, column: int, place: str, *, training: bool = False) -> Tile:
        scene, window = self.scenes[name], (row, column, self.data.window, self.data.window)
        part = ("train" if training else scene.part(window)) if self.data.split.by == "extent" else ""
        return Tile(
            f"{name}/{place}", scene.path, scene.truth, name,
            background=scene.background, part=part, window=window, extent=scene.extent,
        )  # fmt: skip

    @cached_property
    def _values(self) -> NDArray[np.generic]:
        """The label value that stands for each class index; for 255 as well, where it counts nowhere."""
        values = np.full(256, self.classes.background_values[0], np.float32)
        for index, one in enumerate(self.classes.foreground, 1):
            values[index] = one.values[0] if one.at_least is None else one.at_least
        return values if self.classes.soft else values.astype(np.uint16)


_READ: dict[UUID, ScenesSource] = {}


def _again(token: UUID, data: ScenesData) -> ScenesSource:
    """The source that came to this process before."""
    return _READ.setdefault(token, ScenesSource(data, token))
