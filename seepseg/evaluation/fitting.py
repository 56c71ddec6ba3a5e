"""Fitting the decoding: temperature, threshold, class offsets and minimum size, on tiles held out of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.config import Head
from seepseg.figures.plots import save_threshold
from seepseg.inference.decode import sure
from seepseg.inference.labelled import Labelled
from seepseg.inference.scene_objects import scenes
from seepseg.inference.score import Answer, TileResult
from seepseg.io.atomic import write_text
from seepseg.io.table import csv_text
from seepseg.machine.progress import Tick, silent
from seepseg.metrics.calibration import PixelSample, apply_temperature, fit_temperature, sample_pixels
from seepseg.metrics.grades import PARTS, PolygonCounts, polygon_counts
from seepseg.metrics.threshold import ThresholdCounts, fit_offsets, threshold_counts
from seepseg.runs.checkpoint import load_checkpoint, save_checkpoint
from seepseg.runs.fit import Fit
from seepseg.scenes.mosaic import Cell, assemble

TEMPERATURE_TILES = 200
"""The most tiles the temperature is fitted on, evenly chosen: it is one number, and they hold millions of pixels."""

OFFSET_PIXELS = 1_000_000
"""The most pixels the class offsets are fitted on."""

LITTLE = 0.1
"""A decoding whose foreground is less than this share of the true one predicts almost nothing."""

NO_IMAGE = np.empty((0, 0, 0), np.float32)
"""In place of a tile's, where whole scenes are in memory."""

Classes = NDArray[np.uint8]

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
        counts: scores at every threshold and minimum size, classes compared without offsets.
        at: number of the best threshold and of the best size.
        by: names of the scores, the one that decided first.
    """

    fit: Fit
    counts: ThresholdCounts
    at: tuple[int, int]
    by: tuple[str, ...]

    def scores(self) -> dict[str, NDArray[np.float64]]:
        """(T, A) every score at every threshold and minimum size, the one that decided first."""
        return {name: SCORES[name](self.counts) for name in self.by}

    def warning(self) -> str:
        """A warning where the best decoding predicts nothing or almost nothing; else ""."""
        predicted, true = int(self.counts.predicted[self.at].sum()), int(self.counts.truth.sum())
        if predicted >= LITTLE * true:
            return ""
        amount = "nothing" if not predicted else f"almost nothing ({predicted:,} pixels where {true:,} are true)"
        score = self.by[0].replace("_", " ")
        return f"the fit chose to predict {amount}, which has the best {score}: the network has not learned enough"


def fit_parts(parts: Sequence[Labelled], where: Path, tick: Tick) -> list[Search]:
    """A fit for a run, or for each of its folds, on its tiles; stored in the checkpoint.

    The tables and figure of each search are written into `where`, or with several parts into a folder of each.

    Raises:
        LockedError: a part is being trained.
    """
    with ExitStack() as stack:
        for part in parts:
            stack.enter_context(part.folder.locked())
        searches = [fit_decoding(part, tick) for part in parts]
        for part, search in zip(parts, searches, strict=True):
            write_search(where / part.name if len(parts) > 1 else where, search)
            # The rest of the checkpoint is unchanged, so that training can continue.
            save_checkpoint(part.path, replace(load_checkpoint(part.path), decoding=search.fit.to_plain()))
    return searches


def fit_decoding(part: Labelled, tick: Tick = silent) -> Search:
    """The decoding of best score on the validation tiles of a run or fold; see `_decided_by` for which score.

    The first pass fits the temperature. The second counts at every threshold and minimum size, and samples the pixels
    that may be foreground; on them, at the best threshold, the offsets of the classes are fitted last (not where
    `predict.vote` or a classifier chooses classes by object).
    """
    by = _decided_by(part)
    offsets = "macro_dice" in by and not part.config.predict.vote
    # Classes of whole objects are not what is counted, and take long.
    classifier, part = part.objects, replace(part, objects=None)
    k, head = len(part.classes), part.config.model.head
    # Nothing of the config's own decoding: its threshold and sizes are what is looked for.
    plain = part.config.predict.model_copy(update={"threshold": None, "min_pixels": 0})
    sample = PixelSample.empty(k)

    def draw(tile: TileResult) -> None:
        nonlocal sample
        sample += sample_pixels(tile.probabilities, tile.truth, tile.id)

    part.score(plain, None, draw, every=-(-len(part.dataset) // TEMPERATURE_TILES))
    temperature = fit_temperature(sample.probabilities, sample.labels, head)
    points = _Points(k, head, temperature)

    def thinned(item: tuple[int, Answer]) -> Answer:
        tick(item[0], len(part.dataset))
        return points.thinned(item[1])

    answers = map(thinned, enumerate(part.answers(plain), 1))
    tiles = {t.id: t for t in part.catalog.tiles}
    # The minimum area is of what will be decided: whole objects by a classifier, else each tile on its own.
    wholes = (by_cell for by_cell, _ in scenes(answers, tiles)) if classifier else ({(0, 0): a} for a in answers)
    for by_cell in wholes:
        points.update(by_cell)
    at = points.counts.best(SCORES[by[0]](points.counts))
    threshold, min_pixels = points.counts.thresholds[at[0]], points.counts.sizes[at[1]]
    chosen = points.offsets(threshold) if offsets else ()
    fit = Fit(head, temperature, threshold, chosen, min_pixels, "val", part.ids)
    if not part.per_tile:  # salt has no polygons
        fit = _with_polygons(replace(part, objects=classifier), fit)
    return Search(fit, points.counts, at, by)


def _with_polygons(part: Labelled, fit: Fit) -> Fit:
    """The fit with the counts of the polygons that it gives on the same tiles, scene by scene."""
    parts, tiles = [PolygonCounts.empty() for _ in range(PARTS)], {t.id: t for t in part.catalog.tiles}
    # By scene, and the same in all folds: with split.by random or blocks a scene is in several.
    splits = part.folder.read_splits()
    held = splits if "fold" in splits else splits[splits["split"] == "val"]
    numbers = {scene: number % PARTS for number, scene in enumerate(held["group"].unique())}

    def thinned(answer: Answer) -> Answer:
        own = sure(answer.probabilities[None], fit.threshold, fit)[0].cpu()
        return replace(answer, image=NO_IMAGE, probabilities=own)

    for by_cell, _ in scenes(map(thinned, part.decided(part.config.predict, fit)), tiles):
        scene = tiles[next(iter(by_cell.values())).id].group
        parts[numbers[scene]] += polygon_counts(*_planes(by_cell))
    polygons, right = (np.concatenate([getattr(p, name) for p in parts]).tolist() for name in ("polygons", "right"))
    return replace(fit, polygons=tuple(polygons), right=tuple(right))


def _planes(thinned: Mapping[Cell, Answer], missing: float = IGNORE) -> tuple[Classes, Classes, NDArray[Any]]:
    """Truth, classes and what is left of the probabilities of tiles, (H, W) each; the last `missing` elsewhere."""
    truth, prediction, own = (
        {cell: np.asarray(getattr(answer, plane)) for cell, answer in thinned.items()}
        for plane in ("truth", "prediction", "probabilities")
    )
    return assemble(truth), assemble(prediction), assemble(own, missing)


def _decided_by(part: Labelled) -> tuple[str, ...]:
    """The scores that decoding is fitted by, what decides first.

    Where a classifier says what objects are, the network's own classes say nothing of those that will be reported.
    """
    if part.per_tile:
        return ("tgs_score", "foreground_dice")
    if len(part.classes) == 2 or part.objects:
        return ("foreground_dice",)
    return ("macro_dice", "foreground_dice")


class _Points:
    """Counts at every threshold, and a sample of the pixels that may be foreground."""

    def __init__(self, n_classes: int, head: Head, temperature: float) -> None:
        self.counts, self._k = ThresholdCounts.empty(n_classes), n_classes
        self._sample, self._candidates = PixelSample.empty(n_classes, OFFSET_PIXELS), 0
        self._head, self._temperature = head, temperature

    def thinned(self, answer: Answer) -> Answer:
        """An answer as it is counted: classes of pixels if they are foreground, and how probable that is (h, w).

        Pixels are sampled in passing.
        """
        probabilities = answer.probabilities.float().cpu().numpy()
        foreground = 1 - apply_temperature(probabilities, self._temperature, self._head, 0)[0]
        foreground = np.where(answer.prediction == IGNORE, np.float32(np.nan), foreground)
        if len(probabilities) > 2:
            candidates = np.where(foreground >= self.counts.thresholds[0], answer.truth, np.uint8(IGNORE))
            self._candidates += int((candidates != IGNORE).sum())
            self._sample += sample_pixels(probabilities, candidates, answer.id, OFFSET_PIXELS)
        classes = (probabilities[1:].argmax(0) + 1).astype(np.uint8)
        return replace(answer, image=NO_IMAGE, prediction=classes, probabilities=torch.from_numpy(foreground))

    def update(self, thinned: Mapping[Cell, Answer]) -> None:
        """Count tiles that are decided together."""
        truth, classes, foreground = _planes(thinned, np.nan)
        self.counts += threshold_counts(truth, foreground, classes, self._k)

    def offsets(self, threshold: float) -> tuple[float, ...]:
        """The class offsets at a threshold; () where none helps."""
        probabilities, labels = self._sample.probabilities, self._sample.labels
        predicted = 1 - apply_temperature(probabilities, self._temperature, self._head, 1)[:, 0] >= threshold
        weight = self._candidates / max(len(labels), 1)
        offsets = fit_offsets(probabilities[predicted, 1:], labels[predicted], self.counts.truth, weight)
        return offsets if any(offsets) else ()


def write_search(folder: Path, search: Search) -> None:
    """Write threshold.csv (at the best minimum size), area.csv (at the best threshold), a figure, grades.csv."""
    scores, counts, (t, a) = search.scores(), search.counts, search.at
    by_threshold = pd.DataFrame({"threshold": counts.thresholds} | {n: s[:, a] for n, s in scores.items()})
    by_size = pd.DataFrame({"min_pixels": counts.sizes} | {n: s[t] for n, s in scores.items()})
    for name, frame in (("threshold", by_threshold), ("area", by_size)):
        write_text(folder / f"{name}.csv", csv_text(frame))
    rows = [asdict(grade) | {"precision": grade.precision} for grade in search.fit.grades]
    columns = ["letter", "least", "polygons", "right", "precision"]
    write_text(folder / "grades.csv", csv_text(pd.DataFrame(rows, columns=columns)))
    save_threshold(folder / "threshold.png", by_threshold, by_size, search.at)
