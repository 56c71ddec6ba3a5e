"""The queue: doubtful, rare and disputed slicks first."""

from __future__ import annotations

from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from PIL import Image
from pyproj import CRS

from seepseg.atlas.rank import rank, write_queue
from seepseg.classes import SEEP
from seepseg.errors import ConfigError
from seepseg.figures.sheets import QuickLook
from seepseg.geo.place import LONLAT
from seepseg.geo.vector import read_vectors, write_vectors
from seepseg.io.cog import row_writer, uncertainty_layout
from seepseg.io.raster import Georeference, raster_header
from tests.zones.places import scene


def predicted(folder: Path) -> Path:
    """Two scenes: one with three slicks of class 1, one with one of class 2; their probabilities .9, .8, .7 and .9."""
    for name, pixels, values in (("a", [(5, 5), (5, 15), (15, 5)], [0.9, 0.8, 0.7]), ("b", [(5, 5)], [0.9])):
        classes = np.zeros((20, 20), np.uint8)
        classes[tuple(np.array(pixels).T)] = 1 if name == "a" else 2
        scene(
            folder,
            name,
            "EPSG:32616",
            (10.0, 0.0, 4e5, 0.0, -10.0, 3e6),
            classes,
            SEEP,
            acquired="2024-01-01T00:00:00.000Z",
        )
        shapes, table, crs = read_vectors(folder / f"{name}.gpkg")
        write_vectors(folder / f"{name}.gpkg", shapes, table.assign(mean_probability=values), crs)
    return folder


def test_doubtful_and_rare_slicks_come_first(tmp_path: Path) -> None:
    queue, scenes, _ = rank([predicted(tmp_path)])
    # Doubt .1, .2, .3 and .1; rarity ln(4/3) / ln 4 = .2075 of the first class and ln 4 / ln 4 = 1 of the second.
    assert queue["score"].tolist() == pytest.approx([0.55, 0.2538, 0.2038, 0.1538], abs=1e-4)
    assert queue["scene"].tolist() == ["b", "a", "a", "a"]
    assert queue["scene_score"].tolist() == pytest.approx([0.55, 0.6113, 0.6113, 0.6113], abs=2e-4)
    write_queue(tmp_path / "q.csv", queue, scenes)
    assert pd.read_csv(tmp_path / "q.csv")["rank"].tolist() == [1, 2, 3, 4]
    assert "The first 4 of 4 slicks" in (tmp_path / "q.html").read_text("utf-8")


def test_a_queue_is_plain_data_whatever_scenes_and_classes_are_called(tmp_path: Path) -> None:
    evil = "<img src=x onerror=throw>"
    queue, scenes, _ = rank([predicted(tmp_path)])
    for one in scenes:
        QuickLook(20, 20).save(one.beside("_quicklook.png"), SEEP)
    queue, scenes = queue.assign(class_name=evil), [replace(one, name=evil + one.name) for one in scenes]
    write_queue(tmp_path / "q<b>.csv", queue.assign(scene=evil + queue["scene"]), scenes)
    html = (tmp_path / "q<b>.html").read_text("utf-8")
    assert evil not in html and "<b>" not in html
    assert f"1: {evil}b, object 1, {evil}, score 0.55" in unescape(html)


def test_uncertainty_counts_where_it_was_written(tmp_path: Path) -> None:
    folder = predicted(tmp_path)
    place, height, width = raster_header(folder / "a_class.tif")
    plane = np.zeros((height, width), np.uint8)
    plane[5, 5] = 254
    with row_writer(folder / "a_uncertainty.tif", place, height, width, uncertainty_layout({})) as writer:
        writer.write(plane)
    queue, *_ = rank([folder])
    # (.1 + .2075 + 1) / 3
    disputed = queue[queue["uncertainty"] == 1]
    assert disputed["score"].tolist() == pytest.approx([0.4358], abs=1e-4)
    assert queue["uncertainty"].isna().sum() == 1  # scene b has none


def without_place(path: Path) -> None:
    """Write a raster as PNG instead, which says nothing of where it lies."""
    Image.fromarray(rasterio.open(path).read(1)).save(path.with_suffix(".png"))
    path.unlink()


def test_a_raster_that_lies_nowhere_says_nothing_of_polygons_on_a_map(tmp_path: Path) -> None:
    folder = predicted(tmp_path)
    plane = np.zeros((20, 20), np.uint8)
    plane[-1, -1] = 254  # the pixel to which coordinates of a map are cut, taken for columns and rows
    place, *_ = raster_header(folder / "a_class.tif")
    with row_writer(folder / "a_uncertainty.tif", place, 20, 20, uncertainty_layout({})) as writer:
        writer.write(plane)
    for name in ("a_class.tif", "a_uncertainty.tif"):
        without_place(folder / name)
    manifest = folder / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace("a_class.tif", "a_class.png"))
    queue, scenes, warnings = rank([folder])
    QuickLook(20, 20).save(folder / "a_quicklook.png", SEEP)
    assert queue["uncertainty"].isna().all()
    (line,) = warnings
    assert "the rasters have no georeference as the polygons have" in line and line.endswith(": a")
    write_queue(tmp_path / "q.csv", queue, scenes)
    assert "No quick-looks are there" in (tmp_path / "q.html").read_text("utf-8")


def test_polygons_in_longitude_and_latitude_are_found_in_a_raster_on_a_map(tmp_path: Path) -> None:
    folder = predicted(tmp_path)
    place, *_ = raster_header(folder / "a_class.tif")
    plane = np.zeros((20, 20), np.uint8)
    plane[5, 5], plane[5, 15], plane[15, 5] = 127, 254, 0
    with row_writer(folder / "a_uncertainty.tif", place, 20, 20, uncertainty_layout({})) as writer:
        writer.write(plane)
    write_vectors(folder / "a.geojson", *read_vectors(folder / "a.gpkg"))
    manifest = folder / "manifest.jsonl"
    manifest.write_text(manifest.read_text().replace("a.gpkg", "a.geojson"))
    queue, *_ = rank([folder])
    of_a = queue[queue["scene"] == "a"].sort_values("object")
    assert of_a["uncertainty"].tolist() == [0.5, 1.0, 0.0]


def test_longitudes_beyond_180_are_those_of_a_raster_that_goes_on(tmp_path: Path) -> None:
    folder = predicted(tmp_path)
    shapes, slicks, _ = read_vectors(folder / "a.gpkg")
    # Counted to 180 in the polygons, and on to 186 in the raster.
    degrees = shapely.transform(shapes, lambda xy: (xy - [4e5, 3e6 - 200]) / 200 + [-175, 0])
    place = Georeference(CRS(LONLAT).to_wkt(), (0.05, 0.0, 185.0, 0.0, -0.05, 1.0))
    plane = np.full((20, 20), 254, np.uint8)
    plane[:, 0] = 0  # where the edge is, beyond which points were cut to it
    with row_writer(folder / "a_uncertainty.tif", place, 20, 20, uncertainty_layout({})) as writer:
        writer.write(plane)
    (folder / "a.gpkg").unlink()
    write_vectors(folder / "a.gpkg", degrees, slicks, LONLAT)
    queue, *_ = rank([folder])
    assert (queue[queue["scene"] == "a"]["uncertainty"] == 1).all()


def test_a_folder_without_a_review_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no zones\.gpkg"):
        rank([predicted(tmp_path / "out")], tmp_path / "other")


def test_nothing_to_rank_is_said(tmp_path: Path) -> None:
    scene(tmp_path, "c", None, None, np.zeros((9, 9), np.uint8), acquired="2024-01-01T00:00:00.000Z")
    with pytest.raises(ConfigError, match="no slick without a verdict"):
        rank([tmp_path])
