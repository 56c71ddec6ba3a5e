from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.crs import CRS

from seepseg.geo.place import Place, place_of
from seepseg.io.raster import Georeference
from seepseg.mapping.polygons import COLUMNS
from seepseg.objects.outlines import outlines
from seepseg.objects.shape import joined, measures, simplified, without_holes

NOWHERE = place_of(Georeference())
UTM_WKT = CRS.from_epsg(32616).to_wkt()
UTM = place_of(Georeference(crs_wkt=UTM_WKT, transform=(10.0, 0.0, 500_000.0, 0.0, -10.0, 3_000_000.0)))
MASKS = arrays(np.int32, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.sampled_from([0, 1]))


def shape_of(mask: np.ndarray) -> shapely.Geometry:
    pieces = outlines(mask.astype(np.int32), 0)[1]
    (apart,), (merged,) = (
        joined(pieces, np.zeros(len(pieces), np.int64), s) for s in (np.zeros(len(pieces), np.int64), None)
    )
    assert shapely.to_wkb(apart) == shapely.to_wkb(merged)
    return apart


def measured(shape: shapely.Geometry, outline: shapely.Geometry, place: Place) -> dict[str, float]:
    values, _ = measures(np.array([shape]), np.array([outline]), place)
    return {name: float(column[0]) for name, column in values.items()}


def test_borders_of_strips_leave_no_vertices() -> None:
    pieces = [shapely.box(2, 0, 6, 3), shapely.box(2, 3, 6, 4), shapely.box(2, 4, 6, 10)]
    whole, parts = joined(np.array([shapely.box(2, 0, 6, 10), *pieces]), np.array([0, 1, 1, 1]))
    assert shapely.to_wkb(parts) == shapely.to_wkb(whole)
    assert shapely.get_num_coordinates(parts) == 5


def test_pixels_that_touch_at_corners_are_valid_parts() -> None:
    shape = shape_of(np.eye(4))
    assert (shape.geom_type, len(shape.geoms), shape.area) == ("MultiPolygon", 4, 4)
    assert shape.is_valid


def test_holes_are_filled_up_to_a_size() -> None:
    mask = np.ones((9, 9))
    mask[1, 1] = 0
    mask[4:7, 4:7] = 0
    shapes = np.array([shape_of(mask), shape_of(np.eye(2))])
    areas = [shapely.area(without_holes(shapes, most)).tolist() for most in (0.5, 1, 8, 9)]
    assert areas == [[71, 2], [72, 2], [72, 2], [81, 2]]
    # a pixel of the same shape within the hole
    mask[5, 5] = 1
    (full,) = without_holes(np.array([shape_of(mask)]), 9)
    assert (full.geom_type, full.area) == ("Polygon", 81)


@settings(max_examples=100)
@given(MASKS.filter(lambda m: m.any()), st.sampled_from([0.5, 1.0, 2.0, 5.0]))
def test_simplified_outlines_are_valid_and_need_no_more_vertices(mask: np.ndarray, tolerance: float) -> None:
    shape = shape_of(mask)
    (simple,) = simplified(np.array([shape]), tolerance)
    assert simple.is_valid
    assert not simple.is_empty
    assert shapely.get_num_coordinates(simple) <= shapely.get_num_coordinates(shape)


def test_stairs_become_a_slope() -> None:
    # 20 rows of five pixels, each a pixel farther right: the corners lie 1/√2 from the slope through their middles
    (stairs,) = joined(np.array([shapely.box(i, i, i + 5, i + 1) for i in range(20)]), np.zeros(20, np.int64))
    (simple,) = simplified(np.array([stairs]), 1.0)
    assert shapely.get_num_coordinates(simple) < 10 < shapely.get_num_coordinates(stairs)
    assert shapely.hausdorff_distance(stairs, simple) <= 1
    assert simple.length < stairs.length * 0.8


@settings(max_examples=100)
@given(MASKS.filter(lambda m: m.any()), st.sampled_from([1.0, 3.0, 10.0]))
def test_any_shape_can_be_measured(mask: np.ndarray, tolerance: float) -> None:
    # a simplified outline may hold no pixel's centre; the centreline does not depend on it
    shape = shape_of(mask)
    (simplest,) = simplified(np.array([shape]), tolerance)
    exact, simple = measured(shape, shape, UTM), measured(shape, simplest, UTM)
    assert exact.keys() == simple.keys()
    assert set(exact) <= set(COLUMNS)
    for values in (exact, simple):
        numbers = [values[k] for k in ("area_m2", "perimeter_m", "length_m", "width_m", "end1_width_m", "end2_width_m")]
        assert np.isfinite(numbers).all()
        assert min(numbers) > 0


def test_shapes_measured_in_several_turns_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = np.array(
        [shapely.box(0, 0, width, height) for width, height in ((1, 1), (3, 40), (9, 2), (30, 30), (2, 5))]
    )
    whole, origins = measures(shapes, shapes, UTM)
    monkeypatch.setattr("seepseg.objects.shape.TOGETHER", 2)
    parts, same = measures(shapes, shapes, UTM)
    for name, values in whole.items():
        np.testing.assert_allclose(parts[name], values, rtol=1e-9)
    np.testing.assert_allclose(same, origins, rtol=1e-9)
    assert measures(shapes[:0], shapes[:0], UTM)[1].shape == (0, 2)


def test_holes_count_out_and_the_scale_of_the_projection_too() -> None:
    mask = np.ones((40, 40))
    mask[10:30, 10:30] = 0
    # 1600 − 400 pixels of 100 m²; the scale on the central meridian is .9996
    assert measured(shape_of(mask), shape_of(mask), UTM)["area_m2"] == pytest.approx(120_000 / 0.9996**2, rel=1e-6)


@pytest.mark.parametrize("down", [10.0, -10.0])
@pytest.mark.parametrize("across", [10.0, -10.0])
def test_areas_are_positive_however_the_scene_is_turned(across: float, down: float) -> None:
    place = place_of(Georeference(crs_wkt=UTM_WKT, transform=(0.0, across, 500_000.0, down, 0.0, 3_000_000.0)))
    found = measured(shapely.box(0, 0, 20, 4), shapely.box(0, 0, 20, 4), place)
    assert found["area_m2"] == pytest.approx(8000 / 0.9996**2, rel=1e-4)
    # columns run north or south
    assert np.sin(np.radians(found["orientation_deg"])) == pytest.approx(0, abs=0.1)


def test_without_a_place_nothing_is_said_in_metres() -> None:
    box = shapely.box(0, 0, 30, 4)
    found = measured(box, box, NOWHERE)
    assert all(np.isnan(value) for name, value in found.items() if name.endswith(("_m", "_m2")))
    assert (found["x"], found["y"]) == (15, 2)
    assert found["orientation_deg"] == pytest.approx(90, abs=5)
    # What has no unit needs no place: 30² / 120, and 4π · 120 / 68².
    assert found["linearity"] == pytest.approx(7.5, rel=0.02)
    assert found["polsby_popper"] == pytest.approx(0.3261, abs=1e-4)


def test_a_disc_of_pixels_is_as_compact_as_its_steps_allow() -> None:
    row, column = np.mgrid[:100, :100] - 49.5
    shape = shape_of(row**2 + column**2 < 45**2)
    (smooth,) = simplified(np.array([shape]), 1.0)
    # Its edges run along its box: 4π · πr² / (8r)² = π² / 16.
    assert measured(shape, shape, UTM)["polsby_popper"] == pytest.approx(np.pi**2 / 16, rel=0.01)
    assert 0.9 < measured(shape, smooth, UTM)["polsby_popper"] < 1


@pytest.mark.parametrize("side", [1, 2, 12])
def test_what_is_as_long_as_wide_has_no_direction(side: int) -> None:
    box = shapely.box(5, 5, 5 + side, 5 + side)
    found = measured(box, box, UTM)
    assert np.isnan(found["orientation_deg"])
    assert found["length_m"] == pytest.approx(10 * side, rel=0.01)


@pytest.mark.parametrize("azimuth", [0, 10, 22.5, 30, 45, 100, 150])
@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        # pixels of 10 m; the same, each row shifted by one; by 30° from north; a ten-thousandth of a degree at 60° N,
        # which is 5.58 m east and 11.14 m north
        (32616, (10.0, 0.0, 500_000.0, 0.0, -10.0, 3_000_000.0)),
        (32616, (10.0, 10.0, 500_000.0, 0.0, -10.0, 3_000_000.0)),
        (32616, (8.66, -5.0, 500_000.0, -5.0, -8.66, 3_000_000.0)),
        (4326, (0.0001, 0.0, -87.0, 0.0, -0.0001, 60.0)),
    ],
)
def test_on_every_grid_a_band_is_as_long_and_wide_as_on_the_ground(
    crs: int, transform: tuple[float, ...], azimuth: float
) -> None:
    place = place_of(Georeference(crs_wkt=CRS.from_epsg(crs).to_wkt(), transform=transform))
    # pixels with their middle in a band of 3000 m by 120 m around that of pixel (500, 500)
    row, column = np.mgrid[:1000, :1000] - 500
    east, north = np.einsum("ij,jkl->ikl", place.metric(np.array([[500.0, 500.0]]))[0], np.stack([column, row]))
    turn = np.radians(azimuth)
    along, aside = east * np.sin(turn) + north * np.cos(turn), east * np.cos(turn) - north * np.sin(turn)
    shape = shape_of((np.abs(along) < 1500.1) & (np.abs(aside) < 60.1))
    found = measured(shape, shape, place)
    assert found["length_m"] == pytest.approx(3000, rel=0.02)
    # what was drawn of 120 m
    assert found["width_m"] == pytest.approx(found["area_m2"] / 3000, rel=0.02)
    assert abs((found["orientation_deg"] - azimuth + 90) % 180 - 90) < 1
    assert np.isnan(found["origin_ratio"])


def test_the_narrow_end_is_the_probable_source() -> None:
    # from 4 to 24 pixels wide, from west to east: over the outer 15 % of 200 pixels, 5.5 and 22.5 on average
    row, column = np.mgrid[:60, :220] - np.array([30, 10])[:, None, None]
    shape = shape_of((column >= 0) & (column < 200) & (np.abs(row + 0.5) < 2 + column / 20))
    found, (origin, none) = (
        measured(shape, shape, UTM),
        measures(*[np.array([shape, shapely.box(0, 0, 9, 2)])] * 2, UTM)[1],
    )
    # Between the rows −2 and 2 of column 0, in pixels.
    assert origin == pytest.approx((10, 30), abs=1.5)
    assert np.isnan(none).all()
    assert found["origin_ratio"] == pytest.approx(22.5 / 5.5, rel=0.1)
    ends = [(found[f"{end}_x"], found[f"{end}_y"]) for end in ("end1", "end2")]
    assert (found["origin_x"], found["origin_y"]) == min(ends)
    assert found["length_m"] == pytest.approx(2000, rel=0.01)
