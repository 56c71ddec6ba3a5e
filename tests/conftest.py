"""Small trees of synthetic data that tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hypothesis import HealthCheck, settings

from seepseg.config import Config, parse
from seepseg.synthetic import write_salt, write_seep

# Time says how busy the machine is, not whether the code is right. CI draws the same examples each time, so that it
# fails on a change and not on a draw; everywhere else new ones are looked for.
settings.register_profile(
    "seepseg", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=bool(os.environ.get("CI"))
)
settings.load_profile("seepseg")


@pytest.fixture(scope="session")
def seep_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four scenes of 64-pixel seep tiles."""
    root = tmp_path_factory.mktemp("seep")
    write_seep(root, scenes=4, grid=(6, 6), tile=64, seed=1)
    return root


@pytest.fixture(scope="session")
def salt_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty salt tiles of 101 pixels and four without masks."""
    root = tmp_path_factory.mktemp("salt")
    write_salt(root, tiles=40, test_tiles=4, seed=1)
    return root


@pytest.fixture
def tiny(seep_root: Path) -> Config:
    """A recipe that trains in a second: two groups to learn from, one level less, no flips."""
    return tiny_config(seep_root)


def tiny_config(root: Path, **more: object) -> Config:
    """The recipe of `tiny` with other top-level nodes laid over it."""
    tree: dict[str, object] = {
        "data": {"source": "seep", "root": str(root), "split": {"val_fraction": 0.25}, "augment": {"preset": "seep"}},
        "model": {"name": "unet", "channels": [8, 16, 32], "num_res_units": 1, "head": "sigmoid"},
        "loss": "dice_bce",
        "train": {"epochs": 2, "batch_size": 8, "panels_every": 0},
        "runtime": {"device": "cpu", "amp": "off", "threads": 1},
    }
    return parse(tree | more, "test")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes the folder `tmp_path / "disk"` a file system of so many KiB, or changes its size; root alone can."""
    folder = tmp_path / "disk"

    def of_size(kib: int) -> Path:
        again = folder.is_mount()
        folder.mkdir(exist_ok=True)
        options = f"size={kib}k" + ",remount" * again
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
        if sys.platform != "linux" or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a small file system takes root on Linux")
        return folder

    yield of_size
    if folder.is_mount():
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Tests run beside each other; two threads each would only wait for one another."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The real data, where SEEPSEG_DATA names its folder; tests that need it are skipped elsewhere."""
    root = os.environ.get("SEEPSEG_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("SEEPSEG_DATA names no folder")
    return Path(root)


def end_process() -> None:
    """End a spawned process of a process group at once, without tearing Python down.

    Gloo's threads outlive the group (torch keeps it), and one that lets go of its last tensor while Python is torn down
    aborts the process.
    """
    dist.destroy_process_group()
    os._exit(0)
