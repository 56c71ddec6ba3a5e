from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from seepseg.config import dump, load
from seepseg.runs.checkpoint import load_checkpoint
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


def test_a_dry_run_tells_the_cost_and_writes_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "train", config, "--dry-run")
    assert code == 0
    for name in ("device: cpu", "parameters: ", "batch: 8×1×64×64", "memory gib: ", "seconds per step: ", "hours: "):
        assert name in out
    assert not Path("runs").exists()


def test_folds_lie_below_the_run(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folds = ["-s", "data.split.folds=2", "-s", "data.split.allow_missing_classes=true", "-q"]
    assert run(capsys, "train", config, *ONE, *folds, "--all-folds", "--run", "r")[0] == 0
    held = []
    for k in (0, 1):
        table = pd.read_csv(f"r/fold_{k}/splits.csv", dtype=str)
        held.append(set(table.loc[table["split"] == "val", "id"]))
    assert not held[0] & held[1]
    code, line = error(capsys, "train", config, "--all-folds", "--run", "other")
    assert (code, line.endswith("in data.split.folds: set -s data.split.folds=5")) == (2, True)
    code, line = error(capsys, "eval", "r")
    assert (code, line.startswith("holds folds, not one run in r: ")) == (2, True)
    assert run(capsys, "eval", "r", "--fold", 1, "--no-figures")[0] == 0
    assert error(capsys, "eval", "r", "--fold", 7) == (2, "no fold 7 in r: train it with --fold")


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
    assert line.startswith("weights do not fit: ")
    assert error(capsys, "train", config, "--run", "d", "--init", "nowhere")[0] == 2
