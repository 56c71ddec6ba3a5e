"""Objects of a class map: 8-connected components of foreground, whatever their classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from seepseg.classes import IGNORE

EIGHT = np.ones((3, 3), bool)
"""Pixels that touch at a corner belong together: slicks are thin and often run diagonally."""


def label_objects(indices: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int]:
    """Object numbers 1…n of class indices (H, W), 0 where there is none, and n."""
    labels, count = ndimage.label((indices > 0) & (indices != IGNORE), structure=EIGHT)
    return labels.astype(np.int32, copy=False), int(count)


def remove_small(indices: NDArray[np.uint8], min_pixels: int) -> NDArray[np.uint8]:
    """Class indices (H, W) with objects of fewer than `min_pixels` pixels turned into background."""
    if min_pixels <= 1:
        return indices
    labels, count = label_objects(indices)
    small = np.bincount(labels.ravel(), minlength=count + 1) < min_pixels
    small[0] = False
    return np.where(small[labels], np.uint8(0), indices)


def log_sums(labels: NDArray[np.integer[Any]], probabilities: NDArray[np.float32], count: int) -> NDArray[np.float64]:
    """Sums (count, K) of log-probabilities over the pixels of each label; row 0 is of what is no object.

    Args:
        labels: (…) numbers below `count`, 0 where there is no object.
        probabilities: (…, K), clipped to 1e-6 so that one pixel cannot rule out a class.
        count: one more than the largest label.
    """
    here = labels > 0
    logs = np.log(np.maximum(probabilities[here].astype(np.float64), 1e-6))
    return np.stack([np.bincount(labels[here], logs[:, k], count) for k in range(logs.shape[1])], axis=1)


def middles(labels: NDArray[np.integer[Any]], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean column and row (n, 2) of the pixels of each label in (H, W); pixels are squares between whole numbers.

    Args:
        labels: numbers below n; row 0 is of what is no object.
        sizes: (n) pixels of each.
    """
    row, column = np.nonzero(labels)
    owner = labels[row, column]
    sums = [np.bincount(owner, at + 0.5, len(sizes)) for at in (column, row)]
    return np.stack(sums, axis=1) / np.maximum(sizes, 1)[:, None]


def elect(sums: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The foreground class (n) with the highest sum of log-probabilities (n, K) of each object."""
    return np.asarray(sums[:, 1:].argmax(1) + 1, dtype=np.uint8)


class StripLabels:
    """Object numbers of a class map that comes strip by strip: an object is one however many strips it spans.

    Every strip gets provisional numbers; which of them are one object is known at the end (`numbers`).
    """

    def __init__(self) -> None:
        self._count = 0
        self._border: NDArray[np.int64] | None = None
        self._pairs = [np.zeros((2, 0), np.int64)]

    def add(self, indices: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Provisional numbers (n, W) of the next rows, 0 where there is no object."""
        local, count = label_objects(indices)
        labels = local.astype(np.int64)
        np.add(labels, self._count, out=labels, where=local > 0)
        self._count += count
        if self._border is not None:
            self._pairs.append(_touching(self._border, labels[0]))
        self._border = labels[-1].copy()
        return labels

    def numbers(self) -> NDArray[np.int64]:
        """Provisional number → object number, 1 … n in the order of their first pixels, row by row."""
        pairs = np.concatenate(self._pairs, axis=1)
        graph = coo_array((np.ones(pairs.shape[1], bool), tuple(pairs)), (self._count + 1, self._count + 1))
        # Components are numbered in the order of their first node; 0 stays alone.
        return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _touching(above: NDArray[np.int64], below: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pairs (2, n) of numbers that touch across the border of two strips, each once."""
    framed, width = np.pad(above, 1), len(below)
    upper, lower = np.concatenate([framed[shift : shift + width] for shift in range(3)]), np.tile(below, 3)
    both = (upper > 0) & (lower > 0)
    return np.unique(np.stack([upper[both], lower[both]]), axis=1)
