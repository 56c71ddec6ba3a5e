"""The scan: what is counted, by whichever process, and what of it is remembered."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from seepseg.config import Scaling, SeepData, TilesData
from seepseg.data import scan
from seepseg.data.catalog import Catalog
from seepseg.data.scan import Facts, with_counts, with_doubts
from seepseg.data.source import Source, source_of
from seepseg.errors import DataError

Scan = Callable[[], tuple[Catalog, int]]


def tree(root: Path, number: int = 4) -> SeepData:
    """Tiles of 2 × 2 pixels; tile k has k mod 4 pixels of class 1."""
    for folder in ("train_images_256", "train_masks_256"):
        (root / folder).mkdir(parents=True)
    for k in range(number):
        mask = (np.arange(4) < k % 4).astype(np.uint8).reshape(2, 2)
        write(root / "train_images_256" / f"000001.{k:06d}.tif", np.full((2, 2), 7, np.uint16))
        write(root / "train_masks_256" / f"000001.{k:06d}.tif", mask)
    return SeepData(root=root)


def write(path: Path, pixels: np.ndarray) -> None:
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata=None)


@pytest.fixture
def counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scan:
    """Scans a tree of four tiles, and says how many of them were read."""
    monkeypatch.setenv("SEEPSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(scan, "KEPT_FROM", 1)
    monkeypatch.setattr(scan, "SETTLED", -1.0)
    read: list[str] = []
    original = scan._facts

    def noted(tile: scan.Tile, source: Source) -> Facts:
        read.append(tile.id)
        return original(tile, source)

    monkeypatch.setattr(scan, "_facts", noted)
    data = tree(tmp_path / "data")

    def scanned(chosen: SeepData | TilesData = data) -> tuple[Catalog, int]:
        before = len(read)
        return with_counts(source_of(chosen), source_of(chosen).catalog()), len(read) - before

    return scanned


def foreground(catalog: Catalog) -> list[int]:
    return [t.pixels[1] for t in catalog.tiles if t.pixels]


def test_processes_count_as_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = source_of(tree(tmp_path, 7))
    alone = with_counts(source, source.catalog())
    monkeypatch.setattr(scan, "PARALLEL_FROM", 1)
    monkeypatch.setattr(scan, "BLOCK", 3)
    monkeypatch.setattr(scan, "_workers", lambda: 2)
    told: list[tuple[int, int]] = []
    assert with_counts(source, source.catalog(), lambda done, of: told.append((done, of))) == alone
    assert foreground(alone) == [0, 1, 2, 3, 0, 1, 2]
    assert told[-1] == (7, 7)  # blocks of 3, 3 and 1
    assert len(told) == 3
    write(tmp_path / "train_masks_256" / "000001.000004.tif", np.full((2, 2), 9, np.uint8))
    with pytest.raises(DataError, match=r"unknown label value 9 \(4 pixels\)"):
        with_counts(source, source.catalog())


def test_unchanged_tiles_are_not_read_again(counted: Scan) -> None:
    first, read = counted()
    assert read == 4
    again, read = counted()
    assert read == 0
    assert again == first


@pytest.mark.parametrize("beside", ["", ".msk", ".aux.xml"])
def test_a_changed_file_is_read_again(counted: Scan, tmp_path: Path, beside: str) -> None:
    counted()
    mask = tmp_path / "data" / "train_masks_256" / "000001.000000.tif"
    if beside == ".aux.xml":
        mask.with_name(mask.name + beside).write_text("<PAMDataset/>")
    else:
        write(mask.with_name(mask.name + beside), np.ones((2, 2), np.uint8))
    catalog, read = counted()
    assert read == 1
    assert foreground(catalog)[0] == (0 if beside else 4)


@pytest.mark.parametrize(("layer", "beside"), [("a.shp", "a.dbf"), ("a.gpkg", "a.gpkg-wal")])
def test_a_layer_is_in_several_files(tmp_path: Path, layer: str, beside: str) -> None:
    (tmp_path / layer).write_text("")
    before = scan._states(str(tmp_path))[layer]
    (tmp_path / beside).write_text("")
    assert scan._states(str(tmp_path))[layer] != before


def test_a_change_that_leaves_size_and_time_is_seen(counted: Scan, tmp_path: Path) -> None:
    mask = tmp_path / "data" / "train_masks_256" / "000001.000000.tif"
    counted()
    before = mask.stat()
    write(mask, np.ones((2, 2), np.uint8))
    os.utime(mask, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert mask.stat().st_size == before.st_size
    assert foreground(counted()[0])[0] == 4


def test_what_was_just_written_is_not_relied_on(counted: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "SETTLED", 3600.0)
    assert [counted()[1], counted()[1]] == [4, 4]


def test_other_classes_are_counted_anew(counted: Callable[[SeepData], tuple[Catalog, int]], tmp_path: Path) -> None:
    data = SeepData(root=tmp_path / "data")
    assert counted(data)[1] == 4
    assert counted(data.model_copy(update={"classes": "seep_binary"}))[1] == 4
    assert counted(data.model_copy(update={"nodata": 7.0}))[0].pixels().sum() == 0  # every image is 7 all over
    assert counted(data)[1] == 0


def test_a_part_of_the_tiles_leaves_the_others_known(counted: Scan, tmp_path: Path) -> None:
    counted()
    source = source_of(SeepData(root=tmp_path / "data"))
    write(tmp_path / "data" / "train_masks_256" / "000001.000003.tif", np.zeros((2, 2), np.uint8))
    part = with_counts(source, source.catalog().subset(["000001.000003"]))
    assert foreground(part) == [0]
    assert counted()[1] == 0


@pytest.mark.parametrize("damage", [b"", b"x" * 100, None])
def test_a_damaged_cache_is_as_if_it_were_not_there(counted: Scan, tmp_path: Path, damage: bytes | None) -> None:
    first, _ = counted()
    (cache,) = (tmp_path / "cache" / "scans").iterdir()
    content = bytearray(cache.read_bytes())
    content[-20] ^= 1
    cache.write_bytes(content if damage is None else damage)
    again, read = counted()
    assert (again, read) == (first, 4)
    assert counted()[1] == 0


def test_a_cache_that_cannot_be_written_is_no_error(counted: Scan, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    assert [counted()[1], counted()[1]] == [4, 4]


def test_what_was_read_before_an_error_is_known(counted: Scan, tmp_path: Path) -> None:
    mask = tmp_path / "data" / "train_masks_256" / "000001.000003.tif"
    write(mask, np.full((2, 2), 9, np.uint8))
    with pytest.raises(DataError, match="unknown label"):
        counted()
    write(mask, np.ones((2, 2), np.uint8))
    assert counted()[1] == 1


def test_the_scale_is_doubted_apart_from_the_count(tmp_path: Path) -> None:
    data = tree(tmp_path)  # every image is 7 all over
    for kind, doubted in (("db", True), ("linear", False), ("dn", False)):
        source = source_of(data.model_copy(update={"scaling": Scaling(kind=kind)}))
        counted = with_counts(source, source.catalog())
        more = with_doubts(source, counted).warnings[len(counted.warnings) :]
        assert counted.warnings == source.catalog().warnings
        assert [line.partition(",")[0] for line in more] == ["100% of band 1"] * doubted
    nothing = counted.subset([])
    assert with_doubts(source, nothing) is nothing
