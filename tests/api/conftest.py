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
    """A folder with `demo/seep` as the demo leaves it, after two epochs only: data, run, a scene of 160 × 100 pixels.

    Tests call these `data`, `runs/demo` and `scene.tif`, too. Windows are of 64 pixels.
    """
    folder = tmp_path_factory.mktemp("desk")
    demo = folder / "demo" / "seep"
    for link in (demo / "data", folder / "data"):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(seep_root)
    config = tiny_config(
        demo / "data",
        train={"epochs": 2, "batch_size": 8, "panels_every": 0},
        predict={"window": 64, "tta": "hflip", "min_pixels": 40},
        model={"name": "unet", "channels": [8, 16, 32], "num_res_units": 1, "head": "softmax"},
        loss="dice_ce",
    )
    train(config, RunFolder(demo / "run"), echo=lambda line: None)
    write_scene(demo / "scene.tif", rows=160, cols=100, seed=3)
    (folder / "runs").mkdir()
    (folder / "runs" / "demo").symlink_to(demo / "run")
    for name in ("scene.tif", "scene_mask.tif"):
        (folder / name).symlink_to(demo / name)
    return folder


@pytest.fixture
def at_desk(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, where the test runs."""
    monkeypatch.chdir(desk)
    return desk
