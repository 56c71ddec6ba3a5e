from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix as sklearn_matrix
from sklearn.metrics import f1_score, jaccard_score

from seepseg.metrics.confusion import confusion_matrix, scores


def test_matrix_counts_truth_in_rows_and_leaves_ignored_pixels_out() -> None:
    truth = np.array([[0, 1, 1], [2, 255, 0]])
    prediction = np.array([[0, 1, 2], [2, 1, 1]])
    # (0,0) (1,1) (1,2) (2,2) and (0,1); the pixel under 255 is gone
    assert confusion_matrix(truth, prediction, 3).tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 1]]


def test_scores_by_hand() -> None:
    matrix = np.array([[80, 4, 0, 0], [2, 6, 2, 0], [0, 0, 0, 0], [5, 0, 1, 0]], np.int64)
    result = scores(matrix)
    # class 1: tp 6, fp 4, fn 4 → Dice 12/20, IoU 6/14, precision 6/10, recall 6/10
    # class 2: only predicted (tp 0, fp 3) → 0; class 3: only in truth (fn 6) → 0
    assert result.dice == [0.6, 0, 0]
    assert result.iou == [pytest.approx(6 / 14), 0, 0]
    assert result.precision == [0.6, 0, 0]
    assert result.recall == [0.6, 0, 0]
    assert result.support_pixels == [10, 0, 6]
    assert result.macro_dice == pytest.approx(0.2)
    # foreground: both 6+2+1 = 9, false alarms 4, missed 2+5 = 7 → Dice 18/29, IoU 9/20
    assert result.foreground.dice == pytest.approx(18 / 29)
    assert result.foreground.iou == pytest.approx(9 / 20)
    assert result.foreground.precision == pytest.approx(9 / 13)
    assert result.foreground.recall == pytest.approx(9 / 16)
    # of 9 pixels that are foreground on both sides, 6 have the right class
    assert result.class_accuracy == pytest.approx(6 / 9)


def test_a_class_absent_everywhere_has_no_score_and_is_left_out_of_means() -> None:
    result = scores(np.array([[5, 0, 0], [0, 5, 0], [0, 0, 0]], np.int64))
    assert result.dice == [1, None]
    assert result.recall == [1, None]
    assert result.macro_dice == 1
    empty = scores(np.array([[5, 0], [0, 0]], np.int64))
    assert (empty.macro_dice, empty.foreground.dice, empty.class_accuracy) == (None, None, None)


def test_an_uncounted_class_is_a_callers_mistake() -> None:
    with pytest.raises(ValueError, match="class outside"):
        confusion_matrix(np.array([0]), np.array([255]), 3)
    with pytest.raises(ValueError, match="differ in shape"):
        confusion_matrix(np.zeros((2, 3)), np.zeros((3, 2)), 3)


LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


@given(LABELS)
def test_scikit_learn_agrees(pairs: list[tuple[int, int]]) -> None:
    truth, prediction = (np.array(v) for v in zip(*pairs, strict=True))
    matrix = confusion_matrix(truth, prediction, 4)
    assert np.array_equal(matrix, sklearn_matrix(truth, prediction, labels=range(4)))
    result = scores(matrix)
    for c in range(1, 4):
        dice = f1_score(truth == c, prediction == c, zero_division=np.nan)
        iou = jaccard_score(truth == c, prediction == c, zero_division=0)
        if result.dice[c - 1] is None:
            assert np.isnan(dice)
        else:
            assert result.dice[c - 1] == pytest.approx(dice, abs=1e-12)
            assert result.iou[c - 1] == pytest.approx(iou, abs=1e-12)


@given(LABELS, st.permutations([1, 2, 3]))
def test_order_of_pixels_and_names_of_classes_do_not_matter(
    pairs: list[tuple[int, int]], permutation: list[int]
) -> None:
    truth, prediction = (np.array(v) for v in zip(*pairs, strict=True))
    renamed = np.array([0, *permutation])
    before = scores(confusion_matrix(truth, prediction, 4))
    after = scores(confusion_matrix(renamed[truth][::-1], renamed[prediction][::-1], 4))
    assert [before.dice[k] for k in range(3)] == [after.dice[permutation[k] - 1] for k in range(3)]
    assert before.foreground == after.foreground
    assert before.macro_dice == pytest.approx(after.macro_dice) if before.macro_dice is not None else True


def test_monai_agrees_where_every_class_is_present() -> None:
    from monai.metrics.meandice import compute_dice

    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 4, (2, 32, 32))
    hot = [torch.nn.functional.one_hot(torch.from_numpy(x), 4).permute(2, 0, 1)[None] for x in (prediction, truth)]
    monai = compute_dice(hot[0], hot[1], include_background=False)[0].tolist()
    assert scores(confusion_matrix(truth, prediction, 4)).dice == pytest.approx(monai, abs=1e-6)


def test_torch_and_numpy_give_the_same() -> None:
    rng = np.random.default_rng(1)
    truth, prediction = rng.integers(0, 3, (2, 100)).astype(np.uint8)
    tensors = torch.from_numpy(truth).long(), torch.from_numpy(prediction)
    assert np.array_equal(confusion_matrix(truth, prediction, 3), confusion_matrix(*tensors, 3))
