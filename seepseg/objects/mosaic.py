"""Many shapes of pixel corners drawn as pixels again, side by side, so that all are measured at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray


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
    fill tests every edge for every row, which takes minutes for one ragged patch of a large scene.

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
