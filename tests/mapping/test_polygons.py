from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.crs import CRS

from seepseg.classes import SEEP
from seepseg.geo.place import Place, place_of
from seepseg.io.raster import Georeference
from seepseg.mapping.polygons import COLUMNS, Polygons, trace

NOWHERE = place_of(Georeference())
# At 70° N a hundredth of a degree across is a third of one down, and shrinks northwards.
NORTH = place_of(
    Georeference(crs_wkt=CRS.from_epsg(4326).to_wkt(), transform=(0.01, 0.0, 10.0, 0.0, -0.01, 70.0)),
)
# 10 m pixels, each row shifted by one: still 100 m².
SHEARED = place_of(
    Georeference(crs_wkt=CRS.from_epsg(32616).to_wkt(), transform=(10.0, 10.0, 500_000.0, 0.0, -10.0, 3_000_000.0)),
)


def traced(folder: Path, classes: np.ndarray, confidence: np.ndarray | None = None, **options: float) -> Polygons:
    tifffile.imwrite(folder / "c.tif", classes.astype(np.uint8))
    tifffile.imwrite(
        folder / "p.tif", (np.where(classes > 0, 204, 0) if confidence is None else confidence).astype(np.uint8)
    )
    return trace(folder / "c.tif", folder / "p.tif", NOWHERE, SEEP, **options)


def test_an_object_of_two_classes_is_two_polygons_of_one_object(tmp_path: Path) -> None:
    classes = np.zeros((12, 20))
    classes[2:5, 3:9] = 1
    classes[5:7, 9:12] = 4  # touches the corner of the first
    classes[9, 0:2] = 2  # apart, at the edge
    classes[11, 19] = 255
    classes[10, 18] = 3  # touches no-data at its corner
    found = traced(tmp_path, classes).table
    assert found["object"].tolist() == [1, 1, 2, 3]
    assert found["class"].tolist() == [1, 4, 2, 3]
    assert found["pixels"].tolist() == [18, 6, 2, 1]
    assert found["touches_edge"].tolist() == [False, False, True, False]
    assert found["touches_nodata"].tolist() == [False, False, False, True]
    assert found["mean_probability"].tolist() == pytest.approx([0.8] * 4)
    assert list(found.columns) == list(COLUMNS)


def test_probabilities_are_those_of_the_pixels(tmp_path: Path) -> None:
    classes = np.array([[1, 1, 0]])
    confidence = np.array([[51, 255, 0]])
    (row,) = traced(tmp_path, classes, confidence).table.to_dict("records")
    # 51 / 255 = .2 and 1: mean .6
    assert row["mean_probability"] == pytest.approx(0.6)
    assert row["max_probability"] == 1


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 16)), elements=st.sampled_from([0, 0, 1, 2, 255])))
def test_strips_of_any_height_give_the_same_valid_polygons(tmp_path: Path, classes: np.ndarray) -> None:
    whole = traced(tmp_path, classes, strip=1000)
    for strip in (1, 2, 5):
        parts = traced(tmp_path, classes, strip=strip)
        assert parts.table.equals(whole.table)
        assert shapely.to_wkb(parts.shapes).tolist() == shapely.to_wkb(whole.shapes).tolist()
    assert all(shapely.is_valid(s) for s in whole.shapes)
    for index in (1, 2):
        area = sum(s.area for s, c in zip(whole.shapes, whole.table["class"], strict=True) if c == index)
        assert area == (classes == index).sum()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 150), st.integers(1, 90)), elements=st.sampled_from([0, 255])),
    st.integers(1, 150),
)
def test_valid_area_is_the_same_for_strips_of_any_height(tmp_path: Path, classes: np.ndarray, strip: int) -> None:
    tifffile.imwrite(tmp_path / "c.tif", classes)
    found = [trace(tmp_path / "c.tif", tmp_path / "c.tif", NORTH, SEEP, strip=s).valid_km2 for s in (strip, 1000)]
    assert found[0] == found[1]


@pytest.mark.parametrize("place", [NORTH, SHEARED])
def test_valid_area_is_that_of_a_polygon_of_all_pixels(tmp_path: Path, place: Place) -> None:
    tifffile.imwrite(tmp_path / "c.tif", np.ones((200, 150), np.uint8))
    found = trace(tmp_path / "c.tif", tmp_path / "c.tif", place, SEEP)
    assert found.valid_km2 == pytest.approx(found.table["area_m2"].sum() / 1e6, rel=1e-4)


def test_small_objects_are_left_out_whole_and_the_others_keep_their_numbers(tmp_path: Path) -> None:
    classes = np.zeros((12, 20))
    classes[0, 0] = 1
    classes[2:5, 3:9] = 1
    classes[5, 9] = 4  # one pixel, but of an object of 19
    classes[10, 3:6] = 2
    traced(tmp_path, classes)
    # pixels of 100 m²: three of them are less than 500, nineteen are more
    found = trace(tmp_path / "c.tif", tmp_path / "p.tif", SHEARED, SEEP, min_area_m2=500)
    assert found.table[["object", "class"]].to_numpy().tolist() == [[2, 1], [2, 4]]
    assert len(found.shapes) == 2


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arrays(np.uint8, st.tuples(st.integers(1, 16), st.integers(1, 16)), elements=st.sampled_from([0, 1, 2])))
def test_options_leave_polygons_valid_and_measures_finite(tmp_path: Path, classes: np.ndarray) -> None:
    plain = traced(tmp_path, classes)
    shaped = traced(tmp_path, classes, simplify=2.0, fill_holes=3)
    assert shapely.is_valid(shaped.shapes).all()
    for column in ("object", "class", "pixels", "mean_probability"):
        assert shaped.table[column].equals(plain.table[column])


def test_small_holes_are_filled_and_outlines_simplified_on_request(tmp_path: Path) -> None:
    classes = np.zeros((20, 20))
    classes[2:18, 2:18] = 1
    classes[5, 5] = 0
    classes[10:13, 10:13] = 0
    plain, filled = traced(tmp_path, classes), traced(tmp_path, classes, fill_holes=4)
    assert [s.area for s in plain.shapes] == [16 * 16 - 1 - 9]
    assert [s.area for s in filled.shapes] == [16 * 16 - 9]
    ragged = np.zeros((30, 30))
    for i in range(20):
        ragged[5 + i, 5 : 10 + i] = 1
    smooth = traced(tmp_path, ragged, simplify=2.0)
    assert shapely.get_num_coordinates(smooth.shapes[0]) < shapely.get_num_coordinates(
        traced(tmp_path, ragged).shapes[0]
    )


def test_areas_are_geodesic_whatever_the_coordinates(tmp_path: Path) -> None:
    classes = np.zeros((60, 60))
    classes[20:30, 20:40] = 1
    tifffile.imwrite(tmp_path / "c.tif", classes.astype(np.uint8))
    # 200 pixels of 10 m in UTM zone 16, near its central meridian where the scale is .9996: 20 000 m² / .9996²
    utm = Georeference(crs_wkt=CRS.from_epsg(32616).to_wkt(), transform=(10.0, 0.0, 500_000.0, 0.0, -10.0, 3_100_000.0))
    found = trace(tmp_path / "c.tif", tmp_path / "c.tif", place_of(utm), SEEP)
    (row,) = found.table.to_dict("records")
    assert row["area_m2"] == pytest.approx(20_000 / 0.9996**2, rel=1e-4)
    assert row["length_m"] == pytest.approx(200, rel=0.1)
    assert row["orientation_deg"] == pytest.approx(90, abs=8)
    assert found.valid_km2 == pytest.approx(60 * 60 * 100 / 1e6 / 0.9996**2, rel=1e-3)
    # a thousandth of a degree at the equator: 111.32 m by 110.57 m a pixel
    degrees = Georeference(crs_wkt=CRS.from_epsg(4326).to_wkt(), transform=(0.001, 0.0, 10.0, 0.0, -0.001, 0.03))
    (row,) = trace(tmp_path / "c.tif", tmp_path / "c.tif", place_of(degrees), SEEP).table.to_dict("records")
    assert row["area_m2"] == pytest.approx(200 * 111.32 * 110.57, rel=1e-3)


def test_nothing_found_is_an_empty_table_with_all_columns(tmp_path: Path) -> None:
    found = traced(tmp_path, np.zeros((5, 5)))
    assert len(found.shapes) == 0
    assert list(found.table.columns) == list(COLUMNS)
