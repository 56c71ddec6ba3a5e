"""The outline of a raster in longitude and latitude, as GeoJSON has it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray

from seepseg.geo.place import border, place_of
from seepseg.io.raster import Georeference

STEPS = 4
"""Parts of each side: a straight edge of a scene is a curve in longitude and latitude."""
DIGITS = 6
"""Decimals of degrees: a decimetre."""


class Footprint(NamedTuple):
    """A GeoJSON geometry, and its bounding box: west, south, east, north in degrees; west > east across 180°."""

    geometry: dict[str, Any]
    box: list[float]


def footprint(georeference: Georeference, height: int, width: int) -> Footprint | None:
    """The footprint of a raster of so many pixels; None where its georeference does not lead to the Earth.

    Cut at 180°, as RFC 7946 says; around a pole it reaches the pole.
    """
    place = place_of(georeference)
    if place.to_lonlat is None:
        return None
    lonlat = place.to_lonlat(border(STEPS) * (width, height))
    if not np.isfinite(lonlat).all():
        return None
    lon, lat = np.unwrap(lonlat[:, 0], period=360), lonlat[:, 1]
    if abs(np.unwrap([lon[-1], lon[0]], period=360)[1] - lon[0]) > 180:
        return _around_a_pole(lonlat)
    lon -= 360 * np.round(lon.mean() / 360)
    whole = shapely.Polygon(np.stack([lon, lat], axis=1))
    turns = [shapely.intersection(whole, shapely.box(low, -90, low + 360, 90)) for low in (-540, -180, 180)]
    parts = [
        shapely.transform(part, lambda xy, turn=turn: xy - (360 * turn, 0))  # type: ignore[misc]
        for turn, part in zip((-1, 0, 1), turns, strict=True)
        if part.area
    ]
    west, east = ((limit + 180) % 360 - 180 if len(parts) > 1 else limit for limit in (lon.min(), lon.max()))
    return _as_geojson(shapely.union_all(parts), (west, lat.min(), east, lat.max()))


def _around_a_pole(lonlat: NDArray[np.float64]) -> Footprint:
    """The footprint of an outline (n, 2) that goes around a pole."""
    lon, lat = lonlat[np.argsort(lonlat[:, 0])].T
    pole = float(np.copysign(90, lat.mean()))
    seam = float(np.interp(180, lon, lat, period=360))
    ring = [(-180, seam), *zip(lon.tolist(), lat.tolist(), strict=True), (180, seam), (180, pole), (-180, pole)]
    south, north = sorted((pole, float(lat.min() if pole > 0 else lat.max())))
    return _as_geojson(shapely.Polygon(ring), (-180, south, 180, north))


def _as_geojson(shape: Any, box: tuple[float, float, float, float]) -> Footprint:
    rounded = shapely.transform(shapely.orient_polygons(shape), lambda xy: np.round(xy, DIGITS))
    return Footprint(shapely.geometry.mapping(rounded), [round(float(limit), DIGITS) for limit in box])
