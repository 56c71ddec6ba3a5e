"""Where units of work run: here, in processes, or on a Dask cluster. The bytes they leave are the same."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar

from seepseg.errors import ConfigError, ResourceError
from seepseg.machine.imports import import_monai_alone

Unit = TypeVar("Unit")
Result = TypeVar("Result")
Outcome = Iterator[tuple[Unit, Result | ResourceError]]
"""Units with their results as they come; a unit whose worker died has an error in its place."""


def serial(units: Sequence[Unit], work: Callable[[Unit], Result]) -> Outcome[Unit, Result]:
    """One after another, in this process."""
    for unit in units:
        yield unit, work(unit)


def processes(units: Sequence[Unit], work: Callable[[Unit], Result], workers: int) -> Outcome[Unit, Result]:
    """In `workers` processes; one that dies takes down its own unit only.

    A pool whose worker died cannot say which unit killed it. Units are taken in order, so it is one of the first that
    were lost: these run again, each alone, and the others in parallel.
    """
    left, workers = list(units), min(workers, len(units))  # the pool starts all of them at once
    while left:
        lost = yield from _in_pool(left, work, workers)
        for suspect in lost[:workers]:
            if (yield from _in_pool([suspect], work, 1)):
                yield suspect, ResourceError("the worker process died on it", "", "see whether memory ran out")
        left = lost[workers:]


def _in_pool(
    units: Sequence[Unit], work: Callable[[Unit], Result], workers: int
) -> Generator[tuple[Unit, Result], None, list[Unit]]:
    """Units with their results as they come; returns those that were lost, in order, because a worker died."""
    # A forked copy of torch's threads hangs.
    context = multiprocessing.get_context("spawn")
    with _pool(ProcessPoolExecutor(workers, context, _begin, (os.getpid(),))) as pool:
        futures: dict[Future[Result], Unit] = {}
        with suppress(BrokenProcessPool):
            for unit in units:
                futures[pool.submit(work, unit)] = unit
        for future in as_completed(futures):
            if not isinstance(future.exception(), BrokenProcessPool):
                yield futures[future], future.result()
    lost = [unit for future, unit in futures.items() if isinstance(future.exception(), BrokenProcessPool)]
    return [*lost, *units[len(futures) :]]


@contextmanager
def _pool(pool: ProcessPoolExecutor) -> Iterator[ProcessPoolExecutor]:
    """A pool whose waiting units are dropped when the block fails, instead of being done first."""
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(parent: int) -> None:
    """Make this a worker that imports quickly, and ends when the process that started it is gone (killed, say)."""
    import_monai_alone()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def dask(
    units: Sequence[Unit], work: Callable[[Unit], Result], workers: int, address: str | None
) -> Outcome[Unit, Result]:
    """On the Dask cluster at `address`, or on a local one of `workers` single-threaded processes."""
    try:
        import distributed
    except ImportError:
        raise ConfigError("Dask is not installed", "--executor dask", "pip install 'seepseg[dask]'") from None
    # The library has no types.
    library: Any = distributed
    with ExitStack() as stack:
        if address is None:
            workers = min(workers, max(1, len(units)))
            try:
                local = library.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None)
            except RuntimeError as error:  # of one that dies before it works
                raise ResourceError(f"its Dask workers did not start ({error})", "", "run it again") from None
            address = stack.enter_context(local).scheduler_address
        client = stack.enter_context(library.Client(address))
        futures = {client.submit(work, unit, pure=False): unit for unit in units}
        for future in library.as_completed(futures):
            unit = futures[future]
            try:
                yield unit, future.result()
            except library.scheduler.KilledWorker:
                yield unit, ResourceError("its Dask workers died", "", "see whether memory ran out")
