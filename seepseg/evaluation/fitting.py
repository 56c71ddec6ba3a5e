"""Fitting what decoding asks: temperature, threshold, class offsets and least size, on tiles held out from training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.config import Head
from seepseg.evaluation.source import Source
from seepseg.figures import save_threshold
from seepseg.inference.score import TileResult
from seepseg.io.atomic import write_text
from seepseg.machine.progress import Tick, silent
from seepseg.metrics.calibration import PixelSample, apply_temperature, fit_temperature, sample_pixels
from seepseg.metrics.threshold import ThresholdCounts, fit_offsets, threshold_counts
from seepseg.runs.checkpoint import load_checkpoint, save_checkpoint
from seepseg.runs.fit import Fit

TEMPERATURE_TILES = 200
"""Tiles the temperature is fitted on at most, evenly chosen: it is one number, and they hold millions of pixels."""

ROOM = 1_000_000
"""Pixels the class offsets are fitted on at most."""

SCORES: dict[str, Callable[[ThresholdCounts], NDArray[np.float64]]] = {
    "tgs_score": ThresholdCounts.tgs_score,
    "macro_dice": ThresholdCounts.macro_dice,
    "foreground_dice": ThresholdCounts.foreground_dice,
}
"""(T, A) scores of the counts by name."""


@dataclass(frozen=True)
class Search:
    """A fit and the scores it was chosen by.

    Attributes:
        fit: the best point.
        counts: scores at every threshold and least size, classes compared without offsets.
        at: number of the best threshold and of the best size.
        by: the scores that are shown, what decided first.
    """

    fit: Fit
    counts: ThresholdCounts
    at: tuple[int, int]
    by: tuple[str, ...]

    def scores(self) -> dict[str, NDArray[np.float64]]:
        """(T, A) every score at every threshold and least size, what decided first."""
        return {name: SCORES[name](self.counts) for name in self.by}


def decided_by(source: Source) -> tuple[str, ...]:
    """The scores that decoding is fitted by, what decides first.

    Where a classifier says what objects are, the network's own classes tell nothing of those that will be reported.
    """
    if source.dataset.source.per_tile:
        return ("tgs_score", "foreground_dice")
    if len(source.classes) == 2 or source.objects:
        return ("foreground_dice",)
    return ("macro_dice", "foreground_dice")


def fit_decoding(source: Source, split: str, workers: int, tick: Tick = silent) -> Search:
    """The decoding of best score on the tiles of a source; see `decided_by` for which.

    The first pass fits the temperature. The second counts at every threshold and least size, and samples the pixels
    that may be foreground; on them, at the best threshold, the offsets of the classes are fitted last (not where
    `predict.vote` or a classifier chooses classes by object).
    """
    by = decided_by(source)
    offsets = "macro_dice" in by and not source.config.predict.vote
    # Classes of whole objects are not what is counted, and take long.
    source = replace(source, objects=None)
    config, k, head = source.config.predict, len(source.classes), source.config.model.head
    # Nothing of the config's own decoding: its threshold and sizes are what is looked for.
    plain = config.model_copy(update={"threshold": None, "min_pixels": 0})
    every = -(-len(source.dataset) // TEMPERATURE_TILES)
    pixels = _Sampler(k)
    source.score(plain, None, workers, pixels.see, every)
    temperature = fit_temperature(pixels.sample.probabilities, pixels.sample.labels, head)
    points = _Points(k, head, temperature, tick, len(source.dataset))
    source.score(plain, None, workers, points.see)
    at = points.counts.best(SCORES[by[0]](points.counts))
    threshold, least = points.counts.thresholds[at[0]], points.counts.sizes[at[1]]
    fit = Fit(head, temperature, threshold, (), least, split, source.ids)
    if offsets:
        fit = replace(fit, offsets=points.offsets(threshold))
    return Search(fit, points.counts, at, by)


class _Sampler:
    """A random sample of all pixels."""

    def __init__(self, n_classes: int) -> None:
        self.sample = PixelSample.empty(n_classes)

    def see(self, tile: TileResult) -> None:
        self.sample += sample_pixels(tile.probabilities, tile.truth, tile.id)


class _Points:
    """Counts at every threshold, and a sample of the pixels that may be foreground."""

    def __init__(self, n_classes: int, head: Head, temperature: float, tick: Tick, total: int) -> None:
        self.counts = ThresholdCounts.empty(n_classes)
        self._open, self._seen = PixelSample.empty(n_classes, ROOM), 0
        self._head, self._temperature, self._tick, self._total = head, temperature, tick, total

    def see(self, tile: TileResult) -> None:
        k = len(tile.probabilities)
        foreground = 1 - apply_temperature(tile.probabilities, self._temperature, self._head, 0)[0]
        foreground = np.where(tile.prediction == IGNORE, np.float32(np.nan), foreground)
        classes = (tile.probabilities[1:].argmax(0) + 1).astype(np.uint8)
        self.counts += threshold_counts(tile.truth, foreground, classes, k)
        if k > 2:
            chosen = np.where(foreground >= self.counts.thresholds[0], tile.truth, np.uint8(IGNORE))
            self._seen += int((chosen != IGNORE).sum())
            self._open += sample_pixels(tile.probabilities, chosen, tile.id, ROOM)
        self._tick(self.counts.tiles, self._total)

    def offsets(self, threshold: float) -> tuple[float, ...]:
        """The class offsets at a threshold; () where none helps."""
        likely, labels = self._open.probabilities, self._open.labels
        foreground = 1 - apply_temperature(likely, self._temperature, self._head, 1)[:, 0]
        kept = foreground >= threshold
        weight = self._seen / max(len(labels), 1)
        found = fit_offsets(likely[kept, 1:], labels[kept], self.counts.truth, weight)
        return found if any(found) else ()


def store(path: Path, fit: Fit) -> None:
    """Put a fit into a checkpoint, which is otherwise left as it is."""
    save_checkpoint(path, replace(load_checkpoint(path), decoding=fit.to_plain()))


def write_search(folder: Path, search: Search) -> None:
    """Write threshold.csv (at the best least size), area.csv (at the best threshold) and a figure of both."""
    scores, (t, a) = search.scores(), search.at
    counts = search.counts
    by_threshold: dict[str, Any] = {"threshold": counts.thresholds} | {n: s[:, a] for n, s in scores.items()}
    by_size: dict[str, Any] = {"min_pixels": counts.sizes} | {n: s[t] for n, s in scores.items()}
    for name, columns in (("threshold", by_threshold), ("area", by_size)):
        write_text(folder / f"{name}.csv", pd.DataFrame(columns).to_csv(index=False))
    save_threshold(folder / "threshold.png", by_threshold, by_size, search.at)


def told(fit: Fit) -> str:
    """A fit in words."""
    offsets = f", class offsets {' '.join(f'{o:+.2f}' for o in fit.offsets)}" if fit.offsets else ""
    return (
        f"temperature {fit.temperature:.2f}, threshold {fit.threshold:.2f}, objects of at least {fit.min_pixels} "
        f"pixels{offsets}"
    )
