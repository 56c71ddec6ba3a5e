"""Scenes put together from their tiles: cells of one grid, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)


def columns_of(group: str, grid: Mapping[str, int]) -> int | None:
    """How many cells a row of a scene has: that of the longest key its name begins with; None where none does."""
    keys = [key for key in grid if group.startswith(key)]
    return grid[max(keys, key=len)] if keys else None


def clusters(indices: Iterable[int], columns: int) -> list[list[int]]:
    """The cells (row and column being divmod(index, columns)) in groups that touch, at corners too.

    Nothing on one group can reach another, so each can be looked at on its own: most of a scene may be missing.
    """
    left, found = set(indices), []
    while left:
        group, front = [], [min(left)]
        left.remove(front[0])
        while front:
            index = front.pop()
            group.append(index)
            row, column = divmod(index, columns)
            beside = [c for c in (column - 1, column, column + 1) if 0 <= c < columns]
            around = {r * columns + c for r in (row - 1, row, row + 1) for c in beside}
            front += sorted(around & left)
            left -= around
        found.append(sorted(group))
    return found


def assemble(tiles: Mapping[int, NDArray[T]], columns: int, missing: float = 255) -> NDArray[T]:
    """One plane (H, W) of tiles by their index, row and column being divmod(index, columns).

    The plane is cut to the rows and columns that hold tiles, so that cells shift together; missing cells, and what a
    smaller tile leaves of its cell, are `missing`.
    """
    places, (height, width) = cells({index: tile.shape for index, tile in tiles.items()}, columns)
    plane = np.full((height, width), missing, next(iter(tiles.values())).dtype)
    for index, tile in tiles.items():
        plane[places[index]] = tile
    return plane


def cells(
    shapes: Mapping[int, tuple[int, ...]], columns: int
) -> tuple[dict[int, tuple[slice, slice]], tuple[int, int]]:
    """Where tiles (h, w) by their index lie in the plane of `assemble`, and the plane's shape."""
    rows, cols = zip(*(divmod(index, columns) for index in shapes), strict=True)
    height, width = (max(shape[axis] for shape in shapes.values()) for axis in (0, 1))
    top, left = min(rows), min(cols)
    places = {}
    for index, shape in shapes.items():
        row, column = divmod(index, columns)
        y, x = (row - top) * height, (column - left) * width
        places[index] = (slice(y, y + shape[0]), slice(x, x + shape[1]))
    return places, ((max(rows) - top + 1) * height, (max(cols) - left + 1) * width)


def overlaps(
    index: int, columns: int, shape: tuple[int, int], offset: tuple[int, int]
) -> Iterator[tuple[int, tuple[slice, slice], tuple[slice, slice]]]:
    """Where a window of a tile's shape (h, w), moved off the tile by less than its size, meets the cells of the grid.

    Yields, for each cell, its index, where the window lies in it, and where it lies in the window.
    """
    row, column = divmod(index, columns)
    for down in {0, int(np.sign(offset[0]))}:
        for right in {0, int(np.sign(offset[1]))}:
            if row + down < 0 or not 0 <= column + right < columns:
                continue
            # The cell's first pixel, seen from the window's.
            y, x = down * shape[0] - offset[0], right * shape[1] - offset[1]
            here = tuple(slice(max(0, p), min(n, n + p)) for p, n in zip((y, x), shape, strict=True))
            there = tuple(slice(s.start - p, s.stop - p) for s, p in zip(here, (y, x), strict=True))
            yield (row + down) * columns + column + right, (there[0], there[1]), (here[0], here[1])
