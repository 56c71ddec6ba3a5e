"""What machines read of any command: one JSON object when it ends (--json), its lines with their times (--log-file).

`cli.streams` is how a record comes to hear what is printed.
"""

from __future__ import annotations

import json
import math
import re
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import click

from seepseg import __version__
from seepseg.errors import ConfigError

REASONS = {
    0: "done",
    2: "usage",
    3: "bad input",
    4: "some failed",
    5: "out of memory or disk",
    6: "locked",
    70: "bug",
    130: "interrupted",
    143: "interrupted",
}
"""Why a command ended, by its exit code."""

_KIND = re.compile(r"(?:fold \d+  )?(warning|note|failed|error): (.*)", re.IGNORECASE)
_LEVELS = {"warning": "WARNING", "note": "WARNING", "failed": "WARNING", "error": "ERROR"}


@dataclass
class Result:
    """What --json prints of a command, as one JSON object.

    Attributes:
        command: its words, for example "data check"; empty where there is no such command.
        version: of seepseg.
        exit_code, reason: how it ended, one of `REASONS`.
        error: the line that says what went wrong; null where nothing did.
        seconds: from its start to its end.
        outputs: absolute paths of the files and folders it made, the main ones of a batch.
        counts: numbers by name, other ones for each command; null is unknown.
        warnings: each warning it printed.
    """

    command: str
    version: str = __version__
    exit_code: int = 0
    reason: str = REASONS[0]
    error: str | None = None
    seconds: float = 0.0
    outputs: list[str] = field(default_factory=list)
    counts: dict[str, int | float | None] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def made(*outputs: Path, **counts: float | None) -> None:
    """Note what the running command has made: files or folders, and numbers by name."""
    if record := running():
        record.result.outputs += [str(path.absolute()) for path in outputs]
        finite = {name: value if value is None or math.isfinite(value) else None for name, value in counts.items()}
        record.result.counts |= finite


def with_options(command: click.Command) -> click.Command:
    """The command, and those below it, with the options that all have; what they say is read by `asked`."""
    if not any(option.name == "log_file" for option in command.params):
        command.params += [
            click.Option(["--json"], is_flag=True, expose_value=False, help="Print one JSON object in the end."),
            click.Option(
                ["--log-file"], type=click.Path(), expose_value=False, help="Append each line to a file, with its time."
            ),
        ]
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        with_options(below)
    return command


def asked(words: Sequence[str]) -> tuple[bool, Path | None]:
    """Whether the words of a command line hold --json, and the file that --log-file names, where they name one."""
    options = list(words[: words.index("--")] if "--" in words else words)
    named = [
        after if word == "--log-file" else word.partition("=")[2]
        for word, after in pairwise([*options, None])
        if word and (word == "--log-file" or word.startswith("--log-file="))
    ]
    # Without a word behind it, click refuses it; an empty one is no file.
    return "--json" in options, None if not named or named[-1] is None else Path(named[-1])


@dataclass(frozen=True)
class Log:
    """A file that lines are appended to, each with time (UTC) and level; several processes may share it."""

    path: Path

    def __call__(self, line: str) -> None:
        """Append a line."""
        kind = _KIND.match(line)
        level = _LEVELS[kind[1].lower()] if kind else "INFO"
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        # Names of files may hold bytes that are no text.
        with self.path.open("a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(f"{moment} {level:7} {line}\n")


class Record:
    """The result of the command that runs, and its log.

    Attributes:
        result: as far as it is known.
        log: None without --log-file.
        listens: whether anyone wants to know what the command prints.
    """

    def __init__(self, command: str) -> None:
        self.result, self.listens, self._begin = Result(command), False, time.monotonic()
        self.log: Log | None = None

    def begin_log(self, path: Path, words: Sequence[str]) -> None:
        """Append the command line to the log.

        Raises:
            ConfigError: it cannot be written.
        """
        try:
            Log(path)(shlex.join(["seepseg", *words]))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigError(f"{reason}, so nothing was done", path, "give another --log-file") from error
        self.log = Log(path)

    def hear(self, line: str) -> None:
        """Take note of a line that the command prints."""
        line = click.unstyle(line).rstrip()
        if (kind := _KIND.match(line)) and kind[1] in ("warning", "note"):
            self.result.warnings.append(kind[2])
        try:
            if self.log and line:
                self.log(line)
        except OSError as error:
            self.log = None
            with suppress(OSError):  # the same disk may be full
                click.echo(f"warning: {error.strerror} in the log file: nothing more is written there", err=True)

    def end(self, code: int, error: str | None) -> str:
        """The result as JSON, now that the command has ended; noted in the log too."""
        result = self.result
        result.exit_code, result.reason, result.error = code, REASONS.get(code, "unknown"), error
        result.seconds = round(time.monotonic() - self._begin, 3)
        self.hear(f"exit code {code} ({result.reason}) after {result.seconds:.1f} s")
        return json.dumps(asdict(result)) + "\n"


def running() -> Record | None:
    """The record of the command that runs; None outside of one."""
    context = click.get_current_context(silent=True)
    return context.find_object(Record) if context else None
