"""Shapes of vector files, made sound: rings closed, empty parts and rings left out."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseMultipartGeometry


def from_wkb(geometry: NDArray[Any]) -> NDArray[Any]:
    """Shapes of WKB; rings that are open are closed, and what cannot be is a RuntimeError with the feature's number."""
    try:
        shapes = np.asarray(shapely.from_wkb(geometry))
    except shapely.GEOSException as error:
        with warnings.catch_warnings(action="ignore"):
            shapes = np.asarray(shapely.from_wkb(geometry, on_invalid="fix"))
        lost = [n for n, (wkb, shape) in enumerate(zip(geometry, shapes, strict=True), 1) if wkb and shape is None]
        if lost:
            raise RuntimeError(f"feature {lost[0]}: {error}") from None
    return without_empty_parts(shapes)


def without_empty_parts(shapes: NDArray[Any]) -> NDArray[Any]:
    """The same shapes (n) without empty parts and rings, at which GEOS ends the process (`shapely.segmentize`)."""
    parts, of = shapely.get_parts(shapes, return_index=True)
    rings, of_part = shapely.get_rings(parts, return_index=True)
    doubtful = shapely.is_empty(parts) | (shapely.get_type_id(parts) >= shapely.GeometryType.MULTIPOINT)
    doubtful[of_part[shapely.is_empty(rings)]] = True
    shapes = shapes.copy()
    for n in np.unique(of[doubtful]):
        shapes[n] = _solid(shapes[n])
    return shapes


def _solid(shape: Any) -> Any:
    if isinstance(shape, BaseMultipartGeometry):
        kind: Any = type(shape)
        return kind([part for part in map(_solid, shape.geoms) if not part.is_empty])
    if isinstance(shape, shapely.Polygon) and not shape.is_empty:
        return shapely.Polygon(shape.exterior, [ring for ring in shape.interiors if not ring.is_empty])
    return shape
