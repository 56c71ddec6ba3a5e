"""From prediction folders to a folder of zones: the order of things."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from seepseg.errors import ConfigError, DataError, listed
from seepseg.geo.nearby import Nearby, first_of, nearest
from seepseg.geo.place import place_of
from seepseg.io.atomic import write_text
from seepseg.io.raster import raster_header
from seepseg.machine.progress import Tick, silent
from seepseg.review.edits import NO_SEEP, Edits, keep_edits, read_edits, write_written
from seepseg.runs.folder import folder_lock
from seepseg.zones.align import align_images, anchored
from seepseg.zones.chance import chance_of
from seepseg.zones.cluster import Disc, candidates, discs, joined
from seepseg.zones.coverage import Coverage, coverage_of, write_recurrence
from seepseg.zones.depth import radii
from seepseg.zones.frame import PIXELS, Field, Frame, check_span, frame_around, read_shifts
from seepseg.zones.history import history_of, pass_rows, sample_cells
from seepseg.zones.judged import basis_of, medians_of
from seepseg.zones.record import KEPT, Record, record_of, view_of
from seepseg.zones.scenes import Pass, Scene, find_scenes, passes_of
from seepseg.zones.since import State, news, numbered, read_state, write_state
from seepseg.zones.table import zone_table
from seepseg.zones.view import OBSERVED, REASONS, UNOBSERVABLE, Judge, View, merged
from seepseg.zones.write import Tables, pass_table, write_alerts, write_package, write_tables

CACHE, NEARBY = "cache", "nearby.csv"


@dataclass(frozen=True)
class Options:
    """What makes a zone.

    Attributes:
        radius: of a zone, metres (pixels without georeference).
        cell: side of a cell of the recurrence raster; None for a third of the radius.
        min_passes: passes that must have seen it.
        false_share: of zones that are only chance, at most.
        pixels: scenes are in one pixel frame, without georeference.
        shifts: columns and rows to add to a scene's own, by name, in a pixel frame.
        images: folder of the images of the scenes, which give the shifts by their bright points.
        bathymetry: raster of elevations, from which the radius follows where it says one.
        judges: what else decides whether a cell is observed.
        near: what is known to lie there, of which the nearest is said of each zone and slick.
    """

    radius: float = 1500.0
    cell: float | None = None
    min_passes: int = 2
    false_share: float = 0.2
    pixels: bool = False
    shifts: dict[str, tuple[float, float]] = field(default_factory=dict)
    images: Path | None = None
    bathymetry: Path | None = None
    judges: tuple[Judge, ...] = ()
    near: Nearby | None = None


@dataclass(frozen=True)
class Summary:
    """What a run found.

    Attributes:
        tables: everything that it wrote.
        coverage: how often each cell was observed.
        passes: all of them, in order.
        classes: names of the foreground.
        new_zones: how many the last run did not have; None at the first run.
        warnings: what the user should know.
    """

    tables: Tables
    coverage: Coverage
    passes: Sequence[Pass]
    classes: tuple[str, ...]
    new_zones: int | None
    warnings: list[str]


def make_zones(folders: Sequence[Path], out: Path, options: Options, tick: Tick = silent) -> Summary:
    """Make a folder of zones, or bring it up to date; scenes that stand are not read again.

    Raises:
        ConfigError: there is nothing to read, scenes too far apart, an output not writable.
        DataError: an output of `predict` cannot be read, or does not go with the others.
        LockedError: another process works on the folder.
    """
    with ExitStack() as stack:
        scenes, warnings = find_scenes(folders)
        stack.enter_context(folder_lock(out, ".lock"))
        if options.images:
            scenes, options, fixed = _aligned(scenes, options, out, warnings)
        elif options.shifts:
            warnings += _unshifted([scene.name for scene in scenes], options.shifts)
        state, passes = read_state(out), passes_of(scenes)
        frame = _frame(scenes, state, options)
        edits = read_edits(out)
        reader = _Reader(frame, out / CACHE, options, edits)
        slicks, points, windows, classes = _slicks(passes, reader, tick)
        basis, doubted = basis_of(options.judges, reader.measured)
        warnings += doubted
        slicks = slicks.join(edits.on(slicks))
        points[slicks["verdict"].isin(NO_SEEP)] = np.nan  # nowhere, they make no zone
        named = slicks["class_new"].where(slicks["class_new"].isin(classes), slicks["class_name"])
        coverage = coverage_of(windows, frame)
        areas, outlines = list[float](), list[list[Field]]()
        for one in passes:
            view, borders = reader.of_pass(one)
            coverage.add(view)
            areas.append(float((view.codes == OBSERVED).sum() * frame.cell**2 / 1e6))
            outlines.append(borders)
        found, doubts = _zones(points, slicks, coverage, frame, options)
        ids = numbered(found, state)
        history = _history(passes, found, slicks, reader)
        at = np.full(len(slicks), -1)
        for number, zone in enumerate(found):
            at[zone.slicks] = number
        zones = zone_table(found, ids, frame, history, slicks.assign(at=at, class_name=named), classes).assign(**doubts)
        zones = zones.join(edits.on_zones(zones))
        if options.images:
            far = np.asarray(cKDTree(fixed).query(zones[["x", "y"]].to_numpy(np.float64))[0])
            zones = zones.assign(
                bright_m=np.where(np.isfinite(far), far, np.nan), installation=far <= zones["radius_m"]
            )
        (out / NEARBY).unlink(missing_ok=True)
        if options.near:
            zones, slicks = _near(options.near, out, frame, found, zones, slicks.assign(at=at), points)
        slicks.insert(0, "zone", pd.Series(np.append(ids, 0)[at], dtype="Int64").where(at >= 0))
        counts = np.bincount(slicks.pop("number"), minlength=len(passes)).tolist()
        history["zone"] = ids[history["zone"].to_numpy()]
        overflights = pass_table(passes, areas, counts, medians_of(passes, options.judges, reader.measured))
        tables = Tables(frame, found, zones, slicks, overflights, history, outlines, basis)
        table, short = news(zones, slicks, [scene.name for scene in scenes], state)
        keep_edits(out, edits)
        sums = write_package(out, tables, [scene for one in passes for scene in one.scenes], classes, edits)
        write_written(out, slicks, sums, ids)
        write_tables(out, tables)
        write_recurrence(out / "recurrence.tif", coverage, frame, {"OBSERVED_MEANS": basis})
        write_alerts(out, table, short | {"observed_means": basis})
        last = max([state.last if state else 0, *ids.tolist()])
        kept = [[int(i), *(float(v) for v in zone.centre)] for i, zone in zip(ids, found, strict=True)]
        write_state(out, State(frame.crs, frame.cell, last, kept, sorted(scene.name for scene in scenes)))
        reader.remove_others()
    warnings += edits.lines
    if other := sorted(set(slicks["class_new"].dropna()) - set(classes)):
        warnings.append(f"class_new that is none of {listed(list(classes))} changes no share: {listed(other)}")
    untimed = sum(one.identity.acquired is None for one in passes)
    if untimed:
        warnings.append(f"{untimed} scenes have no time: each counts as a pass, and none is first or last")
    if state and (gone := set(state.scenes) - {scene.name for scene in scenes}):
        warnings.append(f"{len(gone)} scenes of the last run are not in these folders, and no longer count")
    return Summary(tables, coverage, passes, classes, len(short["new_zones"]) if state else None, warnings)


class _Reader:
    """The records of scenes, and the views of passes made of them."""

    def __init__(self, frame: Frame, cache: Path, options: Options, edits: Edits) -> None:
        self.frame, self._cache, self._options, self._edits = frame, cache, options, edits
        self._paths = dict[str, Path]()
        self.measured = dict[str, Field]()

    def of(self, scene: Scene) -> Record:
        """The record of a scene, made where there is none."""
        left_out = self._edits.left_out(scene.name)
        record, path = record_of(scene, self.frame, self._cache, self._options.judges, left_out)
        self._paths[scene.name] = path
        self.measured[scene.name] = record.measured
        return record

    def of_pass(self, one: Pass) -> tuple[View, list[Field]]:
        """What a pass shows, and the borders of its scenes, whose records there are."""
        views, borders = zip(*(view_of(self._paths[scene.name]) for scene in one.scenes), strict=True)
        return merged(views), list(borders)

    def remove_others(self) -> None:
        """Delete records that no scene needs any more."""
        for path in set(self._cache.glob("*.npz")) - set(self._paths.values()):
            path.unlink(missing_ok=True)


def _frame(scenes: Sequence[Scene], state: State | None, options: Options) -> Frame:
    """The frame of the last run, else one around the scenes."""
    cell = options.cell or options.radius / 3
    if state and (state.crs is None) != options.pixels:
        kind = "in pixels" if state.crs is None else "on a map"
        raise ConfigError(f"the last run here was {kind}", f"--frame {PIXELS}", "give another -o")
    if options.pixels:
        return Frame(None, cell, options.shifts)
    if state:
        frame, known = Frame(state.crs, cell), set(state.scenes)
        if more := list(_middles([scene for scene in scenes if scene.name not in known])):
            check_span(np.array(more), frame.lonlat(np.zeros((1, 2)))[0])
        return frame
    return frame_around(list(_middles(scenes)), cell)


def _aligned(
    scenes: Sequence[Scene], options: Options, out: Path, warnings: list[str]
) -> tuple[list[Scene], Options, Field]:
    """The scenes that bright points tie together, with their shifts (also in shifts.csv), and points that stay."""
    assert options.images
    found, path = align_images(options.images, [scene.name for scene in scenes]), out / "shifts.csv"
    if path.is_file():  # zones stay where they were, whichever scene is the first now
        found = anchored(found, read_shifts(path))
    rows = [(name, *shift, found.accuracy[name], found.points[name]) for name, shift in found.shifts.items()]
    table = pd.DataFrame(rows, columns=["scene", "column", "row", "accuracy", "points"])
    write_text(path, table.round(2).to_csv(index=False))
    if found.loose:
        what = "scenes share too few bright points and are left out"
        warnings.append(f"{len(found.loose)} {what}: {listed(found.loose)}")
    warnings.append(f"scenes are placed to {table['accuracy'].median():.1f} pixels (RMS, median scene), see shifts.csv")
    tied = [scene for scene in scenes if scene.name in found.shifts]
    return tied, replace(options, shifts=found.shifts), found.fixed


def _unshifted(scenes: Sequence[str], shifts: Mapping[str, tuple[float, float]]) -> list[str]:
    """What the user should know of scenes without a shift."""
    rest = [name for name in scenes if name not in shifts]
    if len(rest) == len(scenes):
        raise ConfigError(f"no scene is called {listed(list(shifts))}", "--shifts", f"scenes are {listed(rest)}")
    return [f"{len(rest)} scenes have no shift and stay where they are: {listed(rest)}"] if rest else []


def _middles(scenes: Sequence[Scene]) -> Iterator[tuple[float, float]]:
    for scene in scenes:
        header, height, width = raster_header(scene.raster)
        place = place_of(header)
        if place.to_lonlat is None:
            raise DataError("has no georeference", scene.raster, f"leave it out, or give --frame {PIXELS}")
        lon, lat = place.to_lonlat(np.array([[width / 2, height / 2]]))[0]
        yield float(lon), float(lat)


def _slicks(
    passes: Sequence[Pass], reader: _Reader, tick: Tick
) -> tuple[pd.DataFrame, Field, list[tuple[slice, slice]], tuple[str, ...]]:
    """All slicks, their points (n, 4, 2), the windows of all scenes, and the names of the foreground classes.

    Raises:
        DataError: two scenes have different classes.
    """
    tables, points, windows = list[pd.DataFrame](), list[Field](), list[tuple[slice, slice]]()
    first: tuple[Scene, tuple[str, ...]] | None = None
    scenes = [(number, one, scene) for number, one in enumerate(passes) for scene in one.scenes]
    for done, (number, one, scene) in enumerate(scenes, 1):
        record = reader.of(scene)
        first = first or (scene, record.classes)
        if record.classes != first[1]:
            what = f"its classes ({', '.join(record.classes[1:])}) are not those of {first[0].raster}"
            raise DataError(what, scene.raster, "give predictions of one class table at a time")
        identity = scene.identity
        extra = {"scene": scene.name, "pass": one.name, "acquired": identity.acquired, "platform": identity.platform}
        tables.append(record.slicks.assign(**extra, number=number, reason=_hidden(record, reader.frame)))
        points.append(record.points)
        windows.append(record.view.window)
        tick(done, len(scenes))
    assert first
    every = np.concatenate(points)
    table = pd.concat(tables, ignore_index=True)[["scene", "pass", "acquired", "platform", *KEPT, "reason", "number"]]
    table = table.assign(x=every[:, 0, 0], y=every[:, 0, 1], is_origin=np.isfinite(every[:, 3, 0]))
    return table, every, windows, first[1][1:]


def _hidden(record: Record, frame: Frame) -> NDArray[Any]:
    """Why each slick (n) of a record tells nothing, "" where it does: look-alikes fill calm seas."""
    middles = record.points[:, 0]
    codes = record.view.at(frame.cells(np.where(np.isfinite(middles), middles, 0.0)))
    return np.where(np.isin(codes, UNOBSERVABLE), np.array(REASONS, object)[codes], "")


def _zones(
    points: Field, slicks: pd.DataFrame, coverage: Coverage, frame: Frame, options: Options
) -> tuple[list[Disc], dict[str, Field]]:
    """The zones; and for each the sightings that chance would give, and the share of false ones up to it."""
    starts_of = slicks["number"].to_numpy(np.int64)
    shown = np.where((slicks["reason"] == "").to_numpy()[:, None, None], points, np.nan)
    radius = np.full(len(points), options.radius)
    if options.bathymetry:
        radius = radii(options.bathymetry, frame, points[:, 0], options.radius)
    starts = candidates(shown, starts_of, radius)
    found = discs(starts, options.min_passes)
    expected, share = chance_of(found, starts, coverage, frame, options.false_share)
    keep = share <= options.false_share
    zones = [zone for zone, kept in zip(found, keep, strict=True) if kept]
    return joined(zones, shown, starts_of), {"by_chance": expected[keep], "false_share": share[keep]}


def _near(
    near: Nearby, out: Path, frame: Frame, found: Sequence[Disc], zones: pd.DataFrame, slicks: pd.DataFrame, xy: Field
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Zones and slicks with the columns near_…; nearby.csv has the nearest of each file.

    A slick lies at its origin, else from end to end; in a zone at the point that is taken for its origin.
    """
    ways = xy[:, [1, 0, 2]]
    ways[np.isfinite(xy[:, 3, 0])] = xy[np.isfinite(xy[:, 3, 0]), None, 3]
    ways = np.where(np.isfinite(ways), ways, slicks[["x", "y"]].to_numpy(np.float64)[:, None])
    for zone in found:
        ways[zone.slicks] = zone.origins[:, None]
    n, at = len(zones), slicks.pop("at").to_numpy()
    places = np.concatenate([shapely.points(zones[["x", "y"]].to_numpy(np.float64)), shapely.linestrings(ways)])
    acquired = slicks["acquired"].to_numpy(object)
    times = pd.Series(np.append(acquired[at >= 0], acquired), np.append(at[at >= 0], n + np.arange(len(slicks))))
    rows = nearest(near, places, times, lambda lonlat: frame.from_lonlat(lonlat, ""), frame.lonlat)
    named = [zones[["zone"]].assign(what="zone"), slicks.assign(zone=zones["zone"].reindex(at).array, what="slick")]
    columns = ["what", "zone", "scene", "pass", "object", "class"]
    whole = dict.fromkeys(("zone", "object", "class"), "Int64")
    names = pd.concat([one.reindex(columns=columns).astype(object) for one in named], ignore_index=True).astype(whole)
    table = rows.join(names, "place")[[*columns, *rows.columns[1:]]]
    write_text(out / NEARBY, table.to_csv(index=False))
    return zones.join(first_of(rows, range(n))), slicks.join(first_of(rows, range(n, n + len(slicks))))


def _history(passes: Sequence[Pass], found: Sequence[Disc], slicks: pd.DataFrame, reader: _Reader) -> pd.DataFrame:
    cells = sample_cells(found, reader.frame)
    sightings = np.zeros((len(passes), len(found)), bool)
    for number, zone in enumerate(found):
        sightings[zone.passes, number] = True
    parts = [pass_rows(i, reader.of_pass(one)[0], cells, sightings[i]) for i, one in enumerate(passes)]
    return history_of(parts, passes)
