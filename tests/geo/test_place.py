from __future__ import annotations

import numpy as np
import pytest
import shapely
from rasterio.crs import CRS

from seepseg.geo.place import place_of
from seepseg.io.raster import Georeference

LONLAT = CRS.from_epsg(4326).to_wkt()
CORNERS = np.array([[0.0, 0.0], [10.0, 20.0]])


def test_an_affine_scene_keeps_its_coordinates() -> None:
    # x = 500 000 + 10·column, y = 3 000 000 − 10·row, on the central meridian of zone 16 (87° W)
    place = place_of(
        Georeference(crs_wkt=CRS.from_epsg(32616).to_wkt(), transform=(10.0, 0.0, 500_000.0, 0.0, -10.0, 3_000_000.0))
    )
    assert place.to_map(CORNERS).tolist() == [[500_000, 3_000_000], [500_100, 2_999_800]]
    assert place.to_lonlat is not None
    assert place.to_lonlat(CORNERS)[0] == pytest.approx([-87, 27.12], abs=0.01)
    # the scale of the projection is .9996 there
    (metric,) = place.metric(CORNERS[:1])
    assert metric == pytest.approx(np.diag([10, -10]) / 0.9996, rel=1e-4, abs=0.01)
    assert place.azimuth(np.array([[[0.0, 0.0], [5.0, 0.0]]])) == pytest.approx([90], abs=0.1)
    assert place.accuracy_m is None


def test_control_points_are_fitted_and_their_misfit_is_told() -> None:
    # longitude 10 + column/1000, latitude 50 − row/1000; one point lies 111 m too far north
    points = [(float(r), float(c), 10 + c / 1000, 50 - r / 1000, 0.0) for r in (0, 50, 100) for c in (0, 50, 100)]
    exact = place_of(Georeference(gcps=tuple(points), gcps_crs_wkt=LONLAT))
    assert exact.accuracy_m == pytest.approx(0, abs=0.01)
    assert exact.to_lonlat is not None
    assert exact.to_lonlat(CORNERS) == pytest.approx(np.array([[10, 50], [10.01, 49.98]]), abs=1e-6)
    row, column, lon, lat, z = points[4]
    points[4] = (row, column, lon, lat + 0.001, z)
    off = place_of(Georeference(gcps=tuple(points), gcps_crs_wkt=LONLAT))
    assert off.accuracy_m is not None
    assert 10 < off.accuracy_m < 111
    assert "control points" in str(off.warning)


@pytest.mark.parametrize(
    "georeference",
    [Georeference(), Georeference(rpcs={"LINE_OFF": "1"}), Georeference(transform=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0))],
)
def test_without_a_place_there_are_pixels_and_a_warning(georeference: Georeference) -> None:
    place = place_of(georeference)
    assert place.crs is None
    assert place.to_map(CORNERS).tolist() == CORNERS.tolist()
    # rows run south
    assert place.metric(CORNERS).tolist() == [[[1, 0], [0, -1]]] * 2
    assert "without areas" in str(place.warning)


def test_north_is_up_in_pixels() -> None:
    # from (0, 10) to (0, 0): upwards; to (10, 0): to the upper right; from there to (10, 10): down to the right
    ends = [[[0, 10], [0, 0]], [[0, 10], [10, 0]], [[0, 0], [10, 10]]]
    assert place_of(Georeference()).azimuth(np.array(ends, np.float64)) == pytest.approx([0, 45, 135])


def test_columns_and_rows_of_a_sheared_grid_have_directions() -> None:
    # x = 500 000 + 10 · column + 10 · row, y = 3 000 000 − 10 · row: a row leads 10 m east and 10 m south
    utm = CRS.from_epsg(32616).to_wkt()
    place = place_of(Georeference(crs_wkt=utm, transform=(10.0, 10.0, 500_000.0, 0.0, -10.0, 3_000_000.0)))
    expected = np.array([[10, 10], [0, -10]]) / 0.9996
    assert place.metric(np.array([[5.0, 7.0]]))[0] == pytest.approx(expected, rel=1e-4, abs=0.01)


def test_areas_and_perimeters_are_geodesic_and_without_holes() -> None:
    # a thousandth of a degree at the equator: 111.32 m by 110.57 m; holes have no part in the perimeter
    place = place_of(Georeference(crs_wkt=LONLAT, transform=(0.001, 0.0, 10.0, 0.0, -0.001, 0.03)))
    square = shapely.box(20, 20, 40, 40)
    ring = square - shapely.box(25, 25, 35, 35)
    torn = shapely.multipolygons([shapely.box(0, 0, 1, 1), ring])
    area, perimeter = place.area_perimeter(np.array([square, ring, torn]))
    assert area == pytest.approx(np.array([400, 300, 301]) * 111.32 * 110.57, rel=1e-4)
    assert perimeter == pytest.approx(np.array([40, 40, 42]) * (111.32 + 110.57), rel=1e-4)
    assert [values.tolist() for values in place_of(Georeference()).area_perimeter(np.array([ring]))] == [[300], [80]]
    none = place.area_perimeter(np.zeros(0, object))
    assert [len(values) for values in none] == [0, 0]
