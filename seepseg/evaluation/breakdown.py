"""Salt scores by kind of tile: how much of it is salt, and whether its mask is suspect."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepseg.inference.score import TileResult
from seepseg.metrics.confusion import scores
from seepseg.metrics.salt_score import tgs_score


@dataclass
class Breakdown:
    """Sums over the tiles of one kind: tiles, ten times their TGS scores, confusion matrix (2, 2)."""

    tiles: int
    tenths: int
    matrix: NDArray[np.int64]

    @classmethod
    def empty(cls) -> Breakdown:
        """Sums of nothing."""
        return cls(0, 0, np.zeros((2, 2), np.int64))

    def add(self, result: TileResult) -> None:
        """Take note of a tile."""
        self.tiles += 1
        self.tenths += round(10 * tgs_score(result.truth, result.prediction))
        self.matrix += result.matrix

    def __add__(self, other: Breakdown) -> Breakdown:
        return Breakdown(self.tiles + other.tiles, self.tenths + other.tenths, self.matrix + other.matrix)

    def row(self) -> dict[str, Any]:
        """Its scores."""
        found = scores(self.matrix).foreground
        return {
            "tiles": self.tiles,
            "tgs_score": self.tenths / (10 * self.tiles) if self.tiles else None,
            "dice": found.dice,
            "iou": found.iou,
            "precision": found.precision,
            "recall": found.recall,
        }


def coverage_rows(parts: dict[int, Breakdown]) -> list[dict[str, Any]]:
    """A row for each coverage class there is."""

    def name(tenth: int) -> str:
        return "none" if tenth == 0 else f"{(tenth - 1) / 10:.1f}–{tenth / 10:.1f}"

    return [{"coverage": name(c)} | parts[c].row() for c in sorted(parts)]


def flag_rows(parts: dict[str, Breakdown]) -> list[dict[str, Any]]:
    """A row of all tiles, one without the flagged ones, and one for each flag; no rows where nothing is flagged."""
    flags = sorted(parts.keys() - {""})
    if not flags:
        return []
    plain = parts.get("", Breakdown.empty())
    rows = [("all tiles", _sum(parts.values())), ("without flagged", plain), *((f, parts[f]) for f in flags)]
    return [{"tiles_with": name} | part.row() for name, part in rows]


def _sum(parts: Iterable[Breakdown]) -> Breakdown:
    return reduce(Breakdown.__add__, parts, Breakdown.empty())
