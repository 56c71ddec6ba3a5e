"""Normalised surface Dice: how much of the outlines lies within a few pixels of each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.metrics.counts import Counts

TOLERANCES = (1.0, 2.0, 3.0)
"""Distances in pixels up to which outlines agree."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SurfaceCounts(Counts):
    """Outline pixels of truth and prediction of tiles or scenes.

    Attributes:
        tolerances: T distances in pixels.
        near: (T, K) outline pixels of either side that have one of the other side within the distance; column 0 is
            foreground of any class, column c the class c.
        total: (K) outline pixels of both sides.
    """

    tolerances: tuple[float, ...]
    near: NDArray[np.int64]
    total: NDArray[np.int64]

    @classmethod
    def empty(cls, n_classes: int, tolerances: Sequence[float] = TOLERANCES) -> SurfaceCounts:
        """Counts of nothing."""
        zeros = np.zeros((len(tolerances) + 1, n_classes), np.int64)
        return cls(tuple(tolerances), zeros[1:], zeros[0])

    def surface_dice(self) -> list[list[float | None]]:
        """(T, K) normalised surface Dice: foreground, then the classes 1 … K − 1; None where neither side has one."""
        return [[int(n) / int(t) if t else None for n, t in zip(row, self.total, strict=True)] for row in self.near]


def surface_counts(
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    n_classes: int,
    tolerances: Sequence[float] = TOLERANCES,
) -> SurfaceCounts:
    """Outline pixels of class maps (H, W) of one tile or scene, and how many lie near one of the other side.

    A pixel is on the outline of a class if it has the class and one of its four neighbours has not. Neighbours outside
    the map or ignored (255 on either side) are unknown, so they make no outline. Distances are Euclidean, between pixel
    centres.

    MONAI's `compute_surface_dice` (arXiv 2111.05408) agrees for objects that touch neither the border of the map nor
    ignored pixels: it takes both for background, so that the cut through an object counts as outline, and one that
    both sides share. Its metric class then averages the scores of images; here outline pixels are added up first.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} differ in shape")
    counted = (truth != IGNORE) & (prediction != IGNORE)
    counts = SurfaceCounts.empty(n_classes, tolerances)
    present = np.union1d(truth[counted], prediction[counted])
    for c in [0, *present[present > 0].tolist()]:
        t, p = ((x > 0 if c == 0 else x == c) & counted for x in (truth, prediction))
        a, b = _outline(t, counted), _outline(p, counted)
        counts.total[c] = a.sum() + b.sum()
        counts.near[:, c] = _near(a, b, tolerances) + _near(b, a, tolerances)
    return counts


def _outline(inside: Mask, counted: Mask) -> Mask:
    """Pixels of a mask with a 4-neighbour that is counted and not in the mask."""
    outside = np.pad(counted & ~inside, 1)
    beside = outside[:-2, 1:-1] | outside[2:, 1:-1] | outside[1:-1, :-2] | outside[1:-1, 2:]
    return np.asarray(inside & beside)


def _near(points: Mask, others: Mask, tolerances: Sequence[float]) -> NDArray[np.int64]:
    """(T) how many of the points have one of the others within each tolerance.

    Distances between pixel centres are roots of whole numbers: squared and rounded, they are exact.
    """
    if not points.any() or not others.any():
        return np.zeros(len(tolerances), np.int64)
    rows, columns = (np.flatnonzero((points | others).any(axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    background = (~others[box]).astype(np.uint8)
    distance = cv2.distanceTransform(background, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[points[box]]
    nearest = np.sqrt(np.rint(distance.astype(np.float64) ** 2))
    return np.array([(nearest <= t).sum() for t in tolerances], np.int64)
