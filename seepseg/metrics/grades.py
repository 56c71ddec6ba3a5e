"""Grades of polygons: how many of those that looked as sure to the network were slicks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.metrics.counts import Counts
from seepseg.objects.components import label_objects

BINS = 50
"""Mean probabilities are counted in bins of .02."""

TOUCHED = 10
"""A polygon is right where at least one in so many of its pixels lies on a labelled slick, of whichever class.

It is few because outlines and labels are loose; `training.objects` calls the rest a false alarm too.
"""

LEVELS = (("A", 0.8), ("B", 0.5), ("C", 0.0))
"""Grades, and the least share of polygons that are right at each mean probability that has it."""

FEWEST = 30
"""Polygons that a grade must rest on; where they are fewer, they count to the next one."""


@dataclass(frozen=True, eq=False)
class PolygonCounts(Counts):
    """Polygons by mean probability (B), and those that are right."""

    polygons: NDArray[np.int64]
    right: NDArray[np.int64]

    @classmethod
    def empty(cls) -> PolygonCounts:
        """Counts of no polygon."""
        return cls(*np.zeros((2, BINS), np.int64))


@dataclass(frozen=True)
class Grade:
    """A grade.

    Attributes:
        letter: its name.
        least: mean probability from which a polygon has it.
        polygons: how many with truth it rests on.
        right: how many of them are right.
    """

    letter: str
    least: float
    polygons: int
    right: int

    @property
    def precision(self) -> float:
        """Share that is right."""
        return self.right / self.polygons


def polygon_counts(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], sure: NDArray[np.uint8]) -> PolygonCounts:
    """Counts of the polygons of one scene: the one-class parts of its objects, as `predict` writes them.

    Polygons of which less than half is labelled count nowhere.

    Args:
        truth, prediction: class maps (H, W), 255 = not known.
        sure: (H, W) 255 times the probability of the class of each pixel.
    """
    found = np.where(prediction == IGNORE, np.uint8(0), prediction)
    labels, count = label_objects(found)
    here = np.flatnonzero(labels)
    if not count:
        return PolygonCounts.empty()
    _, polygon = np.unique(labels.ravel()[here].astype(np.int64) * IGNORE + found.ravel()[here], return_inverse=True)
    pixels, known, slick = (
        np.bincount(polygon, plane.ravel()[here])
        for plane in (np.ones_like(found), truth != IGNORE, (truth > 0) & (truth != IGNORE))
    )
    counted = 2 * known >= pixels
    mean = np.bincount(polygon, sure.ravel()[here]) / (255 * pixels)
    bins = np.minimum((mean * BINS).astype(np.int64), BINS - 1)
    right = counted & (TOUCHED * slick >= known)
    return PolygonCounts(np.bincount(bins[counted], minlength=BINS), np.bincount(bins[right], minlength=BINS))


def grades(polygons: Sequence[int], right: Sequence[int]) -> tuple[Grade, ...]:
    """The grades that polygons with truth allow, best first, from counts (B) by mean probability; () of none.

    The share that is right is taken to rise with the probability (isotonic regression).
    """
    from scipy.optimize import isotonic_regression

    number, hits = np.array(polygons), np.array(right)
    left = np.flatnonzero(number)
    if not len(left):
        return ()
    share = isotonic_regression(hits[left] / number[left], weights=number[left]).x
    found = []
    for letter, least in LEVELS:
        mine = left[share >= least]
        if number[mine].sum() >= FEWEST:
            start = float(mine[0] / BINS) if least else 0.0
            found.append(Grade(letter, start, int(number[mine].sum()), int(hits[mine].sum())))
            left, share = left[share < least], share[share < least]
    return tuple(found)


def graded(mean_probability: NDArray[np.floating], known: Iterable[Grade]) -> NDArray[Any]:
    """The grade (n) of polygons by their mean probability (n); None where there is none for it."""
    letters = np.full(len(mean_probability), None)
    for grade in reversed(tuple(known)):
        letters[mean_probability >= grade.least] = grade.letter
    return letters


def grades_text(known: Sequence[Grade]) -> str:
    """What grades say, and what they rest on, in a sentence."""
    if not known:
        return "There are no grades: seepseg eval RUN --fit makes them, where there are enough polygons with truth."
    each = ", ".join(
        f"{g.letter} {g.precision:.2f} of {g.polygons} (mean probability from {g.least:.2f})" for g in known
    )
    return f"Grades: of polygons as sure, on tiles held out of training, this share were slicks: {each}."
