from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from seepseg.classes import SALT, ClassTable, SegClass
from seepseg.evaluation.summary import (
    Decoded,
    Evidence,
    Headline,
    Summary,
    headline,
    summarise,
)
from seepseg.inference.score import Sums
from seepseg.metrics.bootstrap import Interval
from seepseg.metrics.detection import ObjectScores
from seepseg.metrics.salt_score import BatchScores

TWO = ClassTable((SegClass("thick", (1,), "#E69F00"), SegClass("<thin>", (2,), "#56B4E9")))

KNOWN = Interval(0.75, 0.61, 0.82, 9, 0.0)
NONE = Interval(0.75, None, None, 3, 0.0)


def sums_of(matrix: list[list[int]], tiles: list[int], n_tiles: int = 5) -> Sums:
    return Sums(np.array(matrix, np.int64), np.array(tiles, np.int64), n_tiles)


def evidence(**more: Any) -> Evidence:
    """Some evidence, parts of it laid over."""
    nothing = Headline(5, 0.0, 0.0, 0.0, 0.0, 0.0, None, 8, 100)
    objects = ObjectScores("all", "all", 20, 0.55, None, 0.8, 0.6, None, 0.5, 0.48, 0.34, 25, 7, 3.14, None)
    parts: dict[str, Any] = {
        "intervals": {"dice/foreground": KNOWN, "dice/1": KNOWN, "dice/macro": NONE, "iou/1": KNOWN},
        "lacking": {"thick": 0.0, "<thin>": 0.352},
        "objects": objects,
        "surface_dice": {"1 px": 0.5, "2 px": 0.75, "3 px": None},
        "references": {"this run": Headline(5, 0.75, 0.6, 0.75, 0.75, 0.75, 1.0, 8, 100), "predict nothing": nothing},
        "as_published": BatchScores(0.4204, 0.2661),
        "calibration": {"foreground": 0.043},
        "froc": {"threshold": [0.5]},
        "decoding": Decoded("config", "network", 1.0, None, (), 0),
    }
    return Evidence(**parts | more)


def summary(**more: Any) -> Summary:
    """Scores of two classes, one of them absent, with evidence."""
    # Class 1: 6 hit, 2 called background, 2 false: Dice 12/16, IoU 6/10, precision and recall 6/8. Class 2 is absent.
    sums = sums_of([[90, 2, 0], [2, 6, 0], [0, 0, 0]], [5, 3, 0])
    return replace(summarise(sums, TWO, "val", per_tile=False, evidence=evidence()), **more)


def test_a_summary_by_hand() -> None:
    tree = summary(evidence=None).to_json()
    assert tree["classes"][0] == {
        "value": 1,
        "name": "thick",
        "dice": 0.75,
        "iou": 0.6,
        "precision": 0.75,
        "recall": 0.75,
        "support_pixels": 8,
        "support_tiles": 3,
    }
    assert [tree["classes"][1][k] for k in ("dice", "iou", "precision", "recall")] == [None] * 4
    assert tree["macro"] == {"dice": 0.75, "iou": 0.6}
    assert tree["foreground"] == {"dice": 0.75, "iou": 0.6, "precision": 0.75, "recall": 0.75}
    # What is not there is left out; what is not defined is null.
    assert list(tree) == ["split", "n_tiles", "foreground", "macro", "class_accuracy", "classes"]
    empty = summarise(sums_of([[9, 0], [0, 0]], [5, 0]), SALT, "val", per_tile=False).to_json()
    assert empty["class_accuracy"] is None


def test_evidence_stands_beside_the_scores() -> None:
    tree = summary().to_json()
    assert tree["intervals"]["dice/macro"] == {
        "value": 0.75,
        "low": None,
        "high": None,
        "clusters": 3,
        "undefined": 0.0,
    }
    assert tree["decoding"] == {
        "from": "config", "objects": "network", "temperature": 1.0, "threshold": None, "offsets": [], "min_pixels": 0,
    }  # fmt: skip
    assert (tree["objects"]["class"], tree["objects"]["found_iou50"]) == ("all", None)
    assert tree["as_published"] == {"soft_dice_batch16": 0.4204, "soft_iou_batch16": 0.2661}
    assert "tgs_score" not in tree["references"]["predict nothing"]
    assert not {"by_coverage", "evidence"} & set(tree)


def test_the_tgs_score_is_of_tiles_that_are_scored_one_by_one() -> None:
    # 27 tenths over 3 tiles: a mean of 9 tenths.
    sums = Sums(np.array([[5, 0], [0, 5]]), np.array([3, 2]), 3, tgs_tenths=27)
    salt = summarise(sums, SALT, "val", per_tile=True)
    assert (salt.tgs_score, salt.place) == (pytest.approx(0.9), "tile")
    seeps = summarise(sums, SALT, "val", per_tile=False)
    assert (seeps.tgs_score, seeps.place) == (None, "scene")
    assert headline(sums, per_tile=True).tgs_score == pytest.approx(0.9)
