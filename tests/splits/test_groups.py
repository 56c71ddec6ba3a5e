from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from seepseg.classes import SEEP
from seepseg.config import Split
from seepseg.data.catalog import Catalog, Tile
from seepseg.errors import ConfigError
from seepseg.geo.place import place_of
from seepseg.io.raster import Georeference
from seepseg.scenes.blocks import Blocks, blocks_of
from seepseg.splits.groups import inside_blocks
from seepseg.splits.make import make_splits
from seepseg.splits.parts import part, shares
from tests.splits.catalogs import FULL, catalog_of


def test_named_groups_go_where_they_are_named() -> None:
    catalog = catalog_of(dict.fromkeys("abcd", FULL))
    splits = make_splits(catalog, Split(val=["b"], test=["d"]), seed=0)
    assert set(splits.loc[splits.split == "val", "group"]) == {"b"}
    assert set(splits.loc[splits.split == "test", "group"]) == {"d"}
    assert part(splits, "train") == ["a.0", "a.1", "a.2", "c.0", "c.1", "c.2"]


def test_a_name_that_looks_like_a_pattern_is_a_name_first() -> None:
    catalog = catalog_of(dict.fromkeys(("a[1]", "a1", "b"), FULL))
    splits = make_splits(catalog, Split(val=["a[1]"]), seed=0)
    assert set(splits.loc[splits.split == "val", "group"]) == {"a[1]"}
    splits = make_splits(catalog, Split(val=["a?"]), seed=0)
    assert set(splits.loc[splits.split == "val", "group"]) == {"a1"}


def test_a_scene_may_be_named_twice_for_one_part_and_not_for_two() -> None:
    catalog = catalog_of(dict.fromkeys("abc", FULL))
    assert len(part(make_splits(catalog, Split(val=["a", "[ab]"]), seed=0), "train")) == 3  # tiles of c
    with pytest.raises(ConfigError, match="scene 'a' is in two parts"):
        make_splits(catalog, Split(val=["a"], test=["[ab]"]), seed=0)


def test_fractions_by_group_come_near_what_was_asked() -> None:
    catalog = catalog_of({f"s{i}": FULL for i in range(10)})
    count = Counter(make_splits(catalog, Split(val_fraction=0.2, test_fraction=0.1), seed=0)["split"])
    assert count == {"train": 21, "val": 6, "test": 3}  # of 10 scenes with 3 tiles: 7, 2 and 1


def test_a_class_counts_by_its_share_of_itself() -> None:
    # Of background and classes 1 and 7, scene a holds .1, 0 and all, b .4, .44 and 0, c .5, .56 and 0. They are dealt
    # in the order a, c, b: to train, to val, which lacks more of what it should have, and to train. By pixels a would
    # be the last.
    catalog = catalog_of({"a": [{7}], "b": [{1}] * 4, "c": [{1}] * 5})
    splits = make_splits(catalog, Split(val_fraction=1 / 3, allow_missing_classes=True), seed=0)
    assert dict(zip(splits["group"], splits["split"], strict=True)) == {"a": "train", "b": "train", "c": "val"}


def test_one_scene_cannot_be_divided_by_scenes() -> None:
    for split in (Split(), Split(val=["a"])):
        with pytest.raises(ConfigError, match=r"all tiles are of one scene \(a\) in data.split: give more, name"):
            make_splits(catalog_of({"a": FULL}), split, seed=0)


def strip(width: int = 20, step: int = 50) -> Catalog:
    """Windows of 50 pixels side by side in two scenes over the same ground, in blocks of 200 with a margin of 60.

    Four windows lie in each block; those of scene b are half a window to the right.
    """
    split = Split(by="blocks", size=200, margin=60)
    tiles = []
    for name, shift in (("a", 0), ("b", 25)):
        windows = np.array([(0, shift + step * k, 50, 50) for k in range(width)], np.float64)
        tiles += [
            Tile(f"{name}/{k}", Path("x"), Path("m"), name, (0, k), pixels=(100, *[10] * 7), blocks=one)
            for k, one in enumerate(blocks_of(split, place_of(Georeference()), windows))
        ]
    return Catalog(tuple(tiles), SEEP)


@pytest.mark.parametrize("split", [{"val_fraction": 0.4, "test_fraction": 0.2}, {"folds": 4}], ids=str)
def test_no_ground_is_on_two_sides_of_blocks(split: dict[str, Any]) -> None:
    catalog, how = strip(), Split(by="blocks", size=200, margin=60, **split)
    splits = make_splits(catalog, how, 0, 1 if "folds" in split else None)
    assert set(splits["block"]) == {f"0/{k}" for k in range(6)}
    start = {t.id: 50 * int(t.id[2:]) + (25 if t.group == "b" else 0) for t in catalog.tiles}
    spans = {p: [start[i] for i in part(splits, p)] for p in ("train", "val", "test")}
    assert spans["train"]
    assert spans["val"]
    for scored in spans["val"] + spans["test"]:
        # Windows are 50 long, and the margin is 60: between the beginnings of two lie at least 110.
        assert all(abs(scored - trained) >= 110 for trained in spans["train"])
    assert all(abs(a - b) >= 50 for a in spans["val"] for b in spans["test"])
    # What is scored lies in its own blocks, and nothing else of them is left out.
    own = splits.set_index("id").loc[part(splits, "val"), "block"]
    assert {start[i] // 200 for i in part(splits, "val")} == {int(b[2:]) for b in own}
    assert make_splits(catalog, how, 0, 1 if "folds" in split else None).equals(splits)
    table = shares(catalog, splits)
    assert table.loc["val", "blocks"] == own.nunique()
    assert table["tiles"].sum() == 40


def test_blocks_need_a_place_and_more_than_one() -> None:
    catalog = catalog_of({"a": FULL})
    with pytest.raises(ConfigError, match=r"these tiles have no place in data.split.by"):
        make_splits(catalog, Split(by="blocks", size=100), 0)
    with pytest.raises(ConfigError, match=r"all tiles lie in one block of 200 in data.split.size: give less"):
        make_splits(strip(width=3), Split(by="blocks", size=200), 0)
    with pytest.raises(ConfigError, match="9 folds of 6 blocks"):
        make_splits(strip(), Split(by="blocks", size=200, folds=9), 0, 0)
    for wrong in ({"by": "blocks"}, {"size": 3}, {"margin": 3}):
        with pytest.raises(ValidationError, match="by: blocks needs size"):
            Split.model_validate(wrong)


def placed(*blocks: Blocks | None) -> Catalog:
    """A tile of all classes for each, in blocks as given; None has no place."""
    tiles = [
        Tile(f"{k}", Path("x"), Path("m"), "a", (0, k), pixels=(100, *[10] * 7), blocks=b) for k, b in enumerate(blocks)
    ]
    return Catalog(tuple(tiles), SEEP)


def test_who_is_left_out_by_hand() -> None:
    # Blocks A and B side by side. 0 is in A, and its margin too; 1 is in A, and its margin reaches B; 2 reaches from A
    # into B itself; 3 is in B, and its margin reaches A.
    catalog = placed(
        Blocks("A", ("A",), ("A",)),
        Blocks("A", ("A",), ("A", "B")),
        Blocks("A", ("A", "B"), ("A", "B")),
        Blocks("B", ("B",), ("A", "B")),
    )
    a_trains, b_trains = np.array(["train", "train", "train", "val"]), np.array(["val", "val", "val", "train"])
    assert inside_blocks(catalog, a_trains).tolist() == ["train", "unused", "unused", "val"]
    # What validates may come as near as it likes, but not into the other block.
    assert inside_blocks(catalog, b_trains).tolist() == ["val", "val", "unused", "unused"]
    # C, in which no tile has its middle, goes with the first that reaches into it.
    catalog = placed(Blocks("A", ("A", "C"), ("A", "C")), Blocks("B", ("B", "C"), ("B", "C")))
    assert inside_blocks(catalog, np.array(["val", "train"])).tolist() == ["val", "unused"]
    assert inside_blocks(catalog, np.array(["train", "val"])).tolist() == ["train", "unused"]


def test_tiles_without_a_place_are_in_no_fold() -> None:
    catalog = placed(*(Blocks(name, (name,), (name,)) for name in "AABB"), None)
    splits = make_splits(catalog, Split(by="blocks", size=200, folds=2), 0, 0)
    assert splits["block"].tolist() == ["A", "A", "B", "B", ""]
    assert splits["fold"].tolist()[4] == -1
    assert splits["fold"].dtype == int
    assert sorted(splits["fold"].tolist()[:4:2]) == [0, 1]
    assert splits["split"].tolist()[4] == "unused"
    splits = make_splits(catalog, Split(by="blocks", size=200, val_fraction=0.5), 0)
    assert "fold" not in splits
    assert splits["split"].tolist()[4] == "unused"
    assert "block" not in make_splits(catalog_of({"a": FULL, "b": FULL}), Split(val_fraction=0.5), 0)
