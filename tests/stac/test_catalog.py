"""STAC as predict leaves it.

The core schemas come with pystac and are checked here. Those of the extensions come with no package, and tests have no
network: their fields are read through pystac's typed extensions, where it has them, and compared one by one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import tifffile
from PIL import Image
from pyproj import CRS
from pystac.extensions.classification import ClassificationExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.sat import SatExtension
from pystac.validation.stac_validator import JsonSchemaSTACValidator

from seepseg.classes import SALT
from seepseg.geo.grid import Grid
from seepseg.io.raster import Georeference
from seepseg.mapping.ensemble import Ensemble
from seepseg.mapping.jobs import Job, plan, with_scenes
from seepseg.mapping.outputs import Wanted
from seepseg.mapping.scene import predict_scene
from seepseg.mapping.tiles import predict_tiles
from seepseg.stac.catalog import write_catalog
from seepseg.stac.item import ANY_TIME, _projection
from tests.mapping.toy import recipe, toy

TAGS = {"SEEPSEG_VERSION": "1.2.3", "SEEPSEG_MODEL": "0123456789abcdef fedcba9876543210", "SEEPSEG_CONFIG": "aaaa"}
PRODUCT = "S1A_IW_GRDH_1SDV_20240101T000000_20240101T000025_000001_000001_ABCD"


def geotiff(path: Path, *, place: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = np.full((40, 90), 60, np.uint16)
    raw[10:20, 10:80] = 150
    if not place:
        tifffile.imwrite(path, raw)
        return
    profile: dict[str, Any] = {"driver": "GTiff", "count": 1, "height": 40, "width": 90, "dtype": "uint16"}
    profile |= {"crs": "EPSG:32616", "transform": rasterio.Affine(10, 0, 400_000, 0, -10, 3_100_000)}
    with rasterio.open(path, "w", **profile) as target:
        target.write(raw, 1)


def lines_of(jobs: Sequence[Job], ensemble: Ensemble, wanted: Wanted) -> dict[str, dict[str, Any]]:
    """Lines of a manifest, as predict writes them."""
    lines = {}
    for job in jobs:
        if job.source.suffix == ".png":
            (report,) = predict_tiles([job], ensemble, wanted)
            assert not isinstance(report, Exception)
        else:
            report = predict_scene(job, ensemble, wanted)
        lines[job.name] = {"outputs": {p.relative_to(job.out).as_posix(): 1 for p in report.outputs}, **report.facts}
    return lines


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def check(folder: Path) -> list[pystac.Item]:
    """The items of a catalog, each valid by the schemas of STAC 1.1.0, with all its files there."""
    catalog = pystac.Catalog.from_file(folder / "catalog.json")
    validator, kind = JsonSchemaSTACValidator(), pystac.STACObjectType
    validator.validate_core(read(folder / "catalog.json"), kind.CATALOG, "1.1.0")
    items = list(catalog.get_items())
    for item in items:
        assert item.self_href
        validator.validate_core(read(Path(item.self_href)), kind.ITEM, "1.1.0")
        assert item.get_root() is catalog
        for asset in item.assets.values():
            assert Path(asset.get_absolute_href() or "").is_file()
    return items


@pytest.fixture
def ensemble() -> Ensemble:
    return replace(toy(recipe(nodata=None)), tags=TAGS)


def test_a_scene_says_when_where_and_by_what(tmp_path: Path, ensemble: Ensemble) -> None:
    geotiff(tmp_path / "in" / "north" / f"{PRODUCT}.tif")
    out = tmp_path / "out"
    jobs = plan([str(tmp_path / "in")], out)
    wanted = Wanted(probabilities=True, uncertainty=True, vectors=(".gpkg", ".fgb"), grid=Grid(32616, 20))
    lines = lines_of(jobs, ensemble, wanted)
    assert write_catalog(jobs, lambda: lines, out, SALT, TAGS) == (1, 0)
    (item,) = check(out)
    assert item.id == f"north_{PRODUCT}"
    # "/" is no part of an id, but of a path; the catalog is one folder up.
    assert [link["href"] for link in read(out / "catalog.json")["links"]] == [
        "./catalog.json", f"./north/{PRODUCT}_stac.json",
    ]  # fmt: skip
    assert read(out / "north" / f"{PRODUCT}_stac.json")["links"][0]["href"] == "../catalog.json"
    properties = item.properties
    assert properties["datetime"] == properties["start_datetime"] == "2024-01-01T00:00:00.000Z"
    assert properties["end_datetime"] == "2024-01-01T00:00:25.000Z"
    assert [properties[k] for k in ("platform", "constellation", "instruments")] == [
        "sentinel-1a", "sentinel-1", ["c-sar"],
    ]  # fmt: skip
    assert {k: v for k, v in properties.items() if k.startswith("sar:")} == {
        "sar:instrument_mode": "IW", "sar:frequency_band": "C", "sar:polarizations": ["VV", "VH"],
    }  # fmt: skip
    assert SatExtension.ext(item).absolute_orbit == 1
    assert properties["processing:software"] == {"seepseg": "1.2.3"}
    assert PRODUCT in properties["processing:lineage"]
    assert properties["seepseg:objects"] == 1
    # 70 × 10 pixels of 10 m, on the ellipsoid.
    assert properties["seepseg:km2"]["salt"] == pytest.approx(0.07, rel=2e-3)
    assert item.bbox == pytest.approx([-88.0172, 28.0179, -88.0080, 28.0216], abs=2e-3)
    assert {key: (a.media_type or "").split(";")[0] for key, a in item.assets.items()} == {
        "classes": "image/tiff", "probabilities": "image/tiff", "uncertainty": "image/tiff", "map": "image/tiff",
        "quicklook": "image/png", "polygons": "application/geopackage+sqlite3",
        "polygons_fgb": "application/vnd.flatgeobuf", "origins": "application/vnd.flatgeobuf",
    }  # fmt: skip
    placed = ProjectionExtension.ext(item.assets["classes"])
    assert (placed.code, placed.shape, placed.transform) == (
        "EPSG:32616",
        [40, 90],
        [10, 0, 400_000, 0, -10, 3_100_000],
    )
    # Pixels of 20 m.
    assert ProjectionExtension.ext(item.assets["map"]).shape == [20, 45]
    classes = ClassificationExtension.ext(item.assets["classes"]).classes
    assert [(c.value, c.name, c.color_hint, c.nodata) for c in classes or ()] == [
        (0, "background", "000000", None), (1, "salt", "56B4E9", None), (255, "nodata", None, True),
    ]  # fmt: skip
    assert [band["name"] for band in item.assets["probabilities"].extra_fields["bands"]] == ["background", "salt"]
    assert item.stac_extensions == [
        f"https://stac-extensions.github.io/{name}/schema.json"
        for name in ("classification/v2.0.0", "processing/v1.2.0", "projection/v2.0.0", "sar/v1.3.2", "sat/v1.0.0")
    ]


def test_what_nothing_says_is_left_out_and_not_guessed(tmp_path: Path, ensemble: Ensemble) -> None:
    geotiff(tmp_path / "in" / "a 1#.tif", place=False)
    Image.fromarray(np.full((8, 8), 150, np.uint8)).save(tmp_path / "in" / "b.png")
    out = tmp_path / "out"
    jobs = plan([str(tmp_path / "in")], out)
    lines = lines_of(jobs, ensemble, Wanted(quicklook=False))
    assert write_catalog(jobs, lambda: lines, out, SALT, TAGS) == (2, 2)
    # A name with a space and a hash is escaped in links.
    scene, tile = read(out / "a 1#_stac.json"), read(out / "b_stac.json")
    assert read(out / "catalog.json")["links"][1]["href"] == "./a%201%23_stac.json"
    assert scene["assets"]["classes"]["href"] == "./a%201%23_class.tif"
    for item in (scene, tile):
        JsonSchemaSTACValidator().validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
        assert item["geometry"] is None
        assert "bbox" not in item
        assert {key: item["properties"][key] for key in ANY_TIME} == ANY_TIME
        assert "platform" not in item["properties"]
        assert not any(name in extension for extension in item["stac_extensions"] for name in ("/sar/", "/sat/"))
        assert item["assets"]["classes"].get("proj:code") is None
    # A mask as PNG is 0 and 255, and has no value for no data.
    assert tile["assets"]["classes"]["proj:shape"] == [8, 8]
    assert [c["value"] for c in tile["assets"]["classes"]["classification:classes"]] == [0, 255]
    assert "nodata" not in tile["assets"]["classes"]


def test_a_coordinate_system_without_a_code_is_wkt2() -> None:
    # As rasters say it: in the first version, which calls it PROJCS.
    old = CRS("+proj=laea +lat_0=27 +lon_0=-91 +datum=WGS84").to_wkt("WKT1_GDAL")
    assert old.startswith("PROJCS[")
    said = _projection(Georeference(old, (10.0, 0.0, 0.0, 0.0, -10.0, 0.0)))
    assert said["proj:code"] is None
    assert said["proj:wkt2"].startswith("PROJCRS[") and CRS(said["proj:wkt2"]) == CRS(old)


def test_a_start_without_an_end_is_a_moment(tmp_path: Path, ensemble: Ensemble) -> None:
    geotiff(tmp_path / "in" / "a.tif")
    out = tmp_path / "out"
    said = {"a": {"acquired": "2021-04-01T05:26:23.000Z", "platform": "ALOS-2", "polarisation": "HH"}}
    jobs = with_scenes(plan([str(tmp_path / "in")], out), said)
    lines = lines_of(jobs, ensemble, Wanted(vectors=(), quicklook=False))
    assert write_catalog(jobs, lambda: lines, out, SALT, TAGS) == (1, 0)
    (item,) = check(out)
    assert item.properties["datetime"] == "2021-04-01T05:26:23.000Z"
    assert not {"start_datetime", "end_datetime", "sar:frequency_band", "instruments"} & item.properties.keys()
    assert (item.properties["platform"], item.properties["sar:polarizations"]) == ("alos-2", ["HH"])


def test_ids_are_unique_and_inputs_that_fail_have_no_item(tmp_path: Path, ensemble: Ensemble) -> None:
    for name in ("a/b.tif", "a_b.tif", "c.tif"):
        geotiff(tmp_path / "in" / name)
    out = tmp_path / "out"
    jobs = plan([str(tmp_path / "in")], out)
    lines = lines_of(jobs, ensemble, Wanted(vectors=(), quicklook=False))
    write_catalog(jobs, lambda: lines, out, SALT, TAGS)
    assert sorted(item.id for item in check(out)) == ["a/b", "a_b", "c"]
    before = {p: p.read_bytes() for p in out.rglob("*.json")}
    write_catalog(jobs[::-1], lambda: lines, out, SALT, TAGS)
    assert {p: p.read_bytes() for p in out.rglob("*.json")} == before
    del lines["c"]
    assert write_catalog(jobs, lambda: lines, out, SALT, TAGS) == (2, 2)
    assert not (out / "c_stac.json").exists()
    assert len(check(out)) == 2
