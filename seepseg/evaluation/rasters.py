"""Scores of class rasters made by any tool, against truth rasters."""

from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE, SALT, ClassTable
from seepseg.data.tiles import ignored_by_file
from seepseg.errors import DataError, listed
from seepseg.evaluation.summary import Summary, summarise
from seepseg.evaluation.tables import forget, write_scores
from seepseg.figures.plots import save_confusion
from seepseg.inference.score import Sums
from seepseg.io.files import image_files
from seepseg.io.image import read_image


def evaluate_rasters(
    predictions: Path, truth: Path, classes: ClassTable, out: Path | None = None, *, figures: bool = True
) -> Summary:
    """Scores of class rasters made by any tool against truth rasters of the same stems (`_class` may follow the stem).

    Predictions hold class indices, truth holds label values of the class table; those of nnU-Net are the same. PNG
    predictions of one class, and PNG truth whose class is 1, may hold any value above 0 for it. What a raster calls no
    data is not scored, unless its no-data value is a class.

    Raises:
        DataError: nothing to compare, two of one name, truth without a prediction, or sizes that differ.
    """
    predicted, labelled = _rasters(predictions, "_class"), _rasters(truth, "_mask")
    missing = sorted(labelled.keys() - predicted.keys())
    if missing:
        raise DataError(
            f"{len(missing)} truth rasters have no prediction ({listed(missing)})",
            predictions,
            "predict them, or remove them from --truth",
        )
    sums = Sums.empty(len(classes))
    for stem, path in labelled.items():
        sums += _sums(predicted[stem], path, classes)
    summary = summarise(sums, classes, "rasters", per_tile=classes == SALT)
    if out:
        forget(out, "confusion.png")
        write_scores(out, sums, classes, summary)
        if figures:
            save_confusion(out / "confusion.png", sums.matrix, classes.names)
    return summary


def _sums(prediction: Path, truth: Path, classes: ClassTable) -> Sums:
    """Sums of one pair of rasters."""
    t, p = _truth(truth, classes), _prediction(prediction, classes)
    if t.shape != p.shape:
        what = f"prediction is {p.shape[0]}×{p.shape[1]}, truth {t.shape[0]}×{t.shape[1]}"
        raise DataError(what, prediction, "give rasters of the same size")
    # A pixel that the prediction calls no-data was not classified; scoring it as background would be a guess.
    return Sums.of_tile(np.where(p == IGNORE, np.uint8(IGNORE), t), p, len(classes))


def _truth(path: Path, classes: ClassTable) -> NDArray[np.uint8]:
    """Class indices (H, W) of a raster of label values, `IGNORE` where it says that it has no data."""
    (raw, valid), info = read_image(path, labels=True)
    ignored = ignored_by_file(raw[0], valid, info.nodata, classes.has)
    # Many masks of one class hold 0 and 255 or 65535; what other values mean, the class table says.
    labels = (raw[0] > 0).astype(np.uint8) if classes.of_0_and_1 and info.kind == "PNG" else raw[0]
    # What a file holds where it has no data need not be a label.
    indices = classes.to_indices(np.where(ignored, np.uint16(classes.background_values[0]), labels), path)
    return np.where(ignored, np.uint8(IGNORE), indices)


def _prediction(path: Path, classes: ClassTable) -> NDArray[np.uint8]:
    """Class indices (H, W) of a map, `IGNORE` where it says that it has no data."""
    (raw, valid), info = read_image(path, labels=True)
    # With one class, PNG maps hold 0 and 255.
    values = (raw[0] > 0).astype(np.uint8) if len(classes) == 2 and info.kind == "PNG" else raw[0]
    known = [*range(len(classes)), IGNORE]
    values = np.where(ignored_by_file(raw[0], valid, info.nodata, known.__contains__), np.uint8(IGNORE), values)
    unknown = np.unique(values[~np.isin(values, known)])
    if unknown.size:
        what = f"prediction holds class {unknown[0]}, the class table has {len(classes) - 1}"
        raise DataError(what, path, "choose the class table with --classes")
    return values.astype(np.uint8)


def _rasters(folder: Path, ending: str) -> dict[str, Path]:
    """Rasters below a folder by their stem in NFC, without its ending."""
    if not folder.is_dir():
        raise DataError("no such folder", folder, "give a folder of rasters")
    files = image_files(folder, (".tif", ".tiff", ".png"))
    files = [f for f in files if not f.stem.endswith(("_quicklook", "_prob", "_uncertainty"))]
    if not files:
        raise DataError("no TIFF or PNG rasters", folder, "give a folder of rasters")
    by_stem: dict[str, Path] = {}
    for file in files:
        other = by_stem.setdefault(normalize("NFC", file.stem).removesuffix(ending), file)
        if other is not file:
            # Only one of them would be scored.
            raise DataError(f"two rasters are of one tile ({other}, {file})", folder, "rename or remove one")
    return by_stem
