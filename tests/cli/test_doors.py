"""Doors of the command line: what a stranger may type or send ends with one line and its exit code, at once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seepseg.config import dump
from tests.command import error, run
from tests.conftest import tiny_config


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text(dump(tiny_config(tmp_path)))
    return path


@pytest.mark.parametrize(
    "override",
    [
        "a.²=1", "stages.²=1", f"stages.{'9' * 5000}=1", "runtime.threads=100000", "runtime.workers=100000",
        f"seed={'9' * 5000}", "data.root=[" + "[" * 5000,
    ],
)  # fmt: skip
def test_overrides_that_cannot_be_meant(recipe: Path, capsys: pytest.CaptureFixture[str], override: str) -> None:
    code, line = error(capsys, "config", "show", recipe, "-s", override)
    assert code == 2
    assert "a bug" not in line


def test_a_config_that_is_no_file_or_takes_all_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for odd in (tmp_path / "pipe.yaml", Path("/dev/zero")):
        code, line = error(capsys, "config", "show", odd)
        assert (code, "is a pipe or device" in line) == (2, True)
    lines = ["a0: &a0 lol"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    (tmp_path / "laughs.yaml").write_text("\n".join(lines))
    code, line = error(capsys, "config", "show", tmp_path / "laughs.yaml")
    assert (code, "over 1 MiB with its aliases" in line) == (2, True)


@pytest.mark.parametrize(
    "option",
    [("--threads", "1000000"), ("--workers", "100000"), ("--shard", f"{'9' * 5000}/{'9' * 5000}"), ("--shard", "²/³")],
)
def test_numbers_that_no_machine_has(capsys: pytest.CaptureFixture[str], option: tuple[str, str]) -> None:
    code, _, err = run(capsys, "predict", "run", "input.tif", "-o", "out", *option)
    assert code == 2
    assert f"Invalid value for '{option[0]}'" in err


def test_a_stdout_that_is_closed_ends_quietly() -> None:
    for redirection in (">&-", ">&- 2>&-"):
        command = f"{sys.executable} -m seepseg config list {redirection}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, check=False, cwd=Path(__file__).parents[2])
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_stdout_without_room_is_named() -> None:
    command = f"{sys.executable} -m seepseg config list > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 5
    assert done.stderr == b"error: no space left in standard output: free some and run the command again\n"
