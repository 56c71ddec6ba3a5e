from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seepseg.config import Predict
from seepseg.errors import ConfigError
from seepseg.runs.fit import Fit, fit_for, mean_fit

ONE = Fit("softmax", 1.5, 0.4, (0.5, -0.5), 10, "val", ("a", "b"))
TWO = Fit("softmax", 0.5, 0.6, (1.0, 0.0), 21, "val", ("b", "c"))


def test_the_fit_takes_the_place_of_what_the_config_says() -> None:
    config = Predict(threshold=0.9, min_pixels=3, vote=True)
    assert ONE.onto(config) == Predict(threshold=0.4, min_pixels=10, vote=True)


def test_plain_types_and_back() -> None:
    plain = ONE.to_plain()
    assert plain == {
        "head": "softmax",
        "temperature": 1.5,
        "threshold": 0.4,
        "offsets": [0.5, -0.5],
        "min_pixels": 10,
        "split": "val",
        "tiles": ["a", "b"],
        "polygons": [],
        "right": [],
    }
    assert Fit.from_plain(plain) == ONE
    # As one that an earlier version kept.
    assert Fit.from_plain({name: value for name, value in plain.items() if name not in ("polygons", "right")}) == ONE
    assert Fit.from_plain({}) is None


def test_an_ensemble_is_decoded_with_the_mean() -> None:
    # 10 and 21 pixels: 15.5, and Python rounds to the even number.
    assert mean_fit([ONE, TWO]) == Fit("softmax", 1.0, 0.5, (0.75, -0.25), 16, "val", ("a", "b", "c"))
    assert mean_fit([ONE]) == ONE
    # Where no offset is worth anything, all are 0.
    without = mean_fit([ONE, replace(TWO, offsets=())])
    assert without
    assert without.offsets == (0.25, -0.25)
    assert mean_fit([None, None]) is mean_fit([]) is None


def test_an_ensemble_is_graded_by_the_polygons_of_all() -> None:
    # Two parts, and in their last bins: 20 and 20 polygons of the one fold, 40 and 40 of the other.
    rest = (0,) * 49
    one = replace(ONE, polygons=(*rest, 20, *rest, 20), right=(*rest, 18, *rest, 18))
    two = replace(TWO, polygons=(*rest, 40, *rest, 40), right=(*rest, 36, *rest, 34))
    both = mean_fit([one, two])
    assert both
    assert (both.polygons, both.right) == ((*rest, 60, *rest, 60), (*rest, 54, *rest, 52))
    assert [(grade.letter, grade.polygons, grade.right) for grade in both.grades] == [("A", 120, 106)]
    assert (mean_fit([one, TWO]) or ONE).polygons == one.polygons
    assert ONE.grades == ()


def test_a_fit_for_some_networks_only_is_refused() -> None:
    with pytest.raises(ConfigError, match="1 of 3 checkpoints hold no fit for decoding, the others do in b.pt: "):
        mean_fit([ONE, None, TWO], ["a.pt", "b.pt", "c.pt"])
    with pytest.raises(ConfigError, match="different heads"):
        mean_fit([ONE, replace(TWO, head="sigmoid")])


def test_fold_k_is_decoded_with_what_the_others_fitted() -> None:
    folds = [replace(ONE, threshold=t / 10, tiles=(str(t),)) for t in (2, 4, 9)]
    found = fit_for(folds, ["9"])
    assert found is not None
    assert found.threshold == pytest.approx(0.3)
    assert fit_for([ONE], ["x"]) == ONE
    assert fit_for([ONE], ["x", "b"]) is None


IDS = st.sets(st.sampled_from("abcdef"))


@given(st.lists(IDS, max_size=4), IDS)
def test_no_tile_is_ever_reported_with_a_fit_that_has_seen_it(seen: list[set[str]], reported: set[str]) -> None:
    found = fit_for([replace(ONE, tiles=tuple(sorted(s))) for s in seen], reported)
    if found is None:
        assert all(s & reported for s in seen)
    else:
        assert not set(found.tiles) & reported
