"""Evaluation of a run on labelled tiles, or of finished rasters against truth rasters."""

from __future__ import annotations

import heapq
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.classes import IGNORE, ClassTable
from seepseg.config import Runtime
from seepseg.data.catalog import Catalog, listed
from seepseg.data.dataset import Draw, TileDataset
from seepseg.data.loader import in_batches, load_batches
from seepseg.data.scaling import Limits, group_limits
from seepseg.data.sources import open_catalog, read_image, with_counts
from seepseg.data.splits import part
from seepseg.errors import ConfigError, DataError
from seepseg.figures import panel, save_confusion, save_gallery
from seepseg.inference.predictor import load_predictor
from seepseg.inference.score import Sums, TileResult, score
from seepseg.io.atomic import write_text
from seepseg.io.files import image_files
from seepseg.io.images import read_gray_png
from seepseg.io.tiff import read_tiff
from seepseg.metrics.confusion import confusion_matrix
from seepseg.metrics.salt_score import tgs_scores
from seepseg.runs.checkpoint import Checkpoint
from seepseg.runs.folder import RunFolder

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
        """Titled panels: best, median, worst."""
        ranked = sorted(self.scores)
        ends = {t for _, t, _ in self.best + self.worst}
        around = sorted(range(len(ranked)), key=lambda i: abs(i - len(ranked) // 2))
        median = [ranked[i] for i in around if ranked[i][1] in self.middle and ranked[i][1] not in ends][:SHOWN]
        return (
            [(f"best · {t} · Dice {d:.2f}", p) for d, t, p in sorted(self.best, reverse=True)]
            + [(f"median · {t} · Dice {d:.2f}", self.middle[t]) for d, t in median]
            + [(f"worst · {t} · Dice {-d:.2f}", p) for d, t, p in sorted(self.worst, reverse=True)]
        )


def foreground_dice(matrix: NDArray[np.int64]) -> float | None:
    """Dice of any foreground against background in a confusion matrix; None where neither side has any."""
    both, missed, false = matrix[1:, 1:].sum(), matrix[1:, 0].sum(), matrix[0, 1:].sum()
    total = 2 * both + missed + false
    return float(2 * both / total) if total else None


def evaluate_run(
    checkpoint: Checkpoint,
    folder: RunFolder,
    runtime: Runtime,
    *,
    split: str,
    data_root: Path | None = None,
    tta: str = "none",
    threshold: float | None = None,
    out: Path | None = None,
    figures: bool = True,
    tick: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Scores of a run on one split of its data (val, test, train, all), or on all labelled tiles of another root.

    Writes per_class.csv, confusion.csv, metrics.json and figures; returns what metrics.json holds.

    Raises:
        ConfigError: the split is empty or the run has no splits.csv.
        DataError: no labelled tile, or a damaged file.
    """
    data = (
        checkpoint.config.data if data_root is None else checkpoint.config.data.model_copy(update={"root": data_root})
    )
    catalog = with_counts(_chosen(open_catalog(data), folder, split, data_root), data)
    limits: dict[str, Limits] = {}
    if data.scaling.basis == "scene":
        limits = group_limits(data.scaling, ((t.group, *read_image(t.image, data)) for t in open_catalog(data).tiles))
    dataset = TileDataset(catalog, data.model_copy(update={"cache_gb": 0.0}), checkpoint.scaling, limits)
    predictor = load_predictor(checkpoint, runtime, tta, folder.root)
    config = checkpoint.config.predict
    if threshold is not None:
        config = config.model_copy(update={"threshold": threshold})
    batches = in_batches([Draw(i) for i in range(len(dataset))], config.batch_size, drop_last=False)
    gallery, done = Gallery(checkpoint.classes), 0

    def on_tile(tile: TileResult) -> None:
        if figures:
            gallery.see(tile)
        nonlocal done
        done += 1
        tick(done, len(dataset))

    loader = load_batches(dataset, batches, runtime.workers)
    sums = score(predictor, enumerate(loader), len(checkpoint.classes), config, on_tile=on_tile)
    where = out or folder.eval(split)
    summary = summarise(sums, checkpoint.classes, split, tgs=data.source == "tgs")
    write_scores(where, sums, checkpoint.classes, summary)
    if figures:
        save_gallery(where / "tiles.png", gallery.rows(), checkpoint.classes)
    return summary


def evaluate_rasters(predictions: Path, truth: Path, classes: ClassTable, out: Path | None = None) -> dict[str, Any]:
    """Scores of class rasters made by anything against truth rasters of the same stems (`_class` may follow it).

    Predictions hold class indices, truth holds label values of the class table.

    Raises:
        DataError: nothing to compare, truth without a prediction, or sizes that differ.
    """
    found = {p.stem.removesuffix("_class"): p for p in _rasters(predictions)}
    known = {p.stem.removesuffix("_mask"): p for p in _rasters(truth)}
    missing = sorted(known.keys() - found.keys())
    if missing:
        raise DataError(
            f"{len(missing)} truth rasters have no prediction ({listed(missing)})",
            predictions,
            "predict them, or remove them from --truth",
        )
    sums = Sums.empty(len(classes))
    for stem, path in known.items():
        t, p = classes.to_indices(_labels(path, classes), path), _labels(found[stem], classes)
        if t.shape != p.shape:
            raise DataError(
                f"prediction is {p.shape[0]}×{p.shape[1]}, truth {t.shape[0]}×{t.shape[1]}",
                found[stem],
                "give rasters of the same size",
            )
        # A pixel the prediction calls no-data was not looked at; scoring it as background would be a guess.
        t = np.where(p == IGNORE, np.uint8(IGNORE), t)
        odd = np.unique(p[(p >= len(classes)) & (p != IGNORE)])
        if odd.size:
            raise DataError(
                f"prediction holds class {odd[0]}, the class table has {len(classes) - 1}",
                found[stem],
                "choose the class table with --classes",
            )
        matrix = confusion_matrix(t, p, len(classes))
        sums.matrix += matrix
        sums.tiles += matrix.sum(1) > 0
        sums.n_tiles += 1
        if len(classes) == 2:
            sums.tgs_tenths += round(10 * float(tgs_scores(t[None], p[None])[0]))
    summary = summarise(sums, classes, "rasters", tgs=len(classes) == 2)
    if out:
        write_scores(out, sums, classes, summary)
    return summary


def summarise(sums: Sums, classes: ClassTable, split: str, *, tgs: bool) -> dict[str, Any]:
    """What metrics.json holds; an absent class is None. `value` is the class index that rasters hold."""
    result = sums.scores()
    foreground = result.foreground
    summary: dict[str, Any] = {
        "split": split,
        "n_tiles": sums.n_tiles,
        "foreground": {k: getattr(foreground, k) for k in ("dice", "iou", "precision", "recall")},
        "macro": {"dice": result.macro_dice, "iou": result.macro_iou},
        "class_accuracy": result.class_accuracy,
        "classes": [
            {
                "value": i + 1,
                "name": classes.names[i + 1],
                "dice": result.dice[i],
                "iou": result.iou[i],
                "precision": result.precision[i],
                "recall": result.recall[i],
                "support_pixels": int(result.support_pixels[i]),
                "support_tiles": int(sums.tiles[i + 1]),
            }
            for i in range(len(classes) - 1)
        ],
    }
    if tgs:
        summary["tgs_score"] = sums.tgs_score
    return summary


def write_scores(folder: Path, sums: Sums, classes: ClassTable, summary: dict[str, Any]) -> None:
    """Write metrics.json, per_class.csv, confusion.csv and the confusion figure."""
    write_text(folder / "metrics.json", json.dumps(summary, indent=1) + "\n")
    write_text(folder / "per_class.csv", table(summary).to_csv(index=False, na_rep="n/a"))
    names = list(classes.names)
    frame = pd.DataFrame(sums.matrix, index=pd.Index(names, name="truth"), columns=names)
    write_text(folder / "confusion.csv", frame.to_csv())
    save_confusion(folder / "confusion.png", sums.matrix, names)


def table(summary: dict[str, Any]) -> pd.DataFrame:
    """Rows of the per-class table: the classes, then macro mean and foreground."""
    rows = [*summary["classes"], {"name": "macro", **summary["macro"]}, {"name": "foreground", **summary["foreground"]}]
    columns = ["value", "name", "dice", "iou", "precision", "recall", "support_pixels", "support_tiles"]
    return pd.DataFrame(rows, columns=columns).astype(
        dict.fromkeys(("value", "support_pixels", "support_tiles"), "Int64")
    )


def _chosen(catalog: Catalog, folder: RunFolder, split: str, data_root: Path | None) -> Catalog:
    labelled = catalog.subset([t.id for t in catalog.tiles if t.labelled])
    if not len(labelled):
        raise DataError("no labelled tile", data_root or "data.root", "evaluation needs masks")
    if data_root is not None or split == "all":
        return labelled
    if not folder.splits.exists():
        raise ConfigError(
            f"no splits.csv, so the {split} part is not known", folder.root, "give the run folder, or --data ROOT"
        )
    ids = part(folder.read_splits(), split)
    if not ids:
        raise ConfigError(f"the {split} part is empty", folder.splits, "choose another --split")
    gone = sorted(set(ids) - {t.id for t in labelled.tiles})
    if gone:
        raise DataError(f"{len(gone)} tiles of the split are gone ({listed(gone)})", "data.root", "restore them")
    return labelled.subset(ids)


def _rasters(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError("no such folder", folder, "give a folder of rasters")
    files = image_files(folder, (".tif", ".tiff", ".png"))
    files = [f for f in files if not f.stem.endswith(("_quicklook", "_prob"))]
    if not files:
        raise DataError("no TIFF or PNG rasters", folder, "give a folder of rasters")
    return files


def _labels(path: Path, classes: ClassTable) -> NDArray[np.int64]:
    if path.suffix.lower() != ".png":
        return np.asarray(read_tiff(path)[0], dtype=np.int64)
    labels = read_gray_png(path)
    # Salt masks come as 0 and 255 or 65535; with one class, anything above 0 is it.
    return (labels > 0).astype(np.int64) if len(classes) == 2 else labels.astype(np.int64)
