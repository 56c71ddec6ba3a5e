"""The page and the table of likely annotation errors, from tiles that each network has not been trained on."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from seepseg.audit.suspects import KINDS, Suspect, suspects
from seepseg.classes import IGNORE, ClassTable
from seepseg.config import Runtime
from seepseg.figures.pictures import stretch
from seepseg.inference.labelled import Labelled, open_folds, open_labelled
from seepseg.inference.score import TileResult
from seepseg.io.atomic import write_text
from seepseg.io.table import csv_text
from seepseg.machine.progress import Tick, silent
from seepseg.pages.page import Rows, Section, as_rows, cards, paragraph, source_line, table, write_page
from seepseg.pages.pictures import Group, Picture, gallery
from seepseg.pages.template import Html
from seepseg.runs.find import find_checkpoint, folds_of
from seepseg.runs.fit import fit_for

LISTED = 100
"""Suspects on the page; suspects.csv has all."""

PICTURED = 12
"""Tiles shown of each kind."""

COLUMNS = (
    "kind", "tile", "scene", "fold", "labelled", "predicted",
    "row", "column", "pixels", "confidence", "weight", "detail",
)  # fmt: skip


def write_suspects(run: Path, runtime: Runtime, out: Path, tick: Tick = silent) -> Path:
    """report.html and suspects.csv: where out-of-fold predictions contradict the labels, the highest weight first.

    Every tile of a run with folds, by the fold that has not seen it; of a single run its validation tiles.

    Raises:
        ConfigError: no run, or one with more than one class table or without validation tiles.
        DataError: a damaged file.
    """
    parts = open_folds(run, runtime) if folds_of(run) else [open_labelled(find_checkpoint(run), runtime, "val")]
    classes, fits = parts[0].classes, [part.fit for part in parts]
    total = sum(len(part.ids) for part in parts)
    collection = _Collection(classes)
    for part in parts:

        def on_tile(result: TileResult, part: Labelled = part) -> None:
            collection.update(result, part)
            tick(collection.tiles, total)

        part.score(part.config.predict, fit_for(fits, part.ids), on_tile)
    frame = pd.DataFrame(collection.rows, columns=COLUMNS)
    frame = frame.sort_values(["weight", "tile", "row", "column"], ascending=[False, True, True, True], kind="stable")
    write_text(out / "suspects.csv", csv_text(frame))
    rows = as_rows(frame)
    sections = [
        Section("Overview", _overview(rows)),
        Section("Suspects", _listed(rows)),
        Section("Tiles", gallery(collection.groups(), classes)),
    ]
    subtitle = f"{total:,} tiles, each seen by a network that was not trained on it"
    write_page(out / "report.html", f"{run.resolve().name}: likely annotation errors", subtitle, sections)
    return out / "report.html"


class _Collection:
    """The suspects of tiles as they are scored, and pictures of the tiles with the highest weights of each kind."""

    def __init__(self, classes: ClassTable) -> None:
        self.tiles, self.rows = 0, list[dict[str, Any]]()
        self._names = classes.names
        self._pictures: dict[str, dict[str, tuple[float, Picture]]] = {kind: {} for kind in KINDS}

    def update(self, result: TileResult, part: Labelled) -> None:
        """Add the suspects of a tile."""
        scene = next(tile.group for tile in part.catalog.tiles if tile.id == result.id)
        here = suspects(result)
        for suspect in here:
            names = {"labelled": self._names[suspect.labelled], "predicted": self._names[suspect.predicted]}
            more = {"scene": scene, "fold": part.name, "weight": suspect.weight}
            self.rows.append(asdict(suspect) | names | more)
        for kind, pictures in self._pictures.items():
            _keep(pictures, [s for s in here if s.kind == kind], result)
        self.tiles += 1

    def groups(self) -> list[Group]:
        """The pictures by kind, the highest weight first."""
        return [
            Group(kind.capitalize(), KINDS[kind], [p for _, p in sorted(pictures.values(), key=lambda e: -e[0])])
            for kind, pictures in self._pictures.items()
        ]


def _keep(pictures: dict[str, tuple[float, Picture]], here: list[Suspect], result: TileResult) -> None:
    """Keep the picture of a tile while its highest weight is among those of `PICTURED` tiles."""
    if not here:
        return
    top = max(here, key=lambda s: s.weight)
    if len(pictures) == PICTURED:
        lowest = min(pictures, key=lambda name: pictures[name][0])
        if pictures[lowest][0] >= top.weight:
            return
        del pictures[lowest]
    caption = f"{result.id} · row {top.row}, column {top.column} · confidence {top.confidence:.2f} {top.detail}".strip()
    gray = stretch(result.image[0], result.prediction != IGNORE)
    pictures[result.id] = (top.weight, Picture(caption, gray, result.truth.copy(), result.prediction.copy()))


def _overview(rows: Rows) -> Html:
    counts = Counter(row["kind"] for row in rows)
    note = (
        "Suspects are places to check, not errors: a network errs as well. They are ranked by pixels × "
        "confidence: how much more probable its own class is to the network than the label's."
    )
    facts = [(kind, f"{counts[kind]:,}", meaning) for kind, meaning in KINDS.items()]
    return cards(facts) + paragraph(note, "muted") + source_line("suspects.csv")


def _listed(rows: Rows) -> Html:
    if not rows:
        return paragraph("None found.")
    caption = f"The first {LISTED} of {len(rows):,}." if len(rows) > LISTED else ""
    text = ("kind", "tile", "scene", "fold", "labelled", "predicted", "detail")
    return table(rows[:LISTED], "suspects.csv", text=text, caption=caption)
