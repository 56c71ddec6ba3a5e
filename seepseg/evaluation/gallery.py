"""The tiles worth looking at: best, median and worst, kept while tiles stream by."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import ClassTable
from seepseg.figures import panel
from seepseg.inference.score import TileResult

SHOWN = 3
"""Best, median and worst tiles in the gallery, of each kind."""


@dataclass
class Gallery:
    """Keeps the panels of the best and worst tiles, and an even sample for the middle, as tiles stream by."""

    classes: ClassTable
    best: list[tuple[float, str, NDArray[np.uint8]]] = field(default_factory=list)
    worst: list[tuple[float, str, NDArray[np.uint8]]] = field(default_factory=list)
    scores: list[tuple[float, str]] = field(default_factory=list)
    middle: dict[str, NDArray[np.uint8]] = field(default_factory=dict)

    def see(self, tile: TileResult) -> None:
        """Take note of a tile; those without foreground in truth and prediction say nothing and are left out."""
        dice = foreground_dice(tile.matrix)
        if dice is None:
            return
        picture = panel(tile.image[0], tile.truth, tile.prediction, self.classes)
        for heap, key in ((self.best, dice), (self.worst, -dice)):
            heapq.heappush(heap, (key, tile.id, picture))
            if len(heap) > SHOWN:
                heapq.heappop(heap)
        self.scores.append((dice, tile.id))
        if len(self.middle) < 200:
            self.middle[tile.id] = picture

    def rows(self) -> list[tuple[str, NDArray[np.uint8]]]:
        """Titled panels: best, median, worst; a tile is shown once, as the best where it is also among the worst."""
        ranked = sorted(self.scores)
        shown = {t for _, t, _ in self.best}
        worst = [entry for entry in self.worst if entry[1] not in shown]
        ends = shown | {t for _, t, _ in worst}
        around = sorted(range(len(ranked)), key=lambda i: abs(i - len(ranked) // 2))
        median = [ranked[i] for i in around if ranked[i][1] in self.middle and ranked[i][1] not in ends][:SHOWN]
        return (
            [(f"best · {t} · Dice {d:.2f}", p) for d, t, p in sorted(self.best, reverse=True)]
            + [(f"median · {t} · Dice {d:.2f}", self.middle[t]) for d, t in median]
            + [(f"worst · {t} · Dice {-d:.2f}", p) for d, t, p in sorted(worst, reverse=True)]
        )


def foreground_dice(matrix: NDArray[np.int64]) -> float | None:
    """Dice of any foreground against background in a confusion matrix; None where neither side has any."""
    both, missed, false = matrix[1:, 1:].sum(), matrix[1:, 0].sum(), matrix[0, 1:].sum()
    total = 2 * both + missed + false
    return float(2 * both / total) if total else None
