"""Blended logits of the rows that windows still touch, in a ring (H, W, C): row r of a scene is its row r modulo H.

The two loops over all pixels, `add` and `find`, are compiled by numba on the CPU. Other devices have them in torch's
operations, which tests hold the compiled ones to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seepseg.inference.decode import Bound


class Found(NamedTuple):
    """The m pixels that may be foreground: their places in the raveled rows (m), their logits (m, C)."""

    where: Tensor
    logits: Tensor


def add(ring: Tensor, start: int, column: int, window: Tensor, down: Tensor, across: Tensor) -> None:
    """Add a window (h, w, C), times the weights of its rows (h) and columns (w), whose first row is `start`."""
    if ring.device.type == "cpu":
        flat_ring, flat = (x.numpy().reshape(len(x), -1) for x in (ring, window.contiguous()))
        weights = np.repeat(across.numpy(), window.shape[2])
        _add(flat_ring, start, column * window.shape[2], flat, down.numpy(), weights)
    else:
        add_by_torch(ring, start, column, window, down, across)


def add_by_torch(ring: Tensor, start: int, column: int, window: Tensor, down: Tensor, across: Tensor) -> None:
    """`add` on any device."""
    part = ring[:, column : column + window.shape[1]]
    part.index_add_(0, _lines(ring, start, start + len(window)), window * (down[:, None] * across)[..., None])


def find(ring: Tensor, start: int, valid: Tensor, bound: Bound) -> Found:
    """The valid pixels (n, W) of n rows that are not background for certain, or not numbers; the rows become 0."""
    if ring.device.type != "cpu":
        return find_by_torch(ring, start, valid, bound)
    # Of these, only what is filled takes up memory.
    where = np.empty(valid.numel(), np.int32)
    logits = np.empty((valid.numel(), ring.shape[2]), np.float32)
    first, last, relative, margin, _ = bound
    count = _find(ring.numpy(), start, valid.contiguous().numpy(), first, last, relative, margin, where, logits)
    return Found(torch.from_numpy(where[:count].astype(np.int64)), torch.from_numpy(logits[:count].copy()))


def find_by_torch(ring: Tensor, start: int, valid: Tensor, bound: Bound) -> Found:
    """`find` on any device."""
    rows = take(ring, start, start + len(valid))
    margin = rows[..., bound.first : bound.last].amax(2) - rows[..., 0] * bound.relative
    # 0 · NaN is NaN, and no comparison with it is true.
    candidates = valid & ~(margin + 0 * rows.sum(2) <= bound.margin)
    return Found(candidates.ravel().nonzero()[:, 0], rows[candidates])


def rows_of(ring: Tensor, start: int, stop: int) -> Tensor:
    """A copy (n, W, C) of rows `start` … `stop` − 1."""
    return ring[_lines(ring, start, stop)]


def take(ring: Tensor, start: int, stop: int) -> Tensor:
    """The same, and 0 is left in their place."""
    rows = rows_of(ring, start, stop)
    ring[_lines(ring, start, stop)] = 0
    return rows


def put(ring: Tensor, start: int, rows: Tensor) -> None:
    """Put rows (n, W, C) back."""
    ring[_lines(ring, start, start + len(rows))] = rows


def _lines(ring: Tensor, start: int, stop: int) -> Tensor:
    return torch.arange(start, stop, device=ring.device) % len(ring)


def _compiled(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The loop as machine code that runs without Python's lock, kept on disk where that is possible."""

    def compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
        try:
            return numba.njit(signature, nogil=True, cache=True)(loop)
        except (RuntimeError, OSError):
            # Neither the package's folder nor the user's own can be written, or the disk is full.
            return numba.njit(signature, nogil=True)(loop)

    return compiled


Floats = NDArray[np.float32]


@_compiled("void(float32[:,::1], int64, int64, float32[:,::1], float32[::1], float32[::1])")
def _add(ring: Floats, start: int, first: int, window: Floats, down: Floats, across: Floats) -> None:
    for i in range(window.shape[0]):
        row = ring[(start + i) % ring.shape[0]]
        for j in range(window.shape[1]):
            row[first + j] += window[i, j] * (down[i] * across[j])


@_compiled("int64(float32[:,:,::1], int64, boolean[:,::1], int64, int64, boolean, float64, int32[::1], float32[:,::1])")
def _find(
    ring: Floats,
    start: int,
    valid: NDArray[np.bool_],
    first: int,
    last: int,
    relative: bool,
    most: float,
    where: NDArray[np.int32],
    logits: Floats,
) -> int:
    count = 0
    for i in range(valid.shape[0]):
        row = ring[(start + i) % ring.shape[0]]
        for j in range(valid.shape[1]):
            if not valid[i, j]:
                continue
            margin, total = row[j, first], np.float32(0)
            for c in range(first + 1, last):
                margin = max(margin, row[j, c])
            for c in range(row.shape[1]):
                total += row[j, c]
            if relative:
                margin -= row[j, 0]
            if not margin + 0 * total <= most:
                where[count] = i * valid.shape[1] + j
                logits[count] = row[j]
                count += 1
        row[:] = 0
    return count
