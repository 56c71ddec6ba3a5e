"""Centrelines: the longest paths through skeletons, smoothed, extended to the outline, and measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seepseg.objects.mosaic import Mosaic
from seepseg.objects.skeleton import Paths

SMOOTH = 3
"""Cells to either side over which a path is averaged, or a quarter of the width where that is more.

The steps of a path are 5–9 % too long in most directions; under a ragged outline the skeleton of a wide shape zigzags.
"""

BACK = 4
"""Cells over which the direction at the end of a path is taken, or half the width where that is more."""

RAY = 0.125
"""Cells from step to step on the way from the end of a path to the outline."""

OUTER = 0.15
"""Share of the length at each end over which the width of that end is averaged."""


class Extents(NamedTuple):
    """Lengths, widths and ends of n shapes.

    Attributes:
        length: (n) metres from outline to outline.
        width: (n) metres: the area, without branches, by the length.
        ends: (n, 2, 2) both ends, on the outline, in pixel coordinates (column, row).
        end_widths: (n, 2) metres: the mean over the outer `OUTER` at each end.
        middles: (n, 2, 2) centroids of these outer parts, in pixel coordinates, for directions: where pixels are not
            square, the ends themselves lie too near to a corner.
    """

    length: NDArray[np.float64]
    width: NDArray[np.float64]
    ends: NDArray[np.float64]
    end_widths: NDArray[np.float64]
    middles: NDArray[np.float64]


def along_paths(paths: Paths, drawn: Mosaic, metric: NDArray[np.float64], area_m2: NDArray[np.float64]) -> Extents:
    """The extents of shapes along the longest paths through their skeletons.

    Args:
        paths: of n shapes.
        drawn: these shapes.
        metric: (n, 2, 2) metres of columns and rows of cells.
        area_m2: (n) areas.
    """
    cells = np.bincount(drawn.owner(np.nonzero(drawn.mask)[1]))
    across = _across(paths)
    points, kept = _smoothed(paths, across)
    owner = paths.owner[kept]
    first = np.searchsorted(owner, np.arange(len(cells)))
    last = np.append(first[1:], len(owner)) - 1
    # Cells beside what smoothing cut off belong to the ends.
    index = np.arange(len(paths.owner)).clip(kept[first][paths.owner], kept[last][paths.owner])
    along = np.append(index, -1)[paths.along]
    row, column = np.nonzero(along >= 0)
    beside = along[row, column]
    # How many cells lie beside each point, and the sums of their columns and rows.
    sums = [np.bincount(beside, values, len(index))[kept] for values in (np.ones(len(row)), column, row)]
    back = np.minimum(np.maximum(BACK, across // 2), last - first)
    ends = ((first, first + back), (last, last - back))
    tips = [_tips(along, kept[end], points[end], points[end] - points[inner]) for end, inner in ends]
    before, after = (_metres(tip - points[end], metric) for tip, (end, _) in zip(tips, ends, strict=True))
    # From each point of a path to the next; 0 at the last.
    goes_on = np.append(owner[1:] == owner[:-1], False)
    steps = _metres(np.diff(points, axis=0, append=0) * goes_on[:, None], metric[owner])
    length = before + np.bincount(owner, steps) + after
    outer = _outer(sums, steps, first, last, before, after)
    return Extents(
        length,
        np.bincount(owner, sums[0]) * area_m2 / cells / length,
        drawn.to_pixels(np.stack(tips, axis=1)),
        outer[..., 0] * (area_m2 / cells / length / OUTER)[:, None],
        drawn.to_pixels(outer[..., 1:] / outer[..., :1] + 0.5),
    )


def _metres(moves: NDArray[np.float64], metric: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lengths (n) in metres of moves (n, 2) in cells."""
    return np.asarray(np.hypot(*np.einsum("nij,nj->in", metric, moves)))


def _across(paths: Paths) -> NDArray[np.int64]:
    """Widths (n) in cells: the median over a path of how many cells lie beside one of it."""
    beside = np.bincount(paths.along[paths.along >= 0], minlength=len(paths.owner))
    count = np.bincount(paths.owner)
    middle = np.cumsum(count) - count + count // 2
    return np.asarray(beside[np.lexsort((beside, paths.owner))][middle])


def _smoothed(paths: Paths, across: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Points (k, 2) of the averaged paths, column and row, and the index of the cell in the middle of each average.

    Near an end the average is of fewer cells; the outermost points are left out, as far as half the width.

    Args:
        paths: of n shapes.
        across: (n) widths in cells.
    """
    count = np.bincount(paths.owner)
    stop = np.cumsum(count)
    index = np.arange(len(paths.owner))
    to_end = np.minimum(index - (stop - count)[paths.owner], stop[paths.owner] - 1 - index)
    window = np.maximum(SMOOTH, across // 4)
    cut = np.minimum(np.minimum(window, across // 2), (count - 1) // 3)
    kept = np.flatnonzero(to_end >= cut[paths.owner])
    reach = np.minimum(window[paths.owner[kept]], to_end[kept])
    total = np.concatenate([np.zeros((1, 2)), np.cumsum(paths.cells + 0.5, axis=0)])
    points = (total[kept + reach + 1] - total[kept - reach]) / (2 * reach + 1)[:, None]
    # To binary fractions, or rounding depends on where in the mosaic a shape lies.
    return np.rint(points * 2**20) / 2**20, kept


def _tips(
    along: NDArray[np.int64], end: NDArray[np.int64], points: NDArray[np.float64], ways: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Where straight lines (n, 2) from the ends of paths leave the cells that lie beside these ends.

    Args:
        along: (H, W) index of the cell of a path that each cell lies beside, -1 outside.
        end: (n) index of the last cell of each path.
        points: (n, 2) column and row where the lines begin.
        ways: (n, 2) their directions; (0, 0) of a path of one cell, which leads nowhere, and no path has no length.
    """
    ways = np.where(ways.any(axis=1, keepdims=True), ways, (1, 0))
    ways /= np.hypot(*ways.T)[:, None]
    distance, inside = np.zeros(len(end)), np.arange(len(end))
    while len(inside):
        column, row = (points[inside] + (distance[inside] + RAY)[:, None] * ways[inside]).astype(np.int64).T
        beside = along[row, column]
        inside = inside[(beside >= 0) & (np.abs(beside - end[inside]) <= 2 * SMOOTH)]
        distance[inside] += RAY
    return points + (distance + RAY / 2)[:, None] * ways


def _outer(
    sums: Sequence[NDArray[Any]],
    steps: NDArray[np.float64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The part (n, 2, q) of some sums that lies in the outer `OUTER` of a path at either end.

    Args:
        sums: q times (k), of what lies beside each point of the paths.
        steps: (k) metres from each point to the next.
        first: (n) index of the first point of each path.
        last: (n) index of the last.
        before: (n) metres from the outline to the first point.
        after: (n) metres from the last point to the outline.
    """
    # All paths end to end: where what lies beside one point gives way to the next, and the sums so far.
    gaps = steps.copy()
    gaps[last] = after + np.append(before[1:], 0)
    at = before[0] + np.cumsum(gaps) - gaps
    border = at + steps / 2
    border[last] = stop = at[last] + after
    start = np.append(0, stop[:-1])
    width = OUTER * (stop - start)
    marks = np.stack([start, start + width, stop - width, stop])
    so_far = [np.interp(marks, np.append(0, border), np.append(0, np.cumsum(values))) for values in sums]
    return np.stack([values[[1, 3]] - values[[0, 2]] for values in so_far]).T
