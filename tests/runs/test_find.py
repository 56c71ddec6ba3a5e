from __future__ import annotations

from pathlib import Path

import pytest

from seepseg.errors import ConfigError
from seepseg.runs.find import find_checkpoint, fold_folder, fold_folders
from seepseg.runs.folder import RunFolder


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_fold_folders(tmp_path: Path) -> None:
    (tmp_path / "fold_1").mkdir()
    assert fold_folder(tmp_path, None) == tmp_path
    assert fold_folder(tmp_path, 1) == tmp_path / "fold_1"
    with pytest.raises(ConfigError, match="no fold 2 in .*: train it with --fold"):
        fold_folder(tmp_path, 2)
    for other in ("fold_10", "fold_0_old", "fold_", "fold_0", "fold_00", "fold_2²"):
        (tmp_path / other).mkdir()
    touch(tmp_path / "fold_3")
    assert fold_folders(tmp_path) == {k: tmp_path / f"fold_{k}" for k in (0, 1, 10)}


def test_a_run_means_its_best_checkpoint_else_its_last_else_the_file_itself(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    touch(folder.last)
    assert find_checkpoint(tmp_path) == folder.last
    touch(folder.best)
    assert find_checkpoint(tmp_path) == folder.best
    assert find_checkpoint(folder.last) == folder.last


def test_folds_and_emptiness_are_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no checkpoint"):
        find_checkpoint(tmp_path)
    with pytest.raises(ConfigError, match="no checkpoint"):
        find_checkpoint(tmp_path / "nowhere")
    touch(RunFolder(tmp_path / "fold_0").best)
    with pytest.raises(ConfigError, match="holds folds, not one run"):
        find_checkpoint(tmp_path)
