from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import CRS

from seepseg.io.raster import Georeference
from seepseg.stac.footprint import Footprint, footprint


def outline(epsg: int, transform: tuple[float, ...], height: int = 100, width: int = 100) -> Footprint:
    place = Georeference(crs_wkt=CRS.from_epsg(epsg).to_wkt(), transform=transform)  # type: ignore[arg-type]
    made = footprint(place, height, width)
    assert made
    shape: Any = shapely.geometry.shape(made.geometry)
    assert shape.is_valid
    # Outer rings run counter-clockwise, as RFC 7946 has them.
    assert all(part.exterior.is_ccw for part in shapely.get_parts(shape))
    return made


def area(made: Footprint) -> float:
    return float(shapely.geometry.shape(made.geometry).area)


def test_a_scene_in_degrees_is_its_rectangle() -> None:
    made = outline(4326, (0.01, 0, 5, 0, -0.02, 50), height=50, width=200)
    # 200 columns of .01° from 5° E, 50 rows of .02° down from 50° N.
    assert made.box == [5, 49, 7, 50]
    assert area(made) == pytest.approx(2)
    assert made.geometry["type"] == "Polygon"


def test_a_scene_on_a_map_bends_with_the_meridians() -> None:
    made = outline(32616, (1000, 0, 400_000, 0, -1000, 3_100_000))
    # 100 km on the central meridian's western side: the north-western corner lies east of the south-western one.
    corners = np.array(made.geometry["coordinates"][0])
    west, south, east, north = made.box
    assert (west, south) == pytest.approx((corners[:, 0].min(), corners[:, 1].min()))
    assert (east - west, north - south) == pytest.approx((1.02, 0.91), abs=0.02)
    assert len(corners) == 17  # four points a side, and the first again


def test_across_180_degrees_it_is_cut_and_the_box_runs_eastwards() -> None:
    made = outline(4326, (0.01, 0, 179.5, 0, -0.01, 10))
    assert made.geometry["type"] == "MultiPolygon"
    assert made.box == [179.5, 9, -179.5, 10]
    assert sorted(part.bounds for part in shapely.get_parts(shapely.geometry.shape(made.geometry))) == [
        (-180, 9, -179.5, 10), (179.5, 9, 180, 10),
    ]  # fmt: skip
    # The same ground in a file that counts on beyond 180°.
    beyond = outline(4326, (0.01, 0, 181, 0, -0.01, 10))
    assert (beyond.geometry["type"], beyond.box) == ("Polygon", [-179, 9, -178, 10])


@pytest.mark.parametrize(("epsg", "pole"), [(3995, 90), (3031, -90)])
def test_around_a_pole_it_reaches_the_pole(epsg: int, pole: int) -> None:
    made = outline(epsg, (10_000, 0, -500_000, 0, -10_000, 500_000))
    shape = shapely.geometry.shape(made.geometry)
    assert shapely.contains_xy(shape, [0, 90, 179, -179, -90], [pole * 0.99] * 5).all()
    assert not shapely.contains_xy(shape, 45, pole * 0.9)  # 81°: 1000 km from the pole, the corner at 700
    assert (made.box[0], made.box[2]) == (-180, 180)
    assert pole in (made.box[1], made.box[3])


def test_control_points_lead_there_and_nothing_leads_nowhere() -> None:
    points = tuple(
        (row, column, 5 + column / 100, 50 - row / 100, 0.0) for row in (0.0, 100.0) for column in (0.0, 100.0)
    )
    made = footprint(Georeference(gcps=points, gcps_crs_wkt=CRS.from_epsg(4326).to_wkt()), 100, 100)
    assert made
    # Edges between control points are great circles, which at 50° N rise .001° above the parallel in the middle of 1°.
    assert made.box == pytest.approx([5, 49, 6, 50.0011], abs=1e-4)
    assert footprint(Georeference(), 100, 100) is None
