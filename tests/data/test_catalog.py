from __future__ import annotations

from pathlib import Path

import pytest

from seepseg.classes import SEEP_BINARY
from seepseg.data.catalog import Catalog, Tile, unique_names
from seepseg.errors import DataError, listed

CATALOG = Catalog(
    (
        Tile("a.0", Path("a.0.tif"), Path("m"), "a", pixels=(10, 6)),
        Tile("b.0", Path("b.0.tif"), None, "b"),
        Tile("b.1", Path("b.1.tif"), Path("m"), "b", pixels=(16, 0)),
    ),
    SEEP_BINARY,
)


def test_a_catalog_counts_and_groups() -> None:
    assert len(CATALOG) == 3
    assert CATALOG.groups() == ("a", "b")
    # An unlabelled tile has no pixel of any class.
    assert CATALOG.pixels().tolist() == [[10, 6], [0, 0], [16, 0]]
    assert Catalog((), SEEP_BINARY).pixels().shape == (0, 2)


def test_a_subset_keeps_the_order_of_the_catalog() -> None:
    assert [t.id for t in CATALOG.subset(["b.1", "a.0", "z"]).tiles] == ["a.0", "b.1"]


def test_a_tile_is_labelled_by_a_mask_or_by_runs() -> None:
    assert [t.labelled for t in CATALOG.tiles] == [True, False, True]
    # No runs are an empty mask, which is known truth.
    assert Tile("x", Path("x"), rle="").labelled


def test_stems_are_unique() -> None:
    files = [Path("d/b.tif"), Path("d/a.tif")]
    assert unique_names(((p.stem, p) for p in files), "images") == {"a": Path("d/a.tif"), "b": Path("d/b.tif")}
    with pytest.raises(DataError) as caught:
        unique_names(((p.stem, p) for p in [*files, Path("d/a.tiff")]), "images")
    assert str(caught.value) == "two images are named 'a' (a.tif, a.tiff) in d: rename or remove one"


def test_twenty_names_are_listed_and_the_rest_counted() -> None:
    assert listed(["x"]) == "x"
    assert listed([str(i) for i in range(20)]).endswith(", 18, 19")
    assert listed([str(i) for i in range(23)]).endswith(", 18, 19 and 3 more")


def test_coverage_is_a_share_and_its_class_tenths_rounded_up() -> None:
    # 0 of 100, 1, 10, 11 and 100 %; and 3060 of 10200, which is .3 exactly but not in binary
    pixels = [(100, 0), (99, 1), (90, 10), (89, 11), (0, 100), (7140, 3060)]
    tiles = [Tile("x", Path("x"), Path("m"), pixels=p) for p in pixels]
    assert [t.coverage for t in tiles] == [0, 0.01, 0.1, 0.11, 1, 0.3]
    assert [t.coverage_class for t in tiles] == [0, 1, 1, 2, 10, 3]
    # Several classes count together; not counted, and nothing valid, is not known.
    assert Tile("x", Path("x"), pixels=(5, 3, 2)).coverage == 0.5
    unknown = [Tile("x", Path("x")), Tile("x", Path("x"), pixels=(0, 0))]
    assert [(t.coverage, t.coverage_class) for t in unknown] == [(None, None)] * 2


def test_flags_are_counted() -> None:
    flags = ["", "vertical", "constant", "vertical"]
    catalog = Catalog(tuple(Tile(str(i), Path("x"), flag=f) for i, f in enumerate(flags)), SEEP_BINARY)
    assert catalog.flagged() == {"constant": 1, "vertical": 2}
    assert CATALOG.flagged() == {}
