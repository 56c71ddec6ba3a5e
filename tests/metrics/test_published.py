from __future__ import annotations

import numpy as np
import pytest

from seepseg.metrics.published import BATCH, batch_scores, soft_counts


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
    assert found == pytest.approx({"soft_dice_batch16": (5 / 9 + 1 / 4) / 2, "soft_iou_batch16": (3 / 7 + 1 / 4) / 2})


def test_a_batch_of_nothing_is_perfect_and_a_full_one_need_not_fill_up() -> None:
    assert batch_scores(np.zeros((3, 3))) == {"soft_dice_batch16": 1, "soft_iou_batch16": 1}
    counts = np.zeros((17, 3))
    counts[:16] = (0, 0, 1)
    # Sixteen tiles with a pixel missed each: 1/17; the seventeenth, alone in its batch: 1.
    assert batch_scores(counts)["soft_dice_batch16"] == pytest.approx((1 / 17 + 1) / 2)
    assert batch_scores(counts[:16])["soft_dice_batch16"] == pytest.approx(1 / 17)
