"""What the evidence of an evaluation comes to: intervals, objects, boundaries, references, confidence, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.classes import ClassTable
from seepseg.evaluation.breakdown import coverage_rows, flag_rows
from seepseg.evaluation.evidence import Evidence
from seepseg.evaluation.source import Source
from seepseg.figures import save_froc, save_reliability
from seepseg.inference.score import Sums
from seepseg.io.atomic import write_text
from seepseg.metrics.bootstrap import bootstrap, bootstrap_mean, bootstrap_ratio
from seepseg.metrics.boundary import TOLERANCES
from seepseg.metrics.confusion import scores
from seepseg.metrics.detection import CRITERIA, SIZE_EDGES, DetectionRow, FrocCounts, detection_rows
from seepseg.metrics.published import batch_scores
from seepseg.runs.fit import Fit


def conclusions(evidence: Evidence) -> dict[str, Any]:
    """What evidence adds to metrics.json: intervals, objects, boundaries, yardsticks, confidence, kinds of tiles.

    Intervals are percentiles of a bootstrap over scenes (the TGS score: over tiles); None with too few of them.
    """
    classes = evidence.catalog.classes
    drawn = bootstrap(_stack(evidence.matrices))
    intervals = {name: asdict(i) for name, i in drawn.intervals.items()}
    if evidence.tgs:
        intervals["tgs_score"] = asdict(bootstrap_mean(np.array([evidence.tgs[tile] for tile in sorted(evidence.tgs)])))
    if evidence.object_counts:
        counts = np.stack([evidence.object_counts[scene] for scene in sorted(evidence.object_counts)])
        objects, found, right, false_alarms, pixels = counts.T
        intervals |= {
            "objects/found": asdict(bootstrap_ratio(found, objects)),
            "objects/class_accuracy": asdict(bootstrap_ratio(right, found)),
            "objects/false_alarms_per_mpx": asdict(bootstrap_ratio(1e6 * false_alarms, pixels)),
        }
    surface = evidence.surfaces.surface_dice()
    return {
        "intervals": intervals,
        "lacking": dict(zip(classes.names[1:], drawn.lacking, strict=True)),
        "objects": _object_row(detection_rows(evidence.objects)[0], classes),
        "surface_dice": {f"{tolerance:g} px": surface[i][0] for i, tolerance in enumerate(TOLERANCES)},
        "references": {name: _reference(evidence, name) for name in evidence.references},
        "as_published": batch_scores(evidence.soft),
        "calibration": {name: {"expected_error": held.expected_error()} for name, held in evidence.reliability.items()},
        "froc": froc_columns(evidence.froc),
    } | (
        {"by_coverage": coverage_rows(evidence.by_coverage), "by_flag": flag_rows(evidence.by_flag)}
        if evidence.tgs
        else {}
    )


def write_evidence(folder: Path, evidence: Evidence) -> None:
    """Write a CSV for each table of evidence.

    scenes, matrices (for `seepseg compare`), objects, surface, references, froc and reliability; for salt also tiles,
    coverage and, where tiles are flagged, flags.
    """
    classes = evidence.catalog.classes
    frames = {
        "scenes": pd.DataFrame([{"scene": s} | _headline(m) for s, m in sorted(evidence.matrices.items())]),
        "matrices": _long(evidence.matrices, classes),
        "objects": pd.DataFrame([_object_row(row, classes) for row in detection_rows(evidence.objects)]),
        "surface": pd.DataFrame(evidence.surfaces.surface_dice(), columns=["foreground", *classes.names[1:]]).assign(
            tolerance_px=TOLERANCES
        ),
        "references": pd.DataFrame([{"row": n} | _reference(evidence, n) for n in evidence.references]),
    }
    frames["froc"] = pd.DataFrame(froc_columns(evidence.froc))
    frames["reliability"] = pd.DataFrame(
        [(name, *point) for name, held in evidence.reliability.items() for point in held.curve()],
        columns=["of", "confidence", "came_true", "pixels"],
    )
    if evidence.tgs:
        frames["tiles"] = pd.DataFrame({"tile": list(evidence.tgs), "tgs_score": list(evidence.tgs.values())})
        frames["coverage"] = pd.DataFrame(coverage_rows(evidence.by_coverage))
        if flags := flag_rows(evidence.by_flag):
            frames["flags"] = pd.DataFrame(flags)
    for name, frame in frames.items():
        write_text(folder / f"{name}.csv", frame.to_csv(index=False, na_rep="n/a"))


def draw_evidence(folder: Path, evidence: Evidence) -> None:
    """Draw froc.png and reliability.png."""
    save_froc(folder / "froc.png", froc_columns(evidence.froc))
    curves = {name: held.curve() for name, held in evidence.reliability.items()}
    save_reliability(folder / "reliability.png", curves)


def froc_columns(counts: FrocCounts) -> dict[str, list[Any]]:
    """The FROC curve by column: a row a threshold of the foreground probability."""
    return {
        "threshold": list(counts.thresholds),
        **{f"found_{c}": counts.rates(c) for c in CRITERIA},
        "false_alarms": counts.false_alarms.tolist(),
        "false_alarms_per_mpx": counts.false_alarms_per_mpx(),
        "false_alarms_per_1000_km2": counts.false_alarms_per_1000_km2(),
    }


def fold_row(source: Source, sums: Sums, fit: Fit | None) -> dict[str, Any]:
    """The row of a fold in folds.csv: its scores, and what decoded it (empty: the config)."""
    tgs = {"tgs_score": sums.tgs_score} if source.dataset.source.per_tile else {}
    return {
        "fold": source.name,
        "epoch": source.epoch,
        "tiles": sums.n_tiles,
        **_headline(sums.matrix),
        **tgs,
        "temperature": fit and fit.temperature,
        "threshold": fit and fit.threshold,
        "min_pixels": fit and fit.min_pixels,
        "offsets": fit and " ".join(f"{o:g}" for o in fit.offsets),
    }


def write_folds(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write folds.csv."""
    write_text(folder / "folds.csv", pd.DataFrame(rows).to_csv(index=False, na_rep="n/a"))


def read_matrices(path: Path) -> tuple[list[str], list[str], NDArray[np.int64]]:
    """Scenes, sorted, names of the classes, and the confusion matrices (S, K, K), from matrices.csv."""
    frame = pd.read_csv(path, dtype={"scene": str, "truth": str, "prediction": str}, keep_default_na=False)
    names = list(dict.fromkeys(frame["truth"]))
    index = {name: i for i, name in enumerate(names)}
    scenes = sorted(set(frame["scene"]))
    stack = np.zeros((len(scenes), len(names), len(names)), np.int64)
    number = {scene: i for i, scene in enumerate(scenes)}
    for scene, truth, prediction, pixels in frame.itertuples(index=False):
        stack[number[scene], index[truth], index[prediction]] = pixels
    return scenes, names, stack


def _stack(matrices: dict[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    """Matrices (S, K, K) in the order of their scenes' names, so that draws do not depend on the order of tiles."""
    return np.stack([matrices[scene] for scene in sorted(matrices)])


def _headline(matrix: NDArray[np.int64]) -> dict[str, float | int | None]:
    found = scores(matrix)
    return {
        "foreground_dice": found.foreground.dice,
        "foreground_iou": found.foreground.iou,
        "macro_dice": found.macro_dice,
        "class_accuracy": found.class_accuracy,
        "foreground_pixels": int(matrix[1:].sum()),
        "pixels": int(matrix.sum()),
    }


def _reference(evidence: Evidence, name: str) -> dict[str, float | None]:
    found = scores(evidence.references[name])
    row = {
        "foreground_dice": found.foreground.dice,
        "macro_dice": found.macro_dice,
        "class_accuracy": found.class_accuracy,
    }
    tgs = evidence.reference_tgs[name]
    return row | ({"tgs_score": float(np.mean(tgs))} if tgs else {})


def _long(matrices: dict[str, NDArray[np.int64]], classes: ClassTable) -> pd.DataFrame:
    names, k = list(classes.names), len(classes)
    return pd.DataFrame(
        [
            (scene, names[t], names[p], int(matrix[t, p]))
            for scene, matrix in sorted(matrices.items())
            for t in range(k)
            for p in range(k)
        ],
        columns=["scene", "truth", "prediction", "pixels"],
    )


def _object_row(row: DetectionRow, classes: ClassTable) -> dict[str, Any]:
    edges = (0, *SIZE_EDGES)
    size = (
        "all"
        if row.size is None
        else f"{edges[row.size]}–" + (f"{SIZE_EDGES[row.size] - 1}" if row.size < len(SIZE_EDGES) else "")
    )
    found = {f"found_{c}": row.rate[c] for c in CRITERIA} | {
        f"class_accuracy_{c}": row.class_accuracy[c] for c in CRITERIA
    }
    return {
        "class": "all" if row.class_index is None else classes.names[row.class_index],
        "pixels": size,
        "objects": row.objects,
        **found,
        "predicted": row.predicted,
        "false_alarms": row.false_alarms,
        "false_alarms_per_mpx": row.false_alarms_per_mpx,
        "false_alarms_per_1000_km2": row.false_alarms_per_1000_km2,
    }
