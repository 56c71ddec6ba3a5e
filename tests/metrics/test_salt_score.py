from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seepseg.metrics.salt_score import tgs_score, tgs_scores


def mask(pixels: int, start: int = 0) -> np.ndarray:
    flat = np.zeros(100, np.uint8)
    flat[start : start + pixels] = 1
    return flat.reshape(10, 10)


@pytest.mark.parametrize(
    ("truth", "prediction", "score"),
    [
        (mask(0), mask(0), 1.0),  # both empty
        (mask(0), mask(1), 0.0),  # one empty
        (mask(1), mask(0), 0.0),
        (mask(10), mask(10), 1.0),  # IoU 1 exceeds all ten thresholds
        (mask(10), mask(20), 0.0),  # IoU 10/20 = .5 does not exceed .5
        (mask(11), mask(20), 0.1),  # IoU 11/20 = .55 exceeds .5 only
        (mask(19), mask(20), 0.9),  # IoU .95 exceeds .5 … .9, nine of ten
        (mask(20), mask(20, 5), 0.2),  # IoU 15/25 = .6 exceeds .5 and .55
    ],
)
def test_by_hand(truth: np.ndarray, prediction: np.ndarray, score: float) -> None:
    assert tgs_score(truth, prediction) == score


def test_predicting_nothing_scores_the_share_of_empty_masks() -> None:
    truth = np.stack([mask(n) for n in (0, 3, 0, 50, 0)])
    assert tgs_scores(truth, np.zeros_like(truth)).mean() == pytest.approx(3 / 5)


def test_ignored_pixels_do_not_count() -> None:
    truth = mask(10)
    truth[5:] = 255
    prediction = mask(10)
    prediction[9] = 1
    assert tgs_score(truth, prediction) == 1


@given(st.integers(1, 100), st.integers(0, 100))
def test_the_published_definition_agrees(n: int, m: int) -> None:
    """The mean over thresholds of [IoU > t], with exact fractions."""
    from fractions import Fraction

    iou = Fraction(min(n, m), max(n, m))
    wanted = sum(iou > Fraction(k, 20) for k in range(10, 20)) / 10
    assert tgs_score(mask(n), mask(m)) == wanted
