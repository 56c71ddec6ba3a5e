"""report.html: the scores of an eval folder as one page that opens offline."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from seepseg.classes import ClassTable
from seepseg.evaluation.curves import ROWS, froc, places, reliability, training
from seepseg.evaluation.gallery import REMARKS, Shown
from seepseg.evaluation.printing import decoding_text, interval_text, published, whole_objects
from seepseg.evaluation.summary import Evidence, Summary
from seepseg.evaluation.tables import class_table, reference_table
from seepseg.io.atomic import write_text
from seepseg.io.table import csv_text
from seepseg.metrics.bootstrap import DRAWS, MIN_CLUSTERS
from seepseg.pages.page import (
    Rows,
    Section,
    as_rows,
    cards,
    confusion,
    folded,
    heading,
    listing,
    number,
    paragraph,
    read_rows,
    shown,
    source_line,
    table,
    write_page,
)
from seepseg.pages.pictures import Group, Picture, gallery
from seepseg.pages.template import Html, joined
from seepseg.runs.folder import RunFolder

SHOWN = ("confusion", "counts", "froc", "gallery", "matrices", "objects", "per_class", "references", "reliability",
         "scenes", "surface")  # fmt: skip
"""Tables with a section of their own, and those for other programs."""


def write_report(
    where: Path,
    summary: Summary,
    runs: Sequence[RunFolder],
    classes: ClassTable,
    tiles: Mapping[str, Sequence[Shown]],
) -> Path:
    """report.html of an eval folder, with gallery.csv, the tiles it shows.

    Args:
        where: folder that `write_scores` wrote to; other tables in it are shown too.
        summary: its scores.
        runs: whose training curves are shown, and the config and environment of the first: the run, or its folds.
        classes: names and colours.
        tiles: pictures by kind; none leaves the gallery out.
    """
    rows = {name: read_rows(where / f"{name}.csv") for name in SHOWN}
    place, swatches, evidence = summary.place, {c.name: c.color for c in classes.foreground}, summary.evidence
    sections = [
        Section("Headline", _headline(summary)),
        Section("Classes", _classes(summary, swatches)),
        Section("Confusion", confusion(rows["confusion"], "confusion.csv")),
        Section("Reference rows", _references(evidence) if evidence else Html()),
        Section("Objects", _objects(rows["objects"], swatches, place)),
        Section("Boundaries", _boundaries(rows["surface"])),
        Section(f"Scores by {place}", places(rows["scenes"], place, single=len(classes) == 2)),
        Section("Training", training(runs, where, classes)),
        Section("Detection", froc(rows["froc"])),
        Section("Calibration", reliability(rows["reliability"], evidence.calibration if evidence else {})),
        Section("More tables", _others(where)),
        Section("Tiles", _gallery(where, classes, tiles)),
        Section("Config", _provenance(runs, where)),
    ]
    root = where if not runs else runs[0].root if len(runs) == 1 else runs[0].root.parent
    subtitle = f"{summary.n_tiles:,} tiles of {summary.split}"
    write_page(where / "report.html", f"{root.resolve().name}: evaluation", subtitle, sections)
    return where / "report.html"


def _headline(summary: Summary) -> Html:
    scores = [
        ("TGS score", "tgs_score", summary.tgs_score),
        ("foreground Dice", "dice/foreground", summary.foreground.dice),
        ("foreground IoU", "iou/foreground", summary.foreground.iou),
    ]
    if len(summary.classes) > 1:
        scores += [
            ("macro Dice", "dice/macro", summary.macro.dice),
            ("macro IoU", "iou/macro", summary.macro.iou),
            ("class accuracy in the foreground", "class_accuracy", summary.class_accuracy),
        ]
    scores += whole_objects(summary) if summary.tgs_score is None else []
    facts = [(what, shown(value), _range(summary, key)) for what, key, value in scores if value is not None]
    if summary.evidence is None:
        return cards(facts) + source_line("per_class.csv", "metrics.json")
    row = summary.evidence.objects
    per_km2 = row.false_alarms_per_1000_km2
    of_objects = f"{row.objects:,} objects, overlap at IoU ≥ .25"
    of_predicted = f"{row.false_alarms:,} of {row.predicted:,} predicted objects"
    area = "" if per_km2 is None else f"{shown(per_km2)} per 1000 km²"
    found_range, alarm_range = (_range(summary, f"objects/{name}") for name in ("found", "false_alarms_per_mpx"))
    facts += [
        ("objects found", shown(row.found_iou25), _joined(found_range, of_objects)),
        ("false alarms per megapixel", shown(row.false_alarms_per_mpx), _joined(alarm_range, of_predicted, area)),
    ]
    decoding = summary.evidence.decoding
    by = f"classes of objects by the {decoding.objects}"
    clusters, drawn = summary.evidence.intervals["dice/foreground"].clusters, summary.evidence.drawn
    few = f"No intervals: {clusters} {drawn}{'s' if clusters != 1 else ''}, and they need {MIN_CLUSTERS}."
    ranges = f"Ranges are 95 % intervals: {drawn}s drawn with replacement, {DRAWS} times."
    return (
        cards(facts)
        + paragraph(ranges if summary.interval("dice/foreground") else few, "muted")
        + paragraph(f"Decoding from the {decoding.from_}: {_joined(decoding_text(decoding), by)}.", "muted")
        + (paragraph(f"What this measures: {summary.measures}") if summary.measures else Html())
        + (paragraph(f"Note: {summary.caution}.") if summary.caution else Html())
        + source_line("per_class.csv", "objects.csv", "metrics.json")
    )


def _range(summary: Summary, score: str) -> str:
    return interval_text(summary.interval(score), " to ")


def _joined(*parts: str) -> str:
    return " · ".join(part for part in parts if part)


def _classes(summary: Summary, swatches: Mapping[str, str]) -> Html:
    frame = class_table(summary).drop(columns="value")
    lacking = summary.evidence.lacking if summary.evidence else {}
    each = ", ".join(f"{name} {share:.0%}" for name, share in lacking.items() if share)
    note = paragraph(f"Draws without a class, whose macro mean is of the others: {each}.", "muted") if each else Html()
    return table(as_rows(frame), "per_class.csv", text=("name",), foot=2, swatches=swatches) + note


def _references(evidence: Evidence) -> Html:
    note = published(evidence.as_published)
    return (
        paragraph("For comparison: the same tiles scored with simple predictions in place of a network's.")
        + table(as_rows(reference_table(evidence)), "references.csv", text=("row",))
        + paragraph(note[0].upper() + note[1:] + ".", "muted")
        + source_line("metrics.json")
    )


def _objects(rows: Rows, swatches: Mapping[str, str], place: str) -> Html:
    if not rows:
        return Html()
    text = ("class", "pixels")
    whole = [{k: v for k, v in row.items() if k != "pixels"} for row in rows if row["pixels"] == "all"]
    sizes = [row for row in rows if row["pixels"] != "all"]
    note = (
        f"An object is an 8-connected component of foreground of a whole {place}. Found: a predicted object overlaps "
        "it at IoU ≥ .25 or ≥ .5; touched: prediction lies on a tenth of its length. A false alarm touches no true "
        "object."
    )
    by_size = folded("By size, pixels", table(sizes, "objects.csv", text=text, swatches=swatches))
    return paragraph(note, "muted") + table(whole, "objects.csv", text=text, swatches=swatches) + by_size


def _boundaries(rows: list[dict[str, str]]) -> Html:
    if not rows:
        return Html()
    first = [{"tolerance_px": row["tolerance_px"]} | row for row in rows]
    note = "Normalised surface Dice: the share of outline pixels, of both sides, that have one of the other nearby."
    return paragraph(note, "muted") + table(first, "surface.csv", text=("tolerance_px",))


def _others(folder: Path) -> Html:
    """The tables of the folder that no other section shows."""
    parts = []
    for path in sorted(folder.glob("*.csv")):
        rows = [] if path.stem in SHOWN else read_rows(path)
        if not rows:
            continue
        names = [c for c in rows[0] if number(rows[0][c]) is None or c in ("tile", "scene", "id", "fold")]
        long = paragraph(f"{len(rows):,} rows, in {path.name}.", "muted")
        parts.append(heading(path.stem.replace("_", " ")))
        parts.append(long if len(rows) > ROWS else table(rows, path.name, text=names))
    return joined(parts)


def _gallery(where: Path, classes: ClassTable, tiles: Mapping[str, Sequence[Shown]]) -> Html:
    rows = [{"kind": k, "tile": s.id, "dice": s.dice, "doubt": s.doubt} for k, some in tiles.items() for s in some]
    if not rows:
        return Html()
    write_text(where / "gallery.csv", csv_text(pd.DataFrame(rows), na_rep="n/a"))
    groups = [
        Group(kind.capitalize(), REMARKS[kind], [_picture(kind, s) for s in some]) for kind, some in tiles.items()
    ]
    return gallery(groups, classes) + source_line("gallery.csv")


def _picture(kind: str, tile: Shown) -> Picture:
    caption = f"{tile.caption} · doubt {tile.doubt:.3f}" if kind == "uncertain" else tile.caption
    return Picture(caption, tile.gray, tile.truth, tile.prediction)


def _provenance(runs: Sequence[RunFolder], where: Path) -> Html:
    if not runs:
        return Html()
    files = (("Resolved config", runs[0].config), ("Environment of the training", runs[0].root / "env.json"))
    return joined(
        heading(title) + listing(path.read_text("utf-8")) + source_line(os.path.relpath(path, where))
        for title, path in files
        if path.is_file()
    )
