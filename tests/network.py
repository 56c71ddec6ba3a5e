"""A place on this machine that notes who calls, and a machine without a network: what seepseg does needs neither."""

from __future__ import annotations

import ctypes
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path


@dataclass
class Listener:
    """An address, and how often it was called."""

    address: str
    calls: list[object] = field(default_factory=list)


@contextmanager
def listening() -> Iterator[Listener]:
    """Listen on a free port of 127.0.0.1 while the block lasts; a caller is noted, and gets no answer."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        listener = Listener(f"http://127.0.0.1:{server.getsockname()[1]}/x.tif")

        def serve() -> None:
            while True:
                try:
                    caller, address = server.accept()
                except OSError:  # closed below
                    return
                listener.calls.append(address)
                caller.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener
        server.shutdown(socket.SHUT_RDWR)
    thread.join()


CLONE_NEWNET = 0x40000000
TALK = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.sendto"}
asked: list[str] | None = None
"""What Python asked of the network while it is cut; None while it is not."""


@cache
def _hook() -> None:
    """Listen to what Python does, from now on for good: no hook can be taken away."""
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    # Processes of one machine may talk through a file.
    if asked is not None and event in TALK and getattr(arguments[0], "family", None) != socket.AF_UNIX:
        asked.append(f"{event} {arguments}")
        raise OSError("the network is cut")


@contextmanager
def cut() -> Iterator[Callable[[], list[str]]]:
    """No network while the block lasts, and a function that lists who asked for it.

    Where the system allows it (root on Linux), the thread is moved into a network of its own without any way out, with
    all threads and processes it starts, and the kernel counts what they try: in C, too. Python's own calls in this
    process are refused everywhere.
    """
    global asked
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY) if libc else -1
    apart = libc is not None and libc.unshare(CLONE_NEWNET) == 0
    _hook()
    asked = said = []
    try:
        yield lambda: said + [f"{name} {count}" for name, count in (_sent() if apart else {}).items() if count]
    finally:
        asked = None
        if libc:
            assert not apart or libc.setns(home, CLONE_NEWNET) == 0
            os.close(home)


def _sent() -> dict[str, int]:
    """Packets and attempts of this thread's network, that of IPv6 too."""
    four = Path("/proc/thread-self/net/snmp").read_text().splitlines()
    pairs = [line.split() for line in Path("/proc/thread-self/net/snmp6").read_text().splitlines()]
    for names, counts in zip(four[::2], four[1::2], strict=True):
        pairs += zip(names.split(), counts.split(), strict=True)
    return {name: int(count) for name, count in pairs if name.removeprefix("Ip6") in {"OutNoRoutes", "OutRequests"}}
