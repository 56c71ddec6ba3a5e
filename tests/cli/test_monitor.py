from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.command import error, run


def test_tensorboard_is_called_on_the_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    called: list[list[str]] = []
    code = 0

    def fake(arguments: list[str], check: bool) -> subprocess.CompletedProcess[bytes]:
        called.append(arguments[1:])
        return subprocess.CompletedProcess(arguments, code)

    monkeypatch.setattr(subprocess, "run", fake)
    assert run(capsys, "monitor", tmp_path, "--port", 7007)[0] == 0
    assert called == [
        ["-m", "tensorboard.main", "--logdir", str(tmp_path), "--port", "7007", "--host", "localhost"]
    ]  # fmt: skip
    code = 1
    assert error(capsys, "monitor", tmp_path)[1].startswith("TensorBoard ended with code 1 in localhost:6006: ")


def test_a_missing_folder_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert error(capsys, "monitor", tmp_path / "none") == (
        2, f"no such folder in {tmp_path / 'none'}: give a run folder that `seepseg train` made")  # fmt: skip
