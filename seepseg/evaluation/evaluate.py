"""Evaluation of a run on labelled tiles, or of its folds on the tiles each has not seen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepseg.config import Runtime
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.source import read_pixels
from seepseg.errors import ConfigError
from seepseg.evaluation.conclusions import conclusions, draw_evidence, fold_row, write_evidence, write_folds
from seepseg.evaluation.evidence import Brightness, Evidence
from seepseg.evaluation.fitting import Search, fit_decoding, store, write_search
from seepseg.evaluation.gallery import REPORTED, SHOWN, Gallery
from seepseg.evaluation.report import write_report
from seepseg.evaluation.source import Source, open_folds, open_source
from seepseg.evaluation.tables import summarise, write_scores
from seepseg.figures import save_confusion, save_gallery
from seepseg.inference.score import Sums, TileResult
from seepseg.io.images import write_class_png
from seepseg.machine.ahead import behind
from seepseg.machine.progress import Tick, silent
from seepseg.metrics.baseline import commonest_class
from seepseg.runs.checkpoint import Checkpoint
from seepseg.runs.fit import Fit, fit_for
from seepseg.runs.folder import RunFolder, folder_lock

SOMETIMES = (
    *("report.html", "gallery.csv", "intervals.csv", "folds.csv", "tiles.csv", "coverage.csv", "flags.csv"),
    *("confusion.png", "tiles.png", "froc.png", "reliability.png"),
)
"""Files that only some evaluations write."""

MAPS = "maps"
"""The folder of the predicted maps, below that of the scores."""


@dataclass(frozen=True)
class Options:
    """How to evaluate.

    Attributes:
        threshold: of foreground, in place of the config's and of what was fitted.
        fitted: decode as the checkpoint was fitted to, where it was, on tiles that the fit has not seen.
        figures: draw them.
        profile: add where the time went.
        report: write report.html as well.
        maps: keep the predicted class of every pixel, a PNG a tile.
    """

    threshold: float | None = None
    fitted: bool = True
    figures: bool = True
    profile: bool = False
    report: bool = False
    maps: bool = False


def evaluate_run(
    checkpoint: Checkpoint,
    folder: RunFolder,
    runtime: Runtime,
    *,
    split: str,
    data_root: Path | None = None,
    tta: str = "none",
    out: Path | None = None,
    fit_into: Path | None = None,
    how: Options = Options(),
    tick: Tick = silent,
) -> dict[str, Any]:
    """Scores of a run on one split of its data (val, test, train, all), or on all labelled tiles of another root.

    Writes metrics.json, its tables (docs/metrics.md names them) and figures; returns what metrics.json holds. With
    `fit_into`, decoding is fitted on the validation part first and stored in that checkpoint; the scores, being of the
    same tiles, are still those of the config's decoding.

    Raises:
        ConfigError: the split is empty, the run has no splits.csv, or a fit is asked for on another part than val.
        DataError: no labelled tile, or a damaged file.
    """
    if fit_into and (split != "val" or data_root is not None):
        raise ConfigError("decoding is fitted on validation tiles only", "--fit", "give --split val, or --split oof")
    source = open_source(checkpoint, folder, runtime, split=split, data_root=data_root, tta=tta)
    where = out or folder.eval(split)
    fit = source.fit
    if fit_into:
        with folder_lock(folder.root):
            search = fit_decoding(source, split, runtime.workers, tick)
            store(fit_into, search.fit)
        write_search(where, search)
        fit = search.fit
    return _evaluate([source], [folder], [fit], runtime, split, where, how, tick)


def evaluate_folds(
    run: Path,
    runtime: Runtime,
    *,
    tta: bool = False,
    out: Path | None = None,
    fit: bool = False,
    how: Options = Options(),
    tick: Tick = silent,
) -> dict[str, Any]:
    """Out-of-fold scores of a run with folds: every tile by the fold that has not seen it, pooled over pixels.

    Each fold predicts with its last weights, and is decoded with the mean of what the other folds fitted. Writes what
    `evaluate_run` writes, and folds.csv. With `fit`, every fold is fitted first and stores that in its checkpoint.

    Raises:
        ConfigError: no folds, or folds that do not belong together.
        DataError: a damaged file.
    """
    sources = open_folds(run, runtime, tta=tta)
    where = out or RunFolder(run).eval("oof")
    fits = [source.fit for source in sources]
    if fit:
        with folder_lock(run):
            searches: list[Search] = []
            for source in sources:
                searches.append(fit_decoding(source, "val", runtime.workers, tick))
                write_search(where / source.name, searches[-1])
            for source, search in zip(sources, searches, strict=True):
                store(RunFolder(run / source.name).last, search.fit)
        fits = [search.fit for search in searches]
    folders = [RunFolder(run / source.name) for source in sources]
    return _evaluate(sources, folders, fits, runtime, "oof", where, how, tick)


def _evaluate(
    sources: Sequence[Source],
    folders: Sequence[RunFolder],
    fits: Sequence[Fit | None],
    runtime: Runtime,
    split: str,
    where: Path,
    how: Options,
    tick: Tick,
) -> dict[str, Any]:
    begin = time.perf_counter()
    first = sources[0]
    catalog = Catalog(tuple(t for s in sources for t in s.catalog.tiles), first.classes)
    config = first.config.predict
    if how.threshold is not None:
        config = config.model_copy(update={"threshold": how.threshold})
    used = [fit_for(fits, source.ids) if how.fitted and how.threshold is None else None for source in sources]
    tiles = first.dataset.source
    commonest = commonest_class(catalog.pixels().sum(0))
    evidence = Evidence(catalog, commonest, _brightness(first), pixel_size=tiles.pixel_size, salt=tiles.per_tile)
    gallery, done = Gallery(first.classes, REPORTED if how.report else SHOWN), 0

    def on_tile(tile: TileResult) -> None:
        evidence.see(tile)
        if how.maps:
            write_class_png(where / MAPS / f"{tile.id}.png", tile.prediction, len(first.classes))
        if how.figures or how.report:
            gallery.see(tile)
        nonlocal done
        done += 1
        tick(done, len(catalog))

    clear_maps(where)
    total, rows = Sums.empty(len(first.classes)), []
    for source, fit in zip(sources, used, strict=True):
        evidence.min_pixels = fit.min_pixels if fit else config.min_pixels
        # The network need not wait for what is counted.
        with behind(on_tile) as send:
            sums = source.score(config, fit, runtime.workers, send)
        evidence.finish()
        rows.append(fold_row(source, sums, fit))
        total = total.merge(sums)
    summary = summarise(total, first.classes, split, tgs=tiles.per_tile)
    summary |= conclusions(evidence) | {"decoding": _decoding(config.threshold, config.min_pixels, used)}
    summary["decoding"]["objects"] = _who_decides(sources)
    if how.profile:
        seconds = time.perf_counter() - begin
        summary["profile"] = {
            "seconds": seconds,
            "network_seconds": total.seconds,
            "network_share": total.seconds / seconds,
            "tiles_per_second": total.n_tiles / seconds,
        }
    forget(where)
    write_scores(where, total, first.classes, summary)
    write_evidence(where, evidence)
    if len(sources) > 1:
        write_folds(where, rows)
    if how.figures:
        save_confusion(where / "confusion.png", total.matrix, list(first.classes.names))
        save_gallery(where / "tiles.png", gallery.rows(), first.classes)
        draw_evidence(where, evidence)
    if how.report:
        write_report(where, folders, first.classes, gallery.chosen())
    return summary


def forget(where: Path) -> None:
    """Remove what an earlier evaluation left in a folder and this one may not write again: nothing stale stays."""
    if (where / "metrics.json").exists():
        for name in SOMETIMES:
            (where / name).unlink(missing_ok=True)


def clear_maps(where: Path) -> None:
    """Remove the maps that an earlier evaluation kept in a folder."""
    if (where / "metrics.json").exists():
        for path in (where / MAPS).glob("*.png"):
            path.unlink()


def _decoding(threshold: float | None, min_pixels: int, used: Sequence[Fit | None]) -> dict[str, Any]:
    """What decoded the predictions, for metrics.json; out of fold, folds.csv says it for each fold."""
    fit = used[0]
    if fit is None:
        return {"from": "config", "temperature": 1.0, "threshold": threshold, "offsets": [], "min_pixels": min_pixels}
    if len(used) > 1:
        return {"from": "the other folds' fits, see folds.csv"}
    plain = fit.to_plain()
    return {"from": f"fit on {fit.split}"} | {
        key: plain[key] for key in ("temperature", "threshold", "offsets", "min_pixels")
    }


def _who_decides(sources: Sequence[Source]) -> str:
    """What decides the classes of objects, for metrics.json."""
    held = [s.objects for s in sources]
    if not any(held):
        return "network"
    asked = all(o and o.may_judge(s.ids) for o, s in zip(held, sources, strict=True))
    return "classifier" if asked else "network: the classifier was trained on some of these tiles"


def _brightness(source: Source) -> Brightness | None:
    tiles = source.dataset.source
    if tiles.per_tile:
        return None

    def read(tile: Tile) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
        raw, valid = read_pixels(tiles, tile.image)
        return raw[0], valid

    return read
