from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import confusion_matrix as sklearn_matrix
from sklearn.metrics import f1_score, jaccard_score, precision_recall_fscore_support

from seepseg.metrics.confusion import MEASURES, confusion_matrix, dice, matrix_scores, mean_of_defined, scores


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


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
@pytest.mark.parametrize(("truth", "prediction"), [([0, 3], [0, 0]), ([0, 1], [0, 3]), ([0, 3, 7], [0, 1, 1])])
def test_one_pixel_outside_the_classes_is_enough(dtype: type, truth: list[int], prediction: list[int]) -> None:
    with pytest.raises(ValueError, match="class outside 0 … 2"):
        confusion_matrix(np.array(truth, dtype), np.array(prediction, dtype), 3)
    # Where the truth is to be ignored, any prediction may be, and the last class is one of them.
    ignored = np.array([255] * len(truth), dtype)
    assert confusion_matrix(ignored, np.array(prediction, dtype), 3).sum() == 0
    assert confusion_matrix(np.array(truth, dtype), np.array(prediction, dtype), 8).sum() == len(truth)


def test_a_class_below_0_is_a_callers_mistake() -> None:
    for truth, prediction in (([0, -1], [0, 1]), ([0, 1], [0, -1])):
        with pytest.raises(ValueError, match="class outside 0 … 2"):
            confusion_matrix(np.array(truth), np.array(prediction), 3)


LABELS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


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


TILES = st.lists(
    hnp.arrays(np.uint8, (2, 3, 4), elements=st.sampled_from([0, 0, 1, 2, 3, 4])), min_size=1, max_size=6
)  # fmt: skip


def close(a: object, b: object) -> bool:
    return a == (None if b is None else pytest.approx(b, abs=1e-12))


@settings(max_examples=60)
@given(TILES, st.data())
def test_every_score_equals_scikit_learns_whatever_the_batches(tiles: list[np.ndarray], data: st.DataObject) -> None:
    """Tiles (truth, prediction) in any order and any batches; a truth of 4 stands for 255, a prediction of 4 for 1."""
    order = data.draw(st.permutations(range(len(tiles))))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(tiles)), max_size=3)))
    truths = [np.where(t == 4, 255, t) for t, _ in tiles]
    predictions = [np.where(p == 4, 1, p) for _, p in tiles]
    matrix = np.zeros((4, 4), np.int64)
    for batch in np.split(np.array(order), cuts):
        if len(batch):
            parts = [np.stack([x[i] for i in batch]) for x in (truths, predictions)]
            matrix += confusion_matrix(*parts, 4)
    t, p = np.stack(truths), np.stack(predictions)
    t, p = t[t < 255], p[t < 255]
    assert np.array_equal(matrix, sklearn_matrix(t, p, labels=range(4)) if len(t) else 0 * matrix)
    ours = scores(matrix)
    classes = [c for c in (1, 2, 3) if ((t == c) | (p == c)).any()]
    if not classes:
        assert ours.macro_dice is ours.macro_iou is ours.foreground.dice is ours.class_accuracy is None
        return
    precision, recall, dice, support = precision_recall_fscore_support(t, p, labels=classes, zero_division=0)
    iou = jaccard_score(t, p, labels=classes, average=None, zero_division=0)
    for got, wanted in ((ours.precision, precision), (ours.recall, recall), (ours.dice, dice), (ours.iou, iou)):
        known = dict(zip(classes, wanted, strict=True))
        assert all(close(got[c - 1], known.get(c)) for c in (1, 2, 3))
    assert [ours.support_pixels[c - 1] for c in classes] == support.tolist()
    assert close(ours.macro_dice, f1_score(t, p, labels=classes, average="macro", zero_division=0))
    assert close(ours.macro_iou, jaccard_score(t, p, labels=classes, average="macro", zero_division=0))
    whole = precision_recall_fscore_support(t > 0, p > 0, average="binary", zero_division=0)
    assert close(ours.foreground.precision, whole[0])
    assert close(ours.foreground.recall, whole[1])
    assert close(ours.foreground.dice, whole[2])
    assert close(ours.foreground.iou, jaccard_score(t > 0, p > 0, zero_division=0))
    both = (t > 0) & (p > 0)
    assert close(ours.class_accuracy, (t == p)[both].mean() if both.any() else None)


@settings(max_examples=60)
@given(hnp.arrays(np.int64, (4, 4), elements=st.integers(0, 9)), st.permutations([1, 2, 3]))
def test_renaming_classes_renames_their_scores(matrix: np.ndarray, names: list[int]) -> None:
    order = [0, *names]
    before, after = scores(matrix), scores(matrix[np.ix_(order, order)])
    for measure in ("dice", "iou", "precision", "recall", "support_pixels"):
        old, new = getattr(before, measure), getattr(after, measure)
        assert new == [old[c - 1] for c in names]
    assert close(after.macro_dice, before.macro_dice)
    assert close(after.macro_iou, before.macro_iou)
    assert after.foreground == before.foreground
    assert after.class_accuracy == before.class_accuracy


@settings(max_examples=60)
@given(hnp.arrays(np.int64, (4, 4), elements=st.sampled_from([0, 0, 1, 5, 10**12])))
def test_what_holds_for_any_matrix(matrix: np.ndarray) -> None:
    """Dice and IoU of one class follow from each other; nothing leaves 0–1; swapping sides swaps precision, recall."""
    ours, swapped = scores(matrix), scores(matrix.T.copy())
    for d, j in zip(ours.dice, ours.iou, strict=True):
        assert (d is None) == (j is None)
        assert d is None or d == pytest.approx(2 * j / (1 + j), abs=1e-12)
    assert all(v is None or 0 <= v <= 1 for v in (*ours.precision, *ours.recall, ours.class_accuracy, ours.macro_iou))
    assert (swapped.dice, swapped.precision, swapped.recall) == (ours.dice, ours.recall, ours.precision)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.int64])
def test_the_type_of_masks_does_not_matter(dtype: type) -> None:
    truth, prediction = np.array([0, 1, 1, 2], dtype), np.array([0, 1, 2, 2], dtype)
    assert confusion_matrix(truth, prediction, 3).tolist() == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]


def test_monai_leaves_out_false_alarms_on_absent_classes_and_turns_absent_ones_into_0() -> None:
    """What docs/lab/other-tools.md says of MONAI 1.6.1; here a class that is only predicted is 0, an absent one n/a."""
    from monai.metrics import DiceMetric

    truth, prediction = np.zeros((2, 2, 4, 4), np.int64)
    truth[0, :2] = prediction[0, :2] = 1
    prediction[1, :2] = 2  # class 2 is in no truth; class 3 is nowhere
    assert scores(confusion_matrix(truth, prediction, 4)).dice == [1, 0, None]
    hot = [torch.nn.functional.one_hot(torch.from_numpy(x), 4).permute(0, 3, 1, 2) for x in (prediction, truth)]

    def monai(**options: object) -> list[float]:
        metric = DiceMetric(include_background=False, **options)
        metric(*hot)
        return metric.aggregate().flatten().tolist()

    assert monai() == [1]
    assert monai(reduction="mean_batch") == [1, 0, 0]
    assert monai(reduction="mean_batch", ignore_empty=False) == [1, 0.5, 1]


@settings(max_examples=60)
@given(hnp.arrays(np.int64, (5, 4, 4), elements=st.sampled_from([0, 0, 0, 0, 1, 2, 7, 1000])))
def test_a_stack_of_matrices_is_scored_as_each_alone(matrices: np.ndarray) -> None:
    stacked = matrix_scores(matrices)
    assert len(stacked) == 4 + 4 * 3 + 2 + 1
    for i, matrix in enumerate(matrices):
        one, values = scores(matrix), {k: None if np.isnan(v[i]) else v[i] for k, v in stacked.items()}
        for name in MEASURES:
            assert values[f"{name}/foreground"] == getattr(one.foreground, name)
            assert [values[f"{name}/{c}"] for c in (1, 2, 3)] == getattr(one, name)
        assert (values["dice/macro"], values["iou/macro"]) == (one.macro_dice, one.macro_iou)
        assert values["class_accuracy"] == one.class_accuracy


def test_dice_of_counts_and_of_probabilities() -> None:
    # 2·3/(6 + 1 + 2), 2·0/(0 + 4 + 0), nothing at all; and 2·1.5/(3 + .5 + .5) of probabilities.
    got = dice(np.array([3, 0, 0]), np.array([1, 4, 0]), np.array([2, 0, 0]))
    assert got[:2].tolist() == [6 / 9, 0] and np.isnan(got[2])
    assert dice(np.array([1.5]), np.array([0.5]), np.array([0.5])).tolist() == [0.75]
    assert mean_of_defined(got) == pytest.approx(1 / 3)
