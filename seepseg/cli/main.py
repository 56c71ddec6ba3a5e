"""The seepseg command: finds the subcommand, and turns errors into one line and an exit code."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

import click

from seepseg import __version__
from seepseg.cli.record import Record, asked, with_options
from seepseg.cli.streams import patient, recorded
from seepseg.errors import SeepsegError, shortage
from seepseg.machine.cores import is_first
from seepseg.machine.imports import import_monai_alone

COMMANDS = {
    "demo": "the whole workflow on synthetic data: train, eval, predict",
    "data": "check a data set, count its classes, divide it",
    "train": "train a config",
    "eval": "score a run, or rasters made by any tool",
    "compare": "which of two runs is better, by how much, and how sure that is",
    "predict": "class maps of tiles and scenes",
    "export": "a model for other tools: ONNX, QGIS, safetensors, torch",
    "zones": "where slicks come back: many maps to seep zones",
    "rank": "which slicks to look at first",
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
        return with_options(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="seepseg")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Find oil seeps in radar images of the sea, and salt in seismic images."""


with_options(cli)


def main() -> None:
    """Run the command line and exit with its code."""
    _open_streams()
    words = sys.argv[1:]
    name, command = called(words)
    _spin_less()
    # That it found no home to write its cache to, say.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    import_monai_alone()
    with patient(), recorded(name, words) as record:
        code, error = _run(words, command, record)
        result = record.end(code, error)
    if asked(words)[0] and is_first():
        code = _print_result(result, code)
    sys.exit(code)


def _print_result(result: str, code: int) -> int:
    """Print the JSON of a command that ended with an exit code; the code it ends with, which is 5 on a full disk."""
    try:
        print(result, end="", flush=True)
    except OSError as error:
        # Python would write what is left once more when it ends, and fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error, BrokenPipeError):  # its reader has left
            code, line = explain(error)
            with suppress(OSError):
                click.echo(f"error: {line}", err=True)
    return code


def _run(words: Sequence[str], command: click.Command, record: Record) -> tuple[int, str | None]:
    """Run the command that words call; its exit code, and its error line, which has been printed."""
    try:
        if log := asked(words)[1]:
            record.begin_log(log, words)
        cli.main(standalone_mode=False, obj=record)
        sys.stdout.flush()
        return 0, None
    except click.exceptions.Abort:
        code, line = 130, "interrupted"
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        nothing = isinstance(error, click.exceptions.NoArgsIsHelpError)
        return 2, "no command was given" if nothing else " ".join(error.format_message().split())
    except BrokenPipeError:
        # The reader (head, less) has closed the pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0, None
    except Exception as error:
        if "--debug" in words:
            traceback.print_exc()
        takes_keys = any("--set" in option.opts for option in command.params)
        code, line = explain(error, takes_keys)
    with suppress(OSError):  # --json says it too, where standard error is on a full disk
        click.echo(f"error: {line}", err=True)
    return code, line


def called(words: Sequence[str]) -> tuple[str, click.Command]:
    """The command that the words of a command line call, by name and itself."""
    names: list[str] = []
    command: click.Command = cli
    left = iter(words)
    for word in left:
        if word.startswith("-"):
            if word == "--log-file":
                next(left, None)  # its file may be called as a command is
            continue
        below = command.get_command(click.Context(command), word) if isinstance(command, click.Group) else None
        if not below:
            break
        names, command = [*names, word], below
    return " ".join(names), command


def _open_streams() -> None:
    """Give a standard stream that is closed (`>&-`) a place, before a file takes its number and gets what is printed.

    Without one, Python has None.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 - stays open, and is no path of ours


def _spin_less() -> None:
    """Let threads of torch that wait for one another sleep after some 20 µs, unless the environment says how they wait.

    GNU's OpenMP, which torch's wheels for Linux hold, else lets them spin for milliseconds, on cores that others
    may need. It reads this when torch is imported.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = "10000"


def explain(error: Exception, takes_keys: bool = True) -> tuple[int, str]:
    """Exit code and line of an error, for a command that does or does not take keys of the config."""
    match error:
        case SeepsegError():
            error.fix = _advice(error.fix, takes_keys)
            return error.exit_code, str(error)
        case RuntimeError() | MemoryError() | ImportError() if _is_memory(error):
            fix = _advice("use smaller tiles, batches or windows, or set data.cache_gb=0", takes_keys)
            return 5, f"out of memory: {fix}"
        case OSError(errno=errno.ENOSPC):
            return 5, f"no space left in {error.filename or 'standard output'}: free some and run the command again"
        case OSError() if lacking := shortage(error, error.filename or ""):
            return 5, str(lacking)
        case OSError():
            return 3, f"{(error.strerror or str(error)).lower()} in {error.filename or 'a file'}: check the path"
        case RuntimeError() if "DataLoader worker" in str(error):
            fix = _advice("enlarge /dev/shm, or set runtime.workers=0", takes_keys)
            return 5, f"a loader worker died: {fix}"
    text = (str(error).splitlines() or [""])[0]
    return 70, f"{type(error).__name__}: {text} (a bug: run again with seepseg --debug and report it)"


_KEY = re.compile(
    r"(?<![\w/.-])(?:data|model|loss|optim|schedule|stages|train|predict|objects|runtime|tracking)\.[a-z_]"
)


def _advice(fix: str, takes_keys: bool) -> str:
    """What to do, for the command at hand: errors name keys of the config, not the option that sets them."""
    if takes_keys:
        return re.sub(r"\bset ((?:\w+\.)+\w+=)", r"give -s \1", fix)
    return f"{fix}; such keys are fixed when the run is trained" if _KEY.search(fix) else fix


def _is_memory(error: Exception) -> bool:
    """Whether memory ran out; torch's own errors are recognised by name and text, as it is not imported here."""
    texts = ("can't allocate memory", "failed to map segment", "can't start new thread")
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or any(text in str(error) for text in texts)
    )
