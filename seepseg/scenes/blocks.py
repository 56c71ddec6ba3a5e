"""Blocks of ground that are on one side of a split: cells of one grid over the Earth or, without a place, over pixels.

The grid is the same for every data set: rows of latitude, each divided into a whole number of cells around the Earth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from seepseg.config import Split
from seepseg.errors import ConfigError, DataError
from seepseg.geo.place import Place, border, counted_from, place_of
from seepseg.geo.polygons import Located
from seepseg.io.image import Image
from seepseg.scenes.images import Window

DEGREE = 111_195.0
"""Metres of latitude, on average: blocks are of the size asked for to 1 %."""
TOUCH = 1e-6
"""Pixels by which windows that touch may seem to overlap."""
BORDER = border(4)
"""Sixteen points around a unit square."""


class Blocks(NamedTuple):
    """The blocks of a window, by name: that of its middle, those that its pixels lie in, those within the margin."""

    own: str
    under: tuple[str, ...]
    near: tuple[str, ...]


def blocks_of(split: Split, place: Place, windows: NDArray[np.float64]) -> list[Blocks]:
    """The blocks of windows (n, 4) of one scene: first row and column, height and width.

    Size and margin of the split are metres, or pixels where the scene has no place.

    Raises:
        ConfigError: windows are larger than blocks.
        DataError: part of the scene does not lie on the Earth.
    """
    assert split.size
    grid = _Grid(split.size, on_ground=place.to_lonlat is not None)
    corner, size = windows[:, 1::-1], windows[:, :1:-1]
    metres = np.linalg.norm(place.metric(corner + size / 2), axis=1)  # of a step along a row, and down a column
    if (side := float((size * metres).max())) > split.size:
        what = f"windows of {side:.6g} {grid.unit} do not fit into blocks of {split.size:g}"
        raise ConfigError(what, "data.split.size", "give several times as much")
    to_xy = place.to_lonlat or place.to_map

    def cells(start: NDArray[np.float64], extent: NDArray[np.float64]) -> list[tuple[str, ...]]:
        outlines = start[:, None] + BORDER * extent[:, None]
        return grid.cells(to_xy(outlines.reshape(-1, 2)).reshape(outlines.shape))

    margin = split.margin / metres
    own, under = cells(corner + size / 2, 0 * size), cells(corner, size)
    near = cells(corner - margin, size + 2 * margin) if split.margin else under
    return [Blocks(a, b, c) for (a,), b, c in zip(own, under, near, strict=True)]


def scene_blocks(split: Split, scenes: Mapping[str, Located], windows: Sequence[tuple[str, Window]]) -> list[Blocks]:
    """The blocks of windows of scenes, given with the scene's name, one scene after the other.

    Raises:
        DataError: some scenes have a place, others none, or part of one does not lie on the Earth.
        ConfigError: windows are larger than blocks.
    """
    blocks, placed = list[Blocks](), set[bool]()
    for name, of_scene in groupby(windows, key=lambda pair: pair[0]):
        scene, boxes = scenes[name], np.array([window for _, window in of_scene], np.float64)
        place = place_of(scene.georeference)
        placed.add(place.crs is not None)
        if len(placed) > 1:
            fix = "leave some out, or use data.split.by=group"
            raise DataError("only some scenes have a georeference, so they cannot share blocks", scene.path, fix)
        blocks += blocks_of(split, place, boxes)
    return blocks


def tile_blocks(
    split: Split, tiles: Sequence[Path], opened: Callable[[Path], AbstractContextManager[Image]]
) -> list[Blocks]:
    """The blocks of tile files by their georeference.

    Raises:
        DataError: a tile has none.
        ConfigError: tiles are larger than blocks.
    """
    blocks = list[Blocks]()
    for path in tiles:
        with opened(path) as image:
            place, shape = place_of(image.georeference), (image.height, image.width)
        if place.crs is None:
            what = "has no georeference, so its block is not known"
            raise DataError(what, path, "leave it out, or set data.split.by=group")
        blocks += blocks_of(split, place, np.array([[0, 0, *shape]], np.float64))
    return blocks


def frame_blocks(split: Split, windows: NDArray[np.float64]) -> list[Blocks]:
    """The blocks of windows (n, 4) of several scenes in one frame of pixels: first row and column, height and width.

    Each belongs to the block of its middle, with all of it: scenes that are shifted against each other fit into no grid
    of blocks. Near it are the blocks of the windows within the margin, and of those that it overlaps.

    Raises:
        ConfigError: windows are larger than blocks.
    """
    assert split.size
    if (side := float(windows[:, 2:].max())) > split.size:
        what = f"windows of {side:.6g} pixels do not fit into blocks of {split.size:g}"
        raise ConfigError(what, "data.split.size", "give several times as much")
    start, size = windows[:, :2], windows[:, 2:]
    own = [f"{row}/{column}" for row, column in np.floor((start + size / 2) / split.size).astype(int).tolist()]
    within, touching = (_beside(start, start + size, margin, own) for margin in (split.margin, 0.0))
    # A part for testing shares no ground with the one that validates; without, nothing of what is held out is lost.
    under = touching if split.test_fraction else [(name,) for name in own]
    return list(map(Blocks, own, under, within))


def _beside(
    start: NDArray[np.float64], end: NDArray[np.float64], margin: float, own: Sequence[str]
) -> list[tuple[str, ...]]:
    """The blocks of the windows less than a margin from each, and of those that overlap it, its own among them."""
    low, high = start - margin + TOUCH, end + margin - TOUCH
    tree = shapely.STRtree(np.asarray(shapely.box(*start.T, *end.T)))
    names = [set[str]() for _ in own]
    for one, other in tree.query(shapely.box(*low.T, *high.T), predicate="intersects").T.tolist():
        names[one].add(own[other])
    return [tuple(sorted(found)) for found in names]


class _Grid:
    """Blocks of a size over the Earth, in degrees, or over pixels."""

    def __init__(self, size: float, *, on_ground: bool) -> None:
        self.unit = "m" if on_ground else "pixels"
        self._on_ground, self._height = on_ground, size / DEGREE if on_ground else size

    def cells(self, outlines: NDArray[np.float64]) -> list[tuple[str, ...]]:
        """Names of the blocks that outlines (n, k, 2) enter; of one that is a point, the block in which it lies."""
        if not np.isfinite(outlines).all():
            raise DataError("part of a scene does not lie on the Earth", "data.split.by", "use data.split.by=group")
        x, y = outlines[..., 0], outlines[..., 1]
        if self._on_ground:
            x = counted_from(x[:, :1], x)  # the antimeridian is no border
        shapes, found = shapely.polygons(np.stack([x, y], axis=2)), [set[str]() for _ in x]
        point = np.ptp(outlines, axis=1).max(1) == 0
        low, high = (np.floor(end / self._height) for end in (y.min(1), y.max(1)))
        for row in (low + step for step in range(int((high - low).max()) + 1)):
            width, around = self._columns(row)
            left, right = np.floor(x.min(1) / width), np.floor(x.max(1) / width)
            for column in (left + step for step in range(int((right - left).max()) + 1)):
                box = shapely.box(column * width, row * self._height, (column + 1) * width, (row + 1) * self._height)
                enters = point | (shapely.intersects(box, shapes) & ~shapely.touches(box, shapes))
                for k in np.flatnonzero(enters & (row <= high) & (column <= right)):
                    found[k].add(f"{int(row[k])}/{int(column[k] % around[k])}")
        return [tuple(sorted(names)) for names in found]

    def _columns(self, row: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Width of the blocks of rows (n), and how many there are around the Earth."""
        if not self._on_ground:
            return np.full(row.shape, self._height), np.full(row.shape, 2.0**40)
        latitude = np.radians(np.clip((row + 0.5) * self._height, -90, 90))
        around = np.maximum(1, np.round(360 / self._height * np.cos(latitude)))
        return 360 / around, around
