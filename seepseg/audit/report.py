"""report.html of a data set before training: what is in it, what is odd, how it is divided."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from seepseg.audit.duplicates import ALIKE
from seepseg.audit.inspection import KINDS
from seepseg.audit.pictures import pictures
from seepseg.audit.statistics import unit
from seepseg.audit.tables import DatasetFacts, gather
from seepseg.config import Config
from seepseg.data.source import source_of
from seepseg.machine.progress import Tick, silent
from seepseg.pages.charts import bars, charts, ridges
from seepseg.pages.page import (
    Section,
    cards,
    folded,
    paragraph,
    read_rows,
    shown,
    source_line,
    table,
    write_page,
)
from seepseg.pages.pictures import gallery
from seepseg.pages.template import Html, joined

LISTED = 100
"""Rows of a long table on the page; its file has all."""

MAP_SIDE = 640
"""Longest side of the map of a scene, pixels."""


def write_dataset_report(recipe: Config, title: str, folder: Path, tick: Tick = silent) -> Path:
    """report.html of the data of a config, with the tables of every number on it in the same folder.

    Raises:
        DataError: there are no tiles, or images and masks do not pair up.
    """
    data = gather(recipe, folder, tick)
    sources = source_line("tiles.csv", "problems.csv", "duplicates.csv")
    shown_tiles = gallery(pictures(data), data.catalog.classes, MAP_SIDE)
    sections = [
        Section("Overview", _overview(data)),
        Section("Classes", _classes(data, folder)),
        Section("Label problems", _problems(folder)),
        Section("Duplicates", _duplicates(folder)),
        Section("Split", _split(data, folder)),
        Section("Scenes", _rows(folder, "scenes.csv", "scene")),
        Section("Intensity", _intensity(data, folder)),
        Section("Pictures", shown_tiles and shown_tiles + sources),
        Section("Tiles", _tiles(folder)),
    ]
    write_page(folder / "report.html", title, f"{len(data.catalog):,} tiles in {recipe.data.root}", sections)
    return folder / "report.html"


def _overview(data: DatasetFacts) -> Html:
    tiles, labelled = data.tiles, [one for one in data.tiles if one.tile.labelled]
    groups = len({one.tile.group for one in tiles})
    empty = sum(not sum((one.tile.pixels or (0,))[1:]) for one in labelled)
    pixels = data.catalog.pixels().sum(0)
    missing, total = sum((1 - one.valid) * one.area for one in tiles), sum(one.area for one in tiles)
    sizes = Counter("×".join(map(str, one.shape)) for one in tiles).most_common(1) or [("n/a", 0)]
    exact = sum(pair.kind == "exact" for pair in data.pairs)
    of_scenes = f"; {groups:,} scenes" if groups < len(tiles) else ""
    facts = [
        ("tiles", shown(len(tiles)), f"{len(labelled):,} labelled{of_scenes}"),
        ("most common size", sizes[0][0], f"{sizes[0][1]:,} tiles"),
        ("foreground", f"{100 * pixels[1:].sum() / max(pixels.sum(), 1):.2f} %", "of the labelled pixels"),
        ("tiles without foreground", shown(empty), f"of {len(labelled):,}; they teach what is no foreground"),
        ("no data", f"{100 * missing / max(total, 1):.2f} %", "of all pixels"),
        ("tiles of one value", shown(sum(one.constant for one in tiles)), "they carry no information"),
        ("label problems", shown(len(data.problems)), "listed below"),
        ("duplicates", shown(exact), f"and {len(data.pairs) - exact:,} pairs that look alike"),
    ]  # fmt: skip
    return cards(facts) + source_line("tiles.csv", "classes.csv", "problems.csv", "duplicates.csv")


def _classes(data: DatasetFacts, folder: Path) -> Html:
    classes, rows = data.catalog.classes, read_rows(folder / "classes.csv")
    coverage = read_rows(folder / "coverage.csv")
    colors = [c.color for c in classes.foreground]
    foreground = [row for row in rows if row["class"] in classes.names[1:]]
    figures = [
        bars(what.capitalize(), [r["class"] for r in foreground], [int(r[what]) for r in foreground], colors, what)
        for what in ("pixels", "tiles")
        if len(foreground) > 1  # one bar compares nothing
    ]
    names, counts = [row["foreground"] for row in coverage], [int(row["tiles"]) for row in coverage]
    figures.append(bars("Tiles by their share of foreground", names, counts, [""] * len(names), "tiles"))
    swatches = {c.name: c.color for c in classes.foreground}
    counts = [n for n in (int(row["pixels"]) for row in foreground) if n]
    note = Html()
    if len(counts) > 1:
        note = paragraph(f"The most common class has {max(counts) / min(counts):,.1f} times the pixels of the rarest.")
    return (
        charts(figures)
        + note
        + table(rows, "classes.csv", text=("class",), swatches=swatches)
        + source_line("coverage.csv")
    )


def _problems(folder: Path) -> Html:
    rows = read_rows(folder / "problems.csv")
    if not rows:
        return paragraph("None found.") + source_line("problems.csv")
    counts = Counter(row["kind"] for row in rows)
    listed = [{"kind": k, "found": str(counts[k]), "meaning": m} for k, m in KINDS.items() if counts[k]]
    text = ("kind", "tile", "scene", "name", "detail", "meaning")
    worst: list[dict[str, str]] = []
    for kind in KINDS:  # some of every kind, so that a frequent one hides no other
        worst += [row for row in rows if row["kind"] == kind][: LISTED // len(counts)]
    more = f" ({len(worst)} of {len(rows):,})" if len(worst) < len(rows) else ""
    return table(listed, "problems.csv", text=text) + table(
        worst, "problems.csv", text=text, caption=f"Where they are, the largest of each kind first{more}."
    )


def _duplicates(folder: Path) -> Html:
    rows = read_rows(folder / "duplicates.csv")
    note = (
        "Exact: the same pixels. Near: pictures of 32 × 32 blocks, less their slope, correlate by "
        f"{ALIKE:g} or more; check them by eye. Tiles of one value are left out."
    )
    crossing = [r for r in rows if r["kind"] == "exact" and len(set(r["parts"].split("/"))) > 1]
    warning = f"{len(crossing)} exact duplicates lie in two parts of the split: scores would be too high."
    listed = table(rows[:LISTED], "duplicates.csv", text=("kind", "tile", "other", "same_mask", "parts"))
    none = paragraph("None found.") + source_line("duplicates.csv")
    return paragraph(note, "muted") + (paragraph(warning, "warn") if crossing else Html()) + (listed or none)


def _split(data: DatasetFacts, folder: Path) -> Html:
    warnings = joined(paragraph(warning, "warn") for warning in data.catalog.warnings)
    if data.split_error:
        return warnings + paragraph(f"Training could not divide these tiles: {data.split_error}", "warn")
    rows = read_rows(folder / "shares.csv")
    names = data.catalog.classes.names
    total = {name: sum(int(row[name]) for row in rows) for name in names}
    parts = [
        {key: row[key] for key in ("split", "tiles", "scenes", "blocks") if key in row}
        | {f"{n}_%": f"{100 * int(row[n]) / total[n]:.1f}" if total[n] else "n/a" for n in names}
        for row in rows
    ]
    note = "Each part's share of every class, in percent of its pixels; a class that a part lacks cannot be learned"
    folds = f" (fold 0 of {data.recipe.data.split.folds})" if data.recipe.data.split.folds else ""
    counts = folded("In pixels", table(rows, "shares.csv", text=("split",)))
    remark = paragraph(f"{note}, or scored, there{folds}.", "muted")
    return warnings + remark + table(parts, "shares.csv", text=("split",)) + counts


def _intensity(data: DatasetFacts, folder: Path) -> Html:
    source = source_of(data.recipe.data)
    rows = read_rows(folder / "histograms.csv")
    bands: dict[str, dict[str, list[dict[str, str]]]] = {}
    for row in rows:
        bands.setdefault(row["band"], {}).setdefault(row["group"], []).append(row)
    figures = []
    for band, scenes in bands.items():
        first = next(iter(scenes.values()))
        edges = [float(row["low"]) for row in first] + [float(first[-1]["high"])]
        shares = [(scene, [float(row["share"]) for row in bins]) for scene, bins in scenes.items()]
        of_band = f" of band {band}" if len(bands) > 1 else ""
        title = f"Values of valid pixels{of_band}, each row to its own peak"
        figures.append(ridges(title, shares, edges, unit(source, band)))
    quantiles = table(read_rows(folder / "intensity.csv"), "intensity.csv", text=("group", "band"))
    return joined(figures) + source_line("histograms.csv") + quantiles if rows else Html()


def _tiles(folder: Path) -> Html:
    rows = read_rows(folder / "tiles.csv")
    if all(row["scene"] == row["tile"] for row in rows):  # every tile for itself
        rows = [{k: v for k, v in row.items() if k != "scene"} for row in rows]
    some = f"{len(rows):,} tiles" + (f", the first {LISTED}" if len(rows) > LISTED else "")
    return folded(some, table(rows[:LISTED], "tiles.csv", text=("tile", "scene", "split")))


def _rows(folder: Path, name: str, *text: str) -> Html:
    return table(read_rows(folder / name)[:LISTED], name, text=text)
