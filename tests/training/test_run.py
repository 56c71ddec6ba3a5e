"""Runs as a user starts, kills and resumes them."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch

from seepseg.config import Config, dump, load
from seepseg.data.synthetic import write_seep
from seepseg.errors import CheckpointError, LockedError, NonFiniteLossError
from seepseg.runs.checkpoint import load_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.training.guard import run_lock
from seepseg.training.run import assemble, prepare, train
from tests.conftest import tiny_config


def quiet(line: str) -> None:
    pass


def recipe(root: Path, folder: Path, **train: object) -> Path:
    """A config file of the tiny recipe, with a checkpoint after nearly every step and dropout."""
    config = tiny_config(
        root,
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
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.stdout and process.stdout.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("workers", [0, 2])
def test_killed_and_resumed_ends_with_the_same_weights(seep_root: Path, tmp_path: Path, workers: int) -> None:
    config = recipe(seep_root, tmp_path)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(load(config), RunFolder(whole), tell=quiet)
    rng, more = random.Random(workers), ["-s", f"runtime.workers={workers}"]
    kills = 0
    for resume in ([], ["--resume"], ["--resume"]):
        process = start(config, killed, *resume, *more)
        wait_for(RunFolder(killed).last, process)
        try:
            process.wait(0.05 + 0.4 * rng.random())
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
        process.communicate()
    assert kills, "no kill hit the run"
    process = start(config, killed, "--resume", *more)
    out, _ = process.communicate()
    assert process.returncode == 0, out
    same_run(whole, killed)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_says_so(seep_root: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    config = recipe(seep_root, tmp_path, epochs=200)
    process = start(config, tmp_path / "run")
    wait_for(tmp_path / "run" / "checkpoints" / "last.pt", process)
    begin = time.monotonic()
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert time.monotonic() - begin < 10
    assert "error: stopped by a signal, state saved in " in out
    assert "Traceback" not in out
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt").training["progress"]["step"] > 0


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
    with run_lock(tmp_path / "run"):
        pass


def test_the_lock_excludes(tmp_path: Path) -> None:
    with run_lock(tmp_path), pytest.raises(LockedError):
        subprocess_lock = run_lock(tmp_path)
        subprocess_lock.__enter__()


def test_more_epochs_go_on_where_the_run_ended(tiny: Config, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(tiny, folder, tell=quiet)
    longer = tiny.model_copy(update={"train": tiny.train.model_copy(update={"epochs": 3})})
    train(longer, folder, resume=True, tell=quiet)
    assert pd.read_csv(folder.metrics)["epoch"].tolist() == [1, 2, 3]


def test_fine_tuning_starts_from_the_other_runs_weights(tiny: Config, tmp_path: Path) -> None:
    first = RunFolder(tmp_path / "first")
    train(tiny, first, tell=quiet)
    still = tiny.model_copy(
        update={"optim": tiny.optim.model_copy(update={"lr": 1e-12}),
                "train": tiny.train.model_copy(update={"epochs": 1})}
    )  # fmt: skip
    second = RunFolder(tmp_path / "second")
    train(still, second, init=first.root, tell=quiet)
    source, tuned = load_checkpoint(first.best).ema, load_checkpoint(second.last).weights
    assert source is not None
    trained = [k for k in source if k.endswith("weight")]
    assert all(torch.allclose(source[k], tuned[k], atol=1e-6) for k in trained)


def test_a_loss_that_is_not_finite_names_the_tiles_and_keeps_the_last_state(tmp_path: Path) -> None:
    write_seep(tmp_path / "data", scenes=3, grid=(6, 6), tile=64, seed=2)
    config = tiny_config(tmp_path / "data")
    folder = RunFolder(tmp_path / "run")
    train(config.model_copy(update={"train": config.train.model_copy(update={"epochs": 1})}), folder, tell=quiet)
    checkpoint = load_checkpoint(folder.last)
    trainer = assemble(config, prepare(config, None), torch.device("cpu"))
    trainer.restore(checkpoint, folder.last)
    (batch,) = list(trainer.first_batches(1))
    batch.image[0, 0, 0, 0] = torch.nan
    with pytest.raises(NonFiniteLossError) as caught:
        trainer.step(batch)
    assert "the loss is nan at epoch 2, batch 1" in str(caught.value)
    assert all(name in str(caught.value) for name in batch.ids)
    assert load_checkpoint(folder.last).epoch == 1


def test_a_batch_without_labels_is_skipped_and_counted(tiny: Config) -> None:
    trainer = assemble(tiny, prepare(tiny, None), torch.device("cpu"))
    (batch,) = list(trainer.first_batches(1))
    batch.mask[:] = 255
    before = [p.clone() for p in trainer.model.parameters()]
    assert np.isnan(trainer.step(batch))
    assert trainer.progress.skipped == 1
    assert trainer.progress.step == 0
    assert all(torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))


def test_a_run_of_float_tiles_with_declared_nan_trains(tmp_path: Path) -> None:
    write_seep(tmp_path / "data", scenes=3, grid=(6, 6), tile=64, seed=2)
    for path in (tmp_path / "data" / "train_images_256").iterdir():
        values = tifffile.imread(path).astype(np.float32)
        values[:5] = np.nan
        tifffile.imwrite(path, values)
    data = {"source": "seep", "root": str(tmp_path / "data"), "nodata": "nan", "split": {"val_fraction": 0.34}}
    config = tiny_config(tmp_path / "data", data=data, train={"epochs": 1, "batch_size": 8, "panels_every": 0})
    train(config, RunFolder(tmp_path / "run"), tell=quiet)
    row = pd.read_csv(tmp_path / "run" / "metrics.csv").iloc[0]
    assert np.isfinite(row["train/loss"])
    assert np.isfinite(row["val/loss"])


def test_a_checkpoint_of_another_network_is_refused_with_both_shapes(tiny: Config, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    train(tiny, folder, tell=quiet)
    wide = tiny.model_copy(update={"model": tiny.model.model_copy(update={"channels": [16, 16, 32]})})
    trainer = assemble(wide, prepare(wide, None), torch.device("cpu"))
    with pytest.raises(CheckpointError, match=r"weights do not fit: .* is \(8,\) in the checkpoint and \(16,\) "):
        trainer.start_from(load_checkpoint(folder.best), folder.best)
