"""Lengths, widths and ends of shapes: of small and compact ones as bars, of the others along their centrelines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from seepseg.objects.centreline import OUTER, Extents, along_paths
from seepseg.objects.components import EIGHT
from seepseg.objects.mosaic import Mosaic, mosaic
from seepseg.objects.skeleton import longest_paths

SMALL = 30
"""Pixels below which a shape is measured as a bar: quicker, and more accurate for so few."""

MOST = 1_000_000
"""Cells that a shape's box may have; of larger ones, several pixels are one cell."""

BATCH = 250_000
"""Cells drawn at once, unless one shape alone has more."""


def extents(shapes: NDArray[Any], metric: NDArray[np.float64]) -> Extents:
    """Lengths, widths and ends of shapes of pixel corners; of a shape in several pieces, those of the longest.

    Args:
        shapes: (n) polygons or multipolygons with vertices (column, row).
        metric: (n, 2, 2) metres of columns and rows of pixels, as `Place.metric` has them.
    """
    number = len(shapes)
    result = Extents(*(np.zeros((number, *rest)) for rest in ((), (), (2, 2), (2,), (2, 2))))
    area = shapely.area(shapes)
    size = np.diff(shapely.bounds(shapes).reshape(-1, 2, 2), axis=1)[:, 0]
    step = np.maximum(1, np.ceil(np.sqrt(size.prod(axis=1) / MOST))).astype(np.int64)
    for batch in _batches(np.ceil(size / step[:, None]).astype(np.int64), area < SMALL):
        drawn = mosaic(shapes[batch], step[batch])
        # Cells of several pixels are drawn where a shape only touches them; its true area is known.
        pixel = area[batch] / np.bincount(drawn.owner(np.nonzero(drawn.mask)[1]))
        if (shapely.get_num_geometries(shapes[batch]) > 1).any():
            drawn = _longest_pieces(drawn)
        cells = np.bincount(drawn.owner(np.nonzero(drawn.mask)[1]))
        area_m2 = cells * pixel * np.abs(np.linalg.det(metric[batch]))
        metres = metric[batch] * step[batch][:, None, None]
        measured = _bars(drawn, metres, area_m2)
        if area[batch[0]] >= SMALL:
            paths = longest_paths(drawn, metres, area_m2)
            long = paths.metres >= np.sqrt(area_m2)
            lines = along_paths(paths, drawn, metres, area_m2)
            measured = Extents(*(np.where(long, a.T, b.T).T for a, b in zip(lines, measured, strict=True)))
        for values, some in zip(result, measured, strict=True):
            values[batch] = some
    return result


def _batches(size: NDArray[np.int64], small: NDArray[np.bool_]) -> Iterator[NDArray[np.int64]]:
    """Indices of shapes that are drawn together: small or not, of similar height, so that little room is wasted."""
    batch, across = list[int](), 0
    for index in np.lexsort((size[:, 1], ~small)).tolist():
        width, height = size[index] + (1, 2)
        if batch and ((across + width) * height > BATCH or small[index] != small[batch[0]]):
            yield np.array(batch)
            batch, across = [], 0
        batch.append(index)
        across += width
    if batch:
        yield np.array(batch)


def _longest_pieces(drawn: Mosaic) -> Mosaic:
    """The mosaic with only the 8-connected piece of each shape whose box is widest and highest, the first of equals."""
    labels, count = ndimage.label(drawn.mask, EIGHT)
    spans = [sum(side.stop - side.start for side in box) for box in ndimage.find_objects(labels)]
    row, column = np.nonzero(drawn.mask)
    rank = (np.array(spans) * count + np.arange(count)[::-1])[labels[row, column] - 1]
    owner = drawn.owner(column)
    best = np.zeros(len(drawn.left), np.int64)
    np.maximum.at(best, owner, rank)
    mask = np.zeros_like(drawn.mask)
    mask[row, column] = rank == best[owner]
    return drawn._replace(mask=mask)


def _bars(drawn: Mosaic, metric: NDArray[np.float64], area_m2: NDArray[np.float64]) -> Extents:
    """Each shape as the bar that has its area, its centre, its main axis and its variance along it: length² / 12."""
    row, column = np.nonzero(drawn.mask)
    owner, number = drawn.owner(column), len(drawn.left)
    cells = np.bincount(owner)
    centre = np.stack([np.bincount(owner, at + 0.5) / cells for at in (column, row)], axis=1)
    east, north = np.einsum("nij,nj->in", metric[owner], np.stack([column, row], axis=1) + 0.5 - centre[owner])
    squares = [np.bincount(owner, product) / cells for product in (east * east, east * north, east * north, north**2)]
    # A cell is no point: its own variance is added.
    variance = np.stack(squares, axis=1).reshape(number, 2, 2) + metric @ metric.transpose(0, 2, 1) / 12
    values, axes = np.linalg.eigh(variance)
    length = np.maximum(np.sqrt(12 * values[:, 1]), np.sqrt(area_m2))
    half = np.linalg.solve(metric, axes[:, :, 1:] * length[:, None, None] / 2)[:, :, 0]
    width = area_m2 / length
    ends, middles = (
        drawn.to_pixels(np.stack([centre - part * half, centre + part * half], axis=1)) for part in (1, 1 - OUTER)
    )
    return Extents(length, width, ends, np.stack([width, width], axis=1), middles)
