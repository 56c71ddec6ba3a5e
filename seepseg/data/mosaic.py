"""Scenes put together from their tiles: cells of one grid, row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, TypeVar

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


def framed(
    own: Sequence[NDArray[Any]],
    beside: Callable[[int], Sequence[NDArray[Any]] | None],
    index: int | None,
    columns: int | None,
    margin: int,
    fill: Sequence[float],
) -> list[NDArray[Any]]:
    """The planes (…, H, W) of a tile with `margin` pixels of its neighbours on all sides, (…, H + 2m, W + 2m).

    Args:
        own: planes of the tile.
        beside: planes of another cell of its scene by index, None where it is missing. Cells of another size or kind
            of number count as missing: a tile cut short at the edge of a scene does not fill its cell.
        index: the tile's cell.
        columns: cells a row of the scene has; None where the tile is no cell of a grid.
        fill: what each plane holds where there is no cell.
    """
    kinds = [(plane.shape, plane.dtype) for plane in own]
    height, width = own[0].shape[-2:]
    pads = ((margin, margin), (margin, margin))
    planes = [
        np.pad(plane, (*((0, 0),) * (plane.ndim - 2), *pads), constant_values=value)
        for plane, value in zip(own, fill, strict=True)
    ]
    if index is None or columns is None:
        return planes
    row, column = divmod(index, columns)
    downs, rights = (range(-reach, reach + 1) for reach in (-(-margin // height), -(-margin // width)))
    for down, right in product(downs, rights):
        if (down, right) == (0, 0) or row + down < 0 or not 0 <= column + right < columns:
            continue
        found = beside((row + down) * columns + column + right)
        if found is None or [(plane.shape, plane.dtype) for plane in found] != kinds:
            continue
        # Where the cell begins in the frame, and which part of it lies inside.
        y, x = margin + down * height, margin + right * width
        there = slice(max(0, -y), min(height, height + 2 * margin - y))
        across = slice(max(0, -x), min(width, width + 2 * margin - x))
        for plane, other in zip(planes, found, strict=True):
            plane[..., there.start + y : there.stop + y, across.start + x : across.stop + x] = other[..., there, across]
    return planes
