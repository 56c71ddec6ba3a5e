"""Runs as a user starts, kills and resumes them."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seepseg.config import Config, Optim, dump, load
from seepseg.errors import CheckpointError, InterruptedRun, LockedError, NonFiniteLossError
from seepseg.inference.score import Sums
from seepseg.machine.cores import cores
from seepseg.runs.checkpoint import load_checkpoint
from seepseg.runs.folder import RunFolder, folder_lock
from seepseg.synthetic import write_seep
from seepseg.training import loop
from seepseg.training.board import part_row
from seepseg.training.epoch import train_batches
from seepseg.training.folds import FoldRun
from seepseg.training.prepare import prepare
from seepseg.training.resume import resumed_config
from seepseg.training.run import assemble, train
from seepseg.training.state import Trainer, restore, start_from
from seepseg.training.step import train_step
from tests.command import error, run
from tests.conftest import tiny_config


def quiet(line: str) -> None:
    pass


def recipe(root: Path, folder: Path, **train: object) -> Path:
    """A config file of the tiny recipe, with a checkpoint after nearly every step and dropout."""
    config = tiny_config(
        root,
        data={"source": "seep", "root": str(root), "split": {"val_fraction": 0.25}, "augment": {"preset": "seep"}},
        train={"epochs": 3, "batch_size": 8, "panels_every": 0, "checkpoint_minutes": 0.0005} | train,
        model={"name": "unet", "channels": [8, 16, 32], "num_res_units": 1, "head": "sigmoid", "dropout": 0.1},
    )
    path = folder / "c.yaml"
    path.write_text(dump(config))
    return path


def start(config: Path, run: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "seepseg", "train", str(config), "--run", str(run), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def same_run(one: Path, other: Path) -> None:
    a, b = (load_checkpoint(RunFolder(f).last) for f in (one, other))
    assert a.ema is not None
    assert b.ema is not None
    for ours, theirs in ((a.weights, b.weights), (a.ema, b.ema)):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    rows = [pd.read_csv(RunFolder(f).metrics).drop(columns="tiles_per_second") for f in (one, other)]
    pd.testing.assert_frame_equal(*rows, check_exact=True)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300  # a busy machine takes its time to import torch
    while not path.exists():
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # of a machine with one core
@pytest.mark.parametrize("workers", [0, 2])
def test_killed_and_resumed_ends_with_the_same_weights(seep_root: Path, tmp_path: Path, workers: int) -> None:
    config = recipe(seep_root, tmp_path)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(load(config), RunFolder(whole), echo=quiet)
    rng, more = random.Random(workers), ["-s", f"runtime.workers={workers}"]
    kills = 0
    for resume in ([], ["--resume"]):
        process = start(config, killed, *resume, *more)
        wait_for(RunFolder(killed).last, process)
        try:
            process.wait(0.05 + 0.4 * rng.random())
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        process.communicate()
    assert kills, "no kill hit the run"
    train(load(config, more[1:]), RunFolder(killed), resume=True, echo=quiet)
    same_run(whole, killed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_says_so_and_resumes_to_the_same_weights(
    seep_root: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    # Checkpoints only at the end of an epoch, so that what the signal saved is what the run goes on from.
    config = recipe(seep_root, tmp_path, epochs=4, checkpoint_minutes=60)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(load(config), RunFolder(whole), echo=quiet)
    process = start(config, stopped)
    wait_for(RunFolder(stopped).last, process)
    begin = time.monotonic()
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == code, out
    assert time.monotonic() - begin < 10
    assert "error: stopped by a signal, state saved in " in out
    assert "Traceback" not in out
    steps = [load_checkpoint(RunFolder(f).last).training["progress"]["step"] for f in (stopped, whole)]
    assert steps[0] < steps[1]
    train(load(config), RunFolder(stopped), resume=True, echo=quiet)
    same_run(whole, stopped)


def test_a_signal_during_validation_is_heard_and_the_epoch_is_finished_on_resume(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "stopped")
    train(tiny, whole, echo=quiet)
    validate = loop.validate

    def signalled(trainer: Trainer, before_batch: Callable[[], None], on_batch: None) -> Sums:
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(trainer, before_batch, on_batch)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "validate", signalled)
        with pytest.raises(InterruptedRun) as caught:
            train(tiny, stopped, echo=quiet)
    assert caught.value.exit_code == 143
    assert load_checkpoint(stopped.last).epoch == 0
    train(tiny, stopped, resume=True, echo=quiet)
    same_run(whole.root, stopped.root)


def test_a_kill_between_the_last_checkpoint_and_its_table_loses_no_row(tiny: Config, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(tiny, folder, echo=quiet)
    before = folder.metrics.read_bytes()
    folder.metrics.unlink()
    train(tiny, folder, resume=True, echo=quiet)
    assert folder.metrics.read_bytes() == before


def test_one_process_a_folder_and_a_dead_ones_lock_is_free(seep_root: Path, tmp_path: Path) -> None:
    config = recipe(seep_root, tmp_path, epochs=200)
    process = start(config, tmp_path / "run")
    wait_for(tmp_path / "run" / "checkpoints" / "last.pt", process)
    second = start(config, tmp_path / "run", "--resume")
    out, _ = second.communicate()
    assert second.returncode == 6
    assert "another seepseg process works here" in out
    process.kill()
    process.communicate()
    with folder_lock(tmp_path / "run"):
        pass


def test_the_lock_excludes(tmp_path: Path) -> None:
    with folder_lock(tmp_path), pytest.raises(LockedError):
        subprocess_lock = folder_lock(tmp_path)
        subprocess_lock.__enter__()


def test_more_epochs_go_on_where_the_run_ended(tiny: Config, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(tiny, folder, echo=quiet)
    longer = tiny.model_copy(update={"train": tiny.train.model_copy(update={"epochs": 3})})
    train(longer, folder, resume=True, echo=quiet)
    assert pd.read_csv(folder.metrics)["epoch"].tolist() == [1, 2, 3]
    board = EventAccumulator(str(folder.board)).Reload()
    assert [event.step for event in board.Scalars("val/loss")] == [1, 2, 3]


def test_the_threads_are_chosen_once_and_kept_when_resumed(
    tiny: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, lines = torch.get_num_threads(), list[str]()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    torch.set_num_threads(3)
    try:
        folder = RunFolder(tmp_path / "run")
        config = tiny.model_copy(update={"runtime": tiny.runtime.model_copy(update={"threads": None})})
        monkeypatch.setattr("seepseg.machine.device.idle_cores", lambda: 1.9)
        train(config, folder, echo=lines.append)
        monkeypatch.setattr("seepseg.machine.device.idle_cores", lambda: 1.0)
        train(resumed_config(folder, ["train.epochs=2"]), folder, resume=True, echo=lines.append)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    assert load(folder.config).runtime.threads == 2
    said = f"with 2 of {cores()} threads"
    assert sum(said in line for line in lines) == 2


def test_an_existing_run_is_not_overwritten(tiny: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, run = tmp_path / "c.yaml", tmp_path / "run"
    config.write_text(dump(tiny))
    run.mkdir()
    (run / "notes.txt").write_text("mine")
    code, line = error(capsys, "train", config, "--run", run)
    assert (code, line) == (2, f"run folder exists in {run}: give another --run DIR")
    assert [p.name for p in run.iterdir()] == ["notes.txt"]


def test_a_resumed_run_takes_no_other_rate_but_more_epochs(
    tiny: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, folder = tmp_path / "c.yaml", RunFolder(tmp_path / "run")
    config.write_text(dump(tiny))
    train(tiny, folder, echo=quiet)
    code, line = error(capsys, "train", config, "--run", folder.root, "--resume", "-s", "optim.lr=0.5")
    assert code == 2
    assert "optim.lr is 0.001 in the run and 0.5 now" in line
    code, _, _ = run(capsys, "train", config, "--run", folder.root, "--resume", "-s", "train.epochs=3")
    assert code == 0
    assert load(folder.config).train.epochs == 3
    assert load_checkpoint(folder.last).epoch == 3


def test_no_run_to_resume(tiny: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(dump(tiny))
    code, line = error(capsys, "train", config, "--run", tmp_path / "none", "--resume")
    assert code == 2
    assert "no run to resume" in line


def test_a_rate_that_blows_up_exits_with_3_and_leaves_a_sound_checkpoint(
    tiny: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, folder = tmp_path / "c.yaml", RunFolder(tmp_path / "run")
    steep = tiny.model_copy(
        update={
            "optim": Optim(name="sgd", lr=1e30),
            "train": tiny.train.model_copy(update={"checkpoint_minutes": 1e-9}),
        }
    )
    config.write_text(dump(steep))
    code, line = error(capsys, "train", config, "--run", folder.root)
    assert code == 3
    assert "at epoch 1, batch" in line
    assert "tiles 9000" in line
    # The state after the step that broke the weights, or before it; either way a file that loads.
    assert load_checkpoint(folder.last).training["progress"]["step"] >= 1


def test_fine_tuning_starts_from_the_other_runs_weights(tiny: Config, tmp_path: Path) -> None:
    first = RunFolder(tmp_path / "first")
    train(tiny, first, echo=quiet)
    still = tiny.model_copy(
        update={"optim": tiny.optim.model_copy(update={"lr": 1e-12}),
                "train": tiny.train.model_copy(update={"epochs": 1})}
    )  # fmt: skip
    second = RunFolder(tmp_path / "second")
    train(still, second, init=first.root, echo=quiet)
    source, tuned = load_checkpoint(first.best).ema, load_checkpoint(second.last).weights
    assert source is not None
    trained = [k for k in source if k.endswith("weight")]
    assert all(torch.allclose(source[k], tuned[k], atol=1e-6) for k in trained)


def test_a_loss_that_is_not_finite_names_the_tiles_and_keeps_the_last_state(tmp_path: Path) -> None:
    write_seep(tmp_path / "data", scenes=3, grid=(6, 6), tile=64, seed=2)
    config = tiny_config(tmp_path / "data")
    folder = RunFolder(tmp_path / "run")
    train(config.model_copy(update={"train": config.train.model_copy(update={"epochs": 1})}), folder, echo=quiet)
    checkpoint = load_checkpoint(folder.last)
    trainer = assemble(config, prepare(config, None), torch.device("cpu"))
    restore(trainer, checkpoint, folder.last)
    (batch,) = list(islice(train_batches(trainer), 1))
    batch.image[0, 0, 0, 0] = torch.nan
    with pytest.raises(NonFiniteLossError) as caught:
        train_step(trainer, batch)
    assert "the loss is nan at epoch 2, batch 1" in str(caught.value)
    assert all(name in str(caught.value) for name in batch.ids)
    assert load_checkpoint(folder.last).epoch == 1


def test_a_network_in_place_of_the_last_state_is_no_run_to_resume(
    tiny: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, folder = tmp_path / "c.yaml", RunFolder(tmp_path / "run")
    config.write_text(dump(tiny))
    train(tiny, folder, echo=quiet)
    shutil.copy(folder.best, folder.last)
    message = (
        f"holds weights only, as best.pt does, not the state of its training in {folder.last}: "
        f"restore last.pt, or start another run from this network with --init {folder.last}"
    )
    assert error(capsys, "train", config, "--run", folder.root, "--resume") == (3, message)
    with pytest.raises(CheckpointError, match="not the state of its training"):  # with --all-folds --resume
        FoldRun(tiny, folder.root, None, resume=True).done()


def test_a_validation_part_that_can_tell_nothing_is_said_so_before_training(tmp_path: Path) -> None:
    write_seep(tmp_path / "data", scenes=3, grid=(4, 4), tile=64, seed=2)
    first = sorted((tmp_path / "data" / "train_masks_256").iterdir())[0].stem.split(".")[0]
    masks = list((tmp_path / "data" / "train_masks_256").glob(f"{first}.*"))
    for path in masks:
        tifffile.imwrite(path, np.zeros_like(tifffile.imread(path)))

    def lines(val: str) -> list[str]:
        split = {"val": [val], "test_fraction": 0, "allow_missing_classes": True}
        data = {"source": "seep", "root": str(tmp_path / "data"), "split": split}
        config = tiny_config(tmp_path, data=data, train={"epochs": 1, "batch_size": 8, "panels_every": 0})
        message: list[str] = []
        train(config, RunFolder(tmp_path / val), echo=message.append)
        return message

    warning, epoch = lines(first)[1:3]
    assert warning == (
        f"warning: no pixel of the {len(masks)} validation tiles is foreground, so val/dice/macro cannot say which "
        "epoch is the best: change data.split"
    )
    assert epoch.startswith("epoch   1/1")
    other = sorted((tmp_path / "data" / "train_masks_256").iterdir())[-1].stem.split(".")[0]
    assert not any("warning" in line for line in lines(other))


def test_a_scale_that_the_tiles_speak_against_is_doubted_before_training(tiny: Config) -> None:
    for kind, count in (("dn", 0), ("db", 1)):
        scaling = tiny.data.scaling.model_copy(update={"kind": kind})
        data = tiny.data.model_copy(update={"scaling": scaling})
        warnings = prepare(tiny.model_copy(update={"data": data}), None).train.catalog.warnings
        assert sum("zeros apart" in line for line in warnings) == count


def test_a_batch_without_labels_is_skipped_and_counted(tiny: Config) -> None:
    trainer = assemble(tiny, prepare(tiny, None), torch.device("cpu"))
    (batch,) = list(islice(train_batches(trainer), 1))
    batch.mask[:] = 255
    before = [p.clone() for p in trainer.model.parameters()]
    assert np.isnan(train_step(trainer, batch))
    assert trainer.progress.skipped == 1
    assert trainer.progress.step == 0
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


def test_an_epoch_whose_first_batch_has_no_labels_is_summed_up(tiny: Config) -> None:
    trainer = assemble(tiny, prepare(tiny, None), torch.device("cpu"))
    batches = list(islice(train_batches(trainer), 2))
    batches[0].mask[:] = 255
    for batch in batches:
        train_step(trainer, batch)
        trainer.progress.batch += 1
    # Every fourth batch is scored, and here that was the one skipped: losses are known, scores are not.
    assert trainer.sums.n_tiles == 0
    row = part_row("train", trainer.sums, trainer.data.classes)
    assert row["train/loss"] > 0
    assert not any("dice/" in key and "loss" not in key for key in row)


def test_a_run_of_float_tiles_with_declared_nan_trains(tmp_path: Path) -> None:
    write_seep(tmp_path / "data", scenes=3, grid=(6, 6), tile=64, seed=2)
    for path in (tmp_path / "data" / "train_images_256").iterdir():
        values = tifffile.imread(path).astype(np.float32)
        values[:5] = np.nan
        tifffile.imwrite(path, values)
    data = {"source": "seep", "root": str(tmp_path / "data"), "nodata": "nan", "split": {"val_fraction": 0.34}}
    config = tiny_config(tmp_path / "data", data=data, train={"epochs": 1, "batch_size": 8, "panels_every": 0})
    train(config, RunFolder(tmp_path / "run"), echo=quiet)
    row = pd.read_csv(tmp_path / "run" / "metrics.csv").iloc[0]
    assert np.isfinite(row["train/loss"])
    assert np.isfinite(row["val/loss"])


def test_a_checkpoint_of_another_network_is_refused_with_both_shapes(tiny: Config, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(tiny, folder, echo=quiet)
    wide = tiny.model_copy(update={"model": tiny.model.model_copy(update={"channels": [16, 16, 32]})})
    trainer = assemble(wide, prepare(wide, None), torch.device("cpu"))
    with pytest.raises(CheckpointError, match=r"weights do not match: .* is \(8,\) in the checkpoint and \(16,\) "):
        start_from(trainer, load_checkpoint(folder.best), folder.best)
