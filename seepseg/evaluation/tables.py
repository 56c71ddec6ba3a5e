"""Scores of the confusion matrix as tables: what metrics.json holds first, and the CSV files of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd

from seepseg.classes import ClassTable
from seepseg.inference.score import Sums
from seepseg.io.atomic import write_text


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
    """Write metrics.json, per_class.csv and confusion.csv."""
    write_text(folder / "metrics.json", json.dumps(summary, indent=1) + "\n")
    write_text(folder / "per_class.csv", table(summary).to_csv(index=False, na_rep="n/a"))
    names = list(classes.names)
    frame = pd.DataFrame(sums.matrix, index=pd.Index(names, name="truth"), columns=names)
    write_text(folder / "confusion.csv", frame.to_csv())


def table(summary: dict[str, Any]) -> pd.DataFrame:
    """Rows of the per-class table: the classes, then macro mean and foreground."""
    rows = [*summary["classes"], {"name": "macro", **summary["macro"]}, {"name": "foreground", **summary["foreground"]}]
    columns = ["value", "name", "dice", "iou", "precision", "recall", "support_pixels", "support_tiles"]
    return pd.DataFrame(rows, columns=columns).astype(
        dict.fromkeys(("value", "support_pixels", "support_tiles"), "Int64")
    )
