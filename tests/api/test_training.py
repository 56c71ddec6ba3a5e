from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import seepseg
from seepseg.config import load, plain
from seepseg.errors import ConfigError
from seepseg.runs.checkpoint import load_checkpoint
from tests.conftest import tiny_config


def tree(root: Path, **more: object) -> dict[str, Any]:
    """A config as a mapping."""
    return plain(tiny_config(root, train={"epochs": 1, "batch_size": 16, "panels_every": 0}, **more))


def test_overrides_are_those_of_the_command_line(
    at_desk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    overrides = {
        "data.root": Path("data"), "model": "unet", "model.channels": [8, 16], "train.epochs": np.int64(1),
        "loss": "focal_tversky", "loss.gamma": 2, "optim.lr": 1e-5, "train.ema_decay": None, "runtime.amp": "off",
        "runtime.threads": 1, "train.panels_every": 0,
    }  # fmt: skip
    ticks: list[tuple[int, int]] = []
    with caplog.at_level(logging.INFO, logger="seepseg"):
        model = seepseg.train(
            "demo_seep",
            overrides,
            run=tmp_path / "run",
            device="cpu",
            progress=lambda done, of: ticks.append((done, of)),
        )
    words = [f"{key}={value}" for key, value in overrides.items() if value is not None] + ["train.ema_decay=null"]
    expected = load(Path("demo_seep"), [*words, "runtime.device=cpu"])
    assert load(tmp_path / "run" / "config.yaml") == load_checkpoint(tmp_path / "run/checkpoints/last.pt").config
    without = {"runtime": None}  # whether to compile is decided when a run begins
    assert model.config | without == plain(expected) | without
    assert {**model.config["runtime"], "compile": "auto"} == plain(expected)["runtime"]
    assert model.run == tmp_path / "run" and ticks[-1][0] == ticks[-1][1]
    assert capsys.readouterr() == ("", "")
    assert any("training and" in record.getMessage() for record in caplog.records)
    with pytest.raises(ConfigError, match="run folder exists"):
        seepseg.train("demo_seep", overrides, run=tmp_path / "run")


def test_a_mapping_is_a_config_and_a_thread_may_train(seep_root: Path, tmp_path: Path) -> None:
    config = tree(seep_root)
    before = repr(config)
    models: list[seepseg.Model] = []
    # Only the main thread may catch signals.
    thread = threading.Thread(
        target=lambda: models.append(
            seepseg.train(config, {"train.epochs": 2, "runtime.threads": 1}, run=tmp_path / "a")
        )
    )
    thread.start()
    thread.join()
    [model] = models
    assert model.config["train"]["epochs"] == 2 and repr(config) == before
    assert len(pd.read_csv(model.run / "metrics.csv")) == 2
    more = seepseg.train(config, {"train.epochs": 3}, run=tmp_path / "a", resume=True)
    assert len(pd.read_csv(more.run / "metrics.csv")) == 3
    fine = seepseg.train(config, run=tmp_path / "b", init=tmp_path / "a")
    assert fine.class_names == model.class_names


def test_all_folds_are_one_model(seep_root: Path, tmp_path: Path) -> None:
    data = {"source": "seep", "root": str(seep_root), "split": {"folds": 2}}
    config = tree(seep_root, data=data)
    assert seepseg.train(config, run=tmp_path / "run", fold=1).run == tmp_path / "run" / "fold_1"
    first = (tmp_path / "run" / "fold_1" / "checkpoints" / "last.pt").read_bytes()
    model = seepseg.train(config, run=tmp_path / "run", all_folds=True, resume=True)
    assert model.run == tmp_path / "run" and "2 networks" in repr(model)
    assert (tmp_path / "run" / "fold_1" / "checkpoints" / "last.pt").read_bytes() == first
    assert 0 <= (model.evaluate("oof").foreground.dice or 0) <= 1


@pytest.mark.parametrize(
    ("config", "keywords", "text"),
    [
        ("demo_sepp", {}, "no such config in demo_sepp: did you mean demo_seep"),
        ("demo_seep", {"overrides": {"train.epoch": 1}}, r"unknown key train.epoch \(did you mean epochs\?\)"),
        ("demo_seep", {"overrides": {"train": {"epochs": 1}}}, r'the override train is a mapping in .*"train.epochs"'),
        ("demo_seep", {"fold": 0, "all_folds": True}, "fold does not go with all_folds"),
        ("demo_seep", {"all_folds": True}, "folds"),
        ({"data": {"source": "seep"}}, {}, "a config that is a mapping names no run in train: give run"),
        ({"dta": {}}, {"run": "runs/x"}, "unknown key dta"),
        ("demo_seep", {"resume": True, "run": "runs/none"}, "no run to resume in runs/none"),
        ("demo_seep", {"device": "cuda:99"}, "device 'cuda:99' is not there"),
    ],
)
def test_what_cannot_be_trained_is_said(at_desk: Path, config: Any, keywords: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        seepseg.train(config, **keywords)
    assert not (at_desk / "runs" / "demo_seep" / "config.yaml").exists()
