"""How objects of truth and prediction overlap: by IoU, and by how much of an object's length is covered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seepseg.objects.components import label_objects

Ints = NDArray[np.int64]


class TruthObjects:
    """The objects of a class map (H, W) without ignored pixels, ready to be compared with many predictions.

    Attributes:
        count: how many there are.
        pixels: flat index of every foreground pixel.
        owner: number 1 … count of the object each of them belongs to.
        lengths: (count) length of each object, see `steps_along`.
    """

    def __init__(self, indices: NDArray[np.uint8]) -> None:
        labels, self.count = label_objects(indices)
        self.pixels: Ints = np.flatnonzero(labels)
        self.owner = labels.ravel()[self.pixels]
        self._sizes = np.bincount(self.owner, minlength=self.count + 1)
        steps = steps_along(labels)
        self.lengths = 1 + _largest(steps, self.owner, self.count)[1:]
        # A cross-section is the pixels at one step of one object; they are numbered object by object.
        self._section = (np.cumsum(self.lengths) - self.lengths)[self.owner - 1] + steps
        self._section_owner = np.repeat(np.arange(self.count), self.lengths)

    def found_by(self, predicted: NDArray[np.int32], sizes: Ints) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(3, count) whether each object is found, by `detection.CRITERIA`, and (n) whether each of n finds one.

        A predicted object finds one at IoU ≥ .25.

        Args:
            predicted: number of the predicted object at each of `pixels`, 0 where there is none.
            sizes: (n + 1) pixels of each, by number.
        """
        on = predicted > 0
        pairs, overlap = np.unique(self.owner[on].astype(np.int64) * len(sizes) + predicted[on], return_counts=True)
        mine, other = np.divmod(pairs, len(sizes))
        union = self._sizes[mine] + sizes[other] - overlap
        out = np.zeros((3, self.count), bool)
        # In integers, so that no rounding decides at IoU 1/4, 1/2 or a tenth of the length.
        loose = 4 * overlap >= union
        out[0, mine[loose] - 1] = True
        finds = np.zeros(len(sizes), bool)
        finds[other[loose]] = True
        out[1, mine[2 * overlap >= union] - 1] = True
        covered = np.zeros(len(self._section_owner), bool)
        covered[self._section[on]] = True
        out[2] = 10 * np.bincount(self._section_owner[covered], minlength=self.count) >= self.lengths
        return out, finds[1:]


def steps_along(labels: NDArray[np.int32]) -> Ints:
    """Steps from one end of its object to each object pixel, in the order of `np.flatnonzero(labels)`.

    Steps go from pixel to pixel inside the object, diagonally too. The end is the pixel farthest from the object's
    first one; the largest number of steps plus one is the object's length. It follows a slick round its bends, and is
    about the diameter of a blob, where a skeleton would shrink to a point.

    Args:
        labels: (H, W) numbers 1 … n of objects, 0 where there is none.
    """
    padded = np.pad(labels, 1)
    pixels = np.flatnonzero(padded)
    owner = padded.ravel()[pixels]
    first = pixels[np.unique(owner, return_index=True)[1]]
    steps = _spread(padded, first)[pixels]
    farthest = np.flatnonzero(steps == _largest(steps, owner, int(owner.max(initial=0)))[owner])
    ends = pixels[farthest[np.unique(owner[farthest], return_index=True)[1]]]
    return _spread(padded, ends)[pixels].astype(np.int64)


def _spread(labels: NDArray[np.int32], starts: Ints) -> NDArray[np.int32]:
    """Steps (flat) from the starts to every pixel of their objects, in a label map with a margin of zeros."""
    free = labels.ravel() > 0
    width = labels.shape[1]
    ring = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1])
    steps = np.zeros(labels.size, np.int32)
    front, step = starts, 0
    free[front] = False
    while len(front):
        step += 1
        around = (front[:, None] + ring).ravel()
        front = np.unique(around[free[around]])
        free[front] = False
        steps[front] = step
    return steps


def _largest(values: NDArray[np.integer], owner: NDArray[np.int32], count: int) -> Ints:
    """(count + 1) the largest value of each owner."""
    out = np.zeros(count + 1, np.int64)
    np.maximum.at(out, owner, values)
    return out
