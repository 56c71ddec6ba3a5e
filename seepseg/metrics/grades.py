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

It is few because outlines and labels are loose. The rest are false alarms, for `training.objects` too.
"""

PARTS = 10
"""Scenes are counted in so many parts: what a grade says of one part is learned from the others."""

LEVELS = (("A", 0.8), ("B", 0.5), ("C", 0.0))
"""Grades, and the least share of polygons that are right."""

FEWEST = 30
"""Polygons that a grade must rest on."""


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
        polygons: how many with truth had it, in scenes that its limit was not learned from.
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
    """The grades that polygons with truth allow, best first, from counts (parts × B, flat) by mean probability.

    A grade begins where the share that is right, taken to rise with the probability (isotonic regression), reaches
    its level. How many are right is told of each part with limits learned from the other parts; a grade that then
    falls short of its level, or rests on too few, is left out, and its polygons have the next one.
    """
    number, hits = (np.array(counts, np.int64).reshape(-1, BINS) for counts in (polygons, right))
    parts, levels = np.flatnonzero(number.sum(1)), list(LEVELS)
    while levels and len(parts) > 1:
        tally = np.zeros((2, len(levels) + 1), np.int64)
        for part in parts:
            starts = _starts(number.sum(0) - number[part], hits.sum(0) - hits[part], levels)
            level = (starts[:, None] > np.arange(BINS)).sum(0)  # the last one: none
            for row, counts in enumerate((number[part], hits[part])):
                np.add.at(tally[row], level, counts)
        starts = _starts(number.sum(0), hits.sum(0), levels)
        rows = list(zip(levels, starts.tolist(), *tally[:, :-1].tolist(), strict=True))
        short = [(letter, least) for (letter, least), at, n, r in rows if at == BINS or n < FEWEST or r < least * n]
        if not short:
            return tuple(Grade(letter, at / BINS, n, r) for (letter, _), at, n, r in rows)
        levels.remove(short[0])
    return ()


def _starts(
    number: NDArray[np.int64], hits: NDArray[np.int64], levels: Sequence[tuple[str, float]]
) -> NDArray[np.int64]:
    """The first bin of each level; `BINS` where none reaches it."""
    from scipy.optimize import isotonic_regression

    there = np.flatnonzero(number)
    share = isotonic_regression(hits[there] / number[there], weights=number[there]).x
    return np.array([there[share >= least].min(initial=BINS) if least else 0 for _, least in levels])


def graded(mean_probability: NDArray[np.floating], known: Iterable[Grade]) -> NDArray[Any]:
    """The grade (n) of polygons by their mean probability (n); None where there is none for it."""
    letters = np.full(len(mean_probability), None)
    for grade in reversed(tuple(known)):
        letters[mean_probability >= grade.least] = grade.letter
    return letters


def grades_text(known: Sequence[Grade]) -> str:
    """What grades say, and what they rest on, in a sentence."""
    if not known:
        return (
            "There are no grades: seepseg eval RUN --fit makes them, from enough polygons with truth in several scenes."
        )
    each = ", ".join(
        f"{g.letter} {g.precision:.2f} of {g.polygons} (mean probability from {g.least:.2f})" for g in known
    )
    return (
        f"Grades: of polygons as sure, on tiles held out of training, in other scenes, this share were slicks: {each}."
    )
