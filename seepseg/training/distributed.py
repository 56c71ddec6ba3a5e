"""Training on several processes under torchrun: ranks, and sums over all of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from seepseg.errors import ResourceError
from seepseg.inference.score import Sums
from seepseg.machine.cores import is_one_of_several

T = TypeVar("T")


@contextmanager
def process_group(device: str) -> Iterator[None]:
    """Join torchrun's processes for a `with` block; without torchrun, do nothing.

    Raises:
        ResourceError: one of the others has ended or hangs.
    """
    if not is_one_of_several() or dist.is_initialized():
        yield
        return
    # Half a minute without an answer means that a process has died; the others must not wait forever.
    on_gpu = torch.cuda.is_available() and not device.startswith("cpu")
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=timedelta(seconds=30))
    try:
        yield
    except RuntimeError as error:
        # Only their text says which errors come from gloo.
        if not isinstance(error, dist.DistError) and "gloo" not in str(error):
            raise
        raise ResourceError(
            "another process of this run has ended or hangs",
            f"process {os.environ.get('RANK')} of {os.environ['WORLD_SIZE']}",
            "see the messages of the others, and continue with --resume",
        ) from error
    finally:
        dist.destroy_process_group()


def rank() -> int:
    """The rank of this process, 0 when it is alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def device_name(name: str) -> str:
    """The device of this process: on GPUs, that of its local rank."""
    if world() > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return name


def any_rank(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any process, so that all of them stop at the same step."""
    if world() == 1:
        return flag
    value = torch.tensor(int(flag), device=device)
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return bool(value.item())


def of_ranks(own: T) -> list[T]:
    """The value of each process, in the order of their ranks."""
    if world() == 1:
        return [own]
    values: list[Any] = [None] * world()
    dist.all_gather_object(values, own)
    return values


def sum_over_ranks(sums: Sums) -> Sums:
    """The sums of all processes, equal to those of a single one: counts are integers, floats are kept per batch."""
    if world() == 1:
        return sums
    total = Sums.empty(len(sums.matrix))
    for part in of_ranks(sums):
        total = total + part
    return total


def total_over_ranks(counts: Tensor | None) -> NDArray[np.int64] | None:
    """The sum of counts over all processes; a process without any gives None, as does the sum where all do."""
    own: NDArray[np.int64] | None = None if counts is None else counts.cpu().numpy()
    parts = [part for part in of_ranks(own) if part is not None]
    return np.sum(parts, axis=0) if parts else None


def side_by_side(network: nn.Module) -> nn.Module:
    """The network with gradients that are means over all processes."""
    parallel = DistributedDataParallel(network)
    parallel.broadcast_buffers = False  # at each step, while nothing reads them: see `same_buffers`
    return parallel


def same_buffers(*modules: nn.Module) -> None:
    """Give every process the buffers of the first: batch norm keeps its statistics per process between two epochs."""
    if world() > 1:
        for module in modules:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)


def barrier() -> None:
    """Wait for the others."""
    if world() > 1:
        dist.barrier()
