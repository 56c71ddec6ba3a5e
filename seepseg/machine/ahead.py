"""Work done ahead in a thread, so that reading, network and writing overlap."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from seepseg.errors import ResourceError

T = TypeVar("T")
R = TypeVar("R")

_END = object()


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The items in order, made by a thread that is one item ahead; its error is raised here.

    The next item is begun when the last one is taken: strips of a wide scene take hundreds of megabytes.
    """
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    stopped, taken = threading.Event(), threading.Semaphore(0)

    def work() -> None:
        try:
            for item in items:
                waiting.put((item, None))
                while not taken.acquire(timeout=0.1):
                    if stopped.is_set():
                        return
            waiting.put((_END, None))
        except BaseException as error:
            waiting.put((_END, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            item, error = waiting.get()
            taken.release()
            if error is not None:
                raise error
            if item is _END:
                return
            yield item
    finally:
        stopped.set()
        thread.join()


@contextmanager
def behind(consume: Callable[[T], None]) -> Iterator[Callable[[T], None]]:
    """A function that hands items to `consume` in a thread of its own, in order; the block ends when all are consumed.

    An error of `consume` is raised at the next item, or at the end of the block.
    """
    waiting: queue.Queue[Any] = queue.Queue(1)
    failed: list[BaseException] = []

    def work() -> None:
        while (item := waiting.get()) is not _END:
            if failed:
                continue  # keeps the sender from waiting forever
            try:
                consume(item)
            except BaseException as error:
                failed.append(error)

    def send(item: T) -> None:
        if failed:
            raise failed[0]
        waiting.put(item)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield send
    finally:
        waiting.put(_END)
        thread.join()
    if failed:
        raise failed[0]


def in_streams(work: Callable[[T], R], items: Iterable[T], device: torch.device) -> Generator[tuple[T, R]]:
    """The items in order, each with the result of work on it.

    On the CPU, as many threads as torch may use work a few items ahead, and torch computes on one core in each of them,
    as in the caller while it takes items. This is faster than all cores on one batch, which wait for one another after
    every layer, and much faster where other programs keep a core busy. And bytes do not depend on the number of cores.

    Work that runs out of memory is done again when all other has ended, and from then on one item at a time; it fails
    when it does so alone.
    """
    if device.type != "cpu":
        yield from ((item, work(item)) for item in items)
        return
    streams = torch.get_num_threads()
    most = streams + 1
    waiting: deque[tuple[T, Future[R]]] = deque()

    def first() -> tuple[T, R]:
        nonlocal most
        item, future = waiting.popleft()
        try:
            return item, future.result()
        except (ResourceError, MemoryError):
            most = 0
            wait(other for _, other in waiting)
            return item, work(item)

    with ThreadPoolExecutor(streams, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        torch.set_num_threads(1)
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                while len(waiting) > most:
                    yield first()
            while waiting:
                yield first()
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(streams)
