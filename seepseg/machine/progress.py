"""How long work reports its progress: ticks for a progress bar, lines to read."""

from __future__ import annotations

from collections.abc import Callable

Tick = Callable[[int, int], None]
"""Called with (how much is done, of how much)."""

Echo = Callable[[str], None]
"""Called with a line meant for the user."""


def silent(done: int, of: int) -> None:
    """The `Tick` that reports nothing."""
