from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seepseg.classes import SALT, SEEP
from seepseg.inference.score import Sums
from seepseg.training.board import Board, part_row


def sums_of(matrix: list[list[int]], **more: int) -> Sums:
    array = np.array(matrix)
    floats = {0: {"tiles": [2.0], "loss": [3.0], "loss_bce": [1.0]}}
    return Sums(array, (array.sum(1) > 0).astype(np.int64), 2, more.get("tgs_tenths", 0), floats)


def test_numbers_of_one_class_by_hand() -> None:
    # Truth salt: 6 of 8 found, 2 missed; 2 false alarms. Dice = 2·6 / (2·6 + 2 + 2) = 0.75, IoU = 6 / 10.
    # Losses are sums over two tiles: 3 / 2 and 1 / 2. TGS: 13 tenths over two tiles = 0.65.
    row = part_row("val", sums_of([[90, 2], [2, 6]], tgs_tenths=13), SALT)
    assert row == pytest.approx(
        {
            "val/loss": 1.5,
            "val/loss_bce": 0.5,
            "val/dice/macro": 0.75,
            "val/dice/salt": 0.75,
            "val/iou/macro": 0.6,
            "val/iou/salt": 0.6,
            "val/dice/foreground": 0.75,
            "val/iou/foreground": 0.6,
            "val/tgs_score": 0.65,
        }
    )


def test_training_has_no_tgs_score() -> None:
    assert not any("tgs" in key for key in part_row("train", sums_of([[90, 2], [2, 6]]), SALT))


def test_a_class_that_is_nowhere_has_no_entry_and_no_part_in_the_mean() -> None:
    matrix = np.zeros((8, 8), int)
    matrix[0, 0], matrix[1, 1], matrix[2, 2], matrix[2, 0] = 50, 4, 1, 2
    row = part_row("val", sums_of(matrix.tolist()), SEEP)
    first, second, third = SEEP.names[1:4]
    # Class 1: 8 / 8 = 1. Class 2: 1 found, 2 missed, 2 / 4 = 0.5. Mean of the two that are there: 0.75.
    assert row[f"val/dice/{first}"] == 1
    assert row[f"val/dice/{second}"] == 0.5
    assert f"val/dice/{third}" not in row
    assert row["val/dice/macro"] == 0.75


def test_a_resumed_run_keeps_every_epoch_on_the_board(tmp_path: Path) -> None:
    # One writer a process: the first one finishes epochs 1 and 2, the second goes on after epoch 2.
    first = Board(tmp_path, 1)
    for epoch in (1, 2):
        first.row({"epoch": epoch, "val/loss": 1 / epoch}, epoch)
    first.close()
    second = Board(tmp_path, 3)
    second.row({"epoch": 3, "val/loss": 1 / 3, "val/nan": float("nan")}, 3)
    second.panels({"a": np.zeros((4, 4, 3), np.uint8)}, 3)
    second.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["scalars"] == ["val/loss"]
    assert [e.step for e in events.Scalars("val/loss")] == [1, 2, 3]
    assert events.Tags()["images"] == ["tiles/a"]
