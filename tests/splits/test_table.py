from __future__ import annotations

from pathlib import Path

import pytest

from seepseg.classes import SEEP
from seepseg.config import Split
from seepseg.data.catalog import Catalog, Tile
from seepseg.errors import DataError
from seepseg.splits.make import make_splits
from tests.splits.catalogs import FULL, catalog_of


def write(path: Path, rows: str) -> Path:
    path.write_text("id,split\n" + rows)
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
