"""The curves of report.html: training, detection against false alarms, calibration."""

from __future__ import annotations

import os
from pathlib import Path

from seepseg.classes import ClassTable
from seepseg.evaluation.charts import Axis, Series, lines
from seepseg.evaluation.page import Rows, folded, number, paragraph, read_rows, source_line, table
from seepseg.runs.folder import RunFolder

TRAINING = (
    ("Loss", ("train/loss", "val/loss"), Axis("loss")),
    ("Foreground Dice", ("train/dice/foreground", "val/dice/foreground"), Axis("Dice", 0, 1)),
    ("Macro Dice", ("train/dice/macro", "val/dice/macro"), Axis("Dice", 0, 1)),
    ("TGS score", ("train/tgs_score", "val/tgs_score"), Axis("score", 0, 1)),
    ("Learning rate", ("lr",), Axis("learning rate", log=True)),
)
"""Title, columns of metrics.csv, and the upright axis."""


def training(run: RunFolder | None, where: Path, classes: ClassTable) -> str:
    """Curves of a run's metrics.csv; nothing without one."""
    rows = read_rows(run.metrics) if run else []
    if not run or not rows:
        return ""
    epochs = [float(row["epoch"]) for row in rows]

    def curve(column: str, name: str, color: str = "") -> Series:
        return Series(name, epochs, [number(row.get(column)) for row in rows], color)

    # With one class the macro mean is that class; it would be the same curve again.
    shown_here = [t for t in TRAINING if len(classes) > 2 or t[0] != "Macro Dice"]
    figures = [lines(t, [curve(c, c.partition("/")[0]) for c in cs], Axis("epoch"), y) for t, cs, y in shown_here]
    if len(classes) > 2:
        of_classes = [curve(f"val/dice/{c.name}", c.name, c.color) for c in classes.foreground]
        figures.append(lines("Validation Dice of each class", of_classes, Axis("epoch"), Axis("Dice", 0, 1)))
    return f'<div class="charts">{"".join(figures)}</div>' + source_line(os.path.relpath(run.metrics, where))


def froc(rows: Rows) -> str:
    """Objects found against false alarms over the threshold, of froc.csv; nothing without rows."""
    if not rows or not {"found", "false_alarms_per_mpx"} <= rows[0].keys():
        return ""
    curve = [(number(row["false_alarms_per_mpx"]), number(row["found"])) for row in rows]
    points = sorted((a, f) for a, f in curve if a is not None and f is not None)
    chart = lines(
        "Objects found against false alarms, over the threshold",
        [Series("threshold", [a for a, _ in points], [f for _, f in points])],
        Axis("false alarms per megapixel", low=0),
        Axis("share of objects found", 0, 1),
        dots=True,
    )
    return chart + folded("Table", table(rows, "froc.csv")) + source_line("froc.csv")


def reliability(rows: Rows) -> str:
    """How often confidences came true, of reliability.csv; nothing without rows."""
    if not rows or not {"confidence", "accuracy"} <= rows[0].keys():
        return ""
    chart = lines(
        "Came true against confidence",
        [Series("pixels", [number(r["confidence"]) or 0.0 for r in rows], [number(r["accuracy"]) for r in rows])],
        Axis("mean confidence", 0, 1),
        Axis("share that came true", 0, 1),
        diagonal=True,
        dots=True,
    )
    note = paragraph("Below the dotted line the network is too sure of itself.", "muted")
    return chart + note + folded("Table", table(rows, "reliability.csv")) + source_line("reliability.csv")
