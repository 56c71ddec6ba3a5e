"""report.html: the scores of an eval folder as one page to read, to send, and to open offline."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seepseg.classes import ClassTable
from seepseg.evaluation.curves import froc, reliability, training
from seepseg.evaluation.gallery import Shown
from seepseg.evaluation.printing import published
from seepseg.pages.charts import Axis, Series, lines
from seepseg.pages.page import (
    Section,
    cards,
    confusion,
    folded,
    listing,
    number,
    paragraph,
    read_rows,
    shown,
    source_line,
    table,
    write_page,
    write_rows,
)
from seepseg.pages.pictures import Group, Picture, gallery
from seepseg.runs.folder import RunFolder

ROWS = 200
"""A longer table is left to its file."""

HEADLINE = (
    ("tgs_score", "TGS score"),
    ("dice/foreground", "foreground Dice"),
    ("dice/macro", "macro Dice"),
    ("iou/foreground", "foreground IoU"),
    ("class_accuracy", "class accuracy in the foreground"),
)

REMARKS = {
    "best": "Highest foreground Dice.",
    "median": "In the middle of all tiles with foreground.",
    "worst": "Lowest foreground Dice.",
    "uncertain": "Highest doubt, the mean of 1 − the probability of the likeliest class, among tiles not shown above.",
}


def write_report(
    where: Path,
    runs: Sequence[RunFolder],
    classes: ClassTable,
    tiles: Mapping[str, Sequence[Shown]],
) -> Path:
    """report.html of an eval folder, with intervals.csv and gallery.csv, which hold what no other table does.

    Args:
        where: folder that `write_scores` wrote, and that any other table may lie in.
        runs: whose training curves are shown, and the config and environment of the first: the run, or its folds.
        classes: names and colours.
        tiles: pictures by kind; none leaves the gallery out.
    """
    summary = json.loads((where / "metrics.json").read_text("utf-8"))
    reader = _Reader(where)
    # What is drawn again for intervals, and where objects are counted: a salt tile is on its own.
    place = "tile" if "tgs_score" in summary else "scene"
    swatches = {c.name: c.color for c in classes.foreground}
    write_rows(where / "intervals.csv", _intervals(summary, classes), INTERVAL_COLUMNS)
    sections = [
        Section("Headline", _headline(summary, reader, place)),
        Section("Classes", _classes(reader, swatches)),
        Section("Confusion", confusion(reader("confusion.csv"), "confusion.csv")),
        Section("Yardsticks", _references(summary, reader)),
        Section("Objects", _objects(reader, swatches, place)),
        Section("Boundaries", _boundaries(reader)),
        Section(f"Scores by {place}", _places(reader, place)),
        Section("Training", training(runs, where, classes)),
        Section("Detection", froc(reader("froc.csv"))),
        Section("Calibration", reliability(reader("reliability.csv"), summary.get("calibration", {}))),
        Section("Tiles", _gallery(where, classes, tiles)),
        Section("Config", _provenance(runs, where)),
    ]
    # Read last, when it is known which tables were shown; placed before the pictures.
    sections.insert(-2, Section("More tables", _others(reader)))
    root = where if not runs else runs[0].root if len(runs) == 1 else runs[0].root.parent
    name = root.resolve().name
    subtitle = f"{summary['n_tiles']:,} tiles of {summary['split']}"
    write_page(where / "report.html", f"{name}: how well it finds", subtitle, sections)
    return where / "report.html"


INTERVAL_COLUMNS = ("score", "name", "value", "low", "high", "clusters", "undefined", "draws_without_class")


class _Reader:
    """Reads tables of a folder, and remembers which."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen = folder, {"matrices.csv", "gallery.csv"}

    def __call__(self, name: str) -> list[dict[str, str]]:
        self.seen.add(name)
        return read_rows(self.folder / name)


def _intervals(summary: dict[str, Any], classes: ClassTable) -> list[dict[str, Any]]:
    lacking = summary.get("lacking", {})
    rows = []
    for key, interval in summary.get("intervals", {}).items():
        last = key.rpartition("/")[2]
        name = classes.names[int(last)] if last.isdigit() else ""
        rows.append({"score": key, "name": name, **interval, "draws_without_class": lacking.get(name)})
    return rows


def _headline(summary: dict[str, Any], reader: _Reader, place: str) -> str:
    rows = {row["score"]: row for row in reader("intervals.csv")}
    plain = {
        "dice/foreground": summary["foreground"]["dice"],
        "dice/macro": summary["macro"]["dice"],
        "iou/foreground": summary["foreground"]["iou"],
        "class_accuracy": summary.get("class_accuracy"),
        "tgs_score": summary.get("tgs_score"),
    }
    single = len(summary["classes"]) == 1
    facts = []
    for key, what in HEADLINE:
        if plain[key] is None and key not in rows:
            continue
        if single and key in ("dice/macro", "class_accuracy"):  # with one class they say nothing more
            continue
        facts.append((what, shown(plain[key]), _range(rows.get(key), place)))
    objects = summary.get("objects")
    if objects:
        found = f"{_range(rows.get('objects/found'), place)} · {objects['objects']:,} objects, overlap at IoU ≥ .25"
        facts.append(("objects found", shown(objects["found_iou25"]), found))
        alarms = f"{_range(rows.get('objects/false_alarms_per_mpx'), place)} · {objects['false_alarms']:,} of "
        alarms += f"{objects['predicted']:,} predicted objects"
        if objects.get("false_alarms_per_1000_km2") is not None:
            alarms += f" · {shown(objects['false_alarms_per_1000_km2'])} per 1000 km²"
        facts.append(("false alarms per megapixel", shown(objects["false_alarms_per_mpx"]), alarms))
    note = ""
    if rows:
        drawn = f"Ranges are 95 % intervals: {place}s drawn again 2000 times. Too few {place}s, no range."
        note = paragraph(drawn, "muted")
    decoding = summary.get("decoding", {})
    if decoding:
        told = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in decoding.items() if v not in (None, [], ""))
        note += paragraph(f"Decoding: {told}.", "muted")
    sources = [n for n in ("intervals.csv", "per_class.csv", "objects.csv") if (reader.folder / n).exists()]
    return cards(facts) + note + source_line(*sources, "metrics.json")


def _range(row: Mapping[str, str] | None, place: str) -> str:
    if row is None:
        return "no interval"
    low, high = number(row["low"]), number(row["high"])
    if low is None or high is None:
        return f"n/a ({row['clusters']} {place}s)"
    return f"{low:.3f} to {high:.3f}"


def _classes(reader: _Reader, swatches: Mapping[str, str]) -> str:
    intervals = {row["name"]: row for row in reader("intervals.csv") if row["score"].startswith("dice/")}
    intervals["macro"], intervals["foreground"] = (
        next((r for r in reader("intervals.csv") if r["score"] == f"dice/{n}"), {}) for n in ("macro", "foreground")
    )
    rows = []
    for row in reader("per_class.csv"):
        near = intervals.get(row["name"]) or {}
        wide = {f"dice_{end}": near.get(end, "n/a") for end in ("low", "high")} if any(intervals.values()) else {}
        kept = {k: v for k, v in row.items() if k != "value"}
        rows.append({"name": kept.pop("name"), "dice": kept.pop("dice")} | wide | kept)
    source = "per_class.csv" + (", intervals.csv" if any(intervals.values()) else "")
    lacking = [f"{r['name']} {float(r['draws_without_class']):.0%}" for r in reader("intervals.csv")
               if r["score"].startswith("dice/") and (number(r["draws_without_class"]) or 0) > 0]  # fmt: skip
    note = f"Draws that lack a class, so that their macro mean is of fewer: {', '.join(lacking)}." if lacking else ""
    return table(rows, source, text=("name",), foot=2, swatches=swatches) + (paragraph(note, "muted") if note else "")


def _references(summary: dict[str, Any], reader: _Reader) -> str:
    rows = reader("references.csv")
    if not rows:
        return ""
    own = {
        "row": "this run",
        "foreground_dice": summary["foreground"]["dice"],
        "macro_dice": summary["macro"]["dice"],
        "class_accuracy": summary.get("class_accuracy"),
        "tgs_score": summary.get("tgs_score"),
    }
    first = {c: "n/a" if own.get(c) is None else str(own[c]) for c in rows[0]}
    note = published(summary)
    return (
        paragraph("What a number is worth: the same tiles scored with stand-ins for a network.")
        + table([first, *rows], "references.csv; this run: metrics.json", text=("row",))
        + (paragraph(note[0].upper() + note[1:] + ".", "muted") + source_line("metrics.json") if note else "")
    )


def _objects(reader: _Reader, swatches: Mapping[str, str], place: str) -> str:
    rows = reader("objects.csv")
    if not rows:
        return ""
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


def _boundaries(reader: _Reader) -> str:
    rows = [{"tolerance_px": r.pop("tolerance_px"), **r} for r in reader("surface.csv")]
    note = "Normalised surface Dice: the share of outline pixels, of both sides, that have one of the other nearby."
    return (paragraph(note, "muted") + table(rows, "surface.csv", text=("tolerance_px",))) if rows else ""


def _places(reader: _Reader, place: str) -> str:
    rows = reader("scenes.csv")
    if len(rows) <= ROWS:
        named = [{place if key == "scene" else key: value for key, value in row.items()} for row in rows]
        return table(named, "scenes.csv", text=(place,))
    scores = sorted(v for v in (number(r["foreground_dice"]) for r in rows) if v is not None)
    share = [(i + 1) / len(scores) for i in range(len(scores))]
    # A point a percent is as much as the eye can tell apart.
    step = max(1, len(scores) // 100)
    chart = lines(
        f"Foreground Dice of {place}s with foreground",
        [Series(f"{place}s", scores[::step], share[::step])],
        Axis("Dice", 0, 1),
        Axis(f"share of {place}s below", 0, 1),
    )
    return paragraph(f"{len(rows):,} {place}s: their table is in the file.") + chart + source_line("scenes.csv")


def _others(reader: _Reader) -> str:
    parts = []
    for path in sorted(reader.folder.glob("*.csv")):
        if path.name in reader.seen:
            continue
        rows = read_rows(path)
        if not rows:
            continue
        names = [c for c in rows[0] if number(rows[0][c]) is None or c in ("tile", "scene", "id", "fold")]
        if len(rows) > ROWS:
            parts.append(f"<h3>{_title(path)}</h3>" + paragraph(f"{len(rows):,} rows, in {path.name}.", "muted"))
        else:
            parts.append(f"<h3>{_title(path)}</h3>" + table(rows, path.name, text=names))
    return "".join(parts)


def _title(path: Path) -> str:
    return path.stem.replace("_", " ")


def _gallery(where: Path, classes: ClassTable, tiles: Mapping[str, Sequence[Shown]]) -> str:
    if not any(tiles.values()):
        return ""
    rows = [{"kind": k, "tile": s.id, "dice": s.dice, "doubt": s.doubt} for k, held in tiles.items() for s in held]
    write_rows(where / "gallery.csv", rows, ("kind", "tile", "dice", "doubt"))
    groups = [
        Group(kind.capitalize(), REMARKS[kind], [_picture(kind, s) for s in held]) for kind, held in tiles.items()
    ]
    return gallery(groups, classes) + source_line("gallery.csv")


def _picture(kind: str, tile: Shown) -> Picture:
    caption = f"{tile.caption} · doubt {tile.doubt:.3f}" if kind == "uncertain" else tile.caption
    return Picture(caption, tile.gray, tile.truth, tile.prediction)


def _provenance(runs: Sequence[RunFolder], where: Path) -> str:
    if not runs:
        return ""
    files = (("Resolved config", runs[0].config), ("Environment of the training", runs[0].root / "env.json"))
    return "".join(
        f"<h3>{title}</h3>{listing(path.read_text('utf-8'))}{source_line(os.path.relpath(path, where))}"
        for title, path in files
        if path.is_file()
    )
