from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely
from pyproj import CRS

from seepseg.errors import ConfigError, DataError, ResourceError
from seepseg.geo.vector import Layer, read_shapes, read_vectors, write_layers, write_vectors
from tests.network import listening

UTM = CRS.from_epsg(32616).to_wkt()
SHAPES = np.array([shapely.box(0, 0, 10, 20), shapely.union(shapely.box(30, 0, 40, 5), shapely.box(50, 0, 55, 5))])
TABLE = pd.DataFrame({"object": [1, 2], "name": ["a", "b & c"], "ratio": [1.5, np.nan], "edge": [True, False]})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_vectors(tmp_path / "v.gpkg", SHAPES, TABLE, UTM)
    shapes, table, crs = read_vectors(tmp_path / "v.gpkg")
    assert all(a.equals(b) for a, b in zip(shapes, SHAPES, strict=True))
    assert table["object"].tolist() == [1, 2]
    assert table["name"].tolist() == ["a", "b & c"]
    assert table["ratio"].isna().tolist() == [False, True]
    assert table["edge"].astype(bool).tolist() == [True, False]
    assert CRS.from_user_input(crs) == CRS.from_epsg(32616)


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_the_same_bytes_twice(tmp_path: Path, suffix: str) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        write_vectors(tmp_path / name / f"v{suffix}", SHAPES, TABLE, UTM)
    assert (tmp_path / "a" / f"v{suffix}").read_bytes() == (tmp_path / "b" / f"v{suffix}").read_bytes()


def test_geojson_is_longitude_and_latitude(tmp_path: Path) -> None:
    moved = np.array([shapely.box(500_000, 3_000_000, 500_100, 3_000_100)])
    write_vectors(tmp_path / "v.geojson", moved, TABLE[:1], UTM)
    (feature,) = json.loads((tmp_path / "v.geojson").read_text())["features"]
    lon, lat = feature["geometry"]["coordinates"][0][0][0]
    # the central meridian of zone 16 is 87° W
    assert lon == pytest.approx(-87, abs=0.01)
    assert 27 < lat < 27.2


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
@pytest.mark.parametrize("crs", [UTM, None])
def test_nothing_is_a_readable_layer(tmp_path: Path, suffix: str, crs: str | None) -> None:
    write_vectors(tmp_path / f"v{suffix}", np.empty(0, object), TABLE[:0], crs)
    shapes, _, _ = read_vectors(tmp_path / f"v{suffix}")
    assert len(shapes) == 0


def test_what_is_no_vector_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "v.gpkg").write_text("no")
    with pytest.raises(DataError, match="not a GeoPackage"):
        read_vectors(tmp_path / "v.gpkg")
    (tmp_path / "v.gpkg").write_text("{no")
    with pytest.raises(DataError, match="cannot be read"):
        read_vectors(tmp_path / "v.gpkg")
    with pytest.raises(ConfigError):
        read_shapes(tmp_path / "v.gpkg")


@pytest.mark.parametrize(
    "content",
    [
        "<OGRVRTDataSource><OGRVRTLayer name='v'><SrcDataSource>{}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>",
        '{{"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read {}"}}',
    ],
    ids=["VRT", "GDALG"],
)
@pytest.mark.parametrize("name", ["m.gpkg", "m.geojson", "m.shp"])
def test_a_file_that_names_another_is_refused(tmp_path: Path, content: str, name: str) -> None:
    """GDAL itself would open both, and go on to the file or the address they name."""
    write_vectors(tmp_path / "v.gpkg", SHAPES, TABLE, UTM)
    (tmp_path / name).write_text(content.format(tmp_path / "v.gpkg"))
    with pytest.raises(ConfigError, match="not a GeoPackage|names other files"):
        read_shapes(tmp_path / name)


VRT = "<OGRVRTDataSource><OGRVRTLayer name='x'><SrcDataSource>/vsicurl/{}</SrcDataSource></OGRVRTLayer>"
VRT += "</OGRVRTDataSource>"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.gpkg", VRT),
        ("m.geojson", "{{" + VRT),
        ("m.geojson", '{{"type": "FeatureCollection", "features": [], "x": "' + VRT + '"}}'),
        ("m.geojson", '{{"features": [' + " " * 70_000 + "], " + VRT),
        ("m.fgb", "fgb\x03fgb" + VRT),
        ("m.shp", "\0\0\x27\x0a" + VRT),
        ("m.json", '{{"a": 1, "type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read {}"}}'),
    ],
)
def test_a_file_that_begins_as_one_kind_and_is_another_reaches_no_network(
    tmp_path: Path, name: str, content: str
) -> None:
    """Where a file begins with a brace and goes on as a virtual one, GDAL followed it to the address in it."""
    with listening() as listener:
        (tmp_path / name).write_text(content.format(listener.address))
        with pytest.raises(DataError, match="not a GeoPackage|names other files"):
            read_vectors(tmp_path / name)
    assert not listener.calls


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE VIEW v AS SELECT fid, geom, ogr_geocode('x') AS n FROM a",
        "CREATE VIEW v AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x AS fid FROM c",
        "CREATE VIRTUAL TABLE v USING fts4(a)",
    ],
)
@pytest.mark.parametrize("layer", [None, "a", "v"])
def test_a_geopackage_that_computes_is_refused(tmp_path: Path, sql: str, layer: str | None) -> None:
    """A view may have rows without end, and ask the network for them."""
    path = tmp_path / "a.gpkg"
    write_vectors(path, SHAPES, TABLE, "EPSG:4326")
    with closing(sqlite3.connect(path)) as base, base:
        base.execute(sql)
        base.execute("INSERT INTO gpkg_contents(table_name, data_type, srs_id) VALUES('v', 'features', 4326)")
    with pytest.raises(DataError, match="v is a view, whose rows are computed"):
        read_vectors(path, layer)


def collection(*geometries: dict[str, object]) -> str:
    features = [{"type": "Feature", "properties": {}, "geometry": geometry} for geometry in geometries]
    return json.dumps({"type": "FeatureCollection", "features": features})


def test_open_rings_are_closed_and_collections_opened(tmp_path: Path) -> None:
    path, ring = tmp_path / "m.geojson", [[0, 0], [2, 0], [2, 1]]
    inner = {"type": "MultiPolygon", "coordinates": [[[*ring, ring[0]]]]}
    line = {"type": "LineString", "coordinates": [[0, 0], [9, 9]]}
    nested = {"type": "GeometryCollection", "geometries": [line, {"type": "GeometryCollection", "geometries": [inner]}]}
    good = {"type": "Polygon", "coordinates": [[*ring, [0, 1], ring[0]]]}
    path.write_text(collection(good, {"type": "Polygon", "coordinates": [ring]}, nested))
    # A rectangle of 2 × 1, and its half, twice.
    assert [s.area for s in read_shapes(path)[0]] == [2, 1, 1]
    path.write_text(collection(good, {"type": "Polygon", "coordinates": [[[0, 0]]]}, nested))
    with pytest.raises(ConfigError, match=r"feature 2: .* in .*m.geojson"):
        read_shapes(path)


def test_a_part_of_a_shapefile_that_is_a_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    box = shapely.to_wkb(np.array([shapely.box(0, 0, 2, 1)]))
    pyogrio.raw.write(tmp_path / "v.shp", box, [], [], driver="ESRI Shapefile", geometry_type="Polygon", crs=UTM)
    (tmp_path / "v.prj").unlink()
    os.mkfifo(tmp_path / "v.prj")
    with pytest.raises(DataError, match="is a pipe or device"):
        read_vectors(tmp_path / "v.shp")


@pytest.mark.parametrize(("suffix", "driver"), [(".shp", "ESRI Shapefile"), (".fgb", "FlatGeobuf")])
def test_the_other_kinds_are_read(tmp_path: Path, suffix: str, driver: str) -> None:
    box = shapely.to_wkb(np.array([shapely.box(0, 0, 2, 1)]))
    pyogrio.raw.write(tmp_path / f"v{suffix}", box, [], [], driver=driver, geometry_type="Polygon", crs=UTM)
    shapes, _ = read_shapes(tmp_path / f"v{suffix}")
    assert [s.area for s in shapes] == [2]


def test_of_several_layers_the_one_of_polygons_is_meant(tmp_path: Path) -> None:
    path, points = tmp_path / "v.gpkg", shapely.points([[1, 2], [3, 4]])
    layers = [Layer("origins", points, TABLE, UTM, "Point"), Layer("slicks", SHAPES, TABLE, UTM)]
    write_layers(path, layers)
    assert [s.area for s in read_vectors(path)[0]] == [200, 75]  # 10 · 20, and 10 · 5 + 5 · 5
    shapes, table, _ = read_vectors(path, "origins")
    assert shapely.get_coordinates(shapes).tolist() == [[1, 2], [3, 4]]
    assert table["object"].tolist() == [1, 2]
    with pytest.raises(DataError, match=r"has no layer vents, only origins, slicks"):
        read_vectors(path, "vents")
    write_layers(path, [layers[0], Layer("ships", points, TABLE, UTM, "Point")])
    with pytest.raises(ConfigError, match=r"holds no layers of polygons \(origins, ships\)"):
        read_shapes(path)
    write_layers(path, [*layers, Layer("land", SHAPES, TABLE, UTM)])
    with pytest.raises(ConfigError, match=r"holds 2 layers of polygons \(slicks, land\)"):
        read_shapes(path)


def test_layers_with_styles_are_the_same_bytes_twice(tmp_path: Path) -> None:
    points = shapely.points([[1, 2], [3, 4]])
    for name in "ab":
        (tmp_path / name).mkdir()
        layers = [Layer("v", SHAPES, TABLE, UTM, style="<q/>"), Layer("p", points, TABLE, UTM, "Point", "two", "<p/>")]
        write_layers(tmp_path / name / "v.gpkg", layers)
    assert (tmp_path / "a" / "v.gpkg").read_bytes() == (tmp_path / "b" / "v.gpkg").read_bytes()


def test_a_geopackage_keeps_descriptions_and_styles_as_qgis_does(tmp_path: Path) -> None:
    layers = [Layer("v", SHAPES, TABLE, UTM, "MultiPolygon", "Slicks & more", '<qgis a="b"/>')]
    write_layers(tmp_path / "v.gpkg", [*layers, Layer("p", shapely.points([[1, 2]]), TABLE[:1], UTM, "Point")])
    with closing(sqlite3.connect(tmp_path / "v.gpkg")) as base:
        contents = base.execute("SELECT table_name, data_type, description FROM gpkg_contents").fetchall()
        assert contents[:2] == [("v", "features", "Slicks & more"), ("p", "features", "")]
        # How QGIS looks for the style of a layer.
        where = "f_table_schema = '' AND f_table_name = 'v' AND f_geometry_column = 'geom' AND useAsDefault"
        assert base.execute(f"SELECT styleQML FROM layer_styles WHERE {where}").fetchall() == [('<qgis a="b"/>',)]
        assert base.execute("SELECT column_name FROM gpkg_geometry_columns").fetchall() == [("geom",)] * 2


def test_a_geojson_says_what_it_holds(tmp_path: Path) -> None:
    write_layers(tmp_path / "v.geojson", [Layer("v", SHAPES, TABLE, UTM, "MultiPolygon", "Slicks & more")])
    assert json.loads((tmp_path / "v.geojson").read_text())["description"] == "Slicks & more"


def test_polygons_of_a_collection_count(tmp_path: Path) -> None:
    parts = [shapely.Point(0, 0), shapely.MultiPolygon([shapely.box(0, 0, 2, 1), shapely.box(5, 5, 6, 6)])]
    shapes = shapely.to_wkb(np.array([shapely.GeometryCollection(parts), None, shapely.box(0, 0, 3, 1)]))
    pyogrio.raw.write(tmp_path / "v.gpkg", shapes, [], [], driver="GPKG", geometry_type="Unknown", crs=UTM)
    assert [s.area for s in read_shapes(tmp_path / "v.gpkg")[0]] == [2, 1, 3]


def test_an_empty_geopackage_has_all_its_columns(tmp_path: Path) -> None:
    write_vectors(tmp_path / "none.gpkg", np.empty(0, object), TABLE[:0], UTM)
    write_vectors(tmp_path / "some.gpkg", SHAPES, TABLE, UTM)
    none, some = (pyogrio.read_info(tmp_path / f"{name}.gpkg") for name in ("none", "some"))
    assert none["fields"].tolist() == list(TABLE.columns)
    for key in ("fields", "ogr_types", "geometry_type", "crs"):
        assert np.array_equal(none[key], some[key])


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson"])
def test_a_layer_may_have_no_columns(tmp_path: Path, suffix: str) -> None:
    shapes = np.array([shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)])
    write_vectors(tmp_path / f"a{suffix}", shapes, pd.DataFrame(index=range(2)), "EPSG:4326")
    read, table, _ = read_vectors(tmp_path / f"a{suffix}")
    assert len(read) == len(table) == 2


def test_a_ring_of_one_point_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text('{"type": "Polygon", "coordinates": [[[0, 0]]]}')
    with pytest.raises(DataError, match=r"cannot be read \(.*point.*\) in .*a.geojson"):
        read_vectors(path)


def test_pixels_are_no_place_on_earth(tmp_path: Path) -> None:
    write_vectors(tmp_path / "v.gpkg", SHAPES, TABLE, None)
    shapes, _, crs = read_vectors(tmp_path / "v.gpkg")
    assert crs is None
    assert shapes[0].bounds == (0, 0, 10, 20)


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_vectors(tmp_path / "v.gpkg", SHAPES, TABLE, UTM)
    before = (tmp_path / "v.gpkg").read_bytes()

    def full(path: Path, *args: object, **options: object) -> None:
        path.write_bytes(b"half")
        raise RuntimeError("disk I/O error")

    monkeypatch.setattr("pyogrio.raw.write", full)
    with pytest.raises(ResourceError, match="disk I/O error"):
        write_vectors(tmp_path / "v.gpkg", SHAPES, TABLE, UTM)
    assert [p.name for p in tmp_path.iterdir()] == ["v.gpkg"]
    assert (tmp_path / "v.gpkg").read_bytes() == before
