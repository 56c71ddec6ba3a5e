"""Options and printing that several subcommands share."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from seepseg.cli.streams import heard, uncovered
from seepseg.errors import ConfigError
from seepseg.io.files import local_path

if TYPE_CHECKING:
    import pandas as pd

    from seepseg.machine.progress import Echo, Tick


class _File(click.Path):
    """A path on this machine; a remote address is refused before it loses a slash."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        return value if isinstance(value, Path) else local_path(value)


FILE = _File()


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Completions of a config: recipes whose names begin so, and files as the shell completes them."""
    from seepseg.config import purpose, recipes

    names = [CompletionItem(n, help=purpose(p)) for n, p in recipes().items() if n.startswith(incomplete)]
    return [*names, CompletionItem(incomplete, type="file")]


config_argument = click.argument("config", type=FILE, shell_complete=_complete)
override_option = click.option(
    "-s",
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change a key of the config, for example -s train.epochs=5. Repeatable.",
)
device_option = click.option("--device", help="auto, cpu, cuda or cuda:N.  [default: the config's]")
quiet_option = click.option("-q", "--quiet", is_flag=True, help="No progress.")


def refuse_unused(**fixes: str | bool) -> None:
    """Raise ConfigError where an option was given that has no effect now: its fix says what to do, else it is False."""
    context = click.get_current_context()
    for name, fix in fixes.items():
        if fix and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise ConfigError("has no effect", f"--{name.replace('_', '-')}", f"{fix}, or leave it out")


def warn(*lines: str) -> None:
    """Print warnings."""
    for line in lines:
        click.echo(f"warning: {line}", err=True)


def with_device(overrides: tuple[str, ...], device: str | None) -> list[str]:
    """Overrides, the device among them where one was asked for."""
    return [*overrides, *([f"runtime.device={device}"] if device else [])]


def speaker(quiet: bool, aloud: Echo = click.echo) -> Echo:
    """What prints the lines of a training; nothing where the command is to be quiet."""
    return _mute if quiet else aloud


def _mute(line: str) -> None:
    pass  # no lambda: it is pickled for the processes of folds


@contextmanager
def progress(what: str, total: int | None, quiet: bool) -> Iterator[Tick]:
    """A progress bar for a `with` block; gives the function to call with the amount done and the total."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    terminal, off = Console(file=uncovered(sys.stderr)), quiet or not sys.stderr.isatty()
    # Lines go above the bar; those for a file go to the file.
    above = sys.stdout.isatty()
    with (
        Progress(*columns, disable=off, transient=True, console=terminal, redirect_stdout=above) as bar,
        heard(covered=not off),
    ):
        task = bar.add_task(what, total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def print_table(frame: pd.DataFrame, title: str) -> None:
    """A table on standard output: floats with three digits, absent values as n/a."""
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in frame.columns:
        text = frame[column].dtype == object or str(frame[column].dtype) == "str"
        table.add_column(str(column).replace("_", " "), justify="left" if text else "right")
    for row in frame.itertuples(index=False):
        table.add_row(*("n/a" if pd.isna(v) else f"{v:.3f}" if isinstance(v, float) else f"{v}" for v in row))
    # Without a terminal a table keeps its full width, so that it can be piped.
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def relative(path: Path) -> str:
    """A path as a user would type it from here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)
