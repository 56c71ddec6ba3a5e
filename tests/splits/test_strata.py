from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seepseg.classes import SALT
from seepseg.config import Split
from seepseg.data.catalog import Catalog, Tile
from seepseg.splits.make import make_splits
from seepseg.splits.strata import strata
from tests.splits.catalogs import catalog_of, salt_catalog


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
