"""The scores of an evaluation as tables: for the terminal and the page, and as the CSV files beside metrics.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seepseg.classes import ClassTable
from seepseg.evaluation.accumulate import Accumulator, headlines
from seepseg.evaluation.summary import Evidence, Headline, Summary, plain
from seepseg.inference.score import Sums
from seepseg.io.atomic import write_text
from seepseg.io.table import csv_text
from seepseg.metrics.boundary import TOLERANCES
from seepseg.metrics.whole import count_names


def class_table(summary: Summary) -> pd.DataFrame:
    """Scores of the classes, their macro mean and foreground.

    Intervals, and the share of draws without the class, have columns only where there are any.
    """
    keyed: list[tuple[str, str, Any]] = [(str(c.value), c.name, c) for c in summary.classes]
    keyed += [("macro", "macro", summary.macro), ("foreground", "foreground", summary.foreground)]
    rows: list[dict[str, Any]] = []
    for key, name, scores in keyed:
        rows.append({"name": name} | plain(scores))
        for measure in ("dice", "iou"):
            if interval := summary.interval(f"{measure}/{key}"):
                rows[-1] |= {f"{measure}_low": interval.low, f"{measure}_high": interval.high}
    lacking = summary.evidence.lacking if summary.evidence else {}
    if any(lacking.values()):
        rows = [row | {"draws_without": lacking.get(row["name"])} for row in rows]
    columns = ["value", "name", "dice", "dice_low", "dice_high", "iou", "iou_low", "iou_high", "precision", "recall",
               "support_pixels", "support_tiles", "draws_without"]  # fmt: skip
    present = [c for c in columns if any(c in row for row in rows)]
    whole = dict.fromkeys(("value", "support_pixels", "support_tiles"), "Int64")
    return pd.DataFrame(rows, columns=present).astype(whole)


def reference_table(evidence: Evidence) -> pd.DataFrame:
    """The headline scores of the run and, below, those of the reference rows."""
    frame = _table("row", evidence.references)
    columns = ["row", "tgs_score", "foreground_dice", "foreground_iou"]
    # With one class these two repeat the others.
    columns += ["macro_dice", "class_accuracy"] if len(evidence.lacking) > 1 else []
    return frame[[column for column in columns if column in frame]]


def forget(where: Path, *patterns: str) -> None:
    """Remove what an earlier evaluation left in a folder and this one may not write again: nothing stale stays."""
    if (where / "metrics.json").exists():
        for path in [p for pattern in patterns for p in where.glob(pattern)]:
            path.unlink()


def write_scores(folder: Path, sums: Sums, classes: ClassTable, summary: Summary) -> None:
    """Write metrics.json, per_class.csv and confusion.csv."""
    write_text(folder / "metrics.json", json.dumps(summary.to_json(), indent=1) + "\n")
    _write(folder, "per_class", class_table(summary))
    names = list(classes.names)
    frame = pd.DataFrame(sums.matrix, index=pd.Index(names, name="truth"), columns=names)
    write_text(folder / "confusion.csv", csv_text(frame, index=True))


def write_evidence(folder: Path, counts: Accumulator, evidence: Evidence) -> None:
    """Write a CSV for each table of counted tiles.

    scenes, matrices and counts (for `seepseg compare`), objects, surface, references, froc and reliability; for salt
    also tiles, coverage and, where tiles are flagged, flags.
    """
    names = counts.catalog.classes.names
    _write(folder, "scenes", _table("scene", headlines(counts.scenes, counts.per_tile)))
    # What the bootstrap draws, for `compare`: blocks of ground, where such were held out.
    of = ["scene", "block"] if counts.place == "block" else ["scene"]
    matrices = {key[: len(of)]: sums.matrix for key, sums in sorted(counts.sums.items())}
    cells = ((*key, names[t], names[p], n) for key, m in matrices.items() for (t, p), n in np.ndenumerate(m))
    _write(folder, "matrices", pd.DataFrame(cells, columns=[*of, "truth", "prediction", "pixels"]))
    _write(folder, "objects", pd.DataFrame([plain(row) for row in counts.object_scores()]))
    of_all = reduce(add, counts.surfaces.values()).surface_dice()
    surface = pd.DataFrame(of_all, columns=["foreground", *names[1:]])
    _write(folder, "surface", surface.assign(tolerance_px=TOLERANCES))
    whole = ((*key[: len(of)], *values) for key, values in sorted(counts.whole.items()))
    _write(folder, "counts", pd.DataFrame(whole, columns=[*of, *count_names(len(names))]))
    _write(folder, "references", _table("row", evidence.references))
    _write(folder, "froc", pd.DataFrame(evidence.froc))
    points = [(name, *point) for name, bins in counts.reliability.items() for point in bins.curve()]
    _write(folder, "reliability", pd.DataFrame(points, columns=["of", "confidence", "came_true", "pixels"]))
    if counts.per_tile:
        _write(folder, "tiles", pd.DataFrame(list(counts.tgs.items()), columns=["tile", "tgs_score"]))
        _write(folder, "coverage", _table("coverage", evidence.by_coverage or {}))
    if evidence.by_flag:
        _write(folder, "flags", _table("tiles_with", evidence.by_flag))


def _table(kind: str, rows: Mapping[str, Headline]) -> pd.DataFrame:
    return pd.DataFrame([{kind: name} | plain(row) for name, row in rows.items()])


def _write(folder: Path, name: str, frame: pd.DataFrame) -> None:
    write_text(folder / f"{name}.csv", csv_text(frame, na_rep="n/a"))
