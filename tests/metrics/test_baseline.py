from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seepseg.metrics import baseline
from seepseg.metrics.baseline import dark_spots, most_common_class, nothing, one_class, shifted
from seepseg.metrics.confusion import confusion_matrix, scores

TRUTH = np.array(
    [
        [0, 1, 1, 0],
        [0, 1, 2, 255],
        [0, 0, 0, 0],
    ],
    np.uint8,
)
MAPS = hnp.arrays(np.uint8, (6, 7), elements=st.sampled_from([0, 1, 2, 3, 255]))


def test_nothing() -> None:
    assert nothing(TRUTH).tolist() == [[0, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 0]]


def test_perfect_outlines_of_one_class() -> None:
    assert most_common_class([900, 3, 1]) == 1
    assert most_common_class(np.array([900, 3, 5, 5])) == 2
    assert one_class(TRUTH, 2).tolist() == [[0, 2, 2, 0], [0, 2, 2, 255], [0, 0, 0, 0]]


def test_shifted_by_hand() -> None:
    # Nothing comes in at the top and left, and what was under 255 comes out as background.
    assert shifted(TRUTH).tolist() == [[0, 0, 0, 0], [0, 0, 1, 255], [0, 0, 1, 2]]


@settings(max_examples=50)
@given(MAPS)
def test_rows_score_what_they_stand_for(truth: np.ndarray) -> None:
    def score(prediction: np.ndarray) -> object:
        return scores(confusion_matrix(truth, prediction, 4))

    for prediction in (nothing(truth), one_class(truth, 1), shifted(truth)):
        assert prediction.dtype == np.uint8
        assert np.array_equal(prediction == 255, truth == 255)
    assert score(nothing(truth)).foreground.dice in (0, None)
    outline = score(one_class(truth, 1))
    assert outline.foreground.dice in (1, None)
    share = (truth == 1).sum() / max(((truth > 0) & (truth < 255)).sum(), 1)
    assert outline.class_accuracy in (share, None)


def slick(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Speckled sea of mean 1000 with a bright gradient, and a slick of half its brightness."""
    rng = np.random.default_rng(seed)
    truth = np.zeros((120, 160), np.uint8)
    truth[50:62, 30:130] = 1
    sea = 1000 + 10.0 * np.arange(160) * np.ones((120, 1))
    image = sea * np.where(truth > 0, 0.5, 1) * rng.gamma(8, 1 / 8, truth.shape)
    return image.astype(np.uint16), truth


def test_a_dark_slick_is_found() -> None:
    image, truth = slick()
    found = dark_spots(image, np.ones(image.shape, bool))
    assert scores(confusion_matrix(truth, found, 2)).foreground.dice > 0.7
    # A brighter unit and a constant on top change nothing: the threshold is relative to the surroundings.
    assert np.array_equal(found, dark_spots(image * 4.0 + 512, np.ones(image.shape, bool)))
    assert set(np.unique(dark_spots(image, np.ones(image.shape, bool), 3)).tolist()) == {0, 3}


def test_pixels_that_are_not_valid_enter_no_mean() -> None:
    image = np.round(np.random.default_rng(3).normal(1000, 30, (90, 90)))
    image[40:60, 50:80] = 500
    valid = np.ones(image.shape, bool)
    valid[:, :20] = False
    zeros, junk = image.astype(np.float32), image.astype(np.float32)
    zeros[~valid], junk[~valid] = 0, 1e9
    found = dark_spots(zeros, valid)
    assert np.array_equal(found, dark_spots(junk, valid))
    assert np.array_equal(found == 255, ~valid)
    junk[~valid] = np.nan
    assert np.array_equal(found, dark_spots(junk, valid))
    # The slick is found, and the sea beside no-data is not dark.
    assert (found[42:58, 52:78] == 1).all()
    assert not (found[:, 20:45] == 1).any()


def test_still_water_and_no_water_have_no_dark_spots() -> None:
    still = np.full((40, 40), 7, np.uint16)
    assert (dark_spots(still, np.ones(still.shape, bool)) == 0).all()
    assert (dark_spots(still, np.zeros(still.shape, bool)) == 255).all()


def test_small_spots_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.full((60, 60), 100.0)
    image[10:14, 10:14] = 0
    image[30:45, 30:45] = 0
    valid = np.ones(image.shape, bool)
    monkeypatch.setattr(baseline, "SMOOTH", 1)
    monkeypatch.setattr(baseline, "SMALLEST", 17)
    found = dark_spots(image, valid)
    assert (found[10:14, 10:14] == 0).all()
    assert (found[30:45, 30:45] == 1).all()
    monkeypatch.setattr(baseline, "SMALLEST", 16)
    assert (dark_spots(image, valid)[10:14, 10:14] == 1).all()
