"""What is kept open from one use to the next, in each process for itself: opening takes longer than reading a part."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

MOST, BYTES = 64, 2**29
"""What was used longest ago is closed when there are more, or when they hold more bytes; the last two stay open."""


@dataclass
class _Kept:
    lock: threading.RLock = field(default_factory=threading.RLock)
    open: OrderedDict[Hashable, tuple[Any, int, ExitStack]] = field(default_factory=OrderedDict)


# By process: what a forked one inherits is its parent's, which may be reading it.
_KEPT: dict[int, _Kept] = {}


@contextmanager
def kept(
    key: Hashable, opened: Callable[[], AbstractContextManager[T]], size: Callable[[T], int] = lambda _: 0
) -> Iterator[T]:
    """What `opened` gives, which stays open for the next one who asks with this key; one thread at a time.

    Args:
        size: bytes of memory that it holds while it is open.
    """
    mine = _KEPT.setdefault(os.getpid(), _Kept())
    with mine.lock:
        if key not in mine.open:
            stack = ExitStack()
            value = stack.enter_context(opened())
            mine.open[key] = value, size(value), stack
            while len(mine.open) > MOST or (len(mine.open) > 2 and sum(n for _, n, _ in mine.open.values()) > BYTES):
                mine.open.popitem(last=False)[1][2].close()
        mine.open.move_to_end(key)
        yield mine.open[key][0]
