"""How long work reports its progress: one callback type for every bar."""

from __future__ import annotations

from collections.abc import Callable

Tick = Callable[[int, int], None]
"""Called with (how much is done, of how much)."""


def silent(done: int, of: int) -> None:
    """The `Tick` that reports nothing."""
