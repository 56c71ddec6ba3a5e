"""--json and --log-file: of every command, however it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic import TypeAdapter

from seepseg import __version__
from seepseg.cli.main import cli
from seepseg.cli.record import REASONS, Log, Result, asked
from seepseg.config import dump
from seepseg.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    InterruptedRun,
    LockedError,
    ResourceError,
    SomeFailedError,
)
from seepseg.synthetic import write_scene
from seepseg.synthetic.vents import Sea, write_passes
from tests.command import run
from tests.conftest import tiny_config
from tests.network import cut

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO   |WARNING|ERROR  ) (.+)")


def commands(command: click.Command = cli, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of each command and group there is."""
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below
            yield from commands(below, (*words, name))


EVERY = list(commands())
GROUPS = {words[:-1] for words in EVERY if words}
LEAVES = [words for words in EVERY if words not in GROUPS]


def result_of(out: str) -> Result:
    """The result that is all of standard output, one line, with the keys and types of the schema and no others."""
    assert out.endswith("}\n")
    assert out.count("\n") == 1
    tree = json.loads(out)
    assert list(tree) == list(Result.__dataclass_fields__)
    result = TypeAdapter(Result).validate_json(out, strict=True)
    assert result.version == __version__
    assert result.reason == REASONS[result.exit_code]
    assert (result.error is None) == (result.exit_code == 0)
    assert result.seconds >= 0
    assert all(Path(path).is_absolute() for path in result.outputs)
    return result


def lines_of(log: Path) -> list[tuple[str, str]]:
    """Level and text of each line, whose form is checked."""
    found = [LINE.fullmatch(line) for line in log.read_text().splitlines()]
    assert all(found), log.read_text()
    return [(line[1].strip(), line[2]) for line in found if line]


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_command_has_both_options_and_answers_wrong_usage_with_json(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log = tmp_path / "log.txt"
    code, out, err = run(capsys, *words, "--no-such-option", "--json", "--log-file", log)
    result = result_of(out)
    assert (code, result.exit_code, result.command) == (2, 2, " ".join(words))
    assert result.error
    assert "--no-such-option" in result.error
    assert f"Error: {result.error}" in err
    assert ("ERROR", f"Error: {result.error}") in lines_of(log)
    code, out, err = run(capsys, *words, "--json", "--help")
    assert (code, result_of(out).exit_code) == (0, 0)
    assert "--json" in err
    assert "--log-file" in err


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_a_log_file_that_cannot_be_written_is_told_before_anything_else(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # Without its arguments, the command could not even begin.
    log = tmp_path / "nowhere" / "log.txt"
    code, out, err = run(capsys, *words, f"--log-file={log}", "--json")
    line = f"no such file or directory, so nothing was done in {log}: give another --log-file"
    assert (code, err) == (2, f"error: {line}\n")
    assert result_of(out).error == line


def test_words_that_name_no_command_have_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    result = result_of(run(capsys, "trian", "--json")[1])
    assert (result.command, result.exit_code) == ("", 2)
    assert result_of(run(capsys, "--json", "data")[1]).error == "no command was given"
    assert result_of(run(capsys, "predict", "--json", "--log-file")[1]).exit_code == 2


def test_the_docs_have_every_key_and_every_reason() -> None:
    text = (Path(__file__).parents[2] / "docs" / "howto-jobs.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == list(Result.__dataclass_fields__)
    rows = re.findall(r"^\| ([\d, ]+) \| ([\w ]+) \|", text, re.MULTILINE)
    assert {int(code): reason for codes, reason in rows for code in codes.split(", ")} == REASONS


def test_what_is_behind_two_dashes_is_no_option() -> None:
    assert asked(["a", "--", "--json", "--log-file", "f"]) == (False, None)
    assert asked(["--log-file=a", "x", "--log-file", "b"]) == (False, Path("b"))


def test_an_empty_log_file_is_refused_and_takes_no_word_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert asked(["--log-file=", "train"]) == (False, Path())
    assert asked(["train", "--log-file"]) == (False, None)
    code, out, _ = run(capsys, "--log-file=", "config", "list", "--json")
    assert (code, result_of(out).exit_code) == (2, 2)


def test_the_name_is_of_the_command_that_is_called_and_not_of_words_behind_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for line, name in (
        ("--log-file train rank --help", "rank"),
        ("trian predict", ""),
        ("data config check", "data"),
        ("rank data check", "rank"),
    ):
        assert result_of(run(capsys, *line.split(), "--json")[1]).command == name


def test_a_full_disk_behind_one_stream_leaves_the_other(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "seepseg"]
    with Path("/dev/full").open("w") as full:
        silent = subprocess.run(
            [*command, "config", "list", "--json"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
        assert silent.returncode == 5
        line = "error: no space left in standard output: free some and run the command again\n"
        assert silent.stderr.endswith(line)
        for words in (["rank"], ["config", "show", str(tmp_path / "c.yaml")]):
            told = subprocess.run(
                [*command, *words, "--json"], stdout=subprocess.PIPE, stderr=full, text=True, check=False
            )
            assert result_of(told.stdout).exit_code == told.returncode == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("a", "b", "c"), 2),
        (DataError("a", "b", "c"), 3),
        (CheckpointError("a", "b", "c"), 3),
        (OSError(2, "No such file", "b"), 3),
        (SomeFailedError("a", "b", "c"), 4),
        (ResourceError("a", "b", "c"), 5),
        (MemoryError(), 5),
        (LockedError("a", "b", "c"), 6),
        (ZeroDivisionError("division by zero"), 70),
        (KeyboardInterrupt(), 130),
        (InterruptedRun(15, "stopped", "b", "c"), 143),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, BaseException) else None,
)
def test_however_it_ends_there_is_one_object_and_the_line_a_person_reads(
    error: BaseException,
    code: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def broken(*_: object) -> None:
        click.echo("warning: it creaks", err=True)
        click.echo("begun")
        raise error

    monkeypatch.setattr("seepseg.config.load", broken)
    log = tmp_path / "log.txt"
    ended, out, err = run(capsys, "config", "show", "c", "--json", "--log-file", log)
    result = result_of(out)
    assert (ended, result.exit_code, result.command) == (code, code, "config show")
    assert result.warnings == ["it creaks"]
    assert f"error: {result.error}\n" in err
    assert "begun\n" in err
    assert lines_of(log)[1:-1] == [
        ("WARNING", "warning: it creaks"), ("INFO", "begun"), ("ERROR", f"error: {result.error}"),
    ]  # fmt: skip
    assert lines_of(log)[0] == ("INFO", f"seepseg config show c --json --log-file {log}")
    assert lines_of(log)[-1][1].startswith(f"exit code {code} ({REASONS[code]}) after ")
    # Without the options, nothing of it.
    assert run(capsys, "config", "show", "c")[1] == "begun\n"


def test_debug_shows_the_traceback_beside_the_object() -> None:
    command = [sys.executable, "-m", "seepseg", "--debug", "config", "show", "/nowhere.yaml", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
    assert result_of(done.stdout).exit_code == done.returncode == 2


def test_a_name_that_is_no_text_is_logged(tmp_path: Path) -> None:
    # Linux gives the byte FF of a name as U+DCFF.
    Log(tmp_path / "log.txt")("error: a\udcff.tif")
    assert lines_of(tmp_path / "log.txt") == [("ERROR", "error: a\\udcff.tif")]


def test_runs_are_appended_and_a_log_that_goes_away_is_one_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    log = folder / "log.txt"
    for _ in range(2):
        assert run(capsys, "config", "list", "--log-file", log)[0] == 0
    texts = [text for _, text in lines_of(log)]
    assert texts.count(f"seepseg config list --log-file {log}") == 2
    assert any(text.startswith("seep_multiclass ") for text in texts)

    def vanish(*_: object) -> None:
        log.unlink()
        folder.rmdir()
        for line in ("one", "two"):
            click.echo(line)

    monkeypatch.setattr("seepseg.config.recipes", lambda: vanish() or {})
    code, out, _ = run(capsys, "config", "list", "--log-file", log, "--json")
    assert (code, result_of(out).warnings) == (
        0,
        ["No such file or directory in the log file: nothing more is written there"],
    )


BLOCKS = (
    "import signal, subprocess, sys, time, seepseg.config\n"
    "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background job ignores it from the start
    "def load(*_):\n"
    "    subprocess.run(['echo', 'a child speaks'], check=True)\n"
    "    print('ready', flush=True)\n"
    "    time.sleep(60)\n"
    "seepseg.config.load = load\n"
    "from seepseg.cli.main import main\n"
    "main()\n"
)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_at_once_and_with_its_object(number: signal.Signals, code: int, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    words = ["config", "show", "c", "--json", "--log-file", str(log)]
    with subprocess.Popen(
        [sys.executable, "-c", BLOCKS, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        said = [process.stderr.readline() for _ in range(2)]
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    # What a child prints does not reach standard output either.
    assert said == ["a child speaks\n", "ready\n"]
    result = result_of(out)
    assert process.returncode == result.exit_code == code
    assert f"error: {result.error}\n" in err
    assert lines_of(log)[-2] == ("ERROR", f"error: {result.error}")
    assert lines_of(log)[-1][1].startswith(f"exit code {code} (interrupted)")


FORKS = (
    "import os, signal, sys, time, seepseg.config\n"
    "def recipes():\n"
    "    ready, said = os.pipe()\n"
    "    child = os.fork()\n"
    "    if not child:\n"
    "        os.write(said, b'!')\n"
    "        time.sleep(60)\n"
    "        os._exit(0)\n"
    "    os.read(ready, 1)\n"
    "    os.kill(child, signal.SIGTERM)\n"
    "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    "    return {}\n"
    "seepseg.config.recipes = recipes\n"
    "from seepseg.cli.main import main\n"
    "main()\n"
)


def test_a_fork_that_is_stopped_prints_no_object() -> None:
    command = [sys.executable, "-c", FORKS, "config", "list", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result_of(done.stdout).exit_code == 0
    assert done.stderr.splitlines()[0] == "143"
    assert "stopped by" not in done.stderr


def test_of_the_processes_of_torchrun_the_first_speaks() -> None:
    command = [sys.executable, "-m", "seepseg", "config", "list", "--json"]
    outs = [
        subprocess.run(command, env=os.environ | {"RANK": rank}, capture_output=True, text=True, check=True).stdout
        for rank in ("0", "1")
    ]
    assert result_of(outs[0]).exit_code == 0
    assert outs[1] == ""


@pytest.fixture(scope="module")
def home(seep_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the commands below read, apart from what they make for one another."""
    folder = tmp_path_factory.mktemp("home")
    config = tiny_config(
        seep_root, train={"epochs": 1, "batch_size": 8, "panels_every": 0}, predict={"window": 64, "margin": 0}
    )
    (folder / "c.yaml").write_text(dump(config))
    (folder / "scenes").mkdir()
    write_scene(folder / "scenes" / "s.tif", rows=150, cols=97, seed=3)
    (folder / "scenes" / "broken.tif").write_bytes(b"II*\0")
    write_passes(folder / "maps", Sea(vents=2, rates=(0.7, 0.8), passes=8, side=15_000, pixel=300, wakes=0))
    return folder


CHAIN = {
    "config list": ("", 0, {}),
    "config show": ("c.yaml", 0, {}),
    "config schema": ("", 0, {}),
    "data check": ("c.yaml", 0, {"tiles": 143, "scenes": 4, "labelled": 143}),
    "data stats": ("c.yaml -o stats", 0, {"tiles": 143, "scenes": 4}),
    "data split": ("c.yaml -o splits.csv", 0, {"train_tiles": 107, "val_tiles": 36}),
    "data report": ("c.yaml -o page", 0, {}),
    "train": ("c.yaml --run run", 0, {"best_epoch": 1}),
    "eval": ("run --no-figures", 0, {"tiles": 36}),
    "compare": ("run run -o compared", 0, {}),
    "data suspects": ("run", 0, {}),
    "export": ("run -o exported --format safetensors", 0, {}),
    "predict": ("run scenes -o out", 4, {"inputs": 3, "predicted": 2, "before": 0, "failed": 1}),
    "zones": ("maps -o zones", 0, {"passes": 8}),
    "rank": ("maps -o queue.csv", 0, {}),
}
"""Command → its arguments, its exit code, and numbers known beforehand; each reads what those before have made."""

ELSEWHERE = {"demo": "takes minutes", "monitor": "does not end", "data tile": "reads whole scenes"}
"""Commands that are not called here, and why; the tests above call them too."""


def test_every_command_is_called_here_or_it_is_said_why_not() -> None:
    assert {" ".join(words) for words in LEAVES} == CHAIN.keys() | ELSEWHERE.keys()


def test_what_commands_have_made_is_there(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    makes_nothing = {name for name in CHAIN if name.startswith("config")} | {"data check"}
    for name, (more, code, counts) in CHAIN.items():
        with cut() as asked:
            ended, out, err = run(capsys, *name.split(), *more.split(), "--json", "--log-file", "log.txt")
            assert asked() == [], f"{name} asks the network"
        result = result_of(out)
        assert (ended, result.command) == (code, name), err
        assert counts.items() <= result.counts.items()
        assert all(Path(path).exists() for path in result.outputs)
        assert bool(result.outputs) == (name not in makes_nothing)
        # What a person would read is all there, and in the log.
        texts = {text for _, text in lines_of(home / "log.txt")}
        assert {line.rstrip() for line in err.splitlines() if line.strip()} <= texts
    assert str(home / "out" / "failures.jsonl") in result_of_predict(capsys).outputs


def result_of_predict(capsys: pytest.CaptureFixture[str]) -> Result:
    """Of the same prediction again: what is done is done, and what failed fails."""
    result = result_of(run(capsys, "predict", "run", "scenes", "-o", "out", "--json")[1])
    assert result.counts == {"inputs": 3, "predicted": 0, "before": 2, "failed": 1}
    return result


def test_a_terminal_has_its_progress_bar_and_the_log_only_lines(
    home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    log, chunks = tmp_path / "log.txt", list[bytes]()

    def read() -> None:
        try:
            while chunk := os.read(ours, 4096):
                chunks.append(chunk)
        except OSError:
            pass  # the other end is closed

    command = [sys.executable, "-m", "seepseg", "train", str(home / "c.yaml"), "--run", str(tmp_path / "r")]
    with subprocess.Popen(
        [*command, "--log-file", str(log)], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path,
        env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "200"},
    ) as process:  # fmt: skip
        os.close(theirs)
        reader = threading.Thread(target=read)
        reader.start()
        assert process.wait(timeout=120) == 0
        reader.join()
    os.close(ours)
    shown = b"".join(chunks).decode()
    assert "━" in shown
    assert "\x1b[" in shown
    texts = [text for _, text in lines_of(log)]
    assert not any("━" in text or "\x1b" in text or "\r" in text for text in texts)
    (epoch,) = [text for text in texts if text.startswith("epoch ")]
    assert epoch in shown
    assert texts[-2] == f"next: seepseg eval {tmp_path / 'r'} --per-class"
