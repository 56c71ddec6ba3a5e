"""Both output streams of a command: heard by its record, and free for JSON (--json) until it ends."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from functools import partial
from types import FrameType
from typing import Any, TextIO, cast

from seepseg.cli.record import Log, Record, asked, running
from seepseg.machine.cores import is_first


class _Over:
    """A text stream over another, which does all that this one does not."""

    def __init__(self, below: TextIO) -> None:
        self.below = below
        # click goes round a stream that does not say them, as rich's beside a progress bar.
        self.encoding = getattr(below, "encoding", None) or "utf-8"
        self.errors = getattr(below, "errors", None) or "strict"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.below, name)


class _Heard(_Over):
    """A text stream whose lines someone else hears too."""

    def __init__(self, below: TextIO, hear: Callable[[str], None]) -> None:
        super().__init__(below)
        self._hear, self._rest = hear, ""

    def write(self, text: str) -> int:
        """Write text; a line is heard when it is whole."""
        done = self.below.write(text)
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._hear(line)
        return done


class _Patient(_Over):
    """A standard stream whose reader (head, less, a terminal) may leave: the command goes on without it."""

    def write(self, text: str) -> int:
        """Write text, to nowhere once the reader has left."""
        with self._without_reader():
            self.below.write(text)
        return len(text)

    def flush(self) -> None:
        """Write what waits."""
        with self._without_reader():
            self.below.flush()

    @contextmanager
    def _without_reader(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.below.fileno())
            os.close(nowhere)


@contextmanager
def patient() -> Iterator[None]:
    """Let the readers of both output streams leave, for a `with` block."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, _Patient(stream)) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def heard(record: Record | None = None, *, covered: bool = False) -> Iterator[None]:
    """Hear both output streams for a `with` block, for the running command, where they are not heard already.

    Args:
        record: of the command; None finds it.
        covered: a progress bar has put streams of its own above those that were heard.
    """
    record = record or running()
    before = sys.stdout, sys.stderr
    if record and (record.listens or covered):
        hear = record.hear
        streams = [stream if isinstance(stream, _Heard) else _Heard(stream, hear) for stream in before]
        sys.stdout, sys.stderr = cast(tuple[TextIO, TextIO], streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def uncovered(stream: TextIO) -> TextIO:
    """The stream itself, for what is not heard, as progress bars."""
    return stream.below if isinstance(stream, _Heard) else stream


def child_echo() -> Callable[[str], None]:
    """Print a line in a process that the running command starts, and append it to the command's log; can be pickled."""
    record = running()
    return partial(_tell, log=record.log if record else None)


def _tell(line: str, log: Log | None) -> None:
    print(line, flush=True)
    if log:
        with suppress(OSError):  # the command itself warns of it
            log(line)


@contextmanager
def recorded(command: str, words: Sequence[str]) -> Iterator[Record]:
    """The record of a command for a `with` block; SIGTERM ends it at once, but with its exit code and its JSON."""
    wanted, log = asked(words)
    record = Record(command)
    record.listens = wanted or log is not None
    with ExitStack() as stack:
        process = os.getpid()
        descriptor = stack.enter_context(_stdout_for_json()) if wanted else None

        def stop(number: int, frame: FrameType | None) -> None:
            if os.getpid() != process:
                os._exit(128 + number)  # a fork of it, as loader workers are, has no result
            # What is unfinished is done again, as after any kill: nothing waits, and no stream is touched.
            try:
                line = f"stopped by {signal.Signals(number).name}"
                with suppress(OSError):  # its reader may have been stopped first
                    os.write(2, f"error: {line}\n".encode())
                record.hear(f"error: {line}")
                text = record.end(128 + number, line)
                if descriptor is not None and is_first():
                    os.write(descriptor, text.encode())
            finally:
                os._exit(128 + number)

        before = signal.signal(signal.SIGTERM, stop)
        stack.callback(signal.signal, signal.SIGTERM, before)
        stack.enter_context(heard(record))
        yield record


@contextmanager
def _stdout_for_json() -> Iterator[int]:
    """All that this process and its children print on standard output goes to standard error; gives the real one."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield kept
    finally:
        os.dup2(kept, 1)
        os.close(kept)
