"""Evaluation of a run on labelled tiles, or of its folds on the tiles each has not seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.config import Config, PlateauSchedule, Predict
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.source import read_pixels
from seepseg.evaluation.accumulate import Accumulator
from seepseg.evaluation.gallery import REPORTED, SHOWN, Gallery
from seepseg.evaluation.report import write_report
from seepseg.evaluation.summary import Decoded, Summary, headline, plain, summarise
from seepseg.evaluation.tables import forget, write_evidence, write_scores
from seepseg.figures.plots import save_confusion
from seepseg.figures.sheets import save_gallery
from seepseg.inference.labelled import Labelled
from seepseg.inference.located import Placing
from seepseg.inference.score import Sums, TileResult
from seepseg.io.atomic import write_text
from seepseg.io.images import write_class_png
from seepseg.io.table import csv_text
from seepseg.machine.ahead import behind
from seepseg.machine.progress import Tick, silent
from seepseg.runs.fit import Fit, fit_for
from seepseg.splits.parts import MEANS

SOMETIMES = (
    *("report.html", "gallery.csv", "folds.csv", "tiles.csv", "coverage.csv", "flags.csv"),
    *("confusion.png", "tiles.png"),
)
"""Files that only some evaluations write."""

OF_A_FIT = ("threshold.csv", "area.csv", "threshold.png", "grades.csv")
"""Files of the search for a fit, in the folder or, of folds, in a folder of each below it."""

HELD_OUT = ("val", "test", "oof")
"""Splits whose tiles no network was trained on."""
MAPS = "maps"
"""The folder of the predicted maps, below that of the scores."""


@dataclass(frozen=True)
class Options:
    """How to evaluate.

    Attributes:
        threshold: of foreground, in place of the config's and of the fit's.
        fitted: decode with the checkpoint's fit, where it has one, on tiles that the fit has not seen.
        figures: draw them.
        report: write report.html as well.
        maps: keep the predicted class of every pixel, a PNG per tile.
    """

    threshold: float | None = None
    fitted: bool = True
    figures: bool = True
    report: bool = False
    maps: bool = False


def evaluate(
    parts: Sequence[Labelled],
    split: str,
    where: Path,
    options: Options = Options(),
    tick: Tick = silent,
) -> Summary:
    """Scores of a run on labelled tiles, or of its folds on the tiles each has not seen, pooled over pixels.

    A part may be an ensemble. Each is decoded with the mean of the fits that have seen none of its tiles; without any,
    as the config says. Writes metrics.json, its tables (docs/metrics.md names them) and figures into `where`; for folds
    also folds.csv.

    Raises:
        ConfigError: some parts have a fit and some have not.
        DataError: a damaged file.
    """
    first = parts[0]
    config, fits = _decoding(parts, options)
    counts = _accumulator(parts)
    gallery = Gallery(first.classes, REPORTED if options.report else SHOWN)
    forget(where, f"{MAPS}/**/*.png")

    def on_tile(tile: TileResult) -> None:
        counts.update(tile)
        if options.maps:
            write_class_png(where / MAPS / f"{tile.id}.png", tile.prediction, len(first.classes))
        if options.figures or options.report:
            gallery.update(tile)
        tick(counts.n_tiles, len(counts.catalog))

    sums, placings = [], list[Placing]()

    def note(tiles: list[str], placing: Placing) -> None:
        del tiles
        placings.append(placing)

    for part, fit in zip(parts, fits, strict=True):
        counts.min_pixels = fit.min_pixels if fit else config.min_pixels
        # Counting runs in a thread, while the network predicts the next batch.
        with behind(on_tile) as send:
            sums.append(part.score(config, fit, send, note=note))
    total = reduce(add, sums)
    evidence = counts.compute(_decoded(config, fits, parts, placings))
    caution = _caution(first.config) if len(parts) > 1 else None
    summary = summarise(
        total,
        first.classes,
        split,
        per_tile=first.per_tile,
        evidence=evidence,
        measures=MEANS[first.config.data.split.by] if split in HELD_OUT and not first.per_tile else None,
        caution=caution,
    )
    forget(where, *SOMETIMES)
    if not any(each.fit for p in parts for each in (p, *p.others)):
        forget(where, *OF_A_FIT, *(f"fold_*/{name}" for name in OF_A_FIT))
    write_scores(where, total, first.classes, summary)
    write_evidence(where, counts, evidence)
    if len(parts) > 1:
        rows = [_fold_row(*fold) for fold in zip(parts, sums, fits, strict=True)]
        write_text(where / "folds.csv", csv_text(pd.DataFrame(rows), na_rep="n/a"))
    if options.figures:
        save_confusion(where / "confusion.png", total.matrix, first.classes.names)
        save_gallery(where / "tiles.png", gallery.rows(), first.classes)
    if options.report:
        runs = [each.folder for p in parts for each in (p, *p.others)]
        write_report(where, summary, runs, first.classes, gallery.compute())
    return summary


def _decoding(parts: Sequence[Labelled], options: Options) -> tuple[Predict, list[Fit | None]]:
    """The config's decoding, and the fit in its place for each part."""
    config = parts[0].config.predict
    if options.threshold is not None:
        config = config.model_copy(update={"threshold": options.threshold})
    if not options.fitted or options.threshold is not None:
        return config, [None] * len(parts)
    return config, [fit_for([fit for p in parts for fit in p.fits], part.ids) for part in parts]


def _accumulator(parts: Sequence[Labelled]) -> Accumulator:
    source = parts[0].dataset.source
    catalog = Catalog(tuple(t for p in parts for t in p.catalog.tiles), parts[0].classes)

    def brightness(tile: Tile) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        raw, valid = read_pixels(source, tile)
        return raw[0], valid

    return Accumulator(
        catalog,
        per_tile=source.per_tile,
        pixel_size=source.pixel_size,
        brightness=None if source.per_tile else brightness,
        blocks=_blocks(parts, catalog),
    )


def _blocks(parts: Sequence[Labelled], catalog: Catalog) -> dict[str, str]:
    """The block of ground of each tile by its id, where such were held out; those without a place are scenes."""
    folder = parts[0].folder
    if parts[0].config.data.split.by != "blocks" or not folder.splits.exists():
        return {}
    splits = folder.read_splits()
    blocks = dict(zip(splits["id"], splits["block"].astype(str), strict=True))
    own = {t.id: blocks.get(t.id) or t.group for t in catalog.tiles}
    return own if blocks.keys() & own.keys() else {}


def _decoded(
    config: Predict, fits: Sequence[Fit | None], parts: Sequence[Labelled], placings: Sequence[Placing]
) -> Decoded:
    objects = "network"
    if any(p.objects for p in parts):
        unseen = all(p.objects and p.objects.has_not_seen(p.ids) for p in parts)
        objects = "classifier" if unseen else "network: the classifier was trained on some of these tiles"
    if placings:
        placed, every = sum(p.placed for p in placings), sum(p.objects for p in placings)
        objects += f", {placed} of {every} with the classes of their place"
    fit = fits[0]
    if fit is None:
        return Decoded("config", objects, 1.0, config.threshold, (), config.min_pixels)
    if len(fits) > 1:
        return Decoded("other folds' fits, see folds.csv", objects, None, None, None, None)
    return Decoded(f"fit on {fit.split}", objects, fit.temperature, fit.threshold, fit.offsets, fit.min_pixels)


def _caution(config: Config) -> str | None:
    """Why scores out of fold are not of unseen tiles, where training was steered by those very tiles."""
    steered = ["early_stopping"] if config.train.early_stopping else []
    schedules = [stage.schedule for stage in config.stages] or [config.schedule]
    steered += ["the plateau schedule"] if any(isinstance(s, PlateauSchedule) for s in schedules) else []
    if not steered:
        return None
    return f"{' and '.join(steered)} watched the tiles that are scored here, so these scores may be too high"


def _fold_row(part: Labelled, sums: Sums, fit: Fit | None) -> dict[str, Any]:
    """The row of a fold in folds.csv: its scores, and its decoding (empty: the config's)."""
    scores: dict[str, Any] = plain(headline(sums, per_tile=part.per_tile))
    return (
        {"fold": part.name, "epoch": part.epoch}
        | scores
        | {
            "temperature": fit and fit.temperature,
            "threshold": fit and fit.threshold,
            "min_pixels": fit and fit.min_pixels,
            "offsets": fit and " ".join(f"{o:g}" for o in fit.offsets),
        }
    )
