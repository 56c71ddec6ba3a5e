from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seepseg.classes import SALT, SEEP
from seepseg.config import Split
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.splits import make_splits, part, shares, strata
from seepseg.errors import ConfigError, DataError
from seepseg.geo.place import place_of
from seepseg.io.raster import Georeference
from seepseg.scenes.blocks import blocks_of


def catalog_of(scenes: dict[str, list[set[int]]]) -> Catalog:
    """Scenes of tiles, each tile given by the classes it holds (10 pixels each)."""
    tiles = [
        Tile(
            f"{s}.{i}", Path("x"), Path("m"), s, i, pixels=tuple(100 if k == 0 else 10 * (k in held) for k in range(8))
        )
        for s, many in scenes.items()
        for i, held in enumerate(many)
    ]
    return Catalog(tuple(tiles), SEEP)


FULL = [{1, 2, 3, 4, 5, 6, 7}, {1}, {2, 6}]


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


@given(n=st.integers(3, 12), val=st.floats(0.1, 0.4), test=st.floats(0, 0.3))
def test_no_group_is_on_two_sides_and_every_tile_has_one(n: int, val: float, test: float) -> None:
    catalog = catalog_of({f"s{i}": FULL for i in range(n)})
    splits = make_splits(catalog, Split(val_fraction=val, test_fraction=test), seed=0)
    assert (splits.groupby("group")["split"].nunique() == 1).all()
    assert len(splits) == len(catalog)


def test_fractions_by_group_come_near_what_was_asked() -> None:
    catalog = catalog_of({f"s{i}": FULL for i in range(10)})
    count = Counter(make_splits(catalog, Split(val_fraction=0.2, test_fraction=0.1), seed=0)["split"])
    assert count == {"train": 21, "val": 6, "test": 3}  # of 10 scenes with 3 tiles: 7, 2 and 1


def test_random_fractions_are_exact_and_repeatable() -> None:
    catalog = catalog_of({f"s{i}": FULL for i in range(10)})
    split = Split(by="random", val_fraction=0.2, test_fraction=0.1)
    first, second, other = (make_splits(catalog, split, seed=s)["split"].tolist() for s in (0, 0, 1))
    assert Counter(first) == {"train": 21, "val": 6, "test": 3}
    assert first == second
    assert first != other


def test_every_fold_holds_out_other_scenes() -> None:
    catalog = catalog_of({f"s{i}": FULL for i in range(6)})
    held = []
    for k in range(3):
        splits = make_splits(catalog, Split(folds=3), seed=0, fold=k)
        held += sorted(set(splits.loc[splits.split == "val", "group"]))
        assert (splits.loc[splits.split == "val", "fold"] == k).all()
    assert sorted(held) == [f"s{i}" for i in range(6)]


def test_a_class_only_in_validation_is_refused_with_the_way_out() -> None:
    catalog = catalog_of({"a": [{1, 2, 3, 4, 5, 6}], "b": [{7}]})
    with pytest.raises(ConfigError, match="no training tile holds seep 7 in data.split: choose other scenes"):
        make_splits(catalog, Split(val=["b"]), seed=0)
    splits = make_splits(catalog, Split(val=["b"], allow_missing_classes=True), seed=0)
    assert part(splits, "train") == ["a.0"]


def test_unknown_group_and_missing_fold_are_named() -> None:
    catalog = catalog_of(dict.fromkeys("ab", FULL))
    with pytest.raises(ConfigError, match="scene 'z' is not in the data in data.split.val: the scenes are a, b"):
        make_splits(catalog, Split(val=["z"]), seed=0)
    with pytest.raises(ConfigError, match="fold 5 of 2"):
        make_splits(catalog, Split(folds=2), seed=0, fold=5)
    with pytest.raises(ConfigError, match="2 folds, and none is chosen"):
        make_splits(catalog, Split(folds=2), seed=0)
    with pytest.raises(ConfigError, match="a fold is asked for, but the config has none"):
        make_splits(catalog, Split(), seed=0, fold=0)
    with pytest.raises(ConfigError, match="3 folds of 2 scenes"):
        make_splits(catalog, Split(folds=3), seed=0, fold=0)
    # Three scenes, but each class is the rarest of one tile alone.
    with pytest.raises(ConfigError, match="3 folds, but no class is the rarest of so many tiles"):
        make_splits(catalog_of({"a": [{1}], "b": [{2}], "c": [{3}]}), Split(folds=3), seed=0, fold=0)


def test_every_fold_is_checked_whichever_is_asked_for() -> None:
    # Seep 7 lies in one scene, so the fold that holds it out cannot learn it.
    catalog = catalog_of({"a": [{1, 2, 3, 4, 5, 6, 7}], "b": [{1, 2, 3, 4, 5, 6}] * 2, "c": [{1, 2, 3, 4, 5, 6}]})
    for k in range(3):
        with pytest.raises(ConfigError, match=r"no training tile holds seep 7 in fold \d: choose other scenes"):
            make_splits(catalog, Split(folds=3), seed=0, fold=k)
    splits = make_splits(catalog, Split(folds=3, allow_missing_classes=True), seed=0, fold=1)
    assert (splits.split == "val").tolist() == (splits.fold == 1).tolist()


def test_empty_parts_are_refused() -> None:
    with pytest.raises(ConfigError, match="the val part is empty"):
        make_splits(catalog_of({"a": FULL, "b": FULL}), Split(val_fraction=0.0), seed=0)


def test_one_scene_cannot_be_divided_by_scenes() -> None:
    for split in (Split(), Split(val=["a"])):
        with pytest.raises(ConfigError, match=r"all tiles are of one scene \(a\) in data.split: give more, name"):
            make_splits(catalog_of({"a": FULL}), split, seed=0)


def test_background_is_a_class_that_must_be_learned() -> None:
    catalog = catalog_of(dict.fromkeys("ab", FULL))
    painted = replace(catalog, tiles=tuple(replace(t, pixels=(0, *t.pixels[1:])) for t in catalog.tiles if t.pixels))
    with pytest.raises(ConfigError, match="no training tile holds background in data.split"):
        make_splits(painted, Split(), seed=0)


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


def test_the_splits_of_a_run_can_be_the_file_of_another(tmp_path: Path) -> None:
    catalog = salt_catalog(40)
    tiles = tuple(replace(t, flag="vertical") if i % 4 == 0 else t for i, t in enumerate(catalog.tiles))
    first = make_splits(replace(catalog, tiles=tiles, train_flagged=False), Split(by="random"), seed=0)
    assert "unused" in set(first["split"])
    first.to_csv(tmp_path / "splits.csv", index=False)
    again = make_splits(catalog, Split(by="file", file=tmp_path / "splits.csv"), seed=0)
    assert again["split"].tolist() == first["split"].tolist()


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


def test_strata_are_the_rarest_class_or_the_coverage() -> None:
    # Class 7 is in one tile, class 1 in three: the rarest class of {1, 7} is 7.
    seeps = catalog_of({"a": [{1, 7}, {1}, {1}, set()]})
    assert strata(seeps).tolist() == [7, 1, 1, 0]
    salt = Catalog(
        tuple(
            Tile(str(i), Path("x"), Path("m"), str(i), pixels=(100 - c, c)) for i, c in enumerate((0, 1, 10, 11, 100))
        ),
        SALT,
    )
    # Coverage 0, 1, 10, 11, 100 % in tenths, rounded up.
    assert strata(salt).tolist() == [0, 1, 1, 2, 10]


def salt_catalog(n: int = 400, seed: int = 0) -> Catalog:
    """Salt tiles of 100 pixels: two in five empty, the others of any coverage, at any depth."""
    rng = np.random.default_rng(seed)
    salt = np.where(rng.random(n) < 0.4, 0, rng.integers(1, 101, n))
    depths = rng.integers(50, 960, n)
    return Catalog(
        tuple(
            Tile(f"{i:04d}", Path("x"), Path("m"), f"{i:04d}", depth=float(z), pixels=(100 - c, c))
            for i, (c, z) in enumerate(zip(salt.tolist(), depths.tolist(), strict=True))
        ),
        SALT,
    )


def test_folds_of_loose_tiles_are_alike_in_coverage_and_depth() -> None:
    catalog = salt_catalog()
    split = Split(by="random", folds=5)
    table = make_splits(catalog, split, seed=0, fold=2)
    assert Counter(table["fold"]) == dict.fromkeys(range(5), 80)
    assert (table["split"].eq("val") == table["fold"].eq(2)).all()
    depth = np.array([t.depth for t in catalog.tiles])
    for stratum in range(11):
        inside = strata(catalog) == stratum
        counts = np.bincount(table["fold"][inside], minlength=5)
        # Blocks of five hold a tile of every fold; only the two at the ends of a stratum are shared with others.
        assert np.ptp(counts) <= 2
    empty = strata(catalog) == 0
    means = [depth[empty & (table["fold"] == k)].mean() for k in range(5)]
    # Drawn at random, five means of some 30 depths with a spread of 260 would lie over a hundred apart.
    assert np.ptp(means) < 30


def test_a_drawn_fifth_is_alike_too_and_the_seed_decides_which() -> None:
    catalog = salt_catalog()
    split = Split(by="random", val_fraction=0.2)
    first, again, other = (make_splits(catalog, split, seed)["split"] for seed in (0, 0, 1))
    assert Counter(first) == {"train": 320, "val": 80}
    assert first.equals(again)
    assert not first.equals(other)
    for stratum in range(11):
        inside = strata(catalog) == stratum
        assert abs((first[inside] == "val").sum() - 0.2 * inside.sum()) <= 2


@given(n=st.integers(10, 60), val=st.floats(0.1, 0.4), test=st.floats(0, 0.3), seed=st.integers(0, 9))
def test_drawn_parts_have_the_size_that_was_asked(n: int, val: float, test: float, seed: int) -> None:
    split = Split(by="random", val_fraction=val, test_fraction=test, allow_missing_classes=True)
    count = Counter(make_splits(salt_catalog(n), split, seed)["split"])
    assert (count["val"], count["test"]) == (round(n * val), round(n * test))
    assert sum(count.values()) == n


@pytest.mark.parametrize("split", [Split(by="random", folds=4), Split(by="random", val_fraction=0.25)], ids=str)
def test_flagged_tiles_leave_training_and_nothing_else(split: Split) -> None:
    catalog = salt_catalog()
    tiles = tuple(replace(t, flag="vertical") if i % 10 == 0 else t for i, t in enumerate(catalog.tiles))
    kept = replace(catalog, tiles=tiles)
    dropped = replace(kept, train_flagged=False)
    fold = 1 if split.folds else None
    before, after = (make_splits(c, split, 0, fold)["split"] for c in (kept, dropped))
    assert "unused" not in set(before)
    flagged = np.arange(400) % 10 == 0
    assert (after[flagged & (before == "train")] == "unused").all()
    assert after[~flagged | (before == "val")].equals(before[~flagged | (before == "val")])
    table = shares(dropped, make_splits(dropped, split, 0, fold))
    assert table.index.tolist() == ["train", "val", "unused"]
    assert table["tiles"].sum() == 400


def test_shares_count_tiles_groups_and_pixels() -> None:
    catalog = catalog_of({"a": [{1}, {1}], "b": [{1, 2}], "c": [{1, 2, 3, 4, 5, 6, 7}]})
    splits = make_splits(catalog, Split(val=["b"], allow_missing_classes=True), 0)
    table = shares(catalog, splits)
    assert table.loc["val", ["tiles", "scenes", "seep 1", "seep 2", "seep 3"]].tolist() == [1, 1, 10, 10, 0]
    assert np.asarray(table.loc["train", ["tiles", "scenes", "seep 1"]]).tolist() == [3, 2, 30]


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


@pytest.mark.data
def test_real_scenes_fall_into_five_folds_with_every_class(real_data: Path) -> None:
    from seepseg.config import SeepData
    from seepseg.data.scan import with_counts
    from seepseg.data.source import source_of

    data = SeepData(root=real_data / "seep")
    catalog = with_counts(source_of(data), source_of(data).catalog())
    assert len(catalog) == 683
    assert len(catalog.groups()) == 15
    for k in range(5):
        splits = make_splits(catalog, Split(folds=5), seed=0, fold=k)
        assert (shares(catalog, splits).loc["train"] > 0).all()
