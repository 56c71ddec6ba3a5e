"""What is kept open, by number and by bytes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from seepseg.machine import kept as module
from seepseg.machine.kept import kept


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often each name is open, of none kept so far."""
    monkeypatch.setattr(module, "_KEPT", {})
    return {}


def use(opened: dict[str, int], name: str, size: int = 0) -> None:
    @contextmanager
    def one() -> Iterator[str]:
        opened[name] = opened.get(name, 0) + 1
        yield name
        opened[name] -= 1

    with kept(name, one, lambda _: size) as value:
        assert value == name


def is_open(opened: dict[str, int]) -> str:
    return "".join(sorted(name for name, count in opened.items() if count))


def test_what_was_used_longest_ago_is_closed(opened: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    for name in "abcad":
        use(opened, name)
    assert is_open(opened) == "acd"


def test_what_fills_memory_is_closed_sooner(opened: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BYTES", 10)
    keep = partial(use, opened)
    for name, size in (("a", 5), ("b", 0), ("c", 5)):
        keep(name, size)
    assert is_open(opened) == "abc"  # ten bytes are not too many
    keep("d", 1)
    assert is_open(opened) == "bcd"
    # An image and its mask are read in turn, so two stay open, however large.
    keep("e", 90)
    keep("f", 90)
    assert is_open(opened) == "ef"
