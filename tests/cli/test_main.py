"""The command itself: help, exit codes, and errors as one line."""

from __future__ import annotations

import errno
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import torch
from torch.distributed.run import get_args_parser

from seepseg.cli.main import cli, explain
from seepseg.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    InterruptedRun,
    LockedError,
    ResourceError,
    SomeFailedError,
)
from tests.command import run

HEAVY = ("torch", "monai", "pandas", "albumentations", "sklearn", "matplotlib", "rasterio", "cv2", "pydantic")

# What each command's help must name.
MENTIONS = {
    (): ["demo", "data", "train", "eval", "compare", "predict", "zones", "rank", "config", "monitor",
         "--version", "--debug"],
    ("demo",): ["--salt", "--sentinel1", "--zones", "-o, --out", "-s, --set"],
    ("data",): ["check", "stats", "split"],
    ("data", "check"): ["CONFIG", "-s, --set"],
    ("data", "stats"): ["CONFIG", "-s, --set", "-o, --out"],
    ("data", "split"): ["CONFIG", "-s, --set", "--fold", "-o, --out"],
    ("train",): ["CONFIG", "-s, --set", "--run", "--fold", "--all-folds", "--resume", "--init", "--dry-run",
                 "--device"],
    ("eval",): ["RUN", "--split", "--data", "--per-class", "--tta", "--threshold", "--predictions", "--truth",
               "--fit", "--no-fit"],
    ("compare",): ["RUN_A", "RUN_B", "--split", "-o, --out"],
    ("predict",): ["RUN", "INPUTS", "-o, --out", "--fold", "--tta", "--threshold", "--probabilities", "--overwrite",
                   "--strict", "--device", "--uncertainty", "--no-fit", "--grid"],
    ("rank",): ["OUT...", "-o, --out", "--reviewed"],
    ("config",): ["list", "show", "schema"],
    ("monitor",): ["RUNS", "--port"],
}  # fmt: skip


@pytest.mark.parametrize("words", MENTIONS, ids=" ".join)
def test_help_names_what_there_is(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *words, "--help")
    assert (code, err) == (0, "")
    for name in MENTIONS[words]:
        assert name in out


def commands(command: click.Command = cli, words: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Each command and group there is, after the words that call it."""
    yield " ".join(words), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below
            yield from commands(below, (*words, name))


@pytest.mark.parametrize(("words", "command"), list(commands()), ids=lambda v: v if isinstance(v, str) else "")
def test_help_keeps_each_example_on_its_own_line(
    words: str, command: click.Command, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, *words.split(), "--help")
    assert (code, err) == (0, "")
    assert "\\" not in out
    assert "\b" not in out
    written = [line.strip() for line in (command.help or "").splitlines()]
    examples = [line for line in written if line.startswith(("seepseg ", "torchrun "))]
    assert set(examples) <= {line.strip() for line in out.splitlines()}
    assert examples or words not in ("train", "eval", "compare", "predict")


def test_torchrun_reads_the_example_of_train_as_meant(capsys: pytest.CaptureFixture[str]) -> None:
    out = run(capsys, "train", "--help")[1]
    (example,) = [line for line in out.splitlines() if line.strip().startswith("torchrun ")]
    # Without the -- its parser takes --run for --run-path.
    asked = get_args_parser().parse_args(shlex.split(example)[1:])
    assert (asked.module, asked.training_script) == (True, "seepseg")
    assert asked.training_script_args == ["train", "seep_multiclass", "--run", "runs/two"]


def test_help_of_every_command_imports_nothing_heavy() -> None:
    # One process asks them all, so that what any of them imported is still there at the end.
    script = (
        "import sys, json, contextlib, io\n"
        "from seepseg.cli.main import main\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    sys.argv = ['seepseg', *words, '--help']\n"
        "    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
        "        main()\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    asked = json.dumps([words.split() for words, _ in commands()])
    done = subprocess.run([sys.executable, "-c", script, asked], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("seepseg.runs.folder", {"torch", "pandas"}),
        ("seepseg.runs.find", {"torch", "pandas"}),
        ("seepseg.evaluation.compare", {"torch", "matplotlib"}),
        ("seepseg.splits.make", {"torch", "sklearn"}),
    ],
)
def test_what_takes_long_to_import_waits_until_it_is_needed(module: str, without: set[str]) -> None:
    script = f"import sys, {module}\nprint(*({without!r} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--version")
    assert code == 0
    assert out.startswith("seepseg, version ")


@pytest.mark.parametrize("words", [["trian"], ["train"], ["train", "c.yaml", "--nope"], ["eval", "--split", "vla"]])
def test_wrong_usage_exits_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert "Error: " in err


def test_output_closed_by_its_reader_is_no_error() -> None:
    command = f"{sys.executable} -m seepseg config schema | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "{\n", "")


def test_debug_shows_the_traceback() -> None:
    command = [sys.executable, "-m", "seepseg", "--debug", "config", "show", "/nowhere.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
    assert "ConfigError" in done.stderr


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError("a", "b", "c"), 2, "a in b: c"),
        (DataError("a", "b", "c"), 3, "a in b: c"),
        (CheckpointError("a"), 3, "a"),
        (SomeFailedError("a", "b", "c"), 4, "a in b: c"),
        (ResourceError("a", fix="c"), 5, "a: c"),
        (LockedError("a", "b", "c"), 6, "a in b: c"),
        # 128 + SIGINT (2), 128 + SIGTERM (15)
        (InterruptedRun(2, "a"), 130, "a"),
        (InterruptedRun(15, "a"), 143, "a"),
        (MemoryError(), 5, "out of memory: use smaller tiles, batches or windows, or give -s data.cache_gb=0"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            5,
            "out of memory: use smaller tiles, batches or windows, or give -s data.cache_gb=0",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory"),
            5,
            "out of memory: use smaller tiles, batches or windows, or give -s data.cache_gb=0",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "/d/x"),
            5,
            "no space left in /d/x: free some and run the command again",
        ),
        (OSError(errno.EACCES, "Permission denied", "/d/x"), 3, "permission denied in /d/x: check the path"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal"),
            5,
            "a loader worker died: enlarge /dev/shm, or give -s runtime.workers=0",
        ),
        (
            ImportError("libtorch_cpu.so: failed to map segment from shared object"),
            5,
            "out of memory: use smaller tiles, batches or windows, or give -s data.cache_gb=0",
        ),
        (
            OSError(errno.EMFILE, "Too many open files", "/d/x"),
            5,
            "too many files are open in /d/x: raise their limit with `ulimit -n`",
        ),
        (ImportError("no module"), 70, "ImportError: no module (a bug: run again with seepseg --debug and report it)"),
        (KeyError("x"), 70, "KeyError: 'x' (a bug: run again with seepseg --debug and report it)"),
        (ValueError("one\ntwo"), 70, "ValueError: one (a bug: run again with seepseg --debug and report it)"),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, Exception) else None,
)
def test_every_error_has_its_code_and_one_line(error: Exception, code: int, line: str) -> None:
    assert explain(error) == (code, line)
    assert "\n" not in line


@pytest.mark.parametrize(
    ("fix", "with_keys", "without"),
    [
        (
            "fix the file, or set data.nodata=nan",
            "fix the file, or give -s data.nodata=nan",
            "fix the file, or set data.nodata=nan; such keys are fixed when the run is trained",
        ),
        (
            "choose one with data.page (the first is 0)",
            "choose one with data.page (the first is 0)",
            "choose one with data.page (the first is 0); such keys are fixed when the run is trained",
        ),
        # Neither a path nor an option is a key.
        ("copy /d/data.zip again", "copy /d/data.zip again", "copy /d/data.zip again"),
        ("give --threads 1", "give --threads 1", "give --threads 1"),
    ],
)
def test_advice_fits_a_command_with_keys_and_one_without(fix: str, with_keys: str, without: str) -> None:
    assert explain(DataError("a", "b", fix), True)[1] == f"a in b: {with_keys}"
    assert explain(DataError("a", "b", fix), False)[1] == f"a in b: {without}"


def test_advice_on_keys_is_given_by_the_command_that_is_called(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    def wrong(*_: object, **__: object) -> None:
        raise DataError("a", "b", "set data.root=FOLDER")

    monkeypatch.setattr("seepseg.config.load", wrong)
    monkeypatch.setattr("seepseg.runs.find.find_checkpoints", wrong)
    monkeypatch.setattr("seepseg.inference.labelled.open_parts", wrong)
    monkeypatch.setattr("seepseg.mapping.jobs.plan", wrong)
    for words in ("train c", "data check c", "data split c", "config show c", "demo"):
        assert run(capsys, *words.split())[2] == "error: a in b: give -s data.root=FOLDER\n"
    for words in ("eval r", "predict r i -o o", "data suspects r"):
        assert run(capsys, *words.split())[2] == (
            "error: a in b: set data.root=FOLDER; such keys are fixed when the run is trained\n"
        )


def test_a_bug_is_told_as_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("seepseg.config.load", broken)
    code, out, err = run(capsys, "config", "show", "c.yaml")
    assert (code, out) == (70, "")
    assert err == "error: ZeroDivisionError: division by zero (a bug: run again with seepseg --debug and report it)\n"
