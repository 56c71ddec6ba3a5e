"""Outlines of labelled pixels as polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.features import shapes as polygonized
from rasterio.transform import Affine


def outlines(labels: NDArray[np.integer[Any]], first_row: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Labels (n) and polygons (n) of the 4-connected patches of equal labels above 0.

    8-connected tracing would give polygons that touch themselves, which are invalid.

    Args:
        labels: (h, W) rows of a raster.
        first_row: number of the first one; vertices are corners of pixels (column, row) in the raster.
    """
    moved = Affine.translation(0, first_row)
    values, points = list[int](), list[tuple[float, float]]()
    lengths, owners = list[int](), list[int]()
    for patch, value in polygonized(labels.astype(np.int32), mask=labels > 0, connectivity=4, transform=moved):
        for ring in patch["coordinates"]:
            points += ring
            lengths.append(len(ring))
            owners.append(len(values))
        values.append(int(value))
    if not values:
        return np.zeros(0, np.int64), np.zeros(0, object)
    # All at once: one shapely call per patch takes as long as tracing them.
    rings = shapely.linearrings(np.array(points), indices=np.repeat(np.arange(len(lengths)), lengths))
    return np.array(values, np.int64), np.asarray(shapely.polygons(np.asarray(rings), indices=np.array(owners)))


def touched(shapes: NDArray[Any], height: int, width: int) -> NDArray[np.bool_]:
    """Pixels (height, width) that shapes of pixel corners touch; what lies outside is left out."""
    drawn = [shape for shape in shapes if not shape.is_empty]
    if not drawn:
        return np.zeros((height, width), bool)
    return np.asarray(rasterize(drawn, (height, width), all_touched=True, dtype="uint8") > 0)
