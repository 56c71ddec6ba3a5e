"""Polygons as pixels: which pixel is whose, overlaps, repairs, and the way from map coordinates."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from seepseg.errors import DataError
from seepseg.geo.place import place_of
from seepseg.geo.polygons import drawing, drawing_over, in_pixels
from seepseg.io.raster import Georeference
from seepseg.objects.outlines import outlines

UTM = CRS.from_epsg(32616).to_wkt()
LONLAT = CRS.from_epsg(4326).to_wkt()
TURNED = Georeference(UTM, (8.0, -6.0, 500_000.0, -6.0, -8.0, 3_000_000.0))  # pixels of 10 m, turned by 37°
POINTS = tuple(
    (float(r), float(c), 10 + c / 4000 + r * c / 4e7, 50 - r / 7000 + c / 9000, 0.0)
    for r in range(0, 101, 20)
    for c in range(0, 101, 25)
)  # a lattice whose cells bend


@dataclass(frozen=True)
class Scene:
    georeference: Georeference
    path: Path = Path("scene.tif")
    height: int = 100
    width: int = 100


def whole(shapes: list[object], values: list[int], height: int, width: int) -> np.ndarray:
    return drawing(shapes, np.array(values, np.uint8)).window(0, 0, height, width)


def test_a_pixel_belongs_to_the_polygon_in_which_its_middle_lies() -> None:
    # Columns 1 to 3.4: the middles 1.5 and 2.5 lie inside, 3.5 does not. Rows .5 to 2.6: .5 lies on the upper edge,
    # which counts, and 2.5 inside.
    expected = np.zeros((4, 5), np.uint8)
    expected[0:3, 1:3] = 7
    assert np.array_equal(whole([shapely.box(1, 0.5, 3.4, 2.6)], [7], 4, 5), expected)


def test_holes_stay_open_and_parts_are_drawn() -> None:
    ring = shapely.box(0, 0, 5, 5) - shapely.box(1, 1, 4, 4)
    assert whole([shapely.MultiPolygon([ring, shapely.box(2, 2, 3, 3)])], [1], 5, 5).tolist() == [
        [1, 1, 1, 1, 1],
        [1, 0, 0, 0, 1],
        [1, 0, 1, 0, 1],
        [1, 0, 0, 0, 1],
        [1, 1, 1, 1, 1],
    ]


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 1, 0]])
def test_of_polygons_that_overlap_the_smaller_one_is_on_top(order: list[int]) -> None:
    # 4 × 1, 2 × 1 inside it, and another of 2 × 1 that covers half of that one: the higher value wins.
    shapes = [shapely.box(0, 0, 4, 1), shapely.box(1, 0, 3, 1), shapely.box(2, 0, 4, 1)]
    assert whole([shapes[k] for k in order], [[9, 2, 3][k] for k in order], 1, 4).tolist() == [[9, 2, 3, 3]]


def test_windows_are_parts_of_the_whole() -> None:
    rng = np.random.default_rng(1)
    corners = rng.uniform(-20, 120, (40, 3, 2)).round(1)
    drawn = drawing([shapely.Polygon(c) for c in corners], np.arange(1, 41, dtype=np.uint8))
    plane = drawn.window(0, 0, 100, 100)
    assert len(np.unique(plane)) > 10
    for row, column, height, width in ((0, 0, 13, 100), (37, 41, 22, 7), (99, 99, 1, 1)):
        part = plane[row : row + height, column : column + width]
        assert np.array_equal(drawn.window(row, column, height, width), part)
    assert (drawn.window(500, 500, 3, 3, fill=9) == 9).all()


def test_polygons_that_touch_leave_no_gap_and_do_not_overlap() -> None:
    # A fan of triangles around a point: alone they hold as many pixels as together.
    angle = np.linspace(0, 2 * np.pi, 38)
    rim = np.stack([50 + 60 * np.cos(angle), 50 + 60 * np.sin(angle)], axis=1)
    fan = [shapely.Polygon([(50.3, 49.2), a, b]) for a, b in itertools.pairwise(rim)]
    alone = sum(int((whole([t], [1], 100, 100) > 0).sum()) for t in fan)
    assert alone == int((whole(fan, [1] * len(fan), 100, 100) > 0).sum())


@given(st.integers(0, 2**32 - 1), st.sampled_from(["pixels", "turned", "points"]))
def test_the_outlines_of_a_mask_give_that_mask_back(seed: int, where: str) -> None:
    rng = np.random.default_rng(seed)
    mask = (rng.random((100, 100)) < 0.3) * rng.integers(1, 8, (100, 100))
    mask = np.kron(mask[:25, :25], np.ones((4, 4), int)) if seed % 2 else mask
    owners, shapes = outlines(mask, 0)
    points = Georeference(gcps=POINTS, gcps_crs_wkt=LONLAT)
    scene = Scene({"pixels": Georeference(), "turned": TURNED, "points": points}[where])
    place = place_of(scene.georeference)
    placed = shapely.transform(shapes, place.to_map)
    found = in_pixels(placed, place.crs, Path("m.gpkg"), scene)
    assert np.array_equal(whole(found, owners.tolist(), 100, 100), mask)


def test_what_is_drawn_in_another_system_lies_where_it_should() -> None:
    project = Transformer.from_crs(UTM, LONLAT, always_xy=True)
    box = shapely.transform(shapely.box(10, 20, 30, 60), place_of(TURNED).to_map)
    lonlat = shapely.transform(box, lambda p: np.stack(project.transform(*p.T), axis=1))
    expected = np.zeros((100, 100), np.uint8)
    expected[20:60, 10:30] = 1
    found = in_pixels(np.array([lonlat, shapely.box(100, -50, 101, -49)]), "EPSG:4326", Path("m.gpkg"), Scene(TURNED))
    assert np.array_equal(whole(found, [1, 1], 100, 100), expected)
    assert shapely.is_empty(found[1])  # the other side of the Earth


def test_a_ring_that_crosses_itself_is_repaired() -> None:
    # A bow of two triangles that meet at (5, 5): the left and the right quarter of a square of 10.
    bow = shapely.Polygon([(0, 0), (10, 10), (10, 0), (0, 10)])
    shapes = drawing_over(Scene(Georeference()), np.array([bow]), np.array([1], np.uint8), None, Path("m.gpkg"))
    drawn = shapes.window(0, 0, 10, 10)
    # Row 2 has its middle at 2.5: columns up to 2.5, and from 7.5.
    assert drawn[2].tolist() == [1, 1, 0, 0, 0, 0, 0, 1, 1, 1]


def test_rows_below_zero_are_those_of_a_program_that_counts_upwards() -> None:
    found = in_pixels(np.array([shapely.box(1, -4, 3, -2)]), None, Path("m.gpkg"), Scene(Georeference()))
    assert shapely.bounds(found[0]).tolist() == [1, 2, 3, 4]


def test_a_geojson_cannot_say_that_it_is_in_pixels() -> None:
    box = np.array([shapely.box(10, 20, 30, 95)])
    assert in_pixels(box, "EPSG:4326", Path("m.geojson"), Scene(Georeference()))[0] == box[0]
    with pytest.raises(DataError, match="no georeference"):  # these may be degrees
        in_pixels(np.array([shapely.box(10, 20, 30, 40)]), "EPSG:4326", Path("m.json"), Scene(Georeference()))


def test_a_place_on_one_side_only_is_refused() -> None:
    box = np.array([shapely.box(0, 0, 1, 1)])
    with pytest.raises(DataError, match="either has no CRS"):
        in_pixels(box, None, Path("m.gpkg"), Scene(TURNED))
    with pytest.raises(DataError, match="no georeference"):
        in_pixels(box, "EPSG:4326", Path("m.gpkg"), Scene(Georeference()))


def test_a_georeference_that_leads_to_no_pixels_is_one_line() -> None:
    scene = Scene(Georeference(UTM, (1e-320, 0.0, 0.0, 0.0, -1e-320, 0.0)))
    shape = shapely.Polygon([(0, 0), (0, 0), (9, 9), (9, 0)])
    with pytest.raises(DataError, match="some of its points are at no pixel"):
        in_pixels(np.array([shape]), UTM, Path("mask.gpkg"), scene)
    assert shapely.is_empty(in_pixels(np.array([shapely.box(1, 1, 9, 9)]), UTM, Path("mask.gpkg"), scene)).all()


AROUND_180 = {
    "from 179.5 to 180.5": Georeference(LONLAT, (0.01, 0.0, 179.5, 0.0, -0.01, 1.0)),
    "from -180.5 to -179.5": Georeference(LONLAT, (0.01, 0.0, -180.5, 0.0, -0.01, 1.0)),
    "in metres": Georeference(
        CRS("+proj=merc +lon_0=180 +datum=WGS84").to_wkt(), (1113.195, 0.0, -55660.0, 0.0, -1105.7, 110570.0)
    ),
    "by control points": Georeference(
        gcps=tuple(
            (r, c, (c / 100 + 359.5) % 360 - 180 - 0.0, 1 - r / 100, 0.0) for r in (0, 50, 100) for c in (0, 50, 100)
        ),
        gcps_crs_wkt=LONLAT,
    ),
}


@pytest.mark.parametrize("system", [4326, 4269])
@pytest.mark.parametrize("where", AROUND_180)
def test_on_both_sides_of_the_antimeridian_labels_lie_where_they_should(where: str, system: int) -> None:
    # Columns 20–30 are 179.7 to 179.8 east, 70–80 are 179.8 to 179.7 west, 45–55 reach over 180°.
    west, east = shapely.box(179.7, 0.5, 179.8, 0.6), shapely.box(-179.8, 0.5, -179.7, 0.6)
    over = shapely.MultiPolygon([shapely.box(179.95, 0.5, 180, 0.6), shapely.box(-180, 0.5, -179.95, 0.6)])
    onward, far = shapely.box(180.2, 0.2, 180.3, 0.3), shapely.box(0, 0.5, 0.1, 0.6)
    shapes = np.array([west, east, over, onward, far])
    found = in_pixels(shapes, f"EPSG:{system}", Path("m.gpkg"), Scene(AROUND_180[where]))
    inside = shapely.intersection(found[:4], shapely.box(0, 0, 100, 100))
    assert np.round(shapely.bounds(inside), 0).tolist() == [
        [20, 40, 30, 50], [70, 40, 80, 50], [45, 40, 55, 50], [70, 70, 80, 80],
    ]  # fmt: skip
    assert shapely.is_empty(found[4])


def test_of_nothing_nothing_is_drawn() -> None:
    assert len(in_pixels(np.array([], object), LONLAT, Path("m.gpkg"), Scene(TURNED))) == 0


def test_scenes_of_the_whole_earth_have_polygons_at_both_ends() -> None:
    scene = Scene(Georeference(LONLAT, (10.0, 0.0, -180.0, 0.0, -10.0, 5.0)), height=1, width=36)
    found = in_pixels(np.array([shapely.box(-200, -10, -160, 10)]), LONLAT, Path("m.gpkg"), scene)
    assert np.flatnonzero(whole(found, [1], 1, 36)).tolist() == [0, 1, 34, 35]


@pytest.mark.parametrize("system", ["EPSG:4326", "OGC:CRS84", "EPSG:4269"])
def test_the_smaller_polygon_is_on_top_however_far_both_reach(system: str) -> None:
    scene = Scene(Georeference(LONLAT, (0.01, 0.0, 0.0, 0.0, -0.01, 0.5)))
    wide, high = shapely.box(-1, 0.1, 2, 0.3), shapely.box(0.1, -40, 0.2, 40)  # .6 and 8 square degrees
    shapes, values = np.array([wide, high]), np.array([1, 2], np.uint8)
    drawn = drawing_over(scene, shapes, values, system, Path("m.gpkg"))
    assert drawn.window(0, 0, 100, 100)[30, 15] == 1  # .4 and .2 of them are in or beside the scene


def test_outlines_of_the_whole_earth_are_cut_to_a_scene_that_counts_from_0_to_360() -> None:
    scene = Scene(Georeference(LONLAT, (0.1, 0.0, 185.0, 0.0, -0.1, 10.0)))
    earth, east = shapely.box(-180, -90, 180, 90), shapely.box(-170, 0, 180, 10)  # from column 50 on
    found = in_pixels(np.array([earth, east]), LONLAT, Path("m.gpkg"), scene)
    assert whole(found[:1], [1], 100, 100).all()
    drawn = whole(found[1:], [1], 100, 100)
    assert (drawn[:, :50] == 0).all()
    assert (drawn[:, 50:] == 1).all()
