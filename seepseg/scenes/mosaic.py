"""Scenes put together from their tiles, which are cells of one grid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)

Cell = tuple[int, int]
"""Row and column of a tile in the grid of its scene."""


def clusters(cells: Iterable[Cell]) -> list[list[Cell]]:
    """The cells in groups that touch, at corners too.

    No object reaches from one group to another, so each can be processed alone: most of a scene may be missing.
    """
    left, groups = set(cells), []
    while left:
        group, front = [], [min(left)]
        left.remove(front[0])
        while front:
            row, column = front.pop()
            group.append((row, column))
            around = {(row + down, column + right) for down, right in product((-1, 0, 1), repeat=2)}
            front += sorted(around & left)
            left -= around
        groups.append(sorted(group))
    return groups


def assemble(tiles: Mapping[Cell, NDArray[T]], missing: float = 255) -> NDArray[T]:
    """One plane (H, W) of tiles by their cells.

    The plane is cut to the rows and columns that hold tiles, so that cells shift together; missing cells, and what a
    smaller tile leaves of its cell, are `missing`.
    """
    slices, (height, width) = places({cell: tile.shape for cell, tile in tiles.items()})
    plane = np.full((height, width), missing, next(iter(tiles.values())).dtype)
    for cell, tile in tiles.items():
        plane[slices[cell]] = tile
    return plane


def places(shapes: Mapping[Cell, tuple[int, ...]]) -> tuple[dict[Cell, tuple[slice, slice]], tuple[int, int]]:
    """Where tiles of shapes (h, w) lie in the plane of `assemble`, and the plane's shape."""
    rows, columns = zip(*shapes, strict=True)
    height, width = (max(shape[axis] for shape in shapes.values()) for axis in (0, 1))
    top, left = min(rows), min(columns)
    slices = {}
    for (row, column), shape in shapes.items():
        y, x = (row - top) * height, (column - left) * width
        slices[row, column] = (slice(y, y + shape[0]), slice(x, x + shape[1]))
    return slices, ((max(rows) - top + 1) * height, (max(columns) - left + 1) * width)


def inner(planes: NDArray[T], margin: int) -> NDArray[T]:
    """Planes (…, H + 2m, W + 2m) without their margin."""
    return planes[..., margin:-margin, margin:-margin] if margin else planes


def framed(
    own: Sequence[NDArray[Any]],
    beside: Callable[[Cell], Sequence[NDArray[Any]] | None],
    cell: Cell | None,
    margin: int,
    fill: Sequence[float],
) -> list[NDArray[Any]]:
    """The planes (…, H, W) of a tile with `margin` pixels of its neighbours on all sides, (…, H + 2m, W + 2m).

    Args:
        own: planes of the tile.
        beside: planes of another cell of its scene, None where it is missing. Cells of another size or kind
            of number count as missing: a tile cut short at the edge of a scene does not fill its cell.
        cell: the tile's own; None where it is no cell of a grid.
        fill: what each plane holds where there is no cell.
    """
    kinds = [(plane.shape, plane.dtype) for plane in own]
    height, width = own[0].shape[-2:]
    pads = ((margin, margin), (margin, margin))
    planes = [
        np.pad(plane, (*((0, 0),) * (plane.ndim - 2), *pads), constant_values=value)
        for plane, value in zip(own, fill, strict=True)
    ]
    if cell is None:
        return planes
    row, column = cell
    downs, rights = (range(-reach, reach + 1) for reach in (-(-margin // height), -(-margin // width)))
    for down, right in product(downs, rights):
        neighbour = beside((row + down, column + right)) if down or right else None
        if neighbour is None or [(plane.shape, plane.dtype) for plane in neighbour] != kinds:
            continue
        # Where the cell begins in the frame, and which part of it lies inside.
        y, x = margin + down * height, margin + right * width
        there = slice(max(0, -y), min(height, height + 2 * margin - y))
        across = slice(max(0, -x), min(width, width + 2 * margin - x))
        for plane, other in zip(planes, neighbour, strict=True):
            plane[..., there.start + y : there.stop + y, across.start + x : across.stop + x] = other[..., there, across]
    return planes
