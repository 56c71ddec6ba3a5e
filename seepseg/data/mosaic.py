"""Scenes put together from their tiles: cells of one grid, row by row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


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


def assemble(tiles: Mapping[int, NDArray[Any]], columns: int, missing: float = 255) -> NDArray[Any]:
    """One plane (H, W) of tiles by their index, row and column being divmod(index, columns).

    The plane is cut to the rows and columns that hold tiles, so that cells shift together; missing cells, and what a
    smaller tile leaves of its cell, are `missing`.
    """
    rows, cols = zip(*(divmod(index, columns) for index in tiles), strict=True)
    height = max(tile.shape[0] for tile in tiles.values())
    width = max(tile.shape[1] for tile in tiles.values())
    top, left = min(rows), min(cols)
    shape = ((max(rows) - top + 1) * height, (max(cols) - left + 1) * width)
    plane = np.full(shape, missing, next(iter(tiles.values())).dtype)
    for index, tile in tiles.items():
        row, column = divmod(index, columns)
        y, x = (row - top) * height, (column - left) * width
        plane[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return plane
