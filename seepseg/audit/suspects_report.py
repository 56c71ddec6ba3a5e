"""The page and the table of likely annotation errors, from tiles that each network has not been trained on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from seepseg.audit.suspects import KINDS, Suspect, suspects
from seepseg.classes import IGNORE
from seepseg.config import Runtime
from seepseg.errors import ConfigError
from seepseg.evaluation.source import Source, open_folds, open_source
from seepseg.figures import stretch
from seepseg.inference.score import TileResult
from seepseg.machine.progress import Tick, silent
from seepseg.pages.page import Section, cards, paragraph, read_rows, source_line, table, write_page, write_rows
from seepseg.pages.pictures import Group, Picture, gallery
from seepseg.runs.checkpoint import load_checkpoint
from seepseg.runs.fit import fit_for
from seepseg.runs.folder import RunFolder, find_checkpoint, folds_of

LISTED = 100
"""Suspects on the page; suspects.csv has all."""

PICTURED = 12
"""Tiles shown of each kind."""

COLUMNS = (
    "kind", "tile", "scene", "fold", "labelled", "predicted",
    "row", "column", "pixels", "confidence", "weight", "detail",
)  # fmt: skip


def write_suspects(run: Path, runtime: Runtime, out: Path, tick: Tick = silent) -> Path:
    """report.html and suspects.csv: what out-of-fold predictions say against the labels, the weightiest first.

    Every tile of a run with folds, by the fold that has not seen it; of a single run its validation tiles.

    Raises:
        ConfigError: no run, or one with more than one class table or without validation tiles.
        DataError: a damaged file.
    """
    sources = open_folds(run, runtime) if folds_of(run) else [_single(run, runtime)]
    classes = sources[0].classes
    total, done = sum(len(source.ids) for source in sources), 0
    found: list[tuple[Suspect, str, str]] = []
    kept: dict[str, dict[str, tuple[float, Picture]]] = {kind: {} for kind in KINDS}
    fits = [source.fit for source in sources]
    for source in sources:
        groups = {tile.id: tile.group for tile in source.catalog.tiles}

        def on_tile(result: TileResult, source: Source = source, groups: dict[str, str] = groups) -> None:
            here = suspects(result)
            found.extend((suspect, groups[result.id], source.name) for suspect in here)
            for kind, of_kind in kept.items():
                _keep(of_kind, [s for s in here if s.kind == kind], result)
            nonlocal done
            done += 1
            tick(done, total)

        source.score(source.config.predict, fit_for(fits, source.ids), runtime.workers, on_tile)
    found.sort(key=lambda entry: (-entry[0].weight, entry[0].tile, entry[0].row, entry[0].column))
    rows = [
        {
            "kind": s.kind,
            "tile": s.tile,
            "scene": scene,
            "fold": fold,
            "labelled": classes.names[s.labelled],
            "predicted": classes.names[s.predicted],
            "row": s.row,
            "column": s.column,
            "pixels": s.pixels,
            "confidence": s.confidence,
            "weight": s.weight,
            "detail": s.detail,
        }
        for s, scene, fold in found
    ]
    write_rows(out / "suspects.csv", rows, COLUMNS)
    groups_of = [
        Group(kind.capitalize(), KINDS[kind], [p for _, p in sorted(held.values(), key=lambda e: -e[0])])
        for kind, held in kept.items()
    ]
    sections = [
        Section("Overview", _overview(found)),
        Section("Suspects", _listed(out)),
        Section("Tiles", gallery(groups_of, classes)),
    ]
    subtitle = f"{total:,} tiles, each seen by a network that was not trained on it"
    write_page(out / "report.html", f"{run.resolve().name}: likely annotation errors", subtitle, sections)
    return out / "report.html"


def _single(run: Path, runtime: Runtime) -> Source:
    path = find_checkpoint(run)
    if path.parent.name != "checkpoints":
        raise ConfigError("a lone checkpoint does not say what it has not seen", run, "give its run folder")
    return open_source(load_checkpoint(path), RunFolder(path.parent.parent), runtime, split="val")


def _keep(held: dict[str, tuple[float, Picture]], here: list[Suspect], result: TileResult) -> None:
    """Keep the picture of a tile while its weightiest suspect is among those of the `PICTURED` weightiest tiles."""
    if not here:
        return
    top = max(here, key=lambda s: s.weight)
    if len(held) == PICTURED:
        least = min(held, key=lambda name: held[name][0])
        if held[least][0] >= top.weight:
            return
        del held[least]
    caption = f"{result.id} · row {top.row}, column {top.column} · confidence {top.confidence:.2f} {top.detail}".strip()
    gray = stretch(result.image[0], result.prediction != IGNORE)
    held[result.id] = (top.weight, Picture(caption, gray, result.truth.copy(), result.prediction.copy()))


def _overview(found: list[tuple[Suspect, str, str]]) -> str:
    counts = Counter(suspect.kind for suspect, *_ in found)
    note = (
        "Suspects are where to look first, not what is wrong: a network errs as well. They are ranked by pixels × "
        "confidence, how much likelier the network holds its own word than the label's."
    )
    facts = [(kind, f"{counts[kind]:,}", meaning) for kind, meaning in KINDS.items()]
    return cards(facts) + paragraph(note, "muted") + source_line("suspects.csv")


def _listed(out: Path) -> str:
    rows = read_rows(out / "suspects.csv")
    if not rows:
        return paragraph("None found.")
    caption = f"The first {LISTED} of {len(rows):,}." if len(rows) > LISTED else ""
    text = ("kind", "tile", "scene", "fold", "labelled", "predicted", "detail")
    return table(rows[:LISTED], "suspects.csv", text=text, caption=caption)
