"""Where pixels of a scene lie on Earth, and how large they are."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer
from pyproj.exceptions import ProjError

from seepseg.geo.points import lattice_through
from seepseg.io.raster import Georeference

GEOD = Geod(ellps="WGS84")
LONLAT = "EPSG:4326"

Map = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Points (n, 2) → points (n, 2)."""


@dataclass(frozen=True)
class Place:
    """The way from pixel corners (column, row) to map coordinates and to longitude and latitude.

    Attributes:
        crs: of the map coordinates, as WKT; None where the scene has no georeference and these are pixels.
        to_map: (column, row) → x, y in `crs`.
        to_lonlat: (column, row) → longitude, latitude in degrees; None without georeference.
        to_pixels: x, y in `crs` → (column, row).
        accuracy_m: root mean square distance of control points from where the others put them; None where a transform
            says it exactly, or they are too few.
        warning: what the user should know, or None.
    """

    crs: str | None
    to_map: Map
    to_lonlat: Map | None
    to_pixels: Map
    accuracy_m: float | None = None
    warning: str | None = None

    @cached_property
    def geographic(self) -> bool:
        """Whether `crs` is one of longitudes and latitudes."""
        return self.crs is not None and CRS(self.crs).is_geographic

    def pixels_of(self, xy: NDArray[np.float64], height: int, width: int) -> NDArray[np.float64]:
        """Columns and rows (n, 2) of x, y in `crs` in a scene of this size, wherever longitudes are counted from."""
        if self.geographic:
            ((middle, _),) = self.to_map(np.array([[width / 2, height / 2]]))
            xy = np.stack([counted_from(middle, xy[:, 0]), xy[:, 1]], axis=1)
        return self.to_pixels(xy)

    def metric(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Matrices (n, 2, 2) that turn columns and rows at points (n, 2) into metres east and north on the ellipsoid.

        Without a place: into pixels, north up.
        """
        if self.to_lonlat is None:
            return np.tile(np.diag([1.0, -1.0]), (len(points), 1, 1))
        here, *there = (self.to_lonlat(points + step).T for step in ((0, 0), (1, 0), (0, 1)))
        columns = []
        for lonlat in there:
            direction, _, metres = GEOD.inv(*here, *lonlat)
            angle = np.radians(direction)
            columns.append(np.stack([np.sin(angle) * metres, np.cos(angle) * metres], axis=1))
        return np.stack(columns, axis=2)

    def azimuth(self, ends: NDArray[np.float64]) -> NDArray[np.float64]:
        """Directions (n) of lines between two points (n, 2, 2), degrees clockwise from north, 0 … 180.

        North is up where the scene has no georeference.
        """
        first, last = ends[:, 0], ends[:, 1]
        if self.to_lonlat is None:
            column, row = (last - first).T
            return np.asarray(np.degrees(np.arctan2(column, -row)) % 180)
        return np.asarray(GEOD.inv(*self.to_lonlat(first).T, *self.to_lonlat(last).T)[0] % 180)

    def area_perimeter(self, shapes: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Geodesic areas (n) in m² of shapes of pixel corners, and perimeters in m, without those of holes.

        In pixels without a place.
        """
        polygons, shape = shapely.get_parts(shapes, return_index=True)
        rings, polygon = shapely.get_rings(polygons, return_index=True)
        if self.to_lonlat is None:
            area, perimeter = shapely.area(shapely.polygons(rings)), shapely.length(rings)
        else:
            corners, ring = shapely.get_coordinates(rings, return_index=True)
            lon, lat = self.to_lonlat(corners).T
            edges = np.searchsorted(ring, np.arange(len(rings) + 1))
            sizes = [GEOD.polygon_area_perimeter(lon[a:b], lat[a:b]) for a, b in itertools.pairwise(edges)]
            area, perimeter = np.abs(np.array(sizes, np.float64).reshape(-1, 2)).T
        # The first ring of a polygon goes around it, the others are its holes.
        hole = np.append(False, polygon[1:] == polygon[:-1])[: len(rings)]
        signed, outer = np.where(hole, -area, area), np.where(hole, 0, perimeter)
        sums = [np.bincount(shape[polygon], size, len(shapes)).astype(np.float64) for size in (signed, outer)]
        return sums[0], sums[1]


def place_of(georeference: Georeference) -> Place:
    """The place of a scene: by its transform, else by its control points (whose CRS becomes longitude and latitude).

    A coordinate system that does not lead to longitude and latitude (a local one), or control points on one line, leave
    pixel coordinates, with a warning.
    """
    try:
        return _place_of(georeference)
    except (ProjError, np.linalg.LinAlgError) as error:
        return _nowhere(f"its georeference does not lead to the Earth ({' '.join(str(error).split())[:80]})")


def _place_of(georeference: Georeference) -> Place:
    if georeference.transform and georeference.crs_wkt:
        a, b, c, d, e, f = georeference.transform
        wkt, forth, start = georeference.crs_wkt, np.array([[a, d], [b, e]]), np.array([c, f])
        project, back = reproject(wkt), np.linalg.inv(forth)

        def to_map(points: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(points @ forth + start)

        return Place(wkt, to_map, lambda points: project(to_map(points)), lambda xy: (xy - start) @ back)
    if len(georeference.gcps) >= 3 and georeference.gcps_crs_wkt:
        table = np.array(georeference.gcps)
        corners, lonlat = table[:, [1, 0]], reproject(georeference.gcps_crs_wkt)(table[:, 2:4])
        if np.linalg.matrix_rank(corners - corners[0]) < 2:
            return _nowhere("its control points lie on one line")
        if not np.isfinite(lonlat).all():
            return _nowhere("its control points do not lead to the Earth")
        lattice, accuracy = lattice_through(corners, lonlat)
        warning = f"polygons are placed through {len(table)} control points"
        warning += "" if accuracy is None else f"; left out, they would be {accuracy:.0f} m off on average (RMS)"
        middle = lattice.to_lonlat(corners.mean(0, keepdims=True))[0, 0]

        def onward(points: NDArray[np.float64]) -> NDArray[np.float64]:
            lon, lat = lattice.to_lonlat(points).T
            return np.stack([counted_from(middle, lon), lat], axis=1)

        return Place(CRS(LONLAT).to_wkt(), onward, lattice.to_lonlat, lattice.to_pixels, accuracy, warning)
    return _nowhere("only RPCs, which need heights" if georeference.rpcs else "no georeference")


def _nowhere(why: str) -> Place:
    warning = f"{why}: polygons are in pixels, without areas in m²"
    return Place(None, lambda points: points, None, lambda points: points, None, warning)


def counted_from(middle: float | NDArray[np.float64], longitudes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Longitudes to within half a turn of one: scenes may count from 0 to 360, or reach over 180°."""
    with np.errstate(invalid="ignore"):  # what has no longitude is infinite, and is then NaN
        return longitudes + 360 * np.round((middle - longitudes) / 360)


def border(steps: int) -> NDArray[np.float64]:
    """Points (4 · steps, 2) around a unit square, once."""
    side = np.stack([np.arange(steps) / steps, np.zeros(steps)], axis=1)
    return np.concatenate([side, side[:, ::-1] + [1, 0], 1 - side, 1 - side[:, ::-1] - [1, 0]])


def reproject(crs: str) -> Map:
    """x, y in a coordinate system → longitude, −180 … 180, and latitude."""
    project = Transformer.from_crs(crs, LONLAT, always_xy=True)

    def to_lonlat(points: NDArray[np.float64]) -> NDArray[np.float64]:
        lon, lat = project.transform(*points.T)
        return np.stack([counted_from(0.0, lon), lat], axis=1)

    return to_lonlat


def unbroken(shapes: NDArray[Any]) -> NDArray[Any]:
    """Shapes in degrees, the longitudes of each counted on from its first one, where they jump at 180°."""
    points, shape = shapely.get_coordinates(shapes, return_index=True)
    first = points[np.searchsorted(shape, shape), 0]
    moved = np.stack([counted_from(first, points[:, 0]), points[:, 1]], axis=1)
    return np.asarray(shapely.set_coordinates(shapes.copy(), moved))
