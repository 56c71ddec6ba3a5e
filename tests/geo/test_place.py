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
    assert place.to_pixels(place.to_map(CORNERS)) == pytest.approx(CORNERS, abs=1e-9)


def test_control_points_are_met_and_what_leaving_them_out_would_miss_is_told() -> None:
    # longitude 10 + column/1000, latitude −row/1000, at the equator, where a degree of both is 111 km
    points = [(float(r), float(c), 10 + c / 1000, -r / 1000, 0.0) for r in (0, 50, 100) for c in (0, 50, 100)]
    exact = place_of(Georeference(gcps=tuple(points), gcps_crs_wkt=LONLAT))
    assert exact.accuracy_m == pytest.approx(0, abs=0.01)
    assert exact.to_lonlat is not None
    assert exact.to_lonlat(CORNERS) == pytest.approx(np.array([[10, 0], [10.01, -0.02]]), abs=1e-7)
    assert exact.to_pixels(np.array([[10.01, -0.02]])) == pytest.approx(np.array([[10, 20]]), abs=1e-3)
    row, column, lon, lat, z = points[4]
    points[4] = (row, column, lon, lat + 0.001, z)
    off = place_of(Georeference(gcps=tuple(points), gcps_crs_wkt=LONLAT))
    assert off.to_lonlat is not None
    assert off.to_lonlat(np.array([[50.0, 50.0]])) == pytest.approx(np.array([[lon, lat + 0.001]]), abs=1e-9)
    # The corners put four of the others where they are, and the one in the middle 110.6 m off: 110.6 / √5.
    assert off.accuracy_m == pytest.approx(49.5, abs=0.1)
    assert (
        off.warning == "polygons are placed through 9 control points; left out, they would be 49 m off on average (RMS)"
    )


def test_map_coordinates_of_control_points_go_on_over_the_antimeridian() -> None:
    lons = (179.5, 180.0, -179.5)
    points = tuple((50.0 * r, 50.0 * c, lon, 1 - r / 2, 0.0) for r in range(3) for c, lon in enumerate(lons))
    place = place_of(Georeference(gcps=points, gcps_crs_wkt=LONLAT))
    ends = np.array([[0.0, 50.0], [100.0, 50.0]])
    assert place.to_map(ends) == pytest.approx(np.array([[179.5, 0.5], [180.5, 0.5]]), abs=1e-3)
    assert place.to_lonlat is not None
    assert place.to_lonlat(ends) == pytest.approx(np.array([[179.5, 0.5], [-179.5, 0.5]]), abs=1e-3)


def test_control_points_may_be_in_metres() -> None:
    points = [(r, c, 500_000 + 10 * c, 3_000_000 - 10 * r, 0.0) for r in (0.0, 90.0) for c in (0.0, 80.0)]
    place = place_of(Georeference(gcps=tuple(points), gcps_crs_wkt=CRS.from_epsg(32616).to_wkt()))
    assert place.crs is not None
    assert "WGS 84" in place.crs
    assert place.metric(CORNERS[1:])[0] == pytest.approx(np.diag([10, -10]) / 0.9996, rel=1e-4, abs=0.01)
    assert place.accuracy_m is None
    assert place.warning == "polygons are placed through 4 control points"


@pytest.mark.parametrize(
    ("points", "why"),
    [
        ([(0, 0, 10, 0), (1, 1, 11, 1), (2, 2, 12, 2)], "its control points lie on one line"),
        ([(0, 0, 10, 0), (0, 9, 11, 0), (9, 0, np.nan, 1)], "its control points do not lead to the Earth"),
    ],
)
def test_control_points_that_give_no_place(points: list[tuple[float, ...]], why: str) -> None:
    place = place_of(Georeference(gcps=tuple((*p, 0.0) for p in points), gcps_crs_wkt=LONLAT))
    assert place.crs is None
    assert why in str(place.warning)


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
