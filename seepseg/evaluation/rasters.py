"""Scores of class rasters made by anything, against truth rasters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE, SALT, ClassTable
from seepseg.errors import DataError, listed
from seepseg.evaluation.tables import summarise, write_scores
from seepseg.figures import save_confusion
from seepseg.inference.score import Sums
from seepseg.io.files import image_files
from seepseg.io.image import read_image
from seepseg.metrics.confusion import confusion_matrix
from seepseg.metrics.salt_score import tgs_scores


def evaluate_rasters(predictions: Path, truth: Path, classes: ClassTable, out: Path | None = None) -> dict[str, Any]:
    """Scores of class rasters made by anything against truth rasters of the same stems (`_class` may follow it).

    Predictions hold class indices, truth holds label values of the class table.

    Raises:
        DataError: nothing to compare, two of one name, truth without a prediction, or sizes that differ.
    """
    found, known = _rasters(predictions, "_class"), _rasters(truth, "_mask")
    missing = sorted(known.keys() - found.keys())
    if missing:
        raise DataError(
            f"{len(missing)} truth rasters have no prediction ({listed(missing)})",
            predictions,
            "predict them, or remove them from --truth",
        )
    sums, salt = Sums.empty(len(classes)), classes == SALT
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
        if salt:
            sums.tgs_tenths += round(10 * float(tgs_scores(t[None], p[None])[0]))
    summary = summarise(sums, classes, "rasters", tgs=salt)
    if out:
        write_scores(out, sums, classes, summary)
        save_confusion(out / "confusion.png", sums.matrix, list(classes.names))
    return summary


def _rasters(folder: Path, ending: str) -> dict[str, Path]:
    """Rasters below a folder by their stem, without its ending."""
    if not folder.is_dir():
        raise DataError("no such folder", folder, "give a folder of rasters")
    files = image_files(folder, (".tif", ".tiff", ".png"))
    files = [f for f in files if not f.stem.endswith(("_quicklook", "_prob", "_uncertainty"))]
    if not files:
        raise DataError("no TIFF or PNG rasters", folder, "give a folder of rasters")
    by_stem: dict[str, Path] = {}
    for file in files:
        other = by_stem.setdefault(file.stem.removesuffix(ending), file)
        if other is not file:
            # One of them would not be scored, and nobody would know which.
            raise DataError(f"two rasters are of one tile ({other}, {file})", folder, "rename or remove one")
    return by_stem


def _labels(path: Path, classes: ClassTable) -> NDArray[np.int64]:
    (raw, _), info = read_image(path, labels=True)
    # Salt masks come as 0 and 255 or 65535; with one class, anything above 0 is it.
    labels = raw[0] > 0 if info.kind == "PNG" and len(classes) == 2 else raw[0]
    return np.asarray(labels, dtype=np.int64)
