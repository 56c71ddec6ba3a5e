"""Batches: the order of an epoch as a function of (seed, epoch), and samples put together."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.utils.data import DataLoader, Dataset, get_worker_info

from seepseg.classes import IGNORE
from seepseg.config import Sampling
from seepseg.data.catalog import Catalog
from seepseg.data.dataset import Draw, Sample, TileDataset
from seepseg.errors import ResourceError, SeepsegError
from seepseg.machine.cores import check_workers

SHARED, ROOM = Path("/dev/shm"), 2**16
"""Where Linux keeps what processes share, and bytes of it that the locks of one worker take, generously."""


@dataclass
class Batch:
    """image float32 (N, C, H, W), mask int64 (N, H, W), valid bool (N, H, W), ids, and each tile's own size.

    With a margin of m pixels the image is (N, C, H + 2m, W + 2m), see `within`.
    """

    image: Tensor
    mask: Tensor
    valid: Tensor
    ids: list[str]
    sizes: list[tuple[int, int]]

    def within(self, values: Tensor) -> Tensor:
        """Of values (…, H + 2m, W + 2m), one for each pixel of the image, those (…, H, W) of the tiles themselves."""
        height, width = self.mask.shape[-2:]
        y, x = (values.shape[-2] - height) // 2, (values.shape[-1] - width) // 2
        return values[..., y : y + height, x : x + width].contiguous()

    def share_memory(self) -> Batch:
        """The batch, moved to memory that other processes can read."""
        for tensor in (self.image, self.mask, self.valid):
            tensor.share_memory_()  # type: ignore[no-untyped-call]  # torch has no types for it
        return self

    def pin_memory(self) -> Batch:
        """The batch in page-locked memory, for a faster copy to the GPU."""
        return Batch(self.image.pin_memory(), self.mask.pin_memory(), self.valid.pin_memory(), self.ids, self.sizes)


def collate(samples: Sequence[Sample]) -> Batch:
    """Samples as one batch; smaller tiles are filled up at the right and bottom with no-data."""
    sizes = [(s["mask"].shape[0], s["mask"].shape[1]) for s in samples]
    height, width = max(h for h, _ in sizes), max(w for _, w in sizes)

    def stack(key: str, fill: float) -> Tensor:
        planes = [s[key] for s in samples]  # type: ignore[literal-required]  # a key is one of its own
        return torch.stack(
            [
                t if (h, w) == (height, width) else pad(t, (0, width - w, 0, height - h), value=fill)
                for t, (h, w) in zip(planes, sizes, strict=True)
            ]
        )

    return Batch(stack("image", 0.0), stack("mask", IGNORE), stack("valid", False), [s["id"] for s in samples], sizes)


def epoch_draws(catalog: Catalog, sampling: Sampling, seed: int, epoch: int) -> list[Draw]:
    """One epoch of draws, as many as there are tiles: a function of its arguments alone.

    By repeat factor (arXiv 1908.03195), a tile is drawn in proportion to max over its classes of
    max(1, sqrt(threshold / f)), f being the share of tiles that hold the class. Sampling is systematic: every tile is
    drawn floor or ceil of its expected number of times.
    """
    n = len(catalog)
    rng = np.random.default_rng([seed, epoch])
    if sampling.name == "uniform":
        order = rng.permutation(n)
    else:
        present = catalog.pixels()[:, 1:] > 0
        frequency = np.maximum(present.mean(0), 1 / n)
        factor = np.maximum(1, np.sqrt(sampling.threshold / frequency))
        weight = np.where(present, factor, 1).max(1)
        edges = np.cumsum(weight) / weight.sum() * n
        order = rng.permutation(np.minimum(np.searchsorted(edges, np.arange(n) + rng.random(), side="right"), n - 1))
    seeds = rng.integers(0, 2**31, size=n)
    return [Draw(int(tile), int(s)) for tile, s in zip(order, seeds, strict=True)]


def in_batches(draws: Sequence[Draw], size: int, *, drop_last: bool) -> list[list[Draw]]:
    """Draws cut into batches in order; an incomplete last one is dropped on request, unless it is the only one."""
    cut = [list(draws[i : i + size]) for i in range(0, len(draws), size)]
    return cut[:-1] if drop_last and len(cut) > 1 and len(cut[-1]) < size else cut


def load_batches(
    dataset: TileDataset, batches: Iterable[list[Draw]], workers: int, pin: bool = False
) -> Iterator[Batch]:
    """The batches, decoded by `workers` processes (0 = in this one), in the given order.

    Raises:
        DataError: a tile cannot be read any more.
        ResourceError: shared memory has no room for a batch of a worker.
        ConfigError: see `check_workers`.
    """
    check_workers(workers)
    if workers and SHARED.is_dir():
        usage = shutil.disk_usage(SHARED)
        if usage.total and usage.free < ROOM * workers:  # torch would print tracebacks of a loader half made
            raise _no_room()
    loader: DataLoader[Batch | SeepsegError] = DataLoader(
        _Batches(dataset, list(batches)),
        batch_size=None,
        num_workers=workers,
        multiprocessing_context="fork" if workers else None,
        pin_memory=pin,
        prefetch_factor=4 if workers else None,
    )
    for batch in loader:
        if isinstance(batch, SeepsegError):
            raise batch
        yield batch


class _Batches(Dataset["Batch | SeepsegError"]):
    """Batches by number, or the error instead: what a worker raises, torch turns into the text of a traceback."""

    def __init__(self, dataset: TileDataset, batches: list[list[Draw]]) -> None:
        self._dataset, self._batches = dataset, batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, number: int) -> Batch | SeepsegError:
        try:
            batch = collate([self._dataset[draw] for draw in self._batches[number]])
            # Torch would do so later, in a thread that only prints its errors, and the loader would wait for ever.
            return batch.share_memory() if get_worker_info() else batch
        except SeepsegError as error:
            return error
        except RuntimeError as error:
            if "shared memory" not in str(error):
                raise
            return _no_room()


def _no_room() -> ResourceError:
    return ResourceError("no room for a batch", SHARED, "enlarge it, or set runtime.workers=0")
