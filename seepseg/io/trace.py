"""Outlines of labelled pixels, and rows of a finished raster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from rasterio.transform import Affine
from rasterio.windows import Window

from seepseg.io.raster import gdal


def raster_rows(path: Path, heights: int | Sequence[int]) -> Iterator[NDArray[Any]]:
    """The first band (n, W) of a raster in strips, all of one height or of the given ones."""
    # GDAL's settings are a stack; held while other code runs, they would come off in the wrong order.
    with gdal():
        source = rasterio.open(path)
    with source:
        if isinstance(heights, int):
            heights = [min(heights, source.height - start) for start in range(0, source.height, heights)]
        start = 0
        for height in heights:
            with gdal():
                rows = source.read(1, window=Window(0, start, source.width, height))
            yield rows
            start += height


@contextmanager
def raster_windows(path: Path) -> Iterator[Callable[[slice, slice], NDArray[Any]]]:
    """Reads rows and columns (h, w) of the first band of a raster, as far as it goes, while the block lasts."""
    with gdal():
        source = rasterio.open(path)

    def read(rows: slice, columns: slice) -> NDArray[Any]:
        window = Window.from_slices(rows, columns, height=source.height, width=source.width)
        with gdal():
            return np.asarray(source.read(1, window=window))

    with source:
        yield read


def outlines(labels: NDArray[np.int32], first_row: int) -> Iterator[tuple[int, shapely.Polygon]]:
    """Label and polygon of every 4-connected patch of equal labels above 0; vertices are (column, row) corners.

    8-connected tracing would give polygons that touch themselves, which are invalid.
    """
    moved = Affine.translation(0, first_row)
    for outline, label in shapes(labels, mask=labels > 0, connectivity=4, transform=moved):
        shell, *holes = outline["coordinates"]
        yield int(label), shapely.Polygon(shell, holes)


def filled(shape: Any, step: int) -> tuple[NDArray[np.bool_], int, int]:
    """The cells that a shape of pixel edges touches, in its own box, and the box's first column and row.

    A row of pixels crosses the outline at vertical edges, and lies inside from each odd crossing to the next. GDAL's
    fill looks at every edge for every row, which takes minutes for one ragged patch of a large scene.

    Args:
        shape: rectilinear, with whole vertices (column, row).
        step: pixels a side that one cell stands for.
    """
    left, top, right, bottom = (int(v) for v in shape.bounds)
    rings = shapely.get_parts(shapely.boundary(shape))
    vertices, ring = shapely.get_coordinates(rings, return_index=True)
    corners = vertices.astype(np.int64) - (left, top)
    edge = (ring[1:] == ring[:-1]) & (corners[1:, 1] != corners[:-1, 1])
    x, y = corners[:-1, 0][edge], np.sort(np.stack([corners[:-1, 1][edge], corners[1:, 1][edge]]), axis=0)
    lengths = y[1] - y[0]
    rows = np.arange(lengths.sum()) + np.repeat(y[0] - np.cumsum(lengths) + lengths, lengths)
    columns = np.repeat(x, lengths)
    order = np.lexsort((columns, rows))
    rows, runs = rows[order][::2] // step, columns[order].reshape(-1, 2)
    touched = np.zeros((-(-(bottom - top) // step), -(-(right - left) // step) + 1), np.int32)
    np.add.at(touched, (rows, runs[:, 0] // step), 1)
    np.add.at(touched, (rows, (runs[:, 1] - 1) // step + 1), -1)
    return touched.cumsum(axis=1)[:, :-1] > 0, left, top
