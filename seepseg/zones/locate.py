"""Where scenes lie in common: the frame, and what ties scenes without georeference together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from seepseg.errors import ConfigError, DataError, listed
from seepseg.geo.frame import PIXELS, Field, Frame, check_span, frame_around, read_shifts
from seepseg.geo.place import place_of
from seepseg.io.atomic import write_text
from seepseg.io.raster import raster_header
from seepseg.io.table import csv_text
from seepseg.passes.scenes import Scene
from seepseg.scenes.align import align, anchored
from seepseg.zones.options import Options
from seepseg.zones.since import State

SHIFTS = "shifts.csv"


@dataclass(frozen=True)
class Located:
    """Scenes in one frame.

    Attributes:
        frame: what all share.
        scenes: those that lie in it.
        warnings: what the user should know.
    """

    frame: Frame
    scenes: list[Scene]
    warnings: list[str]


def located(
    scenes: Sequence[Scene], state: State | None, options: Options, bright: Mapping[str, Field], last: Path, new: Path
) -> Located:
    """The scenes in the frame of the last run, else in one around them.

    Args:
        scenes: all of them.
        state: what the last run left.
        options: of the run.
        bright: bright points of their images, by name, which tie scenes of one pixel frame.
        last: folder of the last run, whose shifts hold on.
        new: folder for shifts.csv.

    Raises:
        ConfigError: nothing ties any two scenes, shifts of other scenes, or another kind of frame than before.
        DataError: a scene has no georeference.
    """
    if state and (state.crs is None) != options.pixels:
        kind = "in pixels" if state.crs is None else "on a map"
        raise ConfigError(f"the last run here was {kind}", f"--frame {PIXELS}", "give another -o")
    cell = options.cell or options.radius / 3
    if options.pixels and options.images:
        return _aligned(scenes, cell, options.images, bright, last, new)
    if options.pixels:
        warnings = _unshifted([scene.name for scene in scenes], options.shifts) if options.shifts else []
        return Located(Frame(None, cell, options.shifts), list(scenes), warnings)
    if not state:
        return Located(frame_around(list(_middles(scenes)), cell), list(scenes), [])
    frame, known = Frame(state.crs, cell), set(state.scenes)
    if more := list(_middles([scene for scene in scenes if scene.name not in known])):
        check_span(np.array(more), frame.lonlat(np.zeros((1, 2)))[0])
    return Located(frame, list(scenes), [])


def _aligned(
    scenes: Sequence[Scene], cell: float, images: Path, bright: Mapping[str, Field], last: Path, new: Path
) -> Located:
    """The scenes that bright points tie together; their shifts go to shifts.csv."""
    found = align(bright)
    if len(found.shifts) < 2:
        what = f"no two of {len(bright)} images share enough bright points"
        raise ConfigError(what, images, f"the scenes are {listed([scene.name for scene in scenes])}; or give --shifts")
    found = replace(found, loose=[scene.name for scene in scenes if scene.name not in found.shifts])
    if (last / SHIFTS).is_file():  # zones stay where they were, whichever scene is the first now
        found = anchored(found, read_shifts(last / SHIFTS))
    rows = [(name, *shift, found.accuracy[name], found.points[name]) for name, shift in found.shifts.items()]
    table = pd.DataFrame(rows, columns=["scene", "column", "row", "accuracy", "points"])
    write_text(new / SHIFTS, csv_text(table.round(2)))
    warnings = list[str]()
    if found.loose:
        what = "scenes share too few bright points and are left out"
        warnings.append(f"{len(found.loose)} {what}: {listed(found.loose)}")
    warnings.append(f"scenes are placed to {table['accuracy'].median():.1f} pixels (RMS, median scene), see {SHIFTS}")
    tied = [scene for scene in scenes if scene.name in found.shifts]
    return Located(Frame(None, cell, found.shifts), tied, warnings)


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
