"""The tiles that are shown: best, median, worst and most uncertain, picked while tiles stream by."""

from __future__ import annotations

import heapq
import zlib
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE, ClassTable
from seepseg.figures.pictures import panel, stretch
from seepseg.inference.score import TileResult

SHOWN = 3
"""Tiles of each kind in tiles.png."""

REPORTED = 16
"""Tiles of each kind in report.html."""

SAMPLE = 200
"""Tiles kept to find the median ones, however many there are: memory does not grow with the data."""

REMARKS = {
    "best": "Highest foreground Dice.",
    "median": "In the middle of all tiles with foreground.",
    "worst": "Lowest foreground Dice.",
    "uncertain": "Highest doubt, the mean of 1 − the probability of the top class, among tiles not shown above.",
}
"""The kinds of tiles in the order they are shown, and how they were chosen."""


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
        return self.id if self.dice is None else f"{self.id} · foreground Dice {self.dice:.2f}"


Heap = list[tuple[float, str, Shown]]


@dataclass
class Gallery:
    """The first `limit` tiles of each kind, and an even sample for the median, of tiles that come in any order."""

    classes: ClassTable
    limit: int = SHOWN
    best: Heap = field(default_factory=list)
    worst: Heap = field(default_factory=list)
    uncertain: Heap = field(default_factory=list)
    middle: Heap = field(default_factory=list)
    scores: list[tuple[float, str]] = field(default_factory=list)

    def update(self, tile: TileResult) -> None:
        """Consider a tile; one without foreground in truth and prediction can only be uncertain."""
        dice = tile.sums.scores().foreground.dice
        gray = stretch(tile.image[0], tile.prediction != IGNORE)
        # Copies: a tile is a view into its batch, which would stay in memory whole.
        doubt = mean_doubt(tile)
        entry = Shown(tile.id, dice, doubt, gray, tile.truth.copy(), tile.prediction.copy())
        _keep(self.uncertain, doubt, entry, self.limit)
        if dice is None:
            return
        _keep(self.best, dice, entry, self.limit)
        _keep(self.worst, -dice, entry, self.limit)
        # By a hash of the name, so that the sample is the same in any order.
        _keep(self.middle, zlib.crc32(tile.id.encode()), entry, SAMPLE)
        self.scores.append((dice, tile.id))

    def compute(self) -> dict[str, list[Shown]]:
        """Tiles by kind, the most extreme first; a tile is shown once, in the first kind that it belongs to."""
        ranked = sorted(self.scores)
        sample = {name: shown for _, name, shown in self.middle}
        around = sorted(range(len(ranked)), key=lambda i: abs(i - len(ranked) // 2))
        entries = {
            "best": _ranked(self.best),
            "worst": _ranked(self.worst),
            "median": [sample[ranked[i][1]] for i in around if ranked[i][1] in sample],
            "uncertain": _ranked(self.uncertain),
        }
        # Of few tiles, a third each: otherwise the best and the worst would be all of them.
        third = max(1, len(ranked) // 3)
        earlier: set[str] = set()
        kinds = {}
        for kind, tiles in entries.items():
            count = self.limit if kind == "uncertain" else min(self.limit, third)
            kinds[kind] = [tile for tile in tiles if tile.id not in earlier][:count]
            earlier |= {tile.id for tile in kinds[kind]}
        return {kind: kinds[kind] for kind in REMARKS}

    def rows(self) -> list[tuple[str, NDArray[np.uint8]]]:
        """Titled panels for tiles.png: best, median, worst."""
        kinds = self.compute()
        return [
            (f"{kind} · {tile.caption}", panel(tile.gray, tile.truth, tile.prediction, self.classes))
            for kind in ("best", "median", "worst")
            for tile in kinds[kind][:SHOWN]
        ]


def mean_doubt(tile: TileResult) -> float:
    """Mean of 1 − the probability of the top class over the pixels that hold data; 0 without any."""
    valid = tile.prediction != IGNORE
    return float((1 - tile.probabilities.max(0))[valid].mean()) if valid.any() else 0.0


def _keep(heap: Heap, key: float, entry: Shown, limit: int) -> None:
    heapq.heappush(heap, (key, entry.id, entry))
    if len(heap) > limit:
        heapq.heappop(heap)


def _ranked(heap: Heap) -> list[Shown]:
    """The tiles of the highest keys first, equal ones by name."""
    return [shown for _, _, shown in sorted(heap, key=lambda entry: (-entry[0], entry[1]))]
