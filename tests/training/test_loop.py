from __future__ import annotations

import threading
from pathlib import Path

import pandas as pd
import pytest
import torch

from seepseg.config import Config
from seepseg.data.loader import Batch
from seepseg.errors import ResourceError
from seepseg.machine.progress import silent
from seepseg.machine.signals import StopSignal
from seepseg.runs.folder import RunFolder
from seepseg.training import epoch
from seepseg.training.loop import opened_board, run_loop
from seepseg.training.run import train
from seepseg.training.state import Trainer
from tests.conftest import tiny_config
from tests.training.trainers import quiet, trainer_of


@pytest.mark.parametrize(("source", "key"), [("seep", "val/dice/macro"), ("salt", "val/tgs_score")])
def test_best_is_what_the_task_is_judged_by(
    seep_root: Path, salt_root: Path, tmp_path: Path, source: str, key: str
) -> None:
    train_node = {"epochs": 1, "batch_size": 8, "panels_every": 0}
    salt = {"source": "tgs", "root": str(salt_root), "split": {"by": "random"}}
    config = (
        tiny_config(seep_root, train=train_node)
        if source == "seep"
        else tiny_config(salt_root, data=salt, train=train_node)
    )
    folder = RunFolder(tmp_path / "run")
    best = train(config, folder, echo=quiet)
    assert best.score == pd.read_csv(folder.metrics)[key][0]


def test_it_stops_early_when_nothing_gets_better(seep_root: Path, tmp_path: Path) -> None:
    # A rate of 1e-12 leaves the score where epoch 1 had it; two epochs without a better one end the run after the
    # third.
    config = tiny_config(
        seep_root,
        optim={"name": "sgd", "lr": 1e-12},
        model={"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "sigmoid", "norm": "group"},
        train={"epochs": 9, "batch_size": 32, "panels_every": 0, "early_stopping": 2},
    )
    lines: list[str] = []
    folder = RunFolder(tmp_path / "run")
    best = train(config, folder, echo=lines.append)
    assert pd.read_csv(folder.metrics)["epoch"].tolist() == [1, 2, 3]
    assert best.epoch == 1  # the earlier wins a tie
    assert lines[-1] == "stopped early: no better score for 2 epochs"


def test_memory_that_gives_out_halves_the_advised_batch(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(trainer: Trainer, batch: Batch) -> float:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(epoch, "train_step", full)
    with pytest.raises(ResourceError, match=r"out of memory with a batch of 8 in device cpu: set train.batch_size=4"):
        run_loop(trainer_of(tiny), RunFolder(tmp_path), StopSignal(), quiet, silent)


def test_while_the_board_is_open_its_thread_prints_no_traceback(seep_root: Path, tmp_path: Path) -> None:
    trainer, before = trainer_of(tiny_config(seep_root)), threading.excepthook
    with opened_board(trainer, RunFolder(tmp_path), quiet):
        assert threading.excepthook is not before
    assert threading.excepthook is before
