"""Scores at every threshold and minimum size at once, and the point to decode at: counts that add up over tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.metrics.confusion import Floats, Numbers, dice, mean_of_defined
from seepseg.metrics.counts import Counts
from seepseg.metrics.salt_score import tgs_tenths
from seepseg.objects.components import label_objects

THRESHOLDS = tuple(i / 20 for i in range(1, 20))
MIN_SIZES = (0, 10, 20, 40, 80, 160, 320)

OFFSETS = np.arange(-6, 7) / 4
"""Offsets tried for a class: from a quarter of its probability to four times as much."""

WORTH = 0.002
"""The smallest gain in macro Dice for which a class gets an offset; less is noise."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ThresholdCounts(Counts):
    """Counts at T thresholds and A minimum sizes.

    Attributes:
        thresholds, sizes: where.
        truth: (K − 1) pixels of each class.
        right: (T, A, K − 1) pixels of each class that are predicted as it.
        predicted: (T, A, K − 1) pixels predicted as each class.
        both: (T, A) pixels that are foreground on both sides.
        tenths: (T, A) sum over tiles of ten times the TGS score, of any foreground.
        tiles: how many.
    """

    thresholds: tuple[float, ...]
    sizes: tuple[int, ...]
    truth: Ints
    right: Ints
    predicted: Ints
    both: Ints
    tenths: Ints
    tiles: int

    @classmethod
    def empty(
        cls, n_classes: int, thresholds: Sequence[float] = THRESHOLDS, sizes: Sequence[int] = MIN_SIZES
    ) -> ThresholdCounts:
        """Counts of no tile."""
        plane = np.zeros((len(thresholds), len(sizes)), np.int64)
        stack = np.zeros((*plane.shape, n_classes - 1), np.int64)
        return cls(tuple(thresholds), tuple(sizes), stack[0, 0], stack, stack, plane, plane, 0)

    def macro_dice(self) -> Floats:
        """(T, A) mean Dice of the classes that are in truth or prediction; 0 where there is none."""
        return macro_dice(self.right, self.predicted, self.truth)

    def foreground_dice(self) -> Floats:
        """(T, A) Dice of any foreground; 0 where neither side has any."""
        return np.nan_to_num(dice(self.both, self.predicted.sum(2) - self.both, self.truth.sum() - self.both))

    def tgs_score(self) -> Floats:
        """(T, A) mean TGS score of the tiles."""
        return np.asarray(self.tenths / max(10 * self.tiles, 1))

    def best(self, first: Floats) -> tuple[int, int]:
        """Number of the threshold and of the size at which a score (T, A) is highest.

        Among equals by foreground Dice, then nearest to one half, then the smaller size.
        """
        far = np.abs(np.array(self.thresholds) - 0.5)[:, None] + 0 * first
        size = np.array(self.sizes)[None] + 0 * first
        keys = (size, far.round(6), -self.foreground_dice().round(9), -first.round(9))
        chosen = int(np.lexsort([k.ravel() for k in keys])[0])
        return chosen // len(self.sizes), chosen % len(self.sizes)


def threshold_counts(
    truth: NDArray[np.uint8],
    foreground: NDArray[np.floating],
    classes: NDArray[np.uint8],
    n_classes: int,
    thresholds: Sequence[float] = THRESHOLDS,
    sizes: Sequence[int] = MIN_SIZES,
) -> ThresholdCounts:
    """Counts of one tile.

    Args:
        truth: (H, W) class indices; 255 counts nowhere, but an object's size is that of all its pixels.
        foreground: (H, W) probability of any foreground; NaN where nothing can be predicted.
        classes: (H, W) the class 1 … K − 1 of each pixel if it is foreground.
        n_classes: K.
    """
    counted = truth != IGNORE
    of_class = np.bincount(truth[counted], minlength=n_classes)[1:]
    shape = (len(thresholds), len(sizes))
    right, predicted = np.zeros((2, *shape, n_classes - 1), np.int64)
    both = np.zeros(shape, np.int64)
    for i, threshold in enumerate(thresholds):
        labels, count = label_objects((foreground >= threshold).astype(np.uint8))
        here = (labels > 0) & counted
        owner, theirs, own = labels[here], classes[here], truth[here]
        hit = own == theirs
        large = (np.bincount(labels.ravel(), minlength=count + 1) >= np.array(sizes)[:, None]).astype(np.int64)
        large[:, 0] = 0
        predicted[i] = large @ _by_object(owner, theirs, count, n_classes)
        right[i] = large @ _by_object(owner[hit], theirs[hit], count, n_classes)
        both[i] = large @ np.bincount(owner[own > 0], minlength=count + 1)
    tenths = tgs_tenths(both, predicted.sum(2) + of_class.sum() - both)
    return ThresholdCounts(tuple(thresholds), tuple(sizes), of_class, right, predicted, both, tenths, 1)


def _by_object(owner: NDArray[np.int32], classes: NDArray[np.uint8], count: int, n_classes: int) -> Ints:
    """(count + 1, K − 1) pixels of each foreground class in each object, from the object and class of each pixel."""
    flat = owner.astype(np.int64) * n_classes + classes
    return np.bincount(flat, minlength=(count + 1) * n_classes).reshape(count + 1, n_classes)[:, 1:]


def macro_dice(right: Numbers, predicted: Numbers, truth: Numbers) -> Floats:
    """Macro Dice (…) of pixels by class (…, C); 0 where no class is there."""
    return np.nan_to_num(mean_of_defined(dice(right, predicted - right, truth - right)))


def fit_offsets(
    probabilities: NDArray[np.floating], labels: NDArray[np.uint8], truth: NDArray[np.number], weight: float = 1.0
) -> tuple[float, ...]:
    """Offsets (K − 1) to the log-probabilities of the foreground classes that raise macro Dice; zeros where none does.

    One class after another gets the best of `OFFSETS`, until no class gains `WORTH` any more.

    Args:
        probabilities: (N, K − 1) of pixels that are predicted as foreground.
        labels: (N) their class indices.
        truth: (K − 1) pixels of each class altogether, those that are not predicted included.
        weight: how many pixels each of the N stands for.
    """
    n_classes = probabilities.shape[1]
    logs = np.log(np.maximum(probabilities.astype(np.float64), 1e-12))

    def score(offsets: Floats) -> float:
        chosen = (logs + offsets).argmax(1) + 1
        predicted, right = (np.bincount(x, minlength=n_classes + 1)[1:] for x in (chosen, chosen[chosen == labels]))
        return float(macro_dice(weight * right, weight * predicted, truth))

    offsets = np.zeros(n_classes)
    if n_classes < 2 or not len(labels):
        return tuple(offsets.tolist())
    best, moved = score(offsets), True
    while moved:
        moved = False
        for c in range(n_classes):
            tried = [(score(np.where(np.arange(n_classes) == c, o, offsets)), float(o)) for o in OFFSETS]
            top, offset = max(tried, key=lambda pair: (pair[0], -abs(pair[1])))
            if top > best + WORTH:
                best, offsets[c], moved = top, offset, True
    return tuple(offsets.tolist())
