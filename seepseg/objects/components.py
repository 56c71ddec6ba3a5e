"""Objects of a class map: 8-connected components of foreground, whatever their classes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

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
        labels: (n, W) numbers below `count`, 0 where there is no object.
        probabilities: (n, W, K), clipped to 1e-6 so that one pixel cannot rule out a class.
        count: one more than the largest label.
    """
    here = labels > 0
    logs = np.log(np.maximum(probabilities[here].astype(np.float64), 1e-6))
    return np.stack([np.bincount(labels[here], logs[:, k], count) for k in range(probabilities.shape[2])], axis=1)


def elect(sums: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The foreground class (n) with the highest sum of log-probabilities (n, K) of each object."""
    return np.asarray(sums[:, 1:].argmax(1) + 1, dtype=np.uint8)


class StripLabels:
    """Object numbers of a class map that comes strip by strip: an object is one however many strips it spans.

    Every strip gets provisional numbers; which of them are one object is known at the end (`numbers`).
    """

    def __init__(self) -> None:
        self._parents = [0]
        self._border: NDArray[np.int64] | None = None

    def add(self, indices: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Provisional numbers (n, W) of the next rows, 0 where there is no object."""
        numbers, count = label_objects(indices)
        labels = numbers.astype(np.int64)
        np.add(labels, len(self._parents) - 1, out=labels, where=numbers > 0)
        self._parents.extend(range(len(self._parents), len(self._parents) + count))
        if self._border is not None:
            self._join(self._border, labels[0])
        self._border = labels[-1].copy()
        return labels

    def numbers(self) -> NDArray[np.int64]:
        """Provisional number → object number, 1 … n in the order of their first pixels, row by row."""
        roots = np.array([self._root(label) for label in range(len(self._parents))])
        return np.unique(roots, return_inverse=True)[1].astype(np.int64)

    def _join(self, above: NDArray[np.int64], below: NDArray[np.int64]) -> None:
        width = len(above)
        pairs = set()
        for shift in (-1, 0, 1):
            upper = above[max(0, shift) : width + min(0, shift)]
            lower = below[max(0, -shift) : width + min(0, -shift)]
            both = (upper > 0) & (lower > 0)
            pairs |= set(zip(upper[both].tolist(), lower[both].tolist(), strict=True))
        for one, other in sorted(pairs):
            low, high = sorted((self._root(one), self._root(other)))
            self._parents[high] = low

    def _root(self, label: int) -> int:
        while self._parents[label] != label:
            self._parents[label] = label = self._parents[self._parents[label]]
        return label
