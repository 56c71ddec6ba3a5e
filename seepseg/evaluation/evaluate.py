"""Evaluation of a run on labelled tiles, or of finished rasters against truth rasters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE, ClassTable
from seepseg.config import Runtime, SeepData
from seepseg.data.catalog import Catalog, listed
from seepseg.data.dataset import Draw, TileDataset
from seepseg.data.loader import in_batches, load_batches
from seepseg.data.scaling import Limits, group_limits
from seepseg.data.sources import open_catalog, read_image, with_counts
from seepseg.data.splits import part
from seepseg.errors import ConfigError, DataError
from seepseg.evaluation.evidence import Evidence
from seepseg.evaluation.gallery import Gallery
from seepseg.evaluation.tables import conclusions, summarise, write_evidence, write_scores
from seepseg.figures import save_gallery
from seepseg.inference.object_classes import ObjectClassifier
from seepseg.inference.predictor import load_predictor
from seepseg.inference.scene_objects import object_stage
from seepseg.inference.score import Sums, TileResult, score
from seepseg.io.files import image_files
from seepseg.io.images import read_gray_png
from seepseg.io.tiff import read_tiff
from seepseg.metrics.baseline import commonest_class
from seepseg.metrics.confusion import confusion_matrix
from seepseg.metrics.salt_score import tgs_scores
from seepseg.runs.checkpoint import Checkpoint
from seepseg.runs.folder import RunFolder


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

    Writes metrics.json, its tables (docs/metrics.md names them) and figures; returns what metrics.json holds.

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
    grid = data.grid if isinstance(data, SeepData) else {}
    evidence = Evidence(catalog, grid, commonest_class(catalog.pixels().sum(0)))
    gallery, done = Gallery(checkpoint.classes), 0

    def on_tile(tile: TileResult) -> None:
        evidence.see(tile)
        if figures:
            gallery.see(tile)
        nonlocal done
        done += 1
        tick(done, len(dataset))

    loader = load_batches(dataset, batches, runtime.workers)
    classifier = ObjectClassifier.from_plain(checkpoint.objects, folder.root)
    config, decide = object_stage(classifier, dataset, grid, config)
    sums = score(predictor, enumerate(loader), len(checkpoint.classes), config, on_tile=on_tile, decide=decide)
    evidence.finish()
    where = out or folder.eval(split)
    summary = summarise(sums, checkpoint.classes, split, tgs=data.source == "tgs")
    summary |= conclusions(evidence)
    write_scores(where, sums, checkpoint.classes, summary)
    write_evidence(where, evidence)
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
