"""What is built at sea: points that stay bright in the images, pass after pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from seepseg.errors import ConfigError, listed
from seepseg.geo.frame import Field, Frame
from seepseg.geo.place import place_of
from seepseg.io.files import stamp
from seepseg.io.raster import raster_header
from seepseg.passes.scenes import Pass, Scene
from seepseg.runs.arrays import read_arrays, write_arrays
from seepseg.scenes.bright import NEAR, image_of, image_points, recurring
from seepseg.zones.coverage import Coverage, coverage_of
from seepseg.zones.reader import Reader

STAYS = 3
"""Passes on which a point is bright, at least: two may be two ships."""
SHARE = 1 / 3
"""Of the passes that showed the place, those on which it is bright, at least."""
NEAR_M = 100.0
"""Metres within which points of two passes are one."""


def bright_of(images: Path, scenes: Sequence[Scene], cache: Path) -> tuple[dict[str, Field], set[Path]]:
    """Bright points (n, 2) of the images of scenes, columns and rows by name, and where they are kept between runs.

    Raises:
        ConfigError: there is no image of a scene.
        DataError: one cannot be read, or is not as large as the map of its scene.
    """
    points, kept = dict[str, Field](), set[Path]()
    for scene in scenes:
        path = image_of(images, scene.name)
        if path is None:
            continue
        _, *size = raster_header(scene.raster)
        key = repr((str(path.absolute()), stamp(path), size))
        place = cache / f"bright_{sha256(key.encode()).hexdigest()[:24]}.npz"
        arrays = read_arrays(place, ["points"])
        if not arrays:
            arrays = {"points": image_points(path, (size[0], size[1]))}
            write_arrays(place, arrays)
        points[scene.name] = arrays["points"]
        kept.add(place)
    if not points:
        fix = f"the scenes are {listed([scene.name for scene in scenes])}"
        raise ConfigError("holds no image of a scene", images, fix)
    return points, kept


def with_fixed(
    zones: pd.DataFrame,
    bright: Mapping[str, Field],
    passes: Sequence[Pass],
    reader: Reader,
    windows: Iterable[tuple[slice, slice]],
    coverage: Coverage,
) -> pd.DataFrame:
    """Zones with how far the nearest point that stays bright is (`bright_m`), and whether that is in the zone.

    Args:
        zones: rows of `zone_table`.
        bright: bright points of the scenes that have an image.
        passes: all passes; scenes without an image say nothing of what stays bright.
        reader, windows, coverage: of all passes, as `find_zones` has them.
    """
    scenes = [tuple(scene for scene in one.scenes if scene.name in bright) for one in passes]
    pictured = [replace(one, scenes=some) for one, some in zip(passes, scenes, strict=True) if some]
    if pictured != list(passes):
        coverage = coverage_of(windows, reader.frame)
        for one in pictured:
            coverage.add(reader.of_pass(one)[0])
    fixed = fixed_points([_in_frame(one, bright, reader.frame) for one in pictured], coverage, reader.frame)
    far = np.asarray(cKDTree(fixed).query(zones[["x", "y"]].to_numpy(np.float64))[0])
    inside = far <= zones["radius_m"].to_numpy(np.float64)
    return zones.assign(bright_m=np.where(np.isfinite(far), far, np.nan), installation=inside)


def fixed_points(points: Sequence[Field], coverage: Coverage, frame: Frame) -> Field:
    """Points (n, 2) that are bright on `STAYS` passes and `SHARE` of those that showed the place.

    Args:
        points: (m, 2) of each pass, in the frame.
        coverage: how often each cell was shown.
        frame: what all share.
    """
    places, passes = recurring(points, NEAR_M if frame.crs else NEAR, STAYS)
    return np.asarray(places[passes >= SHARE * coverage.shown_at(frame.cells(places))])


def _in_frame(one: Pass, bright: Mapping[str, Field], frame: Frame) -> Field:
    """The bright points (n, 2) of a pass."""
    points = [np.empty((0, 2))]
    for scene in one.scenes:
        if len(pixels := bright.get(scene.name, ())):
            place = place_of(raster_header(scene.raster)[0])
            points.append(frame.from_map(place.crs, place.to_map(np.asarray(pixels)), scene.name))
    return np.concatenate(points)
