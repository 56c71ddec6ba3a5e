"""Between labelled pixels and polygons: outlines along pixel edges, and shapes drawn as pixels again."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

EIGHT = ((0, 1), (1, 0), (0, -1), (-1, 0), (1, 1), (1, -1), (-1, -1), (-1, 1))
"""Moves (down, across) to the neighbours of a pixel, the four nearest first."""


def outlines(labels: NDArray[np.integer[Any]], first_row: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Labels (n) and polygons (n) of the 4-connected patches of equal labels above 0.

    8-connected tracing would give polygons that touch themselves, which are invalid. GDAL's polygonize gives the same
    polygons, but spends its time on the empty sea between them; only pixels at a rim are looked at one by one here.

    Args:
        labels: (h, W) rows of a raster.
        first_row: number of the first one; vertices are corners of pixels (column, row) in the raster.
    """
    framed = np.pad(labels, 1)
    flat, (height, width) = framed.ravel(), framed.shape
    rim, inner = np.zeros(framed.shape, bool), framed[1:-1, 1:-1]
    for down, across in EIGHT:
        rim[1:-1, 1:-1] |= framed[1 + down : height - 1 + down, 1 + across : width - 1 + across] != inner
    pixels = np.flatnonzero(rim & (framed > 0))
    if not len(pixels):
        return np.zeros(0, np.int64), np.zeros(0, object)
    corners = [_vertices(flat, width, pixels, *sides) for sides in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    y, x, upper, left, on_top, on_left, touching, pixel = np.concatenate(corners, axis=1)
    patch = _patches(flat, width, pixels)[pixel]
    following = np.empty(len(x), np.int64)
    # Along a line, edges begin and end in turn. With the inside on the right, tops run right and left sides run up.
    for line, along, begins, side, forward in ((y, x, left, on_top, 1), (x, y, upper, on_left, 0)):
        order = np.argsort(((line * 2 + side) * (framed.size + 1) + along) * 2 + begins)
        begin, end = order.reshape(-1, 2).T
        onward = side[begin] == forward
        following[np.where(onward, begin, end)] = np.where(onward, end, begin)
    # Where a patch touches itself at a corner, a hole ends: the way in at one pixel goes on at the other.
    corner = np.flatnonzero(touching)
    corner = corner[np.lexsort((patch[corner], x[corner], y[corner]))]
    same = np.flatnonzero(~np.diff([y[corner], x[corner], patch[corner]]).any(axis=0))
    one, other = corner[same], corner[same + 1]
    following[one], following[other] = following[other], following[one]
    order, first = _rings(following)
    x, y, patch = x[order] - 1, y[order] - 1 + first_row, patch[order[first]]
    after = np.arange(1, len(order) + 1)
    after[np.append(first[1:], len(order)) - 1] = first
    hole = np.add.reduceat(x * y[after] - x[after] * y, first) < 0
    ring = np.repeat(np.arange(len(first)), np.diff(first, append=len(order)))
    rings = np.asarray(shapely.linearrings(np.stack([x, y], axis=1).astype(np.float64), indices=ring))
    # A polygon is the ring around it, then its holes.
    sequence = np.lexsort((hole, patch))
    shells = sequence[~hole[sequence]]
    polygons = np.asarray(shapely.polygons(rings[sequence], indices=patch[sequence]))
    return flat[pixels[pixel[order[first[shells]]]]].astype(np.int64), polygons


def _vertices(
    flat: NDArray[np.integer[Any]], width: int, pixels: NDArray[np.int64], aside: int, over: int
) -> NDArray[np.int64]:
    """The vertices that outlines have at one corner of all pixels.

    Args:
        flat: labels with an empty frame, row after row.
        width: of a row.
        pixels: indices of those at a rim.
        aside: -1 for the corners on the left, 1 on the right.
        over: -1 for the upper corners, 1 for the lower ones.

    Returns:
        (8, n) row, column; whether the vertex is the upper end of its vertical edge, the left end of its horizontal
        edge; whether these are the top of a pixel, the left side of one; whether the pixel across the corner has the
        same label though those beside have not; the position of the pixel in `pixels`.
    """
    label = flat[pixels]
    beside, beyond, across = (flat[pixels + move] == label for move in (aside, over * width, aside + over * width))
    inward = beside & beyond & ~across
    at = np.flatnonzero(inward | ~(beside | beyond))
    row, column = np.divmod(pixels[at], width)
    top, left = np.full(len(at), over < 0), np.full(len(at), aside < 0)
    inward, touching = inward[at], (across & ~inward)[at]
    return np.stack([row + (over > 0), column + (aside > 0), top ^ inward, left ^ inward, top, left, touching, at])


def _rings(following: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Vertices (n) ring by ring, and where (m) each ring begins among them, from the vertex that follows each (n)."""
    after, seen, order, first = following.tolist(), bytearray(len(following)), list[int](), list[int]()
    for vertex in range(len(after)):
        if not seen[vertex]:
            first.append(len(order))
        while not seen[vertex]:
            seen[vertex] = 1
            order.append(vertex)
            vertex = after[vertex]
    return np.array(order), np.array(first)


def _patches(flat: NDArray[np.integer[Any]], width: int, pixels: NDArray[np.int64]) -> NDArray[np.int32]:
    """The number (n) of the 4-connected patch of equal labels that each of some pixels (n) lies in."""
    begins = np.flatnonzero((flat[1:] != flat[:-1]) & (flat[1:] > 0)) + 1

    def run(at: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.searchsorted(begins, at, side="right") - 1

    # Two runs of adjacent rows touch where one of them begins beside the other.
    below, above = (begins[flat[begins] == flat[begins + move]] for move in (width, -width))
    ends = np.concatenate([run(below), run(above)]), np.concatenate([run(below + width), run(above - width)])
    touching = coo_array((np.ones(len(ends[0]), bool), ends), (len(begins), len(begins)))
    return np.asarray(connected_components(touching, directed=False)[1][run(pixels)])


class Mosaic(NamedTuple):
    """Shapes drawn side by side, each in columns of its own, with empty cells around it.

    Attributes:
        mask: (H, W) cells that a shape touches.
        left: (n) first column of the box of each shape; its first row is row 1.
        corner: (n, 2) column and row of the pixel that this first cell begins with.
        step: (n) pixels a side that one cell stands for.
    """

    mask: NDArray[np.bool_]
    left: NDArray[np.int64]
    corner: NDArray[np.int64]
    step: NDArray[np.int64]

    def owner(self, columns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of the shape to which each column (m) belongs."""
        return np.searchsorted(self.left, columns, side="right") - 1

    def to_pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Pixel coordinates of points (n, k, 2), column and row in the mosaic: k of each shape."""
        first = np.stack([self.left, np.ones_like(self.left)], axis=1)
        return (points - first[:, None]) * self.step[:, None, None] + self.corner[:, None]


def mosaic(shapes: NDArray[Any], step: NDArray[np.int64]) -> Mosaic:
    """The shapes, drawn.

    A row of pixels crosses an outline at vertical edges, and lies inside from each odd crossing to the next. GDAL's
    fill looks at every edge for every row, which takes minutes for one ragged patch of a large scene.

    Args:
        shapes: (n) of pixel edges, with whole vertices (column, row).
        step: (n) pixels a side that one cell stands for.
    """
    bounds = shapely.bounds(shapes).astype(np.int64)
    corner = bounds[:, :2]
    width, height = -(-(bounds[:, 2:] - corner) // step[:, None]).T
    left = np.cumsum(width + 1) - width
    rings, shape = shapely.get_parts(shapely.boundary(shapes), return_index=True)
    vertices, ring = shapely.get_coordinates(rings, return_index=True)
    owner = shape[ring]
    x, y = (vertices.astype(np.int64) - corner[owner]).T
    vertical = (ring[1:] == ring[:-1]) & (y[1:] != y[:-1])
    top, bottom = np.sort([y[:-1][vertical], y[1:][vertical]], axis=0)
    lengths = bottom - top
    row = np.arange(lengths.sum()) + np.repeat(top - np.cumsum(lengths) + lengths, lengths)
    column, owner = np.repeat(x[:-1][vertical], lengths), np.repeat(owner[:-1][vertical], lengths)
    order = np.lexsort((column, row, owner))
    start, stop = column[order].reshape(-1, 2).T
    owner = owner[order][::2]
    cell, row, first = step[owner], row[order][::2] // step[owner] + 1, left[owner]
    touched = np.zeros((height.max() + 2, left[-1] + width[-1] + 1), np.int32)
    np.add.at(touched, (row, first + start // cell), 1)
    np.add.at(touched, (row, first + (stop - 1) // cell + 1), -1)
    return Mosaic(touched.cumsum(axis=1) > 0, left, corner, step)
