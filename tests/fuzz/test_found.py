"""What `scripts/fuzz/fuzz.py` found: files that once ended in another error than one line of ours."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
import tifffile

from seepseg.api.findings import read_findings
from seepseg.archives.unpacked import unpacked
from seepseg.classes import SEEP
from seepseg.config import ClassNode, TilesData, parse
from seepseg.config.document import EXPONENT
from seepseg.data.source import source_of
from seepseg.errors import ConfigError, DataError
from seepseg.evaluation.compare import compare
from seepseg.geo.nearby import read_nearby
from seepseg.geo.shapes import without_empty_parts
from seepseg.geo.vector import layer_names, read_vectors, write_vectors
from seepseg.io.raster import raster_rows, raster_windows
from seepseg.io.table import NUMBER
from seepseg.runs.staged import NEXT, READY, settle
from seepseg.scenes.labels import read_layer

SQUARE = shapely.to_wkb(np.array([shapely.box(0, 0, 1, 1)]))


def shapefile(folder: Path) -> Path:
    """One square whose class_name is oil."""
    path, values = folder / "a.shp", [np.array(["oil"], object)]
    pyogrio.raw.write(path, SQUARE, values, ["class_name"], geometry_type="Polygon", crs="EPSG:4326")
    return path


@pytest.mark.parametrize(("ending", "sound", "odd", "said"), [
    (".dbf", b"oil", b"o\xffl", "cannot be read .*utf-8"),  # text that is not in its encoding
    (".prj", b"GCS_WGS_1984", b"G\xffCS", "cannot be read"),  # a coordinate system that pyogrio cannot say
])  # fmt: skip
def test_odd_bytes_beside_a_shapefile(tmp_path: Path, ending: str, sound: bytes, odd: bytes, said: str) -> None:
    path = shapefile(tmp_path)
    beside = path.with_suffix(ending)
    beside.write_bytes(beside.read_bytes().replace(sound, odd))
    with pytest.raises(DataError, match=said):
        read_vectors(path)
    assert layer_names(path) == ["a"]


def test_a_place_on_another_planet(tmp_path: Path) -> None:
    path = shapefile(tmp_path)
    system = path.with_suffix(".prj")
    system.write_bytes(system.read_bytes().replace(b"6378137.0", b"3396190.0"))
    with pytest.raises(DataError, match="celestial body"):
        read_nearby([path], 1000.0, 3.0)


def test_a_column_of_lists_is_text(tmp_path: Path) -> None:
    square = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    features = [{"type": "Feature", "properties": {"class_name": ["a", "b"]}, "geometry": square}]
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    with pytest.raises(DataError, match=r"unknown class_name \"\['a', 'b'\]\""):
        read_layer(tmp_path / "a.geojson").classes(None, SEEP)


def test_a_hole_that_lies_off_the_earth(tmp_path: Path) -> None:
    """Edges are cut every 0.05°: this one would take 100 GB."""
    around = [[0, 0], [1, 0], [1, 1], [0, 0]]
    shape = {"type": "Polygon", "coordinates": [around, [[0.5, 0.2], [3e8, 0.2], [0.6, 0.3], [0.5, 0.2]]]}
    features = [{"type": "Feature", "properties": {"name": "a"}, "geometry": shape}]
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    with pytest.raises(DataError, match="not on Earth"):
        read_nearby([tmp_path / "a.geojson"], 1000.0, 3.0)


def test_a_layer_that_is_known_to_have_shapes_no_more(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    write_vectors(path, shapely.from_wkb(SQUARE), pd.DataFrame({"class_name": ["oil"]}), "EPSG:4326")
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("DELETE FROM gpkg_geometry_columns")
        base.execute("UPDATE gpkg_contents SET data_type = 'attributes'")
    shapes, table, _ = read_vectors(path)
    assert (shapes.tolist(), len(table)) == ([None], 1)
    assert len(read_layer(path).shapes) == 0


def test_a_layer_that_counts_more_shapes_than_it_has_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    write_vectors(path, np.array([shapely.box(0, 0, 1, 1)]), pd.DataFrame({"class": [1]}), "EPSG:32616")
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("UPDATE gpkg_ogr_contents SET feature_count = 1607101170")
    with pytest.raises(DataError, match="counts more shapes than it has bytes"):
        read_vectors(path)


def test_a_layer_of_measured_shapes(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    write_vectors(path, np.array([shapely.box(0, 0, 1, 1)]), pd.DataFrame({"class": [1]}), "EPSG:32616")
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("UPDATE gpkg_geometry_columns SET geometry_type_name = 'GEOMETRY', m = 1")
    for read in (read_vectors, layer_names):
        with pytest.raises(DataError, match="Geometry type is not supported: 2000"):
            read(path)


def test_a_map_that_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(0).integers(0, 9, (64, 64), np.uint8)
    tifffile.imwrite(path, pixels, compression="deflate", rowsperstrip=8, metadata=None)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as tiff:
        start = tiff.pages[0].dataoffsets[4]
    content[start : start + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        list(raster_rows(path, 8))
    with pytest.raises(DataError, match="is damaged"), raster_windows(path) as read:
        read(slice(0, 64), slice(0, 64))


def test_an_archive_in_an_archive_whose_header_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEPSEG_CACHE", str(tmp_path / "cache"))
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("b.zip", b"x")
    (tmp_path / "a.zip").write_bytes(held.getvalue().replace(b"PK\x03\x04", b"PK\x03\x05", 1))
    with pytest.raises(DataError, match=r"member 'b.zip' is damaged \(Bad magic"):
        unpacked(tmp_path / "a.zip")


def test_a_number_of_findings_that_no_column_holds(tmp_path: Path) -> None:
    (tmp_path / "findings.csv").write_text(f"scene,object\na,{2**70}\n")
    with pytest.raises(DataError, match="cannot be read"):
        read_findings(tmp_path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("matrices.csv", "scene,truth,prediction,pixels\ns,a,a\n"),
        ("matrices.csv", "scene,truth,pixels\ns,a,1\n"),
        ("matrices.csv", "scene,truth,prediction,pixels\ns,a,b,1\n"),
        ("matrices.csv", "scene,truth,prediction,pixels\ns,a,a,many\n"),
        ("matrices.csv", f"scene,truth,prediction,pixels\ns,a,a,{2**64}\n"),
        ("matrices.csv", "\udcff"),
        ("tiles.csv", "tile,score\na,1\n"),
        ("tiles.csv", "tile,tgs_score\na,high\n"),
        ("tiles.csv", "tile,tgs_score\na,1\na,1\n"),
    ],
)
def test_scores_that_are_none(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "matrices.csv").write_text("scene,truth,prediction,pixels\ns,a,a,1\n")
    (tmp_path / name).write_text(text, errors="surrogateescape")
    with pytest.raises(DataError, match="is damaged") as caught:
        compare(tmp_path, tmp_path, "val")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "plan",
    [{"put": [], "remove": ["../mine"], "before": {}}, {"put": ["../mine"], "remove": [], "before": {}},
     {"put": [1], "remove": [], "before": {}}, {"put": ["mine"], "remove": [], "before": ["mine"]}, {"put": []}, [],
     None],
)  # fmt: skip
def test_a_plan_that_names_files_elsewhere_is_not_carried_out(tmp_path: Path, plan: object) -> None:
    """Whoever opens a folder of zones of somebody else settles what is left in it."""
    (tmp_path / "mine").write_text("mine")
    new = tmp_path / "zones" / NEXT
    new.mkdir(parents=True)
    for folder in (new, new.parent):
        (folder / "mine").write_text("next" if folder == new else "theirs")
    (new / READY).write_text(json.dumps(plan))
    settle(new.parent)
    assert [(folder / "mine").read_text() for folder in (tmp_path, new.parent)] == ["mine", "theirs"]
    assert not new.exists()


def test_a_member_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEPSEG_CACHE", str(tmp_path / "cache"))
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("qq", b"x")
    (tmp_path / "a.zip").write_bytes(held.getvalue().replace(b"qq", b"\0q"))  # a name ends at 0
    with pytest.raises(DataError, match="member '' would land outside its folder"):
        unpacked(tmp_path / "a.zip")


def test_a_polygon_that_is_a_point(tmp_path: Path) -> None:
    path, shapes = tmp_path / "a.gpkg", shapely.to_wkb(np.array([shapely.Polygon([(1, 1)] * 5)]))
    pyogrio.raw.write(path, shapes, [np.array(["a"], object)], ["name"], geometry_type="Polygon", crs="EPSG:4326")
    with pytest.raises(DataError, match=r"is damaged \(.*point array"):
        read_nearby([path], 1000.0, 3.0)


def test_parts_and_rings_without_a_point(tmp_path: Path) -> None:
    # GEOS ended the process at them.
    shell, outside = [[1, 1], [1, 2], [2, 2], [1, 1]], {"type": "FeatureCollection", "features": []}
    for coordinates in ([[shell, []]], [[shell], []], [[shell], [[]]]):
        feature = {
            "type": "Feature",
            "properties": {},
            "geometry": {"type": "MultiPolygon", "coordinates": coordinates},
        }
        (tmp_path / "a.geojson").write_text(json.dumps(outside | {"features": [feature]}))
        (shape,) = read_vectors(tmp_path / "a.geojson")[0]
        assert shape.equals(shapely.Polygon(shell))
        assert len(read_nearby([tmp_path / "a.geojson"], 1000.0, 3.0).shapes) == 1
    within = shapely.from_wkt(
        "GEOMETRYCOLLECTION (MULTIPOINT (1 1, 2 2), GEOMETRYCOLLECTION (POLYGON EMPTY), POINT EMPTY)"
    )
    assert without_empty_parts(np.array([within, None]))[0].wkt == "GEOMETRYCOLLECTION (MULTIPOINT ((1 1), (2 2)))"


def test_bytes_that_no_bz2_stream_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEPSEG_CACHE", str(tmp_path / "cache"))
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a", bytes(range(256)) * 20)
    (tmp_path / "a.zip").write_bytes(held.getvalue().replace(b"BZh9", b"BZh!", 1))
    with pytest.raises(DataError, match=r"member 'a' is damaged \(Invalid data stream\)"):
        unpacked(tmp_path / "a.zip")


def test_a_key_that_looks_like_a_tag() -> None:
    tree = {"data": {"source": "seep", "root": "x"}, "model": {"name": "unet"}, "loss": "dice_ce", "<a>": 1}
    with pytest.raises(ConfigError, match="unknown key <a>"):
        parse(tree, "test")


def test_a_tile_of_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    name = f"{'9' * 300}.png"
    (tmp_path / "t.csv").write_text(f"image,mask\n{name},\n")
    data = TilesData(root=tmp_path, classes=[ClassNode(name="oil", values=[1])], table=Path("t.csv"))
    with pytest.raises(DataError, match=rf"^no file {name}"):
        source_of(data).catalog()


def test_a_table_of_more_columns_than_pandas_should_name(tmp_path: Path) -> None:
    (tmp_path / "findings.csv").write_text(",".join(["scene", *["pixels"] * 20_000]) + "\n")
    with pytest.raises(DataError, match=r"20001 columns, over 4096"):
        read_findings(tmp_path)
    (tmp_path / "ships.csv").write_text(",".join(["lon", "lat", *["name2"] * 20_000]) + "\n")
    with pytest.raises(DataError, match=r"20002 columns, over 4096"):
        read_nearby([tmp_path / "ships.csv"], 1000.0, 1.0)


def test_a_name_of_two_lines_is_said_in_one(tmp_path: Path) -> None:
    write_vectors(tmp_path / "a.geojson", np.array([shapely.box(0, 0, 1, 1)]), pd.DataFrame({"x\r\ny": [1]}), None)
    with pytest.raises(DataError) as caught:
        read_layer(tmp_path / "a.geojson").classes(None, SEEP)
    assert "its columns are x y in " in str(caught.value)


@pytest.mark.parametrize("text", ["9" * 200_000 + "x", "9" * 200_000 + "e", "1." + "9" * 200_000 + "x"])
def test_digits_without_end_are_no_number(text: str) -> None:
    """Once each of them was tried as the last one before all that follow: minutes."""
    assert NUMBER.fullmatch(text) is None
    assert EXPONENT.match(text) is None
