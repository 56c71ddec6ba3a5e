"""The seepseg command: finds the subcommand, and turns errors into one line and an exit code."""

from __future__ import annotations

import errno
import importlib
import os
import sys

import click

from seepseg import __version__
from seepseg.errors import SeepsegError

COMMANDS = {
    "demo": "the whole way on synthetic data: train, eval, predict, look",
    "data": "check a data set, count its classes, divide it",
    "train": "train a config",
    "eval": "score a run, or rasters made by anything",
    "compare": "which of two runs is better, by how much, how sure",
    "predict": "class maps of tiles and scenes",
    "config": "list the shipped recipes, show a resolved config, or every key there is",
    "monitor": "open TensorBoard on run folders",
}
"""Subcommand → what it does; each lives in the module of its name, imported when it is called."""


class _Commands(click.Group):
    """Imports a subcommand only when it is asked for, so that --help needs no torch."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"seepseg.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="seepseg")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Find oil seeps in radar images of the sea, and salt in seismic images."""


def main() -> None:
    """Run the command line and exit with its code."""
    debug = "--debug" in sys.argv[1:]
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = 2
    except BrokenPipeError:
        # The reader (head, less) has seen enough; what follows has no one to read it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:
        if debug:
            raise
        code, line = explain(error)
        click.echo(f"error: {line}", err=True)
    sys.exit(code if isinstance(code, int) else 0)


def explain(error: Exception) -> tuple[int, str]:
    """Exit code and line of an error."""
    match error:
        case SeepsegError():
            return error.exit_code, str(error)
        case RuntimeError() | MemoryError() if _is_memory(error):
            return 5, "out of memory: use smaller tiles, batches or windows, or set data.cache_gb=0"
        case OSError(errno=errno.ENOSPC):
            return 5, f"no space left in {error.filename or 'the output folder'}: free some and run the command again"
        case OSError():
            return 3, f"{(error.strerror or str(error)).lower()} in {error.filename or 'a file'}: look at the path"
        case RuntimeError() if "DataLoader worker" in str(error):
            return 5, "a loader worker died: set runtime.workers=0, or enlarge /dev/shm"
    text = (str(error).splitlines() or [""])[0]
    return 70, f"{type(error).__name__}: {text} (a bug: run again with seepseg --debug and report it)"


def _is_memory(error: Exception) -> bool:
    """Whether memory gave out; torch's own errors are told by name and text, as it is not imported here."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )
