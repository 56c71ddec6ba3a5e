"""Scores as tables: what metrics.json holds, and the CSV files beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.classes import ClassTable
from seepseg.evaluation.evidence import Evidence
from seepseg.figures import save_confusion
from seepseg.inference.score import Sums
from seepseg.io.atomic import write_text
from seepseg.metrics.bootstrap import Interval, bootstrap, bootstrap_mean
from seepseg.metrics.boundary import TOLERANCES
from seepseg.metrics.confusion import scores
from seepseg.metrics.detection import CRITERIA, SIZE_EDGES, DetectionRow, detection_rows


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


def conclusions(evidence: Evidence) -> dict[str, Any]:
    """What evidence adds to metrics.json: intervals, objects, boundaries, reference rows.

    Intervals are percentiles of a bootstrap over scenes (the TGS score: over tiles); None with too few of them.
    """
    classes = evidence.catalog.classes
    drawn = bootstrap(_stack(evidence.matrices))
    intervals = {name: asdict(i) for name, i in drawn.intervals.items()}
    if evidence.tgs:
        intervals["tgs_score"] = asdict(bootstrap_mean(np.array(list(evidence.tgs.values()))))
    surface = evidence.surfaces.surface_dice()
    return {
        "intervals": intervals,
        "lacking": dict(zip(classes.names[1:], drawn.lacking, strict=True)),
        "objects": _object_row(detection_rows(evidence.objects)[0], classes),
        "surface_dice": {f"{tolerance:g} px": surface[i][0] for i, tolerance in enumerate(TOLERANCES)},
        "references": {name: _reference(evidence, name) for name in evidence.references},
    }


def write_evidence(folder: Path, evidence: Evidence) -> None:
    """Write scenes.csv, matrices.csv (for `seepseg compare`), objects.csv, surface.csv, references.csv, tiles.csv."""
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
    if evidence.tgs:
        frames["tiles"] = pd.DataFrame({"tile": list(evidence.tgs), "tgs_score": list(evidence.tgs.values())})
    for name, frame in frames.items():
        write_text(folder / f"{name}.csv", frame.to_csv(index=False, na_rep="n/a"))


def read_matrices(path: Path) -> tuple[list[str], NDArray[np.int64]]:
    """Scenes, sorted, and their confusion matrices (S, K, K), from matrices.csv."""
    frame = pd.read_csv(path, dtype={"scene": str, "truth": str, "prediction": str}, keep_default_na=False)
    names = list(dict.fromkeys(frame["truth"]))
    index = {name: i for i, name in enumerate(names)}
    scenes = sorted(set(frame["scene"]))
    stack = np.zeros((len(scenes), len(names), len(names)), np.int64)
    number = {scene: i for i, scene in enumerate(scenes)}
    for scene, truth, prediction, pixels in frame.itertuples(index=False):
        stack[number[scene], index[truth], index[prediction]] = pixels
    return scenes, stack


def shown_interval(interval: dict[str, Any] | Interval) -> str:
    """An interval for people: "0.51–0.63", or why there is none."""
    held = interval if isinstance(interval, dict) else asdict(interval)
    if held["low"] is None:
        return f"n/a ({held['clusters']} clusters)"
    return f"{held['low']:.3f}–{held['high']:.3f}"


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
    }
