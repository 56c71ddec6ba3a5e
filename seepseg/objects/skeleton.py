"""The longest path through the skeleton of each of many shapes, and the cells that lie along it."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from skimage.morphology import skeletonize

from seepseg.objects.mosaic import Mosaic

EIGHT = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, -1), (-1, 1))
"""Moves (down, across) to the neighbours of a pixel, the four nearest first."""


class Paths(NamedTuple):
    """The longest path of each of n shapes, one after the other.

    Attributes:
        cells: (m, 2) column and row of the cells of all paths.
        owner: (m) index of the shape of each.
        metres: (n) sum of the steps from cell to cell of each path: too much in most directions.
        along: (H, W) index of the cell of a path that each cell of the mosaic lies beside; -1 outside and on branches.
    """

    cells: NDArray[np.int64]
    owner: NDArray[np.int64]
    metres: NDArray[np.float64]
    along: NDArray[np.int64]


def longest_paths(drawn: Mosaic, metric: NDArray[np.float64], area_m2: NDArray[np.float64]) -> Paths:
    """The longest of the shortest paths between two points of the skeleton of each shape.

    Two sweeps find it: the farthest point from any, then the farthest from that; exact where the skeleton has no loop.
    All shapes are one graph, so that each sweep is one call.

    Args:
        drawn: n shapes, each in one 8-connected piece.
        metric: (n, 2, 2) metres of columns and rows of cells.
        area_m2: (n) areas; by a path's length, they say what leaves it by so little that it is no branch.
    """
    # Zhang's method, the default, erodes diagonals that are two pixels wide.
    points = np.argwhere(cast(Any, skeletonize)(drawn.mask, method="lee"))
    owner = drawn.owner(points[:, 1])
    number = np.full(drawn.mask.shape, -1)
    number[tuple(points.T)] = np.arange(len(points))
    graph = _graph(points, number, metric[owner])
    starts = _farthest(_sweep(graph, _farthest(np.zeros(len(points)), owner))[0], owner)
    metres, before = _sweep(graph, starts)
    goals = _farthest(metres, owner)
    path = _walk(before, starts, goals)
    position = np.full(len(points), -1)
    position[path] = np.arange(len(path))
    widths = area_m2 / np.maximum(metres[goals], np.sqrt(area_m2))
    along = _hang(position, before, metres, widths[owner])
    return Paths(points[path][:, ::-1], owner[path], metres[goals], np.append(along, -1)[_spread(number, drawn.mask)])


def _graph(points: NDArray[np.int64], number: NDArray[np.int64], metric: NDArray[np.float64]) -> Any:
    """The metres from each point of a skeleton to its neighbours, as a sparse matrix.

    Args:
        points: (p, 2) row and column.
        number: (H, W) index of the point in each cell, -1 where there is none.
        metric: (p, 2, 2) metres of columns and rows at each point.
    """
    one, other, metres = [], [], []
    for down, across in ((0, 1), (1, -1), (1, 0), (1, 1)):
        near = number[points[:, 0] + down, points[:, 1] + across]
        here = np.flatnonzero(near >= 0)
        one.append(here)
        other.append(near[here])
        metres.append(np.hypot(*(metric[here] @ (across, down)).T))
    ends = (np.concatenate(one), np.concatenate(other))
    return coo_array((np.concatenate(metres), ends), (len(points), len(points))).tocsr()


def _sweep(graph: Any, starts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Metres (p) to each point from the start in its shape, and the point before it on the way; a start is its own."""
    # scipy's stubs do not know all forms of dijkstra.
    metres, before, _ = cast(Any, dijkstra)(
        graph, directed=False, indices=starts, return_predecessors=True, min_only=True
    )
    before[starts] = starts
    return metres, before.astype(np.int64)


def _farthest(metres: NDArray[np.float64], owner: NDArray[np.int64]) -> NDArray[np.int64]:
    """Index of the farthest point of each owner."""
    order = np.lexsort((metres, owner))
    return order[np.flatnonzero(np.diff(owner[order], append=-1))]


def _walk(before: NDArray[np.int64], starts: NDArray[np.int64], goals: NDArray[np.int64]) -> NDArray[np.int64]:
    """The points from each goal back to its start, one path after the other."""
    previous, path = before.tolist(), list[int]()
    for start, point in zip(starts.tolist(), goals.tolist(), strict=True):
        path.append(point)
        while point != start:
            point = previous[point]
            path.append(point)
    return np.array(path)


def _hang(
    position: NDArray[np.int64], before: NDArray[np.int64], metres: NDArray[np.float64], widths: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Position on a path to which each point (p) belongs: its own, that of the bump it lies on, -1 on a branch.

    Args:
        position: (p) on a path, -1 beside it.
        before: (p) next point on the way to the start.
        metres: (p) from the start.
        widths: (p) of the shape; what reaches no farther from the path is a bump of the outline.
    """
    index, on = np.arange(len(position)), position >= 0
    # The point next to the path, by following what comes before in steps that double.
    base = np.where(on | on[before], index, before)
    while not np.array_equal(base, base[base]):
        base = base[base]
    foot = np.where(on, index, before[base])
    reach = np.zeros(len(position))
    np.maximum.at(reach, base, metres - metres[foot])
    return np.where(reach[base] <= widths, position[foot], -1)


def _spread(number: NDArray[np.int64], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For every cell of the mask, the number of the numbered cell nearest to it within the mask; -1 outside.

    Steps to four and to eight neighbours take turns: what a number reaches is an octagon, nearly a circle.
    """
    numbers, inside, width = number.ravel().copy(), mask.ravel(), mask.shape[1]
    last, older, four = np.flatnonzero(numbers >= 0), np.zeros(0, np.int64), True
    while len(last) or len(older):
        sources, reached = np.concatenate([older, last]), []
        for down, across in EIGHT[:4] if four else EIGHT:
            cells = sources + (down * width + across)
            fresh = inside[cells] & (numbers[cells] < 0)
            numbers[cells[fresh]] = numbers[sources[fresh]]
            reached.append(cells[fresh])
        last, older, four = np.concatenate(reached), last, not four
    return numbers.reshape(mask.shape)
