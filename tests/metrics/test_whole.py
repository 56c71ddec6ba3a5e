from __future__ import annotations

import numpy as np
import pytest

from seepseg.metrics.boundary import surface_counts
from seepseg.metrics.detection import detections, object_scores
from seepseg.metrics.whole import COUNTS, count_names, whole_counts, whole_scores


def maps(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction of a scene, blocks of classes 0 to 2."""
    rng = np.random.default_rng(seed)
    return tuple(np.kron(rng.choice([0, 0, 1, 2], (6, 6)), np.ones((4, 4))).astype(np.uint8) for _ in "ab")  # type: ignore[return-value]


def test_counts_of_scenes_add_up_to_the_scores_of_all() -> None:
    scenes = [maps(seed) for seed in range(4)]
    found, outlines = ([f(t, p, 3) for t, p in scenes] for f in (detections, surface_counts))
    stack = np.stack([whole_counts(d, s) for d, s in zip(found, outlines, strict=True)])
    assert stack.shape == (4, len(count_names(3)))
    scores = {name: float(v[0]) for name, v in whole_scores(stack.sum(0)[None]).items()}
    row = object_scores(sum(found[1:], found[0]), ["a", "b"])[0]
    surface = sum(outlines[1:], outlines[0]).surface_dice()[1][0]
    assert scores == {
        "surface_dice": pytest.approx(surface),
        "objects/f1": pytest.approx(row.f1_iou25),
        "objects/class_accuracy": pytest.approx(row.class_accuracy_iou25),
        "objects/class_f1": pytest.approx(row.class_f1),
        "objects/found": pytest.approx(row.found_iou25),
        "objects/false_alarms_per_mpx": pytest.approx(row.false_alarms_per_mpx),
    }


def test_names_say_what_is_counted() -> None:
    truth, prediction = np.zeros((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    truth[2:6, 2:6], prediction[2:6, 2:6], prediction[12:14, 12:14] = 1, 2, 1
    named = dict(
        zip(
            count_names(3),
            whole_counts(detections(truth, prediction, 3), surface_counts(truth, prediction, 3)),
            strict=True,
        )
    )
    # 12 of 16 pixels of each 4 × 4 square are on its outline, and all 4 of the false alarm.
    assert {name: named[name] for name in COUNTS} == {
        "objects": 1, "found": 1, "right": 0, "predicted": 2, "finding": 1, "false_alarms": 1, "pixels": 400,
        "outline": 28, "outline_near": 24,
    }  # fmt: skip
    # Class 1 as 2: missing of 1, and false of 2, by √16; the false alarm of class 1 by √4.
    assert {k: v for k, v in named.items() if k not in COUNTS} == {
        "tp_1": 0, "tp_2": 0, "fp_1": 2, "fp_2": 4, "fn_1": 4, "fn_2": 0,
    }  # fmt: skip


def test_what_is_not_there_has_no_score() -> None:
    nothing = np.zeros((1, len(count_names(2))))
    assert all(np.isnan(value).all() for value in whole_scores(nothing).values())
