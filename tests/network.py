"""A place on this machine that notes who calls: nothing that is read may."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


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
