"""A folder as the examples in docstrings have it: data, a run, and a scene."""

from __future__ import annotations

from pathlib import Path

import pytest

from seepseg.runs.folder import RunFolder
from seepseg.synthetic import write_scene
from seepseg.training.run import train
from tests.conftest import tiny_config


@pytest.fixture(scope="session")
def desk(seep_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`data`, `runs/demo` after two epochs, with windows of 64 pixels, and `scene.tif` of 160 × 100 pixels."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "data").symlink_to(seep_root)
    predict = {"window": 64, "tta": "hflip", "min_pixels": 40}
    model = {"name": "unet", "channels": [8, 16, 32], "num_res_units": 1, "head": "softmax"}
    config = tiny_config(
        folder / "data",
        train={"epochs": 2, "batch_size": 8, "panels_every": 0},
        predict=predict,
        model=model,
        loss="dice_ce",
    )
    train(config, RunFolder(folder / "runs" / "demo"), echo=lambda line: None)
    write_scene(folder / "scene.tif", rows=160, cols=100, seed=3)
    return folder


@pytest.fixture
def at_desk(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, where the test runs."""
    monkeypatch.chdir(desk)
    return desk
