"""From prediction folders to a folder of zones: the order of things."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.errors import ConfigError, listed
from seepseg.geo.frame import Frame
from seepseg.machine.progress import Tick, silent
from seepseg.passes.scenes import Pass, Scene, find_scenes, named, passes_of
from seepseg.review.edits import NO_SEEP, PACKAGE, STORE, Edits, keep_edits, read_edits, write_written
from seepseg.runs.folder import folder_lock
from seepseg.runs.staged import staged
from seepseg.zones.coverage import Coverage, write_recurrence
from seepseg.zones.find import Found, find_zones
from seepseg.zones.fixed import bright_of, with_fixed
from seepseg.zones.history import history_of
from seepseg.zones.judged import basis_of, medians_of
from seepseg.zones.locate import SHIFTS, Located, located
from seepseg.zones.near import NEARBY, with_nearest
from seepseg.zones.options import Options
from seepseg.zones.reader import Reader, Slicks
from seepseg.zones.since import State, news, numbered, read_state, write_state
from seepseg.zones.table import zone_table
from seepseg.zones.write import Tables, pass_table, write_alerts, write_package, write_tables

CACHE, LABELS = "cache", "labels.gpkg"
OWNED = (NEARBY, SHIFTS, STORE, LABELS, "page/pictures/*.jpg")
"""What a run may leave; what the last one left of it, and this one does not, goes."""


@dataclass(frozen=True)
class Summary:
    """What a run found.

    Attributes:
        tables: everything that it wrote.
        coverage: how often each cell was observed.
        passes: all of them, in order.
        classes: names of the foreground.
        new_zones: how many the last run did not have; None at the first run.
        edits: what was ever said of slicks and zones.
        warnings: what the user should know.
    """

    tables: Tables
    coverage: Coverage
    passes: Sequence[Pass]
    classes: tuple[str, ...]
    new_zones: int | None
    edits: Edits
    warnings: list[str]


More = Callable[[Path, Summary], object]
"""Writes into a folder what else is made of a run."""


def make_zones(
    folders: Sequence[Path], out: Path, options: Options, tick: Tick = silent, more: Sequence[More] = ()
) -> Summary:
    """Make a folder of zones, or bring it up to date; scenes that stand are not read again.

    All files change together: whenever this is stopped, the folder holds what the last run left, or all that is new.

    Args:
        folders: that `predict` made.
        out: the folder to make.
        options: what makes a zone.
        tick: hears of scenes that are read.
        more: what else is written with it.

    Raises:
        ConfigError: there is nothing to read, scenes too far apart, an output not writable or one of `folders`.
        DataError: an output of `predict` cannot be read, or does not go with the others.
        LockedError: another process works on the folder.
    """
    if out.resolve() in {folder.resolve() for folder in folders}:
        raise ConfigError("is the folder of predictions itself", out, f"give one of its own, as -o {out / 'zones'}")
    scenes, warnings = find_scenes(folders)
    with ExitStack() as stack:
        stack.enter_context(folder_lock(out, ".lock"))
        records = stack.enter_context(_cache(out / CACHE))
        new = stack.enter_context(staged(out, OWNED, (PACKAGE,)))
        state, edits = read_state(out), read_edits(out)
        scenes = named(scenes, state.names if state else {})
        bright, kept = bright_of(options.images, scenes, out / CACHE) if options.images else ({}, set[Path]())
        place = located(scenes, state, options, bright, out, new)
        passes, reader = passes_of(place.scenes), Reader(place.frame, out / CACHE, options.judges, edits)
        slicks = reader.slicks(passes, tick)
        basis, doubted = basis_of(options.judges, reader.measured)
        found = find_zones(passes, slicks, reader, options)
        history = history_of(passes, found.zones, reader)
        ids = numbered(found.zones, state)
        zones = _zone_rows(found, ids, history, slicks, place.frame)
        zones = zones.join(edits.on_zones(zones))
        if options.images:
            zones = with_fixed(zones, bright, passes, reader, slicks.windows, found.coverage)
        at, rows = _zone_of(slicks, found), slicks.table
        if options.near:
            pair = (zones, rows)
            zones, rows = with_nearest(options.near, new, place.frame, found.zones, pair, at, slicks.points)
        of_zone = pd.Series(np.append(ids, 0)[at], dtype="Int64", name="zone").where(at >= 0)
        rows = pd.concat([of_zone, rows], axis=1)
        counts = np.bincount(slicks.passes, minlength=len(passes)).tolist()
        medians = medians_of(passes, options.judges, reader.measured)
        overflights = pass_table(passes, found.areas, counts, medians, place.frame)
        history["zone"] = ids[history["zone"].to_numpy()]
        tables = _tables(place.frame, found, zones, rows, overflights, history, basis)
        told = tables.slicks[~tables.slicks["zone"].isin(tables.rejected["zone"])]
        table, short = news(tables.zones, told, [scene.name for scene in place.scenes], state)

        keep_edits(new, edits)
        sums = write_package(new, tables, [scene for one in passes for scene in one.scenes], slicks.classes, edits)
        write_written(new, rows, sums, ids)
        write_tables(new, tables)
        write_recurrence(new / "recurrence.tif", found.coverage, place.frame, {"OBSERVED_MEANS": basis})
        write_alerts(new, table, short | {"observed_means": basis})
        write_state(new, _state(found, ids, scenes, place, state))
        warnings += (
            _without_image(scenes, bright, options.images)
            + place.warnings
            + doubted
            + edits.lines
            + _remarks(rows, slicks.classes, passes, state)
        )
        new_zones = len(short["new_zones"]) if state else None
        summary = Summary(tables, found.coverage, passes, slicks.classes, new_zones, edits, warnings)
        for write in more:
            write(new, summary)
        records.update(reader.used.values(), kept)
    return summary


@contextmanager
def _cache(folder: Path) -> Iterator[set[Path]]:
    """A set for the records that are needed; when the block ends well, the others of the folder are deleted."""
    needed = set[Path]()
    yield needed
    for path in set(folder.glob("*.npz")) - needed:
        path.unlink(missing_ok=True)


def _zone_of(slicks: Slicks, found: Found) -> NDArray[np.int64]:
    """The zone (n) that each slick belongs to, by its place in the list; −1 for none."""
    at = np.full(len(slicks.table), -1)
    for number, zone in enumerate(found.zones):
        at[zone.slicks] = number
    return at


def _zone_rows(
    found: Found, ids: NDArray[np.int64], history: pd.DataFrame, slicks: Slicks, frame: Frame
) -> pd.DataFrame:
    """What is known of each zone; a class that a user gave a slick counts in its shares."""
    given = slicks.table["class_new"]
    named = given.where(given.isin(slicks.classes), slicks.table["class_name"])
    rows = slicks.table.assign(at=_zone_of(slicks, found), class_name=named)
    table = zone_table(found.zones, ids, frame, history, rows, slicks.classes)
    return table.assign(by_chance=found.by_chance, false_share=found.false_share)


def _tables(
    frame: Frame,
    found: Found,
    zones: pd.DataFrame,
    slicks: pd.DataFrame,
    passes: pd.DataFrame,
    history: pd.DataFrame,
    basis: str,
) -> Tables:
    """All tables under the names of the frame's units; zones that a user has rejected stand by themselves."""
    stays = ~zones["verdict"].isin(NO_SEEP)
    discs = [zone for zone, stay in zip(found.zones, stays, strict=True) if stay]
    kept, rejected, rows = (frame.named(t.reset_index(drop=True)) for t in (zones[stays], zones[~stays], slicks))
    history = history[history["zone"].isin(zones.loc[stays, "zone"])].reset_index(drop=True)
    return Tables(frame, discs, kept, rejected, rows, passes, history, found.outlines, basis)


def _state(
    found: Found, ids: NDArray[np.int64], scenes: Sequence[Scene], place: Located, before: State | None
) -> State:
    """What the next run needs; scenes that are gone keep their names, and zones their numbers: they may come back."""
    zones = [(int(i), float(z.centre[0]), float(z.centre[1])) for i, z in zip(ids, found.zones, strict=True)]
    here, earlier = set(ids.tolist()), [*before.zones, *before.gone] if before else []
    gone = [zone for zone in earlier if zone[0] not in here]
    names = (before.names if before else {}) | {scene.name: scene.origin for scene in scenes}
    last = max([before.last if before else 0, *here])
    return State(place.frame.crs, last, zones, gone, names, sorted(scene.name for scene in place.scenes))


def _without_image(scenes: Sequence[Scene], bright: Mapping[str, object], images: Path | None) -> list[str]:
    """That what stays bright is looked for on a part of the scenes alone."""
    missing = [scene.name for scene in scenes if scene.name not in bright]
    if not images or not missing:
        return []
    return [
        f"{len(missing)} of {len(scenes)} scenes have no image in {images}, so bright points are those of the others"
    ]


def _remarks(slicks: pd.DataFrame, classes: Sequence[str], passes: Sequence[Pass], state: State | None) -> list[str]:
    """What the user should know of classes, times and scenes."""
    lines = list[str]()
    if other := sorted(set(slicks["class_new"].dropna()) - set(classes)):
        lines.append(f"class_new that is none of {listed(list(classes))} changes no share: {listed(other)}")
    if untimed := sum(one.identity.acquired is None for one in passes):
        lines.append(f"{untimed} scenes have no time: each counts as a pass, and none is first or last")
    here = {scene.name for one in passes for scene in one.scenes}
    if state and (gone := set(state.scenes) - here):
        lines.append(f"{len(gone)} scenes of the last run are not in these folders, and no longer count")
    return lines
