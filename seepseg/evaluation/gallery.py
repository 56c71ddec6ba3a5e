"""The tiles worth looking at: best, median, worst and most uncertain, kept while tiles stream by."""

from __future__ import annotations

import heapq
import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE, ClassTable
from seepseg.figures import panel, stretch
from seepseg.inference.score import TileResult

SHOWN = 3
"""Tiles of each kind in tiles.png."""

REPORTED = 16
"""Tiles of each kind in report.html."""

SAMPLE = 200
"""Tiles kept for the middle, whatever their number: memory does not grow with the data."""

KINDS = ("best", "median", "worst", "uncertain")


@dataclass(frozen=True, eq=False)
class Shown:
    """One tile of the gallery.

    Attributes:
        id: the tile's.
        dice: of any foreground against background; None where truth and prediction have none.
        doubt: as `mean_doubt` has it.
        gray: the stretched image uint8 (H, W).
        truth: class indices (H, W).
        prediction: class indices (H, W).
    """

    id: str
    dice: float | None
    doubt: float
    gray: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8]

    @property
    def caption(self) -> str:
        """Its name and its score."""
        return self.id if self.dice is None else f"{self.id} · Dice {self.dice:.2f}"


Heap = list[tuple[float, str, Shown]]


@dataclass
class Gallery:
    """Keeps `kept` tiles of each kind, and an even sample for the middle, as tiles stream by in any order."""

    classes: ClassTable
    kept: int = SHOWN
    best: Heap = field(default_factory=list)
    worst: Heap = field(default_factory=list)
    uncertain: Heap = field(default_factory=list)
    middle: Heap = field(default_factory=list)
    scores: list[tuple[float, str]] = field(default_factory=list)

    def see(self, tile: TileResult) -> None:
        """Take note of a tile; those without foreground in truth and prediction can only be uncertain."""
        dice = foreground_dice(tile.matrix)
        gray = stretch(tile.image[0], tile.prediction != IGNORE)
        # Copies: a tile is a view into its batch, which would be kept whole.
        doubt = mean_doubt(tile)
        entry = Shown(tile.id, dice, doubt, gray, tile.truth.copy(), tile.prediction.copy())
        _keep(self.uncertain, doubt, entry, self.kept)
        if dice is None:
            return
        _keep(self.best, dice, entry, self.kept)
        _keep(self.worst, -dice, entry, self.kept)
        # By a hash of the name, so that the sample is the same in any order.
        _keep(self.middle, zlib.crc32(tile.id.encode()), entry, SAMPLE)
        self.scores.append((dice, tile.id))

    def chosen(self) -> dict[str, list[Shown]]:
        """Tiles by kind, the most telling first; a tile is shown once, in the first kind that it belongs to."""
        best = [s for *_, s in sorted(self.best, key=_descending)]
        worst = [s for *_, s in sorted(self.worst, key=_descending)]
        ranked = sorted(self.scores)
        sampled = {name: s for _, name, s in self.middle}
        around = sorted(range(len(ranked)), key=lambda i: abs(i - len(ranked) // 2))
        median = [sampled[ranked[i][1]] for i in around if ranked[i][1] in sampled]
        doubtful = [s for *_, s in sorted(self.uncertain, key=_descending)]
        seen: set[str] = set()
        kinds = {}
        for kind, entries in (("best", best), ("worst", worst), ("median", median), ("uncertain", doubtful)):
            kinds[kind] = [s for s in entries if s.id not in seen][: self.kept]
            seen |= {s.id for s in kinds[kind]}
        return {kind: kinds[kind] for kind in KINDS}

    def rows(self) -> list[tuple[str, NDArray[np.uint8]]]:
        """Titled panels for tiles.png: best, median, worst."""
        chosen = self.chosen()
        return [
            (f"{kind} · {s.caption}", panel(s.gray, s.truth, s.prediction, self.classes))
            for kind in KINDS[:3]
            for s in chosen[kind][:SHOWN]
        ]


def foreground_dice(matrix: NDArray[np.int64]) -> float | None:
    """Dice of any foreground against background in a confusion matrix; None where neither side has any."""
    both, missed, false = matrix[1:, 1:].sum(), matrix[1:, 0].sum(), matrix[0, 1:].sum()
    total = 2 * both + missed + false
    return float(2 * both / total) if total else None


def mean_doubt(tile: TileResult) -> float:
    """Mean of 1 − the probability of the likeliest class over the pixels that hold data; 0 without any."""
    valid = tile.prediction != IGNORE
    return float((1 - tile.probabilities.max(0))[valid].mean()) if valid.any() else 0.0


def _keep(heap: Heap, key: float, entry: Shown, kept: int) -> None:
    heapq.heappush(heap, (key, entry.id, entry))
    if len(heap) > kept:
        heapq.heappop(heap)


def _descending(entry: tuple[float, str, Shown]) -> tuple[float, str]:
    return -entry[0], entry[1]
