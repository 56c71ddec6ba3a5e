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

MOST = 64
"""What was used longest ago is closed when there are more."""


@dataclass
class _Kept:
    lock: threading.RLock = field(default_factory=threading.RLock)
    open: OrderedDict[Hashable, tuple[Any, ExitStack]] = field(default_factory=OrderedDict)


# By process: what a forked one inherits is its parent's, which may be reading it.
_KEPT: dict[int, _Kept] = {}


@contextmanager
def kept(key: Hashable, opened: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
    """What `opened` gives, which stays open for the next one who asks with this key; one thread at a time."""
    mine = _KEPT.setdefault(os.getpid(), _Kept())
    with mine.lock:
        if key not in mine.open:
            while len(mine.open) >= MOST:
                mine.open.popitem(last=False)[1][1].close()
            stack = ExitStack()
            mine.open[key] = stack.enter_context(opened()), stack
        mine.open.move_to_end(key)
        yield mine.open[key][0]
