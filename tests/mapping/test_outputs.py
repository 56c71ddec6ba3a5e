from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio
import shapely
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image
from rasterio.transform import Affine

from seepseg.classes import SEEP
from seepseg.config import Predict
from seepseg.errors import ConfigError, DataError
from seepseg.geo.grid import Grid
from seepseg.geo.place import reproject
from seepseg.geo.vector import FORMATS, read_polygons, read_vectors
from seepseg.inference.stream import Rows, whole_strip
from seepseg.io.image import open_image
from seepseg.mapping.jobs import plan
from seepseg.mapping.outputs import Report, Wanted, write_outputs
from seepseg.mapping.scene import predict_scene
from seepseg.mapping.tiles import predict_tiles
from seepseg.mapping.units import cut_units
from seepseg.runs.fit import Fit
from tests.mapping.toy import files, recipe, toy

EVERY = Wanted()
PLACE = Affine(100, 0, 500_000, 0, -100, 3_000_000)
PAM = "<PAMDataset><SRS>EPSG:32616</SRS><GeoTransform>500000,100,0,3000000,0,-100</GeoTransform></PAMDataset>"


def sea(shape: tuple[int, int] = (40, 50)) -> NDArray[np.uint16]:
    """Background, and an object of 3 × 10 pixels whose logit is .5."""
    raw = np.full(shape, 60, np.uint16)
    raw[10:13, 20:30] = 150
    return raw


def geotiff(path: Path, raw: NDArray[Any], **more: Any) -> None:
    bands = raw if raw.ndim == 3 else raw[None]
    profile = {"driver": "GTiff", "count": len(bands), "height": raw.shape[-2], "width": raw.shape[-1]}
    with rasterio.open(path, "w", crs="EPSG:32616", transform=PLACE, dtype=raw.dtype, **profile, **more) as target:
        target.write(bands)


def predict(folder: Path, wanted: Wanted = EVERY, window: int = 64) -> list[Report]:
    """The reports of all files of `in`, in the order of their names; a window is larger than them, or smaller.

    Raises:
        DataError: the first of them.
    """
    ensemble, reports = toy(recipe(nodata=None), decoding=Predict(window=window)), {}
    for unit in cut_units(plan([str(folder / "in")], folder / "out"), ensemble):
        if unit.scene:
            reports[unit.jobs[0].name] = predict_scene(unit.jobs[0], ensemble, wanted)
            continue
        for job, answer in zip(unit.jobs, predict_tiles(unit.jobs, ensemble, wanted), strict=True):
            if isinstance(answer, DataError):
                raise answer
            reports[job.name] = answer
    return [reports[name] for name in sorted(reports)]


def endings(report: Report, stem: str) -> list[str]:
    return [path.name.removeprefix(stem) for path in report.outputs]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path


@pytest.mark.parametrize("window", [64, 32])
def test_a_scene_has_the_same_files_whether_or_not_it_fits_into_a_window(folder: Path, window: int) -> None:
    geotiff(folder / "in" / "s.tif", sea())
    (report,) = predict(folder, Wanted(probabilities=True, uncertainty=True), window)
    expected = ["_class.tif", "_prob.tif", "_uncertainty.tif", ".gpkg", "_quicklook.png"]
    assert endings(report, "s") == expected
    assert sorted(files(folder / "out")) == sorted(f"s{ending}" for ending in expected)
    shapes, table, _ = read_vectors(folder / "out" / "s.gpkg")
    # 10 pixels of 100 m from column 20, 3 rows from row 10.
    assert shapes[0].bounds == (502_000, 2_998_700, 503_000, 2_999_000)
    assert table["pixels"].tolist() == [30]
    # 1 / (1 + e^−.5) = .6225, in steps of 1/255: 159/255 = .6235
    assert table["mean_probability"][0] == pytest.approx(159 / 255)
    # 40 · 50 pixels of 1 ha; the map's metres are within a thousandth of the Earth's
    assert report.facts["valid_km2"] == pytest.approx(20, rel=2e-3)
    assert report.facts["objects"] == 1


def wedge() -> NDArray[np.uint16]:
    """Sea with an object that widens from west to east, from 2 pixels to 18, and one of 3 × 3."""
    row, column = np.mgrid[:60, :140]
    raw = np.full((60, 140), 60, np.uint16)
    raw[(column >= 10) & (column < 130) & (np.abs(row - 29.5) < 1 + (column - 10) / 15)] = 150
    raw[50:53, 3:6] = 150
    return raw


@pytest.mark.parametrize("suffix", FORMATS)
def test_origins_are_points_with_the_columns_of_their_polygons(folder: Path, suffix: str) -> None:
    geotiff(folder / "in" / "origins.tif", wedge())
    (report,) = predict(folder, Wanted(vectors=(suffix,), quicklook=False))
    out, one = folder / "out", suffix == ".gpkg"
    more = [suffix] if one else [suffix, ".qml", f"_origins{suffix}", "_origins.qml"]
    assert endings(report, "origins") == ["_class.tif", *more]
    _, polygons, _ = read_polygons(out / f"origins{suffix}")
    points, origins, crs = read_vectors(out / f"origins{'' if one else '_origins'}{suffix}", "origins" if one else None)
    # The narrow end: 10 pixels of 100 m from the western edge, 30 from the northern one.
    x, y = reproject(crs or "")(shapely.get_coordinates(points))[0]
    assert (x, y) == pytest.approx(reproject("EPSG:32616")(np.array([[501_000.0, 2_997_000.0]]))[0], abs=2e-3)
    assert (origins["origin_x"][0], origins["origin_y"][0]) == pytest.approx((x, y), abs=1e-6)
    assert polygons["scene"].tolist() == ["origins"] * 2
    assert polygons["object"].tolist() == [1, 2]
    pd.testing.assert_frame_equal(origins, polygons[:1])


def test_a_tile_that_lies_nowhere_has_a_class_raster_and_no_more(folder: Path) -> None:
    tifffile.imwrite(folder / "in" / "s.tif", sea())
    (report,) = predict(folder)
    assert endings(report, "s") == ["_class.tif"]


@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_pictures_give_pngs_and_polygons_where_they_lie_on_the_map(folder: Path, kind: str) -> None:
    # Blocks of 8 × 8 pixels of one value, which JPEG keeps.
    raw = np.full((40, 48), 60, np.uint8)
    raw[8:16, 16:32] = 150
    for name in ("here", "loose"):
        Image.fromarray(raw).save(folder / "in" / f"{name}.{kind}", quality=100)
    (folder / "in" / f"here.{kind}.aux.xml").write_text(PAM)
    here, loose = predict(folder, Wanted(uncertainty=True))
    assert endings(here, "here") == ["_class.png", "_uncertainty.png", ".gpkg", "_quicklook.png"]
    assert endings(loose, "loose") == ["_class.png", "_uncertainty.png"]
    for name in ("here", "loose"):
        assert np.array_equal(np.asarray(Image.open(folder / "out" / f"{name}_class.png")), np.where(raw > 100, 255, 0))
    shapes, _, _ = read_vectors(folder / "out" / "here.gpkg")
    assert shapes[0].bounds == (501_600, 2_998_400, 503_200, 2_999_200)


@pytest.mark.parametrize("vectors", [(".gpkg",), ()])
@pytest.mark.parametrize("kind", ["scene", "tile", "png"])
def test_a_map_of_what_lies_on_the_grid_already_is_its_class_raster(
    folder: Path, kind: str, vectors: tuple[str, ...]
) -> None:
    raw = sea() if kind != "png" else sea().astype(np.uint8)
    raw[:5] = 0
    if kind == "png":
        Image.fromarray(raw).save(folder / "in" / "s.png")
        (folder / "in" / "s.png.aux.xml").write_text(PAM)
    else:
        geotiff(folder / "in" / "s.tif", raw, nodata=0)
    wanted = Wanted(vectors=vectors, quicklook=False, grid=Grid())
    (report,) = predict(folder, wanted, 32 if kind == "scene" else 64)
    assert endings(report, "s")[-1] == "_map.tif"
    assert not report.warnings
    with rasterio.open(folder / "out" / "s_map.tif") as source:
        assert (source.crs.to_epsg(), source.transform, source.nodata) == (32616, PLACE, 255)
        assert (source.tags()["CLASS_1"], source.colormap(1)[255][3]) == ("salt", 0)
        hidden = np.arange(40)[:, None] < (0 if kind == "png" else 5)
        assert np.array_equal(source.read(1), np.where(hidden, 255, raw > 100))


def test_a_map_of_noise_has_no_polygons_and_a_line_says_so(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = np.zeros((40, 40), np.uint16)
    raw[::2, ::2] = 200  # 400 objects of one pixel
    geotiff(folder / "in" / "s.tif", raw)
    monkeypatch.setattr("seepseg.mapping.polygons.MOST", 399)
    (report,) = predict(folder, Wanted(quicklook=False))
    assert endings(report, "s") == ["_class.tif"]
    assert "more than 399 polygons, as noise has: none are written" in report.warnings[0]
    monkeypatch.setattr("seepseg.mapping.polygons.MOST", 400)
    (report,) = predict(folder, Wanted(quicklook=False))
    assert endings(report, "s") == ["_class.tif", ".gpkg"]


def test_what_lies_nowhere_has_no_map_and_a_line_says_so(folder: Path) -> None:
    tifffile.imwrite(folder / "in" / "s.tif", sea())
    (report,) = predict(folder, Wanted(grid=Grid()))
    assert endings(report, "s") == ["_class.tif"]
    assert report.warnings == ["has no place on the map grid: no _map.tif"]


def test_a_map_far_finer_than_the_scene_is_refused_before_anything_is_written(folder: Path) -> None:
    geotiff(folder / "in" / "s.tif", sea())
    with pytest.raises(ConfigError, match="pixels of 1 m are far finer than those of the scene, 100 m"):
        predict(folder, Wanted(grid=Grid(None, 1)))
    assert not (folder / "out").exists()


def test_a_strip_and_many_strips_leave_the_same_bytes(tmp_path: Path) -> None:
    """A tile is one strip: what is written does not depend on how it was read."""
    geotiff(tmp_path / "s.tif", sea((150, 40)))
    for window in (64, 256):
        ensemble = toy(decoding=Predict(window=window))
        (job,) = plan([str(tmp_path / "s.tif")], tmp_path / str(window))
        predict_scene(job, ensemble, Wanted(probabilities=True, grid=Grid(3857, 70)))
    one, many = (files(tmp_path / str(window)) for window in (256, 64))
    assert sorted(one) == sorted(many)
    assert one["s_class.tif"] == many["s_class.tif"]
    assert one["s_map.tif"] == many["s_map.tif"]
    assert one["s.gpkg"] == many["s.gpkg"]
    assert one["s_quicklook.png"] == many["s_quicklook.png"]


def test_confidence_is_of_the_class_that_the_network_gave(folder: Path) -> None:
    """Whoever decided about the whole object chose class 2, the network class 1 with a probability of .7."""
    geotiff(folder / "in" / "s.tif", sea())
    classes = np.zeros((40, 50), np.uint8)
    classes[10:13, 20:30] = 2
    probabilities = torch.tensor([0.1, 0.7, 0.2, 0, 0, 0, 0, 0]).expand(40, 50, 8)
    strip = whole_strip(Rows(sea()[None], np.ones((40, 50), bool)), classes, probabilities)
    (job,) = plan([str(folder / "in")], folder / "out")
    with open_image(job.source) as image:
        write_outputs(job, image, [strip], replace(toy(), classes=SEEP), Wanted())
    _, table, _ = read_vectors(folder / "out" / "s.gpkg")
    assert table["class"].tolist() == [2]
    assert table["mean_probability"].tolist() == pytest.approx([0.7], abs=1 / 255)


def test_polygons_have_the_grade_of_those_that_were_as_sure(folder: Path) -> None:
    raw = sea()
    raw[20:23, 20:30] = 180
    geotiff(folder / "in" / "s.tif", raw)
    # Probabilities of .62 and .69 (logits of .5 and .8) are in bins 31 and 34 of .02.
    # Of two parts, 60 of 100 and 44 of 50 polygons were right there.
    counts = {31: (50, 30), 34: (25, 22)}
    polygons, right = (tuple(counts.get(b, (0, 0))[k] for b in range(50)) * 2 for k in (0, 1))
    fit = Fit("binary", 1, 0.5, (), 0, "val", (), polygons, right)
    (job,) = plan([str(folder / "in")], folder / "out")
    grades = {}
    for name, ensemble in {
        "with": replace(toy(recipe(nodata=None)), fit=fit),
        "without": toy(recipe(nodata=None)),
    }.items():
        report = predict_scene(job, ensemble, EVERY)
        _, table, _ = read_vectors(folder / "out" / "s.gpkg")
        said = pyogrio.read_info(folder / "out" / "s.gpkg", layer="s")["layer_metadata"]["DESCRIPTION"]
        grades[name] = (
            table["grade"].tolist(),
            said.count("0.88 of 50") == 1,
            [g["letter"] for g in report.facts.get("grades", [])],
        )
    assert grades == {"with": (["B", "A"], True, ["A", "B"]), "without": ([None, None], False, [])}


LEFT = np.arange(50) < 15
"""Columns that a file says hold no data."""


def masked(path: Path, inside: bool) -> None:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside):
        geotiff(path, sea())
        with rasterio.open(path, "r+") as target:
            target.write_mask(np.where(LEFT, 0, 255).astype(np.uint8) * np.ones((40, 1), np.uint8))
    assert path.with_name("s.tif.msk").exists() != inside


def without_left(path: Path, value: float, nodata: float) -> None:
    geotiff(path, np.where(LEFT, np.float32(value), sea().astype(np.float32)), nodata=nodata)


def with_alpha(path: Path) -> None:
    geotiff(
        path, np.stack([sea(), np.where(LEFT, 0, 65535).astype(np.uint16) * np.ones((40, 1), np.uint16)]), alpha="yes"
    )


@pytest.mark.parametrize("window", [64, 32])
@pytest.mark.parametrize(
    "write",
    [
        lambda path: masked(path, True),
        lambda path: masked(path, False),
        lambda path: without_left(path, -9999, -9999),
        lambda path: without_left(path, np.nan, -9999),  # NaN besides the tag
        lambda path: without_left(path, np.nan, np.nan),
        with_alpha,
    ],
    ids=["mask inside", "mask beside", "tag", "NaN and tag", "NaN tag", "alpha"],
)
def test_what_a_file_says_is_no_data_is_255(folder: Path, write: Callable[[Path], None], window: int) -> None:
    write(folder / "in" / "s.tif")
    (report,) = predict(folder, window=window)
    with rasterio.open(folder / "out" / "s_class.tif") as source:
        assert np.array_equal(source.read(1), np.where(LEFT, 255, sea() > 100))
    # 35 of 50 columns are valid: 14 of 20 km²
    assert report.facts["valid_km2"] == pytest.approx(14, rel=2e-3)


@pytest.mark.parametrize("window", [64, 32])
@pytest.mark.parametrize(("beside", "text"), [("s.tif.aux.xml", PAM), ("s.tfw", "100\n0\n0\n-100\n500050\n2999950\n")])
def test_a_georeference_beside_the_file_is_that_of_the_map(folder: Path, window: int, beside: str, text: str) -> None:
    tifffile.imwrite(folder / "in" / "s.tif", sea())
    (folder / "in" / beside).write_text(text)
    predict(folder, window=window)
    with rasterio.open(folder / "out" / "s_class.tif") as source:
        assert source.transform == PLACE
        assert (source.crs and source.crs.to_epsg()) == (32616 if "xml" in beside else None)


@pytest.mark.parametrize("window", [64, 32])
def test_numbers_that_stand_for_others_are_refused(folder: Path, window: int) -> None:
    geotiff(folder / "in" / "s.tif", sea())
    with rasterio.open(folder / "in" / "s.tif", "r+") as target:
        target.scales, target.offsets = (0.01,), (-30.0,)
    with pytest.raises(DataError, match=r"SCALE 0.01 and OFFSET -30"):
        predict(folder, window=window)
    tifffile.imwrite(folder / "in" / "s.tif", sea(), photometric="miniswhite")
    with pytest.raises(DataError, match="stored inverted"):
        predict(folder, window=window)
    assert not (folder / "out").exists()


@pytest.mark.parametrize("value", [1, 60, 257])
def test_a_png_of_16_bits_gives_the_map_of_the_same_tiff(folder: Path, value: int) -> None:
    raw = sea() + np.uint16(value)
    tifffile.imwrite(folder / "in" / "a.tif", raw)
    Image.fromarray(raw).save(folder / "in" / "b.png")
    predict(folder)
    png = np.asarray(Image.open(folder / "out" / "b_class.png"))
    assert np.array_equal(png > 0, tifffile.imread(folder / "out" / "a_class.tif") > 0)
    assert np.array_equal(png > 0, raw > 100)
