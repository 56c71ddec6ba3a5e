"""What a case may not do: take long, take memory, read or write elsewhere, start a program, ask the network."""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODIFIED, ACCESSED, OPENED = 0x2, 0x1, 0x20
PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn")
OURS = tuple(
    str(Path(path).resolve())
    for path in (sys.prefix, sys.base_prefix, ROOT, "/proc", "/sys", "/dev/null", "/usr/share/zoneinfo")
)
"""Where Python itself, libraries and this repository are."""


class Guard:
    """Notes what this process does outside a folder, from now on for good: no audit hook can be taken away."""

    def __init__(self, inside: Path) -> None:
        self.seen: list[str] = []
        self.on = False
        self._inside = (*OURS, str(inside.resolve()))
        self._canaries = inside / "canaries"
        self._canaries.mkdir(exist_ok=True)
        self.canary = str(self._canaries / "secret.tif")
        Path(self.canary).write_bytes(b"II*\0secret")
        libc = ctypes.CDLL(None, use_errno=True)
        self._watch = libc.inotify_init1(os.O_NONBLOCK)
        # The kernel says who opens it, be it in C.
        for path in (self.canary, str(self._canaries)):
            assert libc.inotify_add_watch(self._watch, path.encode(), ACCESSED | MODIFIED | OPENED) >= 0
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.on:
            return
        if event in PROGRAMS or (event.startswith("socket.") and event not in ("socket.__new__", "socket.gethostname")):
            self.seen.append(f"{event} {arguments!r}"[:200])
        elif event == "open" and isinstance(arguments[0], str | bytes):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            if not path.startswith(self._inside) or path.startswith(str(self._canaries)):
                self.seen.append(f"open {path}")

    def touched(self) -> list[str]:
        """What was seen since the last call, files that were opened in C too."""
        seen, self.seen = self.seen, []
        with suppress(BlockingIOError):
            seen += ["a canary was opened"] if os.read(self._watch, 65536) else []
        return seen


@contextmanager
def peak() -> Iterator[list[int]]:
    """How many MiB of memory this process takes more at most, while the block lasts, in a list."""
    taken: list[int] = []
    Path("/proc/self/clear_refs").write_bytes(b"5")
    before = _status("VmRSS")
    yield taken
    taken.append((_status("VmHWM") - before) >> 10)


def _status(name: str) -> int:
    """Kibibytes of memory of this process, by the name that the kernel gives them."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition(f"{name}:")[2].split(maxsplit=1)[0])


def bound_memory(mebibytes: int) -> None:
    """No more address space than now and so much."""
    resource.setrlimit(resource.RLIMIT_AS, ((_status("VmSize") << 10) + (mebibytes << 20),) * 2)


class Progress:
    """Numbers that a process and its children share: the case that runs, and counts."""

    def __init__(self) -> None:
        import mmap

        self._room = mmap.mmap(-1, 32)

    def put(self, *numbers: int) -> None:
        """Four numbers."""
        self._room[:] = struct.pack("4q", *numbers)

    def get(self) -> tuple[int, ...]:
        """The same."""
        return struct.unpack("4q", self._room[:])
