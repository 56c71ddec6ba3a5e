"""CPU cores, and the processes that share them."""

from __future__ import annotations

import os
import sys
from multiprocessing import get_all_start_methods

from seepseg.errors import ConfigError


def cores() -> int:
    """How many cores this process may use: of a machine that is shared, not all."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_first() -> bool:
    """Whether this process is the first of those that torchrun starts, or none of them."""
    return os.environ.get("RANK", "0") == "0"


def is_one_of_several() -> bool:
    """Whether torchrun started this process beside others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def forks() -> bool:
    """Whether a process can fork here; macOS has it, but its own libraries crash then."""
    return "fork" in get_all_start_methods() and sys.platform != "darwin"


def check_workers(workers: int) -> None:
    """Raise ConfigError where loader processes are wanted and cannot fork: so they share the dataset and its cache."""
    if workers and not forks():
        raise ConfigError("loader processes need a system that forks", "runtime.workers", "set runtime.workers=0")
