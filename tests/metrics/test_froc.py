from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepseg.metrics.detection import detections
from seepseg.metrics.froc import FrocCounts, froc_counts
from seepseg.objects.components import label_objects
from tests.metrics.test_detection import MAPS, scene


def test_froc_by_hand() -> None:
    truth, _ = scene()
    p = np.zeros((100, 100), np.float32)
    p[0:5, 0:10] = 0.9
    p[20:30, 0:40] = 0.5
    p[80:83, 80:83] = 0.6  # 9 px of false alarm, below the least size in the second case
    p[90:96, 80:90] = 0.2
    counts = froc_counts(truth, p, (0.1, 0.5, 0.6, 0.95))
    assert counts.objects == 3
    assert counts.found[:, 0].tolist() == [2, 2, 1, 0]
    assert counts.found[:, 1].tolist() == [1, 1, 1, 0]
    assert counts.false_alarms.tolist() == [2, 1, 1, 0]
    columns = counts.columns()
    assert columns["threshold"] == [0.1, 0.5, 0.6, 0.95]
    assert columns["found_iou25"] == [2 / 3, 2 / 3, 1 / 3, 0]
    assert columns["false_alarms_per_mpx"] == [200, 100, 100, 0]
    assert columns["false_alarms_per_1000_km2"] == [None] * 4
    assert froc_counts(truth, p, (0.1,), min_pixels=10).false_alarms.tolist() == [1]
    of_known_size = froc_counts(truth, p, (0.1,), pixel_size=100)
    assert of_known_size.columns()["false_alarms_per_1000_km2"] == [pytest.approx(20)]


@settings(max_examples=40)
@given(MAPS, st.integers(0, 2**32), st.integers(0, 4))
def test_froc_is_detection_at_each_threshold(truth: np.ndarray, seed: int, least: int) -> None:
    p = np.random.default_rng(seed).random(truth.shape).round(1)
    p[0, 0] = np.nan
    counts = froc_counts(truth, p, (0.3, 0.7), min_pixels=least)
    for i, threshold in enumerate((0.3, 0.7)):
        kept = (p >= threshold) & (truth != 255)
        labels, n = label_objects(kept.astype(np.uint8))
        for j in range(1, n + 1):
            if (labels == j).sum() < least:
                kept[labels == j] = False
        seen = np.where(np.isnan(p), np.uint8(255), kept.astype(np.uint8))
        whole = detections(truth, seen, 3)
        assert counts.found[i].tolist() == whole.found.sum((1, 2)).tolist()
        assert counts.false_alarms[i] == whole.false_alarms.sum()
        assert (counts.objects, counts.valid_pixels) == (whole.objects.sum(), whole.valid_pixels)


def test_froc_adds_up_over_scenes_of_the_same_thresholds() -> None:
    truth, prediction = scene()
    one = froc_counts(truth, prediction / 2, (0.4, 0.8), pixel_size=10)
    two = FrocCounts.empty((0.4, 0.8)) + one + one
    assert two.columns()["found_touched"] == one.columns()["found_touched"]
    assert two.columns()["false_alarms_per_mpx"] == one.columns()["false_alarms_per_mpx"]
    assert (two.objects, two.valid_pixels) == (6, 20_000)
    with pytest.raises(ValueError, match="thresholds differ"):
        _ = one + FrocCounts.empty((0.4,))
    assert FrocCounts.empty((0.4,)).columns()["found_iou25"] == [None]
    with pytest.raises(ValueError, match="differ in shape"):
        froc_counts(np.zeros((2, 3), np.uint8), np.zeros((3, 2)), [0.5])
