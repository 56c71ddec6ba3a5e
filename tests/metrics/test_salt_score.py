from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seepseg.metrics.salt_score import BATCH, BatchScores, batch_scores, soft_counts, tgs_score, tgs_scores


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


MASKS = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 40), st.just(3), st.just(4)), elements=st.sampled_from([0] * 9 + [1])
)


@settings(max_examples=60)
@given(MASKS)
def test_predicting_nothing_scores_exactly_the_share_of_empty_masks(truth: np.ndarray) -> None:
    result = tgs_scores(truth, np.zeros_like(truth))
    empty = int((truth.sum((1, 2)) == 0).sum())
    assert result.sum() == empty
    assert result.mean() == empty / len(truth)
    # The other way round, predicting anything on an empty mask, the same.
    assert np.array_equal(tgs_scores(np.zeros_like(truth), truth), result)


@settings(max_examples=60)
@given(MASKS, st.integers(0, 2**32))
def test_tiles_are_scored_on_their_own(truth: np.ndarray, seed: int) -> None:
    """Any order and any batch gives each tile the same tenths; perfect masks are 1, and sides may be swapped."""
    rng = np.random.default_rng(seed)
    prediction = np.where(rng.random(truth.shape) < 0.2, 1 - truth, truth).astype(np.uint8)
    whole = tgs_scores(truth, prediction)
    order = rng.permutation(len(truth))
    assert np.array_equal(tgs_scores(truth[order], prediction[order]), whole[order])
    assert [tgs_score(t, p) for t, p in zip(truth, prediction, strict=True)] == whole.tolist()
    assert np.array_equal(tgs_scores(prediction, truth), whole)
    assert (tgs_scores(truth, truth) == 1).all()
    assert np.array_equal(np.round(10 * whole), 10 * whole)


def test_the_histogram_function_in_wide_use_credits_empty_predictions() -> None:
    """docs/lab/other-tools.md says so: with two bins over an all-zero prediction, zero falls into the upper one."""

    def popular(truth: np.ndarray, prediction: np.ndarray) -> float:
        overlap = np.histogram2d(truth.ravel(), prediction.ravel(), bins=(2, 2))[0]
        areas = np.histogram(truth, bins=2)[0][:, None] + np.histogram(prediction, bins=2)[0]
        union = np.maximum(areas - overlap, 1e-9)
        return float((overlap[1, 1] / union[1, 1] > np.arange(0.5, 1, 0.05)).mean())

    mostly = mask(72)
    assert popular(mostly, mask(0)) == 0.5  # taken for IoU 72/100: over .5, .55, .6, .65 and .7
    assert tgs_score(mostly, mask(0)) == 0
    assert popular(mostly, mostly) == tgs_score(mostly, mostly) == 1


def test_counts_of_a_tile_by_hand() -> None:
    likely, seen = np.array([0.5, 0.25, 0.0, 1.0], np.float32), np.array([True, False, True, True])
    # Σ p·y = .5 + 0 + 1, Σ p = .5 + .25 + 0 + 1, Σ y = 3.
    assert soft_counts(likely, seen).tolist() == [1.5, 1.75, 3]
    # A tile that is all no data counts for nothing.
    assert soft_counts(likely[:0], seen[:0]).tolist() == [0, 0, 0]


def test_two_batches_by_hand() -> None:
    assert BATCH == 16
    counts = np.zeros((18, 3))
    counts[0], counts[15] = (1.5, 1.75, 3), (0.5, 2.25, 1)
    counts[17] = (0, 3, 0)
    # Tiles 0–15: Σ p·y = 2, Σ p = 4, Σ y = 4: Dice (4 + 1)/(8 + 1), IoU (2 + 1)/(6 + 1).
    # Tiles 16 and 17, without truth: Dice and IoU 1/(3 + 1). They weigh as much as the sixteen.
    found = batch_scores(counts)
    assert found.soft_dice_batch16 == pytest.approx((5 / 9 + 1 / 4) / 2)
    assert found.soft_iou_batch16 == pytest.approx((3 / 7 + 1 / 4) / 2)


def test_a_batch_of_nothing_is_perfect_and_a_full_one_need_not_fill_up() -> None:
    assert batch_scores(np.zeros((3, 3))) == BatchScores(1, 1)
    counts = np.zeros((17, 3))
    counts[:16] = (0, 0, 1)
    # Sixteen tiles with a pixel missed each: 1/17; the seventeenth, alone in its batch: 1.
    assert batch_scores(counts).soft_dice_batch16 == pytest.approx((1 / 17 + 1) / 2)
    assert batch_scores(counts[:16]).soft_dice_batch16 == pytest.approx(1 / 17)
