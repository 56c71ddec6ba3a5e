"""The centreline of an object: its length, its width along the way, and the end a slick likelier began at."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from skimage.morphology import skeletonize

from seepseg.io.trace import filled

MOST = 250_000
"""Cells an object's box may have; larger ones are thinned first."""

OUTER = 0.15
"""Share of the centreline at each end over which the width of that end is averaged."""

NARROWER = 1.5
"""Times narrower that one end must be to be called the likelier origin."""


class Centreline(NamedTuple):
    """What is measured along the longest path through the skeleton.

    Attributes:
        length: of the path, with the half widths at its ends, in the units of the pixel size.
        width: mean over the path.
        ends: (2, 2) first and last point, pixel coordinates (column, row).
        end_widths: mean width over the outer `OUTER` of the path at each end.
    """

    length: float
    width: float
    ends: NDArray[np.float64]
    end_widths: tuple[float, float]

    @property
    def origin(self) -> tuple[int, float] | None:
        """Which end is at least `NARROWER` times narrower, and how many times; None where neither is.

        A slick leaves its vent as a thread and widens with drift (Suresh et al. 2015, IEEE TGRS 53(8)).
        """
        first, last = self.end_widths
        ratio = max(first, last) / min(first, last)
        return (int(last < first), ratio) if ratio >= NARROWER else None


def centreline(shape: Any, pixel_size: tuple[float, float]) -> Centreline:
    """The centreline of a shape of pixel corners.

    Args:
        shape: with vertices (column, row).
        pixel_size: width and height of a pixel.
    """
    left, top, right, bottom = shape.bounds
    step = max(1, int(np.ceil(np.sqrt((right - left) * (bottom - top) / MOST))))
    mask, column, row = filled(shape, step)
    # all_touched draws thinned objects too wide; the true area says how much.
    share = shape.area / (mask.sum() * step**2)
    fine = 2 if step == 1 else 1
    # In half pixels every width is even, and twice the radius is the width.
    mask = mask.repeat(fine, 0).repeat(fine, 1)
    across, down = (size * step / fine for size in pixel_size)
    padded = np.pad(mask, 1)
    # From a cell's centre to that of the nearest cell outside.
    radius = distance_transform_edt(padded, sampling=(down, across))[1:-1, 1:-1]
    # Zhang's method, the default, eats diagonals that are two pixels wide.
    points = np.argwhere(cast(Any, skeletonize)(mask, method="lee"))
    path = points[_longest(points, mask.shape, across, down)]
    moves = np.hypot(*(np.diff(path, axis=0) * (down, across)).T) if len(path) > 1 else np.zeros(0)
    widths = 2 * share * radius[tuple(path.T)]
    at = np.concatenate([[0], np.cumsum(moves)])
    outer = OUTER * at[-1]
    ends = np.asarray((path[[0, -1]] + 0.5)[:, ::-1] * step / fine + (column, row), np.float64)
    return Centreline(
        # The radius ends at the centre of a cell outside, half a cell beyond the rim, at both ends.
        float(at[-1] + (widths[0] + widths[-1]) / 2 - min(across, down)),
        float(widths.mean()),
        ends,
        (float(widths[at <= outer].mean()), float(widths[at >= at[-1] - outer].mean())),
    )


def _longest(points: NDArray[np.int64], shape: tuple[int, ...], across: float, down: float) -> NDArray[np.int64]:
    """Indices of the points (n, 2) along the longest of the shortest paths between them.

    Two sweeps find it: the farthest point from any, then the farthest from that; exact where the skeleton has no loop.
    Of a shape in several parts it is the one in the largest.
    """
    number = np.full(shape, -1)
    number[tuple(points.T)] = np.arange(len(points))
    framed = np.pad(number, 1, constant_values=-1)
    one, other, length = [], [], []
    for dy, dx in ((0, 1), (1, -1), (1, 0), (1, 1)):
        near = framed[points[:, 0] + 1 + dy, points[:, 1] + 1 + dx]
        there = near >= 0
        one.append(np.flatnonzero(there))
        other.append(near[there])
        length.append(np.full(there.sum(), np.hypot(dy * down, dx * across)))
    weights, ends = np.concatenate(length), (np.concatenate(one), np.concatenate(other))
    graph = coo_matrix((weights, ends), (len(points), len(points))).tocsr()
    # scipy's stubs do not know all forms of dijkstra.
    _, part = connected_components(graph, directed=False)
    largest = int(np.argmax(part == np.bincount(part).argmax()))
    far = cast(Any, dijkstra)(graph, directed=False, indices=largest)
    start = int(np.argmax(np.where(np.isfinite(far), far, -1)))
    far, before = cast(Any, dijkstra)(graph, directed=False, indices=start, return_predecessors=True)
    path = [int(np.argmax(np.where(np.isfinite(far), far, -1)))]
    while path[-1] != start:
        path.append(int(before[path[-1]]))
    return np.array(path)
