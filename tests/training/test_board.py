from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.util import tensor_util

from seepseg.classes import SALT, SEEP
from seepseg.config import Config
from seepseg.inference.score import Sums
from seepseg.training.board import Board, epoch_line, monitored, part_row, tile_panels
from seepseg.training.curves import BINS
from seepseg.training.progress import Progress
from tests.conftest import tiny_config
from tests.training.trainers import trainer_of


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
            # One of the two tiles holds salt.
            "val/tgs_score/nothing": 0.5,
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


def test_what_a_killed_process_wrote_past_its_checkpoint_is_hidden(tmp_path: Path) -> None:
    # The first process reaches epoch 4, but its last checkpoint is of epoch 2: the second one does 3 and 4 again.
    first = Board(tmp_path, 1)
    for epoch in (1, 2, 3, 4):
        first.row({"val/loss": epoch + 0.5}, epoch)
        first.confusion(np.eye(2, dtype=np.int64), SALT, epoch)
    first.close()
    second = Board(tmp_path, 3)
    for epoch in (3, 4, 5):
        second.row({"val/loss": float(epoch)}, epoch)
    second.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("val/loss")] == [(1, 1.5), (2, 2.5), (3, 3), (4, 4), (5, 5)]
    assert [e.step for e in events.Images("val/confusion")] == [1, 2]


def test_curves_of_the_classes_that_are_there(tmp_path: Path) -> None:
    counts = np.zeros((7, 2, BINS), np.int64)
    # Class 1: ten pixels of it at probability 1, five others at 0; class 2 is only predicted.
    counts[0, 1, -1], counts[0, 0, 0], counts[1, 0, 60] = 10, 5, 3
    board = Board(tmp_path, 1)
    board.curves(counts, SEEP, 4)
    board.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert events.Tags()["tensors"] == [f"val/{SEEP.names[1]}"]
    (event,) = events.Tensors(f"val/{SEEP.names[1]}")
    tp, fp, tn, fn, precision, recall = tensor_util.make_ndarray(event.tensor_proto)
    assert event.step == 4
    assert (tp[0], fp[0], precision[0]) == (10, 5, np.float32(10 / 15))
    assert (tp[1], fp[1], tn[1], fn[1], precision[1], recall[1]) == (10, 0, 5, 0, 1, 1)


def test_the_recipe_and_its_scores_stand_in_the_run_itself(tmp_path: Path) -> None:
    config = tiny_config(Path("data"), stages=[{"epochs": 2, "optim": {"lr": 0.25}}], train={"early_stopping": 3})
    progress = Progress(epoch=2, best=0.5, best_epoch=1, rows=[{"val/dice/macro": 0.4, "val/iou/macro": 0.3}])
    board = Board(tmp_path, 1)
    board.recipe(config, progress)
    board.close()
    assert [p.is_file() for p in tmp_path.iterdir()] == [True]
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(e.step, e.value) for e in events.Scalars("best/dice/macro")] == [(2, 0.5)]
    content = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    values = metadata.parse_session_start_info_plugin_data(content).hparams
    assert values["stages.0.optim.lr"].number_value == 0.25
    assert values["stages.0.loss.name"].string_value == "dice_bce"
    assert values["train.early_stopping"].number_value == 3
    assert not any(key.startswith(("data.root", "runtime", "predict")) for key in values)
    content = events.SummaryMetadata(metadata.EXPERIMENT_TAG).plugin_data.content
    shown = {m.name.tag for m in metadata.parse_experiment_plugin_data(content).metric_infos}
    assert shown == {"best/dice/macro", "val/dice/macro", "val/iou/macro"}


def test_the_line_of_an_epoch_compares_with_predicting_nothing() -> None:
    data = {"source": "tgs", "root": "d"}
    config = tiny_config(Path("d"), data=data, train={"epochs": 9})
    row = {"train/loss": 0.5, "val/loss": 0.25, "val/dice/foreground": 0.75, "tiles_per_second": 12.0}
    progress = Progress(epoch=2, best_epoch=2)
    line = epoch_line(config, progress, row | {"val/tgs_score": 0.6, "val/tgs_score/nothing": 0.39})
    assert line == (
        "epoch   2/9  loss 0.5000  val loss 0.2500  foreground Dice 0.750"
        "  tgs_score 0.6000 (predicting nothing: 0.3900) *  12.0 tiles/s"
    )
    seep = epoch_line(tiny_config(Path("d")), progress, row | {"val/dice/macro": 0.6})
    assert seep.endswith("dice/macro 0.6000 *  12.0 tiles/s")


@pytest.mark.parametrize(
    ("source", "key"), [("seep", "val/dice/macro"), ("seep_binary", "val/dice/foreground"), ("tgs", "val/tgs_score")]
)
def test_which_score_is_watched(source: str, key: str) -> None:
    data = {"source": "tgs", "root": "d"} if source == "tgs" else {"source": "seep", "root": "d", "classes": source}
    assert monitored(tiny_config(Path("d"), data=data)) == key


def test_panels_show_the_tiles_with_the_most_classes(tiny: Config) -> None:
    trainer = trainer_of(tiny)
    pictures = tile_panels(trainer)
    assert len(pictures) == 4
    n_classes = {t.id: sum(p > 0 for p in (t.pixels or ())[1:]) for t in trainer.data.val.catalog.tiles}
    assert sorted((n_classes[name] for name in pictures), reverse=True) == sorted(n_classes.values(), reverse=True)[:4]
    for picture in pictures.values():
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
