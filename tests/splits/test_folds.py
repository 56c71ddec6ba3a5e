from __future__ import annotations

from pathlib import Path

import pytest

from seepseg.config import Split
from seepseg.errors import ConfigError
from seepseg.splits.folds import check_fold
from seepseg.splits.make import make_splits
from seepseg.splits.parts import shares
from tests.splits.catalogs import FULL, catalog_of


def test_every_fold_holds_out_other_scenes() -> None:
    catalog = catalog_of({f"s{i}": FULL for i in range(6)})
    held = []
    for k in range(3):
        splits = make_splits(catalog, Split(folds=3), seed=0, fold=k)
        held += sorted(set(splits.loc[splits.split == "val", "group"]))
        assert (splits.loc[splits.split == "val", "fold"] == k).all()
    assert sorted(held) == [f"s{i}" for i in range(6)]


def test_every_fold_is_checked_whichever_is_asked_for() -> None:
    # Seep 7 lies in one scene, so the fold that holds it out cannot learn it.
    catalog = catalog_of({"a": [{1, 2, 3, 4, 5, 6, 7}], "b": [{1, 2, 3, 4, 5, 6}] * 2, "c": [{1, 2, 3, 4, 5, 6}]})
    for k in range(3):
        with pytest.raises(ConfigError, match=r"no training tile holds seep 7 in fold \d: choose other scenes"):
            make_splits(catalog, Split(folds=3), seed=0, fold=k)
    splits = make_splits(catalog, Split(folds=3, allow_missing_classes=True), seed=0, fold=1)
    assert (splits.split == "val").tolist() == (splits.fold == 1).tolist()


def test_more_folds_than_there_is_to_deal_are_refused() -> None:
    two = catalog_of({"a": FULL, "b": FULL})
    with pytest.raises(ConfigError, match="3 folds of 2 scenes"):
        make_splits(two, Split(folds=3), seed=0, fold=0)
    with pytest.raises(ConfigError, match="7 folds of 6 tiles"):
        make_splits(two, Split(by="random", folds=7), seed=0, fold=0)
    each_its_own = catalog_of({"a": [{1}], "b": [{2}], "c": [{3}]})
    with pytest.raises(ConfigError, match="3 folds, but no class is the rarest of so many tiles"):
        make_splits(each_its_own, Split(folds=3), seed=0, fold=0)


def test_a_fold_is_asked_for_where_there_are_folds_and_only_there() -> None:
    for split, fold, message in (
        (Split(), 0, "a fold is asked for, but the config has none"),
        (Split(folds=3), None, "3 folds, and none is chosen"),
        (Split(folds=3), 3, "no fold 3 of 3 in --fold: give 0 to 2"),
        (Split(folds=3), -1, "no fold -1 of 3"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_fold(split, fold)
    check_fold(Split(folds=3), 2)
    check_fold(Split(), None)


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
