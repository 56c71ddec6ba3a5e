from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from seepseg.config import dump, load
from seepseg.errors import InterruptedRun
from seepseg.runs import folder as folder_module
from seepseg.runs.checkpoint import load_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.training import run as run_module
from seepseg.training.state import Trainer
from tests.command import error, run
from tests.conftest import tiny_config


@pytest.fixture
def config(seep_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny recipe as a file, in the current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(dump(tiny_config(seep_root)))
    return Path("c.yaml")


ONE = ["-s", "train.epochs=1"]


def test_a_run_has_its_folder_and_says_what_is_next(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "train", config, *ONE)
    assert (code, err) == (0, "")
    folder = Path("runs/c")
    for name in ("config.yaml", "env.json", "splits.csv", "metrics.csv", "tb", "checkpoints/best.pt"):
        assert (folder / name).exists(), name
    assert out.endswith("next: seepseg eval runs/c --per-class\n")
    best = load_checkpoint(folder / "checkpoints" / "best.pt")
    assert f"best score {best.score:.4f} (epoch 1) in runs/c/checkpoints/best.pt\n" in out
    assert load(folder / "config.yaml").train.epochs == 1
    assert len(pd.read_csv(folder / "metrics.csv")) == 1
    # Another epoch on top, and nothing to do a second time.
    for _ in range(2):
        assert run(capsys, "train", config, "--resume", "-s", "train.epochs=2", "--quiet")[0] == 0
        assert pd.read_csv(folder / "metrics.csv")["epoch"].tolist() == [1, 2]


def test_a_resumed_run_names_the_edits_of_the_config_that_do_not_reach_it(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "train", config, *ONE)[0] == 0
    same, resumed = (*ONE, "-s", "runtime.threads=2"), ("train", config, "--resume")
    assert "the config in the run folder" not in run(capsys, *resumed, *same)[1]
    config.write_text(config.read_text().replace("lr: 0.001", "lr: 0.5"))
    out = run(capsys, *resumed)[1]
    assert "going on with the config in the run folder; c.yaml differs in optim.lr, train.epochs\n" in out
    assert load(Path("runs/c/config.yaml")).optim.lr == 0.001


def test_a_dry_run_tells_the_cost_and_writes_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "train", config, "--dry-run")
    assert code == 0
    for name in ("device: cpu", "parameters: ", "batch: 8×1×64×64", "memory gib: ", "seconds per step: ", "hours: "):
        assert name in out
    assert "\nhours cover: the training steps of the run; not validation, nor waiting for data\n" in out
    assert not Path("runs").exists()


FOLDS = ["-s", "data.split.folds=2", "-s", "data.split.allow_missing_classes=true", "-q"]
SMALL = ["-s", "model.channels=[4, 8]", "-s", "train.batch_size=32"]


def test_folds_lie_below_the_run(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "train", config, *ONE, *FOLDS, *SMALL, "--all-folds", "--run", "r")
    assert (code, err) == (0, "")
    assert out.endswith("next: seepseg eval r --split oof --per-class\n")
    held = []
    for k in (0, 1):
        table = pd.read_csv(f"r/fold_{k}/splits.csv", dtype=str)
        held.append(set(table.loc[table["split"] == "val", "id"]))
    assert not held[0] & held[1]
    code, line = error(capsys, "train", config, "--all-folds", "--run", "other")
    assert (code, line.endswith("in data.split.folds: give -s data.split.folds=5")) == (2, True)
    assert error(capsys, "train", config, "--jobs", 2)[1].startswith("several folds at a time need all folds")
    code, line = error(capsys, "eval", "r")
    assert (code, line.startswith("holds folds, not one run in r: ")) == (2, True)
    assert run(capsys, "eval", "r", "--fold", 1, "--no-figures")[0] == 0
    assert error(capsys, "eval", "r", "--fold", 7) == (2, "no fold 7 in r: train it with --fold")


def test_resumed_folds_skip_what_is_finished_and_carry_on_the_rest(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    more = [*FOLDS, *SMALL, "--all-folds", "--run", "r"]
    run_loop = run_module.run_loop

    def die_in_fold_1(trainer: Trainer, folder: RunFolder, *rest: Any) -> None:
        stop, tell, _ = rest

        def tick(done: int, of: int) -> None:
            if folder.root.name == "fold_1" and trainer.progress.epoch == 1:
                os.kill(os.getpid(), signal.SIGTERM)

        run_loop(trainer, folder, stop, tell, tick)

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "run_loop", die_in_fold_1)
        code, line = error(capsys, "train", config, *more)
    assert (code, line.startswith("stopped by a signal, state saved in r/fold_1")) == (143, True)
    first = Path("r/fold_0/checkpoints/last.pt")
    before = first.stat().st_mtime_ns
    code, out, _ = run(capsys, "train", config, *more, "--resume")
    assert code == 0
    assert out.startswith("fold 0 is finished\nbest score ")
    assert first.stat().st_mtime_ns == before
    assert [len(pd.read_csv(f"r/fold_{k}/metrics.csv")) for k in (0, 1)] == [2, 2]
    # Undisturbed, fold 1 ends with the same weights.
    assert run(capsys, "train", config, *FOLDS, *SMALL, "--fold", 1, "--run", "whole")[0] == 0
    ours, theirs = (load_checkpoint(Path(r, "fold_1/checkpoints/last.pt")).weights for r in ("r", "whole"))
    assert all(torch.equal(ours[k], theirs[k]) for k in theirs)


def test_a_fold_that_fails_beside_others_is_told_and_they_go_on(
    config: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (Path("r") / "fold_0").mkdir(parents=True)
    (Path("r") / "fold_0" / "notes.txt").write_text("mine")
    code, out, err = run(capfd, "train", config, *ONE, *FOLDS, *SMALL, "--all-folds", "--jobs", 2, "--run", "r")
    assert code == 2
    assert "fold 0 failed: run folder exists in r/fold_0" in err
    assert "best score" in out
    assert len(pd.read_csv("r/fold_1/metrics.csv")) == 1


def test_a_rate_test_leaves_no_run_behind(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "train", config, *SMALL, "-s", "train.batch_size=4", "--find-lr", "--run", "r")
    assert code == 0
    assert "curve: r/find_lr.png, find_lr.csv\n" in out
    assert re.search(r"-s optim.lr=\S+\n$|no rate to suggest\n$", out)
    assert sorted(p.name for p in Path("r").iterdir()) == ["find_lr.csv", "find_lr.png"]
    assert run(capsys, "train", config, *ONE, *SMALL, "--run", "r", "-q")[0] == 0


def test_init_starts_from_the_weights_of_another_run(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "train", config, *ONE, "--run", "a", "-q")[0] == 0
    tiny_step = ["-s", "optim.lr=1e-12", "-s", "optim.weight_decay=0"]
    assert run(capsys, "train", config, *ONE, *tiny_step, "--run", "b", "--init", "a", "-q")[0] == 0
    before = load_checkpoint(Path("a/checkpoints/best.pt"))
    after = load_checkpoint(Path("b/checkpoints/best.pt"))
    source = before.ema or before.weights
    name = next(n for n, w in after.weights.items() if w.dim() == 4)
    assert after.weights[name].sub(source[name]).abs().max() < 1e-6
    wider = ["-s", "model.channels=[8, 16, 24]"]
    code, line = error(capsys, "train", config, *ONE, *wider, "--run", "c", "--init", "a")
    assert code == 3
    assert line.startswith("weights do not match: ")
    # None of the two left a run, which would stand in the way of the next attempt.
    assert error(capsys, "train", config, "--run", "d", "--init", "nowhere")[0] == 2
    for folder in "cd":
        assert not (Path(folder) / "config.yaml").exists()


def test_a_run_killed_before_its_first_checkpoint_remembers_what_it_was_started_from(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(capsys, "train", config, *ONE, "--run", "a", "-q")[0] == 0
    assert run(capsys, "train", config, *ONE, "--run", "whole", "--init", "a", "-q")[0] == 0

    def die(*arguments: object) -> None:
        raise InterruptedRun(15, "killed")

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "run_loop", die)
        assert error(capsys, "train", config, *ONE, "--run", "cut", "--init", "a", "-q")[0] == 143
    assert run(capsys, "train", config, "--run", "cut", "--resume", "-q")[0] == 0
    # Killed after its config and before its weights, it begins from the same.
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "save_checkpoint", die)
        assert error(capsys, "train", config, *ONE, "--run", "early", "--init", "a", "-q")[0] == 143
    assert not Path("early/checkpoints/last.pt").exists()
    assert run(capsys, "train", config, "--run", "early", "--resume", "-q")[0] == 0
    # Killed before its config, it has not begun.
    with monkeypatch.context() as patch:
        patch.setattr(folder_module, "dump", die)
        assert error(capsys, "train", config, *ONE, "--run", "first", "--init", "a", "-q")[0] == 143
    assert error(capsys, "train", config, *ONE, "--run", "first", "--resume", "-q")[1].startswith("no run to resume")
    assert run(capsys, "train", config, *ONE, "--run", "first", "--init", "a", "-q")[0] == 0
    whole = load_checkpoint(Path("whole/checkpoints/last.pt")).weights
    for folder in ("cut", "early", "first"):
        ours = load_checkpoint(Path(folder, "checkpoints/last.pt")).weights
        assert all(torch.equal(ours[k], whole[k]) for k in whole)


def test_of_the_processes_of_torchrun_the_first_speaks(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(capsys, "train", config, "--all-folds", *FOLDS, "--run", "r", "-q")[0] == 0
    said = {}
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        said[rank] = run(capsys, "train", config, "--all-folds", *FOLDS, "--run", "r", "--resume", "-q")[1]
    assert said["0"].startswith("fold 0 is finished\n")
    assert said["1"] == ""


@pytest.mark.parametrize("options", [
    ["--fold", 0, "--all-folds"], ["--dry-run", "--find-lr"], ["--dry-run", "--init", "a", "--fold", 0],
    ["--dry-run", "--resume"], ["--find-lr", "--resume"],
])  # fmt: skip
def test_options_that_contradict_each_other_are_refused(
    config: Path, capsys: pytest.CaptureFixture[str], options: list[object]
) -> None:
    code, line = error(capsys, "train", config, *FOLDS, *options)
    assert (code, " does not go with " in line) == (2, True)
