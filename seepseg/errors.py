"""The errors seepseg raises for a user's input; each has its exit code and says what to do."""

from __future__ import annotations

import errno
from collections.abc import Sequence

SHOWN = 20
"""How many names an error lists before it only counts."""


class SeepsegError(Exception):
    """One line for the user: what is wrong, where, and how to fix it.

    Args:
        what: what is wrong, in lower case, without a full stop.
        where: the file, config key or tile it is about; left out of the line when empty.
        fix: what the user can do about it.
    """

    exit_code = 3

    def __init__(self, what: str, where: object = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, str(where), fix
        super().__init__(what)

    def __reduce__(self) -> tuple[object, ...]:
        """All arguments, so that an error crosses process borders whole."""
        return type(self), (self.what, self.where, self.fix)

    def __str__(self) -> str:
        place = f" in {self.where}" if self.where else ""
        advice = f": {self.fix}" if self.fix else ""
        # What it names, a column of a layer, say, may hold line breaks.
        return " ".join(f"{self.what}{place}{advice}".splitlines())


class ConfigError(SeepsegError):
    """The command line, the config or the device is not usable (exit 2)."""

    exit_code = 2


class DataError(SeepsegError):
    """A file, a label or a table is not what it should be (exit 3)."""


class CheckpointError(SeepsegError):
    """A checkpoint is damaged, foreign or does not match (exit 3)."""


class NonFiniteLossError(SeepsegError):
    """Training met a loss that is NaN or infinite (exit 3)."""


class SomeFailedError(SeepsegError):
    """The work finished, but some items failed and are listed (exit 4)."""

    exit_code = 4


class ResourceError(SeepsegError):
    """Memory or disk ran out, or a worker process died (exit 5)."""

    exit_code = 5


class LockedError(SeepsegError):
    """Another process works on this run folder (exit 6)."""

    exit_code = 6


class InterruptedRun(SeepsegError):  # noqa: N818 - an interruption is no error
    """A signal stopped the run after its state was saved (exit 128 + signal)."""

    def __init__(self, signal_number: int, what: str, where: object = "", fix: str = "") -> None:
        super().__init__(what, where, fix)
        self.signal_number, self.exit_code = signal_number, 128 + signal_number

    def __reduce__(self) -> tuple[object, ...]:
        """As its parent's, with the signal."""
        return type(self), (self.signal_number, self.what, self.where, self.fix)


def shortage(error: BaseException, where: object) -> ResourceError | None:
    """The user's line where the machine, and not the file at hand, is what lacks: descriptors or memory; else None."""
    while error.__cause__ is not None:
        error = error.__cause__
    number = getattr(error, "errno", None)
    if number in (errno.EMFILE, errno.ENFILE) or "Too many open files" in str(error):
        return ResourceError("too many files are open", where, "raise their limit with `ulimit -n`")
    if number == errno.ENOMEM:
        return ResourceError("out of memory", where, "close other programs, or raise the limit with `ulimit -v`")
    return None


def listed(names: Sequence[str]) -> str:
    """Names for an error message: up to twenty, then the count of the rest."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
