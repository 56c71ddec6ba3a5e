from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from seepseg.errors import ResourceError
from seepseg.machine.ahead import ahead, behind, in_streams


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


CPU = torch.device("cpu")


def test_streams_give_results_in_order_and_leave_the_number_of_threads_alone() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        threads = set[int]()

        def work(item: int) -> int:
            threads.add(torch.get_num_threads())
            time.sleep(0.001 * (item % 3))
            return item * item

        assert list(in_streams(work, range(20), CPU)) == [(i, i * i) for i in range(20)]
        assert threads == {1}
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_stream_or_in_its_items_is_raised_in_its_turn() -> None:
    def items() -> Iterator[int]:
        yield from (1, 2)
        raise ValueError("no third")

    results = in_streams(lambda i: 1 // (i - 2), [1, 2, 3], CPU)
    assert next(results) == (1, -1)
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(ValueError, match="no third"):
        list(in_streams(lambda i: i, items(), CPU))


def test_what_runs_out_of_memory_beside_others_is_done_alone() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    room, most, both = threading.Lock(), list[int](), threading.Barrier(2)
    inside: list[int] = []

    def work(item: int) -> int:
        inside.append(item)
        most.append(len(inside))
        try:
            if len(most) <= 2:
                both.wait(10)  # the first two are there at once
            if not room.acquire(blocking=False):
                raise ResourceError("out of memory", "here", "wait")
            try:
                time.sleep(0.01)
            finally:
                room.release()
        finally:
            inside.remove(item)
        return -item

    try:
        assert list(in_streams(work, range(12), CPU)) == [(i, -i) for i in range(12)]
        assert max(most) == 2
        assert most[-6:] == [1] * 6
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("error", [ResourceError("out of memory", "here", "wait"), MemoryError()])
def test_what_runs_out_of_memory_alone_fails(error: Exception) -> None:
    def work(item: int) -> int:
        if item == 3:
            raise error
        return item

    results = in_streams(work, range(6), CPU)
    assert [next(results) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]
    with pytest.raises(type(error)):
        next(results)


def test_streams_that_are_closed_early_take_no_more_items() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for i in range(1000):
            taken.append(i)
            yield i

    results = in_streams(lambda i: i, items(), CPU)
    next(results)
    results.close()
    assert len(taken) <= torch.get_num_threads() + 4
