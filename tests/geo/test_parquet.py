from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely
from pyproj import CRS

from seepseg.errors import ConfigError, DataError
from seepseg.geo.parquet import check_parquet
from seepseg.geo.vector import FORMATS, Layer, read_polygons, read_shapes, read_vectors, write_layers

UTM = CRS.from_epsg(32616).to_wkt()


def squares(n: int = 30) -> tuple[np.ndarray[Any, Any], pd.DataFrame]:
    """Squares of 3 × 3 in rows of seven, 10 apart, in the order of their objects."""
    shapes = np.array([shapely.box(x, y, x + 3, y + 3) for x, y in ((k % 7 * 10, k // 7 * 10) for k in range(n))])
    table = pd.DataFrame({
        "object": np.arange(n) // 2,
        "class": 1 + np.arange(n) % 2,
        "grade": pd.Series([None, "A", np.nan] * 10, dtype=object),
        "area_m2": [9.0, np.nan, 8.5] * 10,
        "edge": [True, False] * 15,
        "acquired": pd.Series(["2021-04-01T05:26:23.794Z", None] * 15, dtype="datetime64[ms, UTC]"),
        "orbit": pd.Series([1, None] * 15, dtype="Int64"),
        "product": pd.Series([None] * n, dtype="str"),
    })  # fmt: skip
    return shapes, table


@pytest.mark.parametrize("crs", [UTM, None])
def test_every_format_holds_the_same(tmp_path: Path, crs: str | None) -> None:
    shapes, table = squares()
    read = {}
    for suffix in (".gpkg", ".fgb", ".parquet"):
        write_layers(tmp_path / f"v{suffix}", [Layer("v", shapes, table, crs)])
        read[suffix] = read_polygons(tmp_path / f"v{suffix}")
    for suffix, (found, columns, system) in read.items():
        assert shapely.equals(found, shapes).all(), suffix
        assert list(columns) == list(table)
        assert columns["object"].tolist() == table["object"].tolist()
        assert columns["grade"].isna().tolist() == [True, False, True] * 10
        assert columns["area_m2"].tolist()[2::3] == [8.5] * 10
        assert columns["edge"].astype(bool).tolist() == [True, False] * 15
        assert pd.Timestamp(columns["acquired"][0]) == pd.Timestamp("2021-04-01T05:26:23.794")
        assert columns["orbit"].isna().tolist() == columns["acquired"].isna().tolist() == [False, True] * 15
        assert columns["product"].isna().all()
        assert system is None if crs is None else CRS.from_user_input(system) == CRS.from_epsg(32616)
    # It is the index that changes the order.
    assert read_vectors(tmp_path / "v.fgb")[1]["object"].tolist() != table["object"].tolist()


def test_what_is_read_of_a_parquet_file_is_what_is_asked_for(tmp_path: Path) -> None:
    shapes, table = squares()
    path = tmp_path / "v.parquet"
    write_layers(path, [Layer("v", shapes, table, UTM)])
    found, columns, _ = read_vectors(path, box=(0, 0, 11, 2), times_as_text=True)
    assert [s.bounds[:2] for s in found] == [(0, 0), (10, 0)]
    assert columns["acquired"].tolist()[:1] == ["2021-04-01T05:26:23.794000Z"]
    assert len(read_shapes(path)[0]) == 30
    with pytest.raises(DataError, match="has no layer origins"):
        read_vectors(path, "origins")


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_layer_may_hold_nothing_or_an_empty_shape(tmp_path: Path, suffix: str) -> None:
    shapes, table = squares()
    write_layers(tmp_path / f"v{suffix}", [Layer("v", shapes[:0], table[:0], None)])
    assert len(read_vectors(tmp_path / f"v{suffix}")[0]) == 0
    shapes[1] = shapely.Polygon()
    write_layers(tmp_path / f"e{suffix}", [Layer("e", shapes[:3], table[:3], None)])
    assert [bool(s) and not s.is_empty for s in read_vectors(tmp_path / f"e{suffix}")[0]] == [True, False, True]


@pytest.mark.parametrize("suffix", [".fgb", ".parquet"])
def test_the_same_bytes_twice_and_nothing_beside(tmp_path: Path, suffix: str) -> None:
    shapes, table = squares()
    for name in "ab":
        (tmp_path / name).mkdir()
        write_layers(tmp_path / name / f"v{suffix}", [Layer("v", shapes, table, UTM, description="said")])
        assert [p.name for p in (tmp_path / name).iterdir()] == [f"v{suffix}"]
    assert (tmp_path / "a" / f"v{suffix}").read_bytes() == (tmp_path / "b" / f"v{suffix}").read_bytes()


@pytest.mark.parametrize("content", [b"PAR1", b"PAR1" + bytes(40) + b"PAR1"])
def test_what_is_damaged_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.parquet").write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        read_vectors(tmp_path / "v.parquet")


@pytest.mark.parametrize(
    ("key", "value"), [("crs", {"type": "GeographicCRS"}), ("encoding", "none"), ("geometry_types", 3)]
)
def test_a_description_of_shapes_that_makes_no_sense_is_told(tmp_path: Path, key: str, value: object) -> None:
    import pyarrow.parquet

    shapes, table = squares()
    write_layers(tmp_path / "v.parquet", [Layer("v", shapes, table, UTM)])
    content = pyarrow.parquet.read_table(tmp_path / "v.parquet")
    geo = json.loads(content.schema.metadata[b"geo"])
    geo["columns"]["geometry"][key] = value
    said = content.replace_schema_metadata({b"geo": json.dumps(geo).encode()})
    pyarrow.parquet.write_table(said, tmp_path / "w.parquet")
    if key == "geometry_types":  # nobody needs them
        assert len(read_vectors(tmp_path / "w.parquet")[0]) == 30
        return
    with pytest.raises(DataError, match="is damaged"):
        read_vectors(tmp_path / "w.parquet")


def test_a_table_without_shapes_is_told(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "v.parquet")
    with pytest.raises(DataError, match="is damaged"):
        read_vectors(tmp_path / "v.parquet")


def test_without_geopandas_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "geopandas":
            raise ImportError(name)
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"not installed in --vectors parquet: pip install 'seepseg\[geo\]'"):
        check_parquet("--vectors parquet")


def test_text_that_is_not_utf_8_is_one_line(tmp_path: Path) -> None:
    path, (shapes, table) = tmp_path / "v.parquet", squares()
    write_layers(path, [Layer("v", shapes, table.assign(grade="slick"), UTM)])
    assert b"slick" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b"slick", b"sl\xffck"))
    with pytest.raises(DataError, match="is damaged"):
        read_vectors(path)
