"""Stages: each with its own loss, optimiser and schedule; resumed anywhere."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pandas as pd
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seepseg.config import Config, dump, load
from seepseg.errors import InterruptedRun
from seepseg.runs.checkpoint import load_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.training import loop
from seepseg.training.resume import resumed_config
from seepseg.training.run import train
from seepseg.training.step import rate
from tests.command import error
from tests.conftest import tiny_config
from tests.training.test_run import same_run
from tests.training.trainers import quiet, trainer_of

STAGES = [
    {"loss": "bce", "epochs": 1, "optim": {"lr": 0.01}, "schedule": "constant"},
    {
        "loss": "dice_bce",
        "epochs": 2,
        "optim": {"name": "sgd", "lr": 0.02},
        "schedule": {"name": "plateau", "patience": 0},
    },
]


def staged(root: Path, **more: object) -> Config:
    model = {"name": "unet", "channels": [4, 8], "num_res_units": 1, "head": "sigmoid", "dropout": 0.1}
    return tiny_config(root, model=model, stages=STAGES, train={"batch_size": 20, "panels_every": 0}, **more)


@pytest.fixture(scope="module")
def whole(seep_root: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """An undisturbed run of both stages."""
    folder = RunFolder(tmp_path_factory.mktemp("whole") / "run")
    lines: list[str] = []
    train(staged(seep_root), folder, echo=lines.append)
    assert "stage 1 ended; stage 2: dice_bce, 2 epochs" in lines
    assert lines[1].startswith("epoch   1/3  stage 1/2  loss ")
    return folder


def test_each_stage_has_its_loss_its_rate_and_its_own_numbers(whole: RunFolder) -> None:
    rows = pd.read_csv(whole.metrics)
    assert rows["stage"].tolist() == [1, 2, 2]
    assert rows["epoch"].tolist() == [1, 2, 3]
    assert rows["lr"].tolist()[:2] == [0.01, 0.02]
    # The first stage is BCE and nothing else, the second has the term beside Dice.
    assert rows["val/loss"][0] == rows["val/loss_bce"][0]
    assert rows["val/loss_dice"].isna().tolist() == [True, False, False]
    assert rows["val/loss"][1] == pytest.approx(rows["val/loss_bce"][1] + rows["val/loss_dice"][1])
    state = load_checkpoint(whole.last).training
    assert "momentum_buffer" in state["optimizer"]["state"][0]  # SGD's, not AdamW's
    # 107 tiles in batches of 20: five steps an epoch, the plateau knows the losses of its stage only.
    assert state["progress"]["stage_step"] == 5
    assert state["progress"]["val_losses"] == rows["val/loss"].tolist()[1:]


def test_the_best_of_all_stages_is_kept(whole: RunFolder) -> None:
    rows, best = pd.read_csv(whole.metrics), load_checkpoint(whole.best)
    assert best.score == rows["val/dice/macro"].max()
    assert best.epoch == rows["epoch"][rows["val/dice/macro"].idxmax()]


@pytest.mark.parametrize("step", [3, 5, 12])
def test_interrupted_at_any_step_it_ends_with_the_same_weights(
    seep_root: Path, tmp_path: Path, whole: RunFolder, step: int
) -> None:
    # Within the first stage, after its last step, in the second epoch of the second stage.
    folder, count = RunFolder(tmp_path / "run"), 0

    def tick(done: int, of: int) -> None:
        nonlocal count
        count += 1
        if count == step:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(InterruptedRun):
        train(staged(seep_root), folder, echo=quiet, tick=tick)
    assert load_checkpoint(folder.last).training["progress"]["step"] == step
    train(resumed_config(folder, []), folder, resume=True, echo=quiet)
    same_run(whole.root, folder.root)


def test_killed_exactly_at_the_border_the_second_stage_begins_fresh(
    seep_root: Path, tmp_path: Path, whole: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, save = RunFolder(tmp_path / "run"), loop.save

    def save_and_die(*arguments: object) -> None:
        save(*arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "save", save_and_die)
        train(staged(seep_root), folder, echo=quiet)
    state = load_checkpoint(folder.last).training
    assert (state["progress"]["epoch"], state["progress"]["stage"]) == (1, 1)
    assert state["optimizer"]["state"] == {}
    train(resumed_config(folder, []), folder, resume=True, echo=quiet)
    same_run(whole.root, folder.root)
    board = EventAccumulator(str(folder.board)).Reload()
    assert [(e.step, e.value) for e in board.Scalars("stage")] == [(1, 1), (2, 2), (3, 2)]


def test_only_the_last_stage_may_grow_on_resume(
    seep_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, config = RunFolder(tmp_path / "run"), tmp_path / "c.yaml"
    config.write_text(dump(staged(seep_root)))
    train(load(config, ["stages.1.epochs=1"]), folder, echo=quiet)
    code, line = error(capsys, "train", config, "--run", folder.root, "--resume", "-s", "stages.0.epochs=2")
    assert (code, line.startswith("stages.0.epochs is 1 in the run and 2 now")) == (2, True)
    code, line = error(capsys, "train", config, "--run", folder.root, "--resume", "-s", "train.epochs=9")
    assert (code, line.startswith("train.epochs does not go with stages, whose own epochs add up to 3: ")) == (2, True)
    train(resumed_config(folder, ["stages.1.epochs=2"]), folder, resume=True, echo=quiet)
    assert pd.read_csv(folder.metrics)["stage"].tolist() == [1, 2, 2]
    assert load(folder.config).train.epochs == 3


def test_the_schedule_of_a_stage_runs_over_its_own_steps(seep_root: Path) -> None:
    # Two stages of one epoch with five steps each, a cosine from the rate down: at the third step of either,
    # .5 · (1 + cos(2π/5)) = .6545 of its rate.
    stages = [{"epochs": 1, "optim": {"lr": 1.0}}, {"epochs": 1, "optim": {"lr": 0.1}}]
    trainer = trainer_of(tiny_config(seep_root, stages=stages, train={"batch_size": 20}))
    assert trainer.steps_per_epoch == 5
    trainer.progress.step = 2
    assert rate(trainer) == pytest.approx(0.6545, abs=1e-4)
    trainer.progress.step, trainer.progress.epoch = 5, 1
    loop.next_stage(trainer)
    assert rate(trainer) == 0.1
    trainer.progress.step = 7
    assert rate(trainer) == pytest.approx(0.06545, abs=1e-5)


def test_early_stopping_ends_a_stage_and_not_the_run(seep_root: Path, tmp_path: Path) -> None:
    # With a rate of 1e-12 no epoch is better than the first.
    still = {"name": "sgd", "lr": 1e-12}
    config = tiny_config(
        seep_root,
        stages=[{"epochs": 9, "optim": still}, {"epochs": 1, "optim": still}],
        model={"name": "unet", "channels": [4, 8], "num_res_units": 0, "head": "sigmoid", "norm": "group"},
        train={"batch_size": 64, "panels_every": 0, "early_stopping": 1},
    )
    lines: list[str] = []
    train(config, RunFolder(tmp_path), echo=lines.append)
    assert "stage 1 ended early; stage 2: dice_bce, 1 epochs" in lines
    assert pd.read_csv(RunFolder(tmp_path).metrics)["stage"].tolist() == [1, 1, 2]


def test_weights_and_averages_stay_at_the_border(seep_root: Path) -> None:
    trainer = trainer_of(staged(seep_root))
    assert trainer.ema
    before = [p.clone() for p in (*trainer.model.parameters(), *trainer.ema.parameters())]
    loop.next_stage(trainer)
    assert isinstance(trainer.optimizer, torch.optim.SGD)
    assert list(trainer.loss.terms) == ["bce", "dice"]
    assert all(
        torch.equal(a, b) for a, b in zip(before, (*trainer.model.parameters(), *trainer.ema.parameters()), strict=True)
    )
