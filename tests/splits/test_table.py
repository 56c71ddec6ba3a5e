from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seepseg.classes import SEEP
from seepseg.config import Split
from seepseg.data.catalog import Catalog, Tile
from seepseg.errors import ConfigError, DataError
from seepseg.splits.make import make_splits
from tests.splits.catalogs import FULL, catalog_of


def write(path: Path, rows: str, column: str = "split") -> Path:
    path.write_text(f"id,{column}\n" + rows)
    return path


def test_split_file_is_obeyed_and_checked(tmp_path: Path) -> None:
    catalog = catalog_of({"a": FULL[:1], "b": FULL[:1], "c": FULL[:2]})
    good = write(tmp_path / "good.csv", "a.0,train\nb.0,val\nc.0,test\nc.1,test\n")
    assert make_splits(catalog, Split(by="file", file=good), 0)["split"].tolist() == ["train", "val", "test", "test"]
    for rows, message in (
        ("a.0,train\nb.0,val\nc.0,train\nc.1,val\n", r"scenes on two sides of the split \(c\)"),
        ("a.0,train\nb.0,val\nc.0,test\n", r"1 tiles have no row \(c.1\)"),
        ("a.0,train\na.0,val\nb.0,val\nc.0,test\nc.1,test\n", r"1 ids are repeated \(a.0\)"),
        ("a.0,trian\nb.0,val\nc.0,test\nc.1,test\n", "unknown split 'trian'"),
    ):
        with pytest.raises(DataError, match=message):
            make_splits(catalog, Split(by="file", file=write(tmp_path / "bad.csv", rows)), 0)


def test_unused_tiles_of_a_scene_are_on_no_side_of_the_split(tmp_path: Path) -> None:
    file = write(tmp_path / "s.csv", "a.0,train\na.1,unused\na.2,train\nb.0,val\nb.1,val\nb.2,unused\n")
    splits = make_splits(catalog_of({"a": FULL, "b": FULL}), Split(by="file", file=file), 0)
    assert splits["split"].tolist() == ["train", "unused", "train", "val", "val", "unused"]


def test_a_tile_may_be_called_na(tmp_path: Path) -> None:
    full = (100, *[10] * 7)
    catalog = Catalog(tuple(Tile(i, Path("x"), Path("m"), i, pixels=full) for i in ("NA", "b")), SEEP)
    file = write(tmp_path / "s.csv", "NA,train\nb,val\n")
    assert make_splits(catalog, Split(by="file", file=file), 0)["split"].tolist() == ["train", "val"]
    with pytest.raises(DataError, match="unknown split ''"):
        make_splits(catalog, Split(by="file", file=write(tmp_path / "empty.csv", "NA,\nb,val\n")), 0)
    with pytest.raises(DataError, match="row 2 has 1 cells, the header 2"):
        make_splits(catalog, Split(by="file", file=write(tmp_path / "short.csv", "NA\nb,val\n")), 0)


def test_folds_of_a_file_are_obeyed_and_checked(tmp_path: Path) -> None:
    catalog = catalog_of({"a": FULL[:1], "b": FULL[:1], "c": FULL[:2]})
    good = write(tmp_path / "good.csv", "a.0,1\nb.0,0\nc.0,2\nc.1,2\n", "fold")
    splits = make_splits(catalog, Split(by="file", file=good, folds=3, allow_missing_classes=True), 0, fold=1)
    assert splits["fold"].tolist() == [1, 0, 2, 2]
    assert splits["split"].tolist() == ["val", "train", "train", "train"]
    for rows, message in (
        ("a.0,1\nb.0,0\nc.0,0\nc.1,2\n", r"scenes on two sides of the split \(c\)"),
        ("a.0,1\nb.0,0\nc.0,3\nc.1,3\n", "fold '3' of 3 in .*: give 0 to 2, or set data.split.folds"),
        ("a.0,1\nb.0,0\nc.0,2\nc.1,2\nd.0,2\n", r"1 rows have no tile \(d.0\)"),
    ):
        bad = write(tmp_path / "bad.csv", rows, "fold")
        with pytest.raises(DataError, match=message):
            make_splits(catalog, Split(by="file", file=bad, folds=3), 0, fold=1)
    with pytest.raises(ConfigError, match=r"no such split file .*none.csv: set .* to a CSV of id and fold"):
        make_splits(catalog, Split(by="file", file=tmp_path / "none.csv", folds=3), 0, fold=1)


def test_parts_and_folds_of_the_data_sets_own_table() -> None:
    def catalog(parts: str, folds: list[int | None]) -> Catalog:
        own = zip(catalog_of({"a": FULL, "b": FULL[:1]}).tiles, parts.split(), folds, strict=True)
        return Catalog(tuple(replace(t, part="" if part == "-" else part, fold=fold) for t, part, fold in own), SEEP)

    told = catalog("val val unused train", [1, 1, 1, 0])
    splits = make_splits(told, Split(by="file", allow_missing_classes=True), 0)
    assert splits["split"].tolist() == ["val", "val", "unused", "train"]
    splits = make_splits(told, Split(by="file", folds=2, allow_missing_classes=True), 0, fold=0)
    assert splits["split"].tolist() == ["train", "train", "train", "val"]
    with pytest.raises(DataError, match=r"2 tiles have no split \(a.1, b.0\) in data.table: fill the column split"):
        make_splits(catalog("train - val -", [0] * 4), Split(by="file"), 0)
    with pytest.raises(DataError, match=r"1 tiles have no fold \(a.2\)"):
        make_splits(catalog("train train val val", [0, 0, None, 1]), Split(by="file", folds=2), 0, fold=0)
    allowed = Split(by="file", allow_leak=True, allow_missing_classes=True)
    assert make_splits(catalog("train val val val", [0] * 4), allowed, 0)["split"].tolist()[0] == "train"
