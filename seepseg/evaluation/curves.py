"""The curves of report.html: training, detection against false alarms, calibration, scores of many scenes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from seepseg.classes import ClassTable
from seepseg.pages.charts import Axis, Series, charts, lines
from seepseg.pages.page import Rows, folded, number, paragraph, read_rows, shown, source_line, table
from seepseg.pages.template import Html
from seepseg.runs.folder import RunFolder

TRAINING = (
    ("Loss", ("train/loss", "val/loss"), Axis("loss")),
    ("Foreground Dice", ("train/dice/foreground", "val/dice/foreground"), Axis("Dice", 0, 1)),
    ("Foreground IoU", ("train/iou/foreground", "val/iou/foreground"), Axis("IoU", 0, 1)),
    ("Macro Dice", ("train/dice/macro", "val/dice/macro"), Axis("Dice", 0, 1)),
    ("Macro IoU", ("train/iou/macro", "val/iou/macro"), Axis("IoU", 0, 1)),
    ("TGS score", ("train/tgs_score", "val/tgs_score"), Axis("score", 0, 1)),
    ("Learning rate", ("lr",), Axis("learning rate", log=True)),
)
"""Title, columns of metrics.csv, and the upright axis."""

ROWS = 200
"""A longer table is not shown; its file has it."""

FEWEST = 0.1
"""The lowest value on the axis of false alarms per megapixel."""


def training(runs: Sequence[RunFolder], where: Path, classes: ClassTable) -> Html:
    """Curves of a run's metrics.csv, or of the validation of each of its folds; nothing without one."""
    tables = {run: rows for run in runs if (rows := read_rows(run.metrics))}
    if not tables:
        return Html()
    # With one class the macro mean is that class, and its curve the same.
    kinds = [kind for kind in TRAINING if len(classes) > 2 or not kind[0].startswith("Macro")]
    if len(tables) == 1:
        rows = next(iter(tables.values()))
        figures = [
            lines(title, [_curve(rows, c, c.partition("/")[0]) for c in columns], Axis("epoch"), y)
            for title, columns, y in kinds
        ]
        if len(classes) > 2:
            each = [_curve(rows, f"val/dice/{c.name}", c.name, c.color) for c in classes.foreground]
            figures.append(lines("Validation Dice of each class", each, Axis("epoch"), Axis("Dice", 0, 1)))
    else:
        figures = [
            lines(
                f"{title}, validation" if columns[-1].startswith("val/") else title,
                [_curve(r, columns[-1], run.root.name) for run, r in tables.items()],
                Axis("epoch"), y,
            )
            for title, columns, y in kinds
        ]  # fmt: skip
    sources = [os.path.relpath(run.metrics, where) for run in tables]
    return charts(figures) + source_line(*sources)


def froc(rows: Rows) -> Html:
    """Objects found against false alarms over the threshold, of froc.csv; nothing without rows."""
    if not rows:
        return Html()
    # Zero has no place on a logarithmic axis; it is drawn at the lowest value.
    alarms = [max(FEWEST, number(row["false_alarms_per_mpx"]) or 0.0) for row in rows]
    curves = [
        Series(label, alarms, [number(row[f"found_{criterion}"]) for row in rows])
        for criterion, label in (("touched", "touched"), ("iou25", "IoU ≥ .25"), ("iou50", "IoU ≥ .5"))
    ]
    chart = lines(
        "Objects found against false alarms, over the threshold",
        curves,
        Axis(f"false alarms per megapixel (at the left end {FEWEST:g} or fewer)", low=FEWEST, log=True),
        Axis("share of objects found", 0, 1),
        dots=True,
    )
    return charts([chart]) + folded("Table", table(rows, "froc.csv")) + source_line("froc.csv")


def reliability(rows: Rows, errors: Mapping[str, float | None]) -> Html:
    """The share that came true by confidence, of reliability.csv, and calibration errors; nothing without rows."""
    if not rows:
        return Html()
    names = list(dict.fromkeys(row["of"] for row in rows))
    curves = []
    for name in names:
        bins = [row for row in rows if row["of"] == name]
        confidence = [number(row["confidence"]) or 0.0 for row in bins]
        curves.append(Series(name, confidence, [number(row["came_true"]) for row in bins]))
    chart = lines(
        "Share that came true against confidence",
        curves,
        Axis("mean confidence", 0, 1),
        Axis("share that came true", 0, 1),
        diagonal=True,
        dots=True,
    )
    note = paragraph("Below the dotted line the network is overconfident.", "muted")
    each = "; ".join(f"{name} {shown(error)}" for name, error in errors.items())
    ece = paragraph(f"Expected calibration error: {each}.") if each else Html()
    values = folded("Table", table(rows, "reliability.csv", text=("of",)))
    return charts([chart]) + note + ece + values + source_line("reliability.csv", "metrics.json")


def places(rows: Rows, place: str, *, single: bool) -> Html:
    """The table of scenes.csv; of many places, how their foreground Dice is spread. `single`: there is one class."""
    if len(rows) <= ROWS:
        # With one class the first two repeat foreground Dice.
        absent = [*(("macro_dice", "class_accuracy") if single else ()), *(("tiles",) if place == "tile" else ())]
        named = [{place if k == "scene" else k: v for k, v in row.items() if k not in absent} for row in rows]
        return table(named, "scenes.csv", text=(place,))
    scores = sorted(v for v in (number(r["foreground_dice"]) for r in rows) if v is not None)
    share = [(i + 1) / len(scores) for i in range(len(scores))]
    # A point per percent is as fine as the eye can see.
    step = max(1, len(scores) // 100)
    chart = lines(
        f"Foreground Dice of {place}s with foreground",
        [Series(f"{place}s", scores[::step], share[::step])],
        Axis("Dice", 0, 1),
        Axis(f"share of {place}s below", 0, 1),
    )
    return paragraph(f"{len(rows):,} {place}s: their table is in the file.") + chart + source_line("scenes.csv")


def _curve(rows: Rows, column: str, name: str, color: str = "") -> Series:
    return Series(name, [float(row["epoch"]) for row in rows], [number(row.get(column)) for row in rows], color)
