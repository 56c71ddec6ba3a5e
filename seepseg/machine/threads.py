"""Threads of libraries whose errors come back to the thread that waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from threading import ExceptHookArgs


@contextmanager
def errors_once() -> Iterator[None]:
    """Show no traceback, for a `with` block, of a thread that keeps its error as `exception` to be raised elsewhere.

    TensorBoard's writer does so: its next call raises what its thread failed with.
    """
    hook = threading.excepthook
    threading.excepthook = partial(_unless_kept, hook)
    try:
        yield
    finally:
        threading.excepthook = hook


def _unless_kept(hook: Callable[[ExceptHookArgs], object], failed: ExceptHookArgs) -> None:
    if getattr(failed.thread, "exception", None) is not failed.exc_value:
        hook(failed)
