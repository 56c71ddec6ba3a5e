from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from seepseg.machine.ahead import ahead, behind


def test_items_come_in_order_from_another_thread() -> None:
    seen: list[int] = []

    def items() -> Iterator[int]:
        for i in range(5):
            seen.append(threading.get_ident())
            yield i

    assert list(ahead(items())) == [0, 1, 2, 3, 4]
    assert threading.get_ident() not in seen


def test_an_error_is_raised_where_the_items_are_wanted() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    got = ahead(items())
    assert next(got) == 1
    with pytest.raises(ValueError, match="broken"):
        next(got)


def test_a_consumer_that_stops_early_stops_the_thread() -> None:
    before = threading.active_count()
    got = ahead(iter(range(100)))
    assert next(got) == 0
    got.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_what_is_sent_is_consumed_in_order_before_the_block_ends() -> None:
    got: list[int] = []
    with behind(got.append) as send:
        for i in range(5):
            send(i)
    assert got == [0, 1, 2, 3, 4]


def test_an_error_of_the_consumer_reaches_the_sender() -> None:
    def consume(item: int) -> None:
        if item == 2:
            raise ValueError("full")

    with pytest.raises(ValueError, match="full"), behind(consume) as send:
        for i in range(100):
            send(i)
    with pytest.raises(ValueError, match="full"), behind(consume) as send:
        send(2)
