from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seepseg.config import Split
from seepseg.errors import ConfigError
from seepseg.splits.make import fold_shares, make_splits
from seepseg.splits.parts import part, shares
from tests.splits.catalogs import FULL, catalog_of, salt_catalog


@given(n=st.integers(3, 12), val=st.floats(0.1, 0.4), test=st.floats(0, 0.3))
def test_no_group_is_on_two_sides_and_every_tile_has_one(n: int, val: float, test: float) -> None:
    catalog = catalog_of({f"s{i}": FULL for i in range(n)})
    splits = make_splits(catalog, Split(val_fraction=val, test_fraction=test), seed=0)
    assert (splits.groupby("group")["split"].nunique() == 1).all()
    assert len(splits) == len(catalog)


def test_random_fractions_are_exact_and_repeatable() -> None:
    catalog = catalog_of({f"s{i}": FULL for i in range(10)})
    split = Split(by="random", val_fraction=0.2, test_fraction=0.1)
    first, second, other = (make_splits(catalog, split, seed=s)["split"].tolist() for s in (0, 0, 1))
    assert Counter(first) == {"train": 21, "val": 6, "test": 3}
    assert first == second
    assert first != other


def test_folds_say_what_they_hold_out() -> None:
    """Ten pixels of a class are in each tile that holds it; all tiles hold the background."""
    catalog = catalog_of({"a": [{1}, {1}], "b": [{1}, {2}], "c": [{1, 2}]})
    split = Split(folds=3, allow_missing_classes=True)
    table = fold_shares(catalog, split, seed=0)
    assert table["fold"].tolist() == [0, 1, 2]
    assert (table["val"] + table["train"] + table["unused"]).tolist() == [5, 5, 5]
    held = [make_splits(catalog, split, 0, k).query("split == 'val'")["group"].iat[0] for k in range(3)]
    shares_of = {"a": (50, 0), "b": (25, 50), "c": (25, 50)}
    assert table[["seep 1", "seep 2"]].to_numpy().tolist() == [list(shares_of[group]) for group in held]


def test_a_class_only_in_validation_is_refused_with_the_way_out() -> None:
    catalog = catalog_of({"a": [{1, 2, 3, 4, 5, 6}], "b": [{7}]})
    with pytest.raises(ConfigError, match="no training tile holds seep 7 in data.split: choose other scenes"):
        make_splits(catalog, Split(val=["b"]), seed=0)
    splits = make_splits(catalog, Split(val=["b"], allow_missing_classes=True), seed=0)
    assert part(splits, "train") == ["a.0"]


def test_training_tiles_without_a_labelled_pixel_are_refused() -> None:
    catalog = catalog_of({"a": [{1}], "b": [{2}]})
    nothing = replace(catalog.tiles[0], pixels=(0,) * len(catalog.classes))
    catalog = replace(catalog, tiles=(nothing, *catalog.tiles[1:]))
    with pytest.raises(ConfigError, match="no training tile holds a labelled pixel in data.split: choose other scenes"):
        make_splits(catalog, Split(val=["b"], allow_missing_classes=True), seed=0)


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


def test_empty_parts_are_refused() -> None:
    with pytest.raises(ConfigError, match="the val part is empty"):
        make_splits(catalog_of({"a": FULL, "b": FULL}), Split(val_fraction=0.0), seed=0)


def test_background_is_a_class_that_must_be_learned() -> None:
    catalog = catalog_of(dict.fromkeys("ab", FULL))
    painted = replace(catalog, tiles=tuple(replace(t, pixels=(0, *t.pixels[1:])) for t in catalog.tiles if t.pixels))
    with pytest.raises(ConfigError, match="no training tile holds background in data.split"):
        make_splits(painted, Split(), seed=0)


def test_the_splits_of_a_run_can_be_the_file_of_another(tmp_path: Path) -> None:
    catalog = salt_catalog(40)
    tiles = tuple(replace(t, flag="vertical") if i % 4 == 0 else t for i, t in enumerate(catalog.tiles))
    first = make_splits(replace(catalog, tiles=tiles, train_flagged=False), Split(by="random"), seed=0)
    assert "unused" in set(first["split"])
    first.to_csv(tmp_path / "splits.csv", index=False)
    again = make_splits(catalog, Split(by="file", file=tmp_path / "splits.csv"), seed=0)
    assert again["split"].tolist() == first["split"].tolist()


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
