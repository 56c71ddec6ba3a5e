from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seepseg.metrics.confusion import confusion_matrix, scores
from seepseg.metrics.salt_score import tgs_scores
from seepseg.metrics.threshold import ThresholdCounts, fit_offsets, macro_dice, threshold_counts
from seepseg.objects.components import remove_small

TRUTH = np.array([[1, 1, 0, 0, 2, 255]], np.uint8)
CLASSES = np.array([[1, 2, 1, 1, 2, 1]], np.uint8)
LIKELY = np.array([[0.9, 0.6, 0.1, 0.6, 0.3, 0.3]])


def test_one_tile_by_hand() -> None:
    counts = threshold_counts(TRUTH, LIKELY, CLASSES, 3, (0.5, 0.2), (0, 3))
    assert counts.truth.tolist() == [2, 1]
    # ≥ .5: pixels 0, 1 and, apart, 3; classes 1 2 1, of which the first is right. No object has 3 pixels.
    assert (counts.right[0, 0].tolist(), counts.predicted[0, 0].tolist()) == ([1, 0], [2, 1])
    assert (counts.both[0, 0], counts.predicted[0, 1].tolist()) == (2, [0, 0])
    # ≥ .2: pixels 3, 4, 5 are one object of three pixels, though the last is not known; 0, 1 is too small.
    assert (counts.right[1, 1].tolist(), counts.predicted[1, 1].tolist()) == ([0, 1], [1, 1])
    # Dice of class 1: 2·1/(2 + 2), of class 2: 0/(1 + 1): mean .25. Foreground: 2·2/(3 + 3).
    assert counts.macro_dice()[0, 0] == pytest.approx(0.25)
    assert counts.foreground_dice()[0, 0] == pytest.approx(4 / 6)
    # Intersection 2, union 4: IoU .5 exceeds no threshold. Nothing predicted: 0.
    assert counts.tgs_score()[0].tolist() == [0, 0]


def test_the_best_point() -> None:
    counts = threshold_counts(TRUTH, LIKELY, CLASSES, 3, (0.2, 0.5, 0.8), (0, 3))
    # Macro Dice at .2: class 1 2·1/(2 + 2), class 2 2·1/(2 + 1): .583, above .25 at .5 and 2·1/(1 + 2)/2 = .333 at .8.
    assert counts.macro_dice()[:, 0] == pytest.approx([0.5833, 0.25, 0.3333], abs=1e-4)
    assert counts.best(counts.macro_dice()) == (0, 0)
    # Where all are alike: the threshold nearest to one half, the smaller size.
    sea, sure = np.zeros((1, 2), np.uint8), np.ones((1, 2), np.uint8)
    empty = threshold_counts(sea, np.zeros((1, 2)), sure, 2, (0.2, 0.5, 0.8), (0, 3))
    assert (empty.best(empty.tgs_score()), empty.tgs_score().min()) == ((1, 0), 1)


MAPS = hnp.arrays(np.uint8, (9, 11), elements=st.sampled_from([0, 0, 0, 1, 2, 255]))


@settings(max_examples=60)
@given(MAPS, st.integers(0, 2**32), st.integers(1, 3))
def test_it_is_decoding_at_each_point(truth: np.ndarray, seed: int, tiles: int) -> None:
    """Brute force: decode at every threshold and size, and score by the confusion matrix and the TGS score."""
    rng, total = np.random.default_rng(seed), ThresholdCounts.empty(3, (0.4, 0.7), (0, 2, 5))
    matrices, tenths = np.zeros((2, 3, 3, 3), np.int64), np.zeros((2, 3))
    for _ in range(tiles):
        truth = rng.permuted(truth, axis=0)
        likely, classes = rng.random(truth.shape), rng.integers(1, 3, truth.shape).astype(np.uint8)
        likely[0, 0] = np.nan
        total += threshold_counts(truth, likely, classes, 3, (0.4, 0.7), (0, 2, 5))
        for i, threshold in enumerate((0.4, 0.7)):
            for j, size in enumerate((0, 2, 5)):
                made = remove_small(np.where(likely >= threshold, classes, 0).astype(np.uint8), size)
                matrices[i, j] += confusion_matrix(truth, made, 3)
                one = np.where(truth == 255, 255, truth > 0)
                tenths[i, j] += tgs_scores(one[None], (made > 0)[None].astype(np.uint8))[0]
    for i in range(2):
        for j in range(3):
            right = scores(matrices[i, j])
            assert total.macro_dice()[i, j] == pytest.approx(right.macro_dice or 0, abs=1e-12)
            assert total.foreground_dice()[i, j] == pytest.approx(right.foreground.dice or 0, abs=1e-12)
            assert total.tgs_score()[i, j] == pytest.approx(tenths[i, j] / tiles, abs=1e-12)


def test_counts_of_other_points_do_not_add_up() -> None:
    with pytest.raises(ValueError, match="differ"):
        _ = ThresholdCounts.empty(2, (0.5,)) + ThresholdCounts.empty(2, (0.4,))


def test_an_offset_lifts_a_class_that_is_never_the_most_probable() -> None:
    # 60 pixels of class 1 at .6 against .3, 20 of class 2 at .45 against .4: without offsets all are called 1, macro
    # Dice (2·60/(80 + 60) + 0)/2 = .43. Lifting class 2 by .25 is enough for its own and too little for the others.
    p = np.array([[0.6, 0.3]] * 60 + [[0.45, 0.4]] * 20)
    labels = np.array([1] * 60 + [2] * 20, np.uint8)
    found = fit_offsets(p, labels, np.array([60, 20]))
    chosen = (np.log(p) + found).argmax(1) + 1
    assert chosen.tolist() == labels.tolist()
    assert fit_offsets(p[:60], labels[:60], np.array([60, 0])) == (0, 0)
    assert fit_offsets(p[:0], labels[:0], np.array([60, 0])) == (0, 0)
    assert fit_offsets(p[:, :1], labels, np.array([80])) == (0,)


def test_macro_dice_leaves_absent_classes_out() -> None:
    assert macro_dice(np.array([2, 0, 0]), np.array([2, 0, 1]), np.array([2, 0, 0])) == pytest.approx(0.5)
    assert macro_dice(np.zeros(2), np.zeros(2), np.zeros(2)) == 0


def test_without_classes_or_pixels_there_is_nothing_to_lift() -> None:
    # one class: its probability decides nothing; no pixels: no score to compare
    one, none = np.full((4, 1), 0.5), np.zeros((0, 3))
    assert fit_offsets(one, np.array([1, 1, 1, 1]), np.array([4]), 1.0) == (0.0,)
    assert fit_offsets(none, np.zeros(0, int), np.zeros(3, int), 1.0) == (0.0, 0.0, 0.0)
