from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seepseg.metrics.detection import SIZES, Detections, ObjectScores, detections, object_scores

MAPS = hnp.arrays(np.uint8, (8, 9), elements=st.sampled_from([0, 0, 1, 2, 255]))


NAMES = ("thick", "thin")


def row(counts: Detections, name: str = "all", pixels: str = "all") -> ObjectScores:
    return next(r for r in object_scores(counts, NAMES) if (r.class_, r.pixels) == (name, pixels))


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A scene of 100 × 100 pixels with three objects, and a prediction with two hits and two false alarms."""
    truth, prediction = np.zeros((2, 100, 100), np.uint8)
    truth[0:5, 0:10] = 1  # 50 px, class 1: found whole, called class 2
    prediction[0:5, 0:10] = 2
    truth[20:40, 0:50] = 2  # 1000 px, mostly class 2 …
    truth[20:24, 0:50] = 1  # … with 200 px of class 1
    prediction[20:30, 0:40] = 2  # 400 of 1000: IoU .4
    truth[60:67, 0:7] = 1  # 49 px, missed
    prediction[80:83, 80:83] = 1  # false alarms of 9 and 60 px
    prediction[90:96, 80:90] = 2
    return truth, prediction


def test_counts_by_hand() -> None:
    counts = detections(*scene(), 3)
    # columns: below 50, below 200, below 1000, 1000 and more
    assert counts.objects.tolist() == [[1, 1, 0, 0], [0, 0, 0, 1]]
    iou25, iou50, touched = counts.found.tolist()
    assert iou25 == touched == [[0, 1, 0, 0], [0, 0, 0, 1]]
    assert iou50 == [[0, 1, 0, 0], [0, 0, 0, 0]]
    assert counts.right[0].tolist() == [[0, 0, 0, 0], [0, 0, 0, 1]]
    assert counts.predicted.tolist() == [[1, 0, 0, 0], [0, 2, 1, 0]]
    assert counts.false_alarms.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
    assert (counts.valid_pixels, counts.valid_km2) == (10_000, None)


def test_rows_by_hand() -> None:
    counts = detections(*scene(), 3, pixel_size=100)
    # 10,000 pixels of 1 ha are 100 km²
    assert counts.valid_km2 == pytest.approx(100)
    everything = row(counts)
    assert everything.objects == 3
    assert (everything.found_iou25, everything.found_iou50, everything.found_touched) == (2 / 3, 1 / 3, 2 / 3)
    assert (everything.class_accuracy_iou25, everything.class_accuracy_iou50) == (1 / 2, 0)
    assert everything.class_accuracy_touched == 1 / 2
    assert (everything.predicted, everything.false_alarms) == (4, 2)
    assert everything.false_alarms_per_mpx == pytest.approx(200)
    assert everything.false_alarms_per_1000_km2 == pytest.approx(20)
    assert row(counts, "thick").found_iou25 == 1 / 2
    assert row(counts, "thin").class_accuracy_iou25 == 1
    assert row(counts, "all", "0–49").found_iou25 == 0
    # No thin object is small: nothing to find, no rate.
    assert row(counts, "thin", "0–49").found_iou25 is None
    assert len(object_scores(counts, NAMES)) == 1 + 2 + len(SIZES) + 8


def test_f1_by_hand() -> None:
    counts = detections(*scene(), 3)
    # Of 3 true and 4 predicted objects, 2 and 2 have one of the other kind at IoU ≥ .25.
    assert counts.finding.tolist() == [[0, 0, 0, 0], [0, 1, 1, 0]]
    assert row(counts).f1_iou25 == pytest.approx(4 / 7)
    # Predicted: √50 as thin, truly thick; 20 as thin, right; 3 as thick and √60 as thin, both at sea. True objects less
    # than a tenth covered: 7, thick. So thick: tp 0, fp 3, fn √50 + 7; thin: tp 20, fp √50 + √60, fn 0.
    tp, fp, fn = counts.class_weights.sum(-1)
    assert tp.tolist() == [0, 20]
    assert fp == pytest.approx([3, 50**0.5 + 60**0.5])
    assert fn == pytest.approx([50**0.5 + 7, 0])
    thin = 40 / (40 + 50**0.5 + 60**0.5)
    assert (row(counts, "thick").class_f1, row(counts, "thin").class_f1) == (0, pytest.approx(thin))
    assert row(counts).class_f1 == pytest.approx(thin / 2)
    # Neither true nor predicted of that size: not defined.
    assert row(counts, "thick", "1000–").class_f1 is None
    assert row(Detections.empty(3)).f1_iou25 is row(Detections.empty(3)).class_f1 is None


@pytest.mark.parametrize(("true", "f1"), [(10, 1.0), (9, 0.0)])
def test_a_tenth_of_an_object_gives_it_a_true_class(true: int, f1: float) -> None:
    truth, prediction = np.zeros((2, 20, 20), np.uint8)
    prediction[:10, :10] = 1
    truth[0, :true] = 1
    # 10 of 100 pixels are a tenth. The true object is covered whole, so it is not missed: fp 10 alone gives 0.
    assert row(detections(truth, prediction, 3)).class_f1 == f1


def test_scenes_add_up() -> None:
    one = detections(*scene(), 3, pixel_size=10)
    two = Detections.empty(3) + one + one
    for field in dataclasses.fields(Detections):
        assert np.array_equal(getattr(two, field.name), 2 * getattr(one, field.name))
    assert row(two).found_iou50 == row(one).found_iou50
    # One scene without a pixel size, and the area of both is not known.
    assert row(one + detections(*scene(), 3)).false_alarms_per_1000_km2 is None
    assert row(Detections.empty(3)).found_iou25 is None
    assert row(Detections.empty(3)).false_alarms_per_mpx is None


def test_ignored_pixels_count_nowhere() -> None:
    truth, prediction = scene()
    truth[75:] = 255  # both false alarms lie under it
    prediction[20:40, 45:50] = 255  # the prediction did not look at the end of an object
    counts = detections(truth, prediction, 3)
    assert counts.false_alarms.sum() == 0
    assert counts.predicted.sum() == 2
    assert counts.valid_pixels == 7500 - 100
    # What is left of the object is 900 px; its hit has IoU 400/900.
    assert counts.objects.tolist() == [[1, 1, 0, 0], [0, 0, 1, 0]]
    assert counts.found[0].tolist() == [[0, 1, 0, 0], [0, 0, 1, 0]]


def test_a_finding_that_overlaps_by_one_pixel_is_no_false_alarm() -> None:
    truth, prediction = np.zeros((2, 20, 20), np.uint8)
    truth[0:12, 0:12] = 1
    prediction[11:20, 11:20] = 1
    counts = detections(truth, prediction, 2)
    assert (counts.false_alarms.sum(), counts.found.sum()) == (0, 0)
    beside = np.zeros_like(truth)
    beside[12:, :] = 1
    assert detections(truth, beside, 2).false_alarms.sum() == 1


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        detections(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)


@settings(max_examples=80)
@given(MAPS)
def test_truth_against_itself_finds_everything(truth: np.ndarray) -> None:
    counts = detections(truth, truth, 3)
    assert all(np.array_equal(f, counts.objects) for f in (*counts.found, *counts.right, counts.predicted))
    assert counts.false_alarms.sum() == 0
    everything = row(counts)
    assert everything.f1_iou25 == everything.class_f1 == (1 if counts.objects.any() else None)


@settings(max_examples=80)
@given(MAPS, MAPS)
def test_what_holds_for_any_two_maps(truth: np.ndarray, prediction: np.ndarray) -> None:
    counts = detections(truth, prediction, 3)
    assert (counts.found[1] <= counts.found[0]).all()
    assert (counts.found <= counts.objects).all()
    assert (counts.right <= counts.found).all()
    assert (counts.false_alarms <= counts.predicted).all()
    assert (counts.finding + counts.false_alarms <= counts.predicted).all()
    # What finds at IoU ≥ ¼ is found: none without the other.
    assert counts.finding.any() == counts.found[0].any()
    # Turning the scene changes nothing, but where two ends lie equally far, what is touched.
    turned = detections(np.rot90(truth), np.rot90(prediction), 3)
    assert np.array_equal(turned.found[:2], counts.found[:2])
    assert np.array_equal(turned.false_alarms, counts.false_alarms)
