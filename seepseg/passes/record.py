"""What is kept of each scene between runs: its view of the frame, and its slicks as points; made once per scene."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from seepseg.errors import DataError
from seepseg.geo.frame import PIXELS, Field, Frame
from seepseg.geo.place import place_of
from seepseg.geo.vector import read_polygons
from seepseg.io.files import stamp
from seepseg.io.raster import raster_header
from seepseg.objects.outlines import touched
from seepseg.passes.scenes import Scene
from seepseg.passes.view import Judge, View, look, pixel_size
from seepseg.runs.arrays import read_arrays, write_arrays

VERSION = 4
"""Of what is kept; another one is made again."""

KEPT = {
    "object": "int64",
    "class": "int64",
    "class_name": "str",
    "pixels": "int64",
    "mean_probability": "float64",
    "area_m2": "float64",
    "length_m": "float64",
    "grade": "str",
}
"""Columns of polygons that are kept, and their types."""
_NAMES = (
    "at", "codes", "seen", "known", "outline", "points", "measured", "classes", *(f"slicks {name}" for name in KEPT),
)  # fmt: skip
"""Arrays of a record's file."""

POINTS = {"middle": ("x", "y"), "end1": ("end1_x", "end1_y"), "end2": ("end2_x", "end2_y")}
POINTS |= {"origin": ("origin_x", "origin_y")}
"""Points of a slick: columns of its coordinates in polygon layers."""


LeftOut = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Record:
    """What is kept of a scene.

    Attributes:
        view: what it shows of the frame.
        outline: (k, 2) its border in the frame.
        slicks: n rows of `KEPT`, of the polygons in the order of their file.
        points: (n, 4, 2) middle, both ends and origin of each in the frame; NaN where it has none.
        measured: (k, 2) of each judge, the median over valid cells and the share of them where it is known.
        classes: names of the classes of its map, background first.
    """

    view: View
    outline: Field
    slicks: pd.DataFrame
    points: Field
    measured: Field
    classes: tuple[str, ...]


def record_of(
    scene: Scene, frame: Frame, cache: Path, judges: Sequence[Judge] = (), left_out: LeftOut = ()
) -> tuple[Record, Path]:
    """The record of a scene, from the cache where its files have not changed since, and its place there.

    Args:
        scene: the scene.
        frame: what all share.
        cache: folder of the records.
        judges: what else decides whether a cell is observed.
        left_out: object and class of slicks that count as not seen.

    Raises:
        DataError: one of its files cannot be read, or lacks a column.
    """
    files = [(str(path.absolute()), stamp(path)) for path in (scene.raster, scene.vectors)]
    judged = [(judge.reason, judge.low, judge.high, judge.key(scene)) for judge in judges]
    shift, less = frame.shifts.get(scene.name), [left_out] if left_out else []
    parts = (VERSION, scene.name, files, frame.crs, frame.cell, shift, judged, *less)
    path = cache / f"{hashlib.sha256(repr(parts).encode()).hexdigest()[:24]}.npz"
    if (kept := read_arrays(path, _NAMES)) is not None:
        return _loaded(kept), path
    record = _made(scene, frame, judges, left_out)
    _save(path, record)
    return record, path


def outlines_of(scene: Scene, frame: Frame) -> NDArray[Any]:
    """The polygons (n) of a scene in the frame, in the order of its records."""
    shapes, _, crs = read_polygons(scene.vectors)
    return np.asarray(shapely.transform(shapes, lambda xy: frame.from_map(crs, xy, scene.name)))


def _made(scene: Scene, frame: Frame, judges: Sequence[Judge], left_out: LeftOut) -> Record:
    header, height, width = raster_header(scene.raster)
    place = place_of(header)
    if (place.crs is None) != (frame.crs is None):
        what = "has no georeference" if frame.crs else "has a georeference"
        raise DataError(what, scene.raster, f"leave it out, or give --frame {PIXELS} for scenes in one pixel frame")
    view, outline, measured = look(scene, frame, header, (height, width), judges)
    shapes, table, crs = read_polygons(scene.vectors)
    table["grade"] = table["grade"].fillna("") if "grade" in table else ""
    if missing := [c for c in (*KEPT, *(c for pair in POINTS.values() for c in pair)) if c not in table.columns]:
        raise DataError(f"has no column {missing[0]}", scene.vectors, "predict the scene again")
    if len(shapes):
        # Most vertices are corners of pixels, far finer than cells.
        pixels = frame.cell / 4 / pixel_size(place, height, width)
        unit = np.hypot(*np.diff(place.to_map(np.array([[0.0, 0.0], [1.0, 1.0]])), axis=0)[0]) / np.sqrt(2)
        kept = np.array([pair not in left_out for pair in zip(table["object"], table["class"], strict=True)])
        simple = shapely.simplify(shapes[kept], pixels * unit)
        corners = shapely.transform(simple, lambda xy: _in_view(frame, view, frame.from_map(crs, xy, scene.name)))
        view.seen[:] = touched(corners, *view.seen.shape)
    points = np.stack([_points(table, frame, scene, *pair) for pair in POINTS.values()], axis=1)
    if frame.crs is None:
        table["area_m2"] = table["pixels"]  # the only size there is
    classes = tuple(header.tags[f"CLASS_{i}"] for i in range(256) if f"CLASS_{i}" in header.tags)
    return Record(view, outline, table[list(KEPT)].astype(KEPT), points, measured, classes)


def _in_view(frame: Frame, view: View, xy: Field) -> Field:
    """Column and row (n, 2) of points of the frame in a view."""
    x, y = xy.T / frame.cell
    return np.stack([x - view.column, (-y if frame.crs else y) - view.row], axis=1)


def _points(table: pd.DataFrame, frame: Frame, scene: Scene, x: str, y: str) -> Field:
    xy = table[[x, y]].to_numpy(np.float64)
    points, known = np.full(xy.shape, np.nan), np.isfinite(xy).all(axis=1)
    if known.any():
        points[known] = frame.from_lonlat(xy[known], scene.name)
    return points


def _save(path: Path, record: Record) -> None:
    view = record.view
    arrays: dict[str, Any] = {"at": np.array([view.row, view.column]), "codes": view.codes, "seen": view.seen}
    arrays["known"] = view.known
    arrays |= {"outline": record.outline, "points": record.points, "measured": record.measured}
    arrays["classes"] = np.array(record.classes, "U")
    for name, kind in KEPT.items():
        arrays[f"slicks {name}"] = record.slicks[name].to_numpy("U" if kind == "str" else kind)
    write_arrays(path, arrays)


def view_of(path: Path) -> tuple[View, Field]:
    """The view and the outline of a record that `record_of` has put in its place."""
    with np.load(path, allow_pickle=False) as kept:
        return _view(kept), kept["outline"]


def _loaded(kept: Mapping[str, NDArray[Any]]) -> Record:
    slicks = pd.DataFrame({name: kept[f"slicks {name}"] for name in KEPT}).astype(KEPT)
    classes = tuple(kept["classes"].tolist())
    return Record(_view(kept), kept["outline"], slicks, kept["points"], kept["measured"], classes)


def _view(kept: Mapping[str, NDArray[Any]]) -> View:
    row, column = (int(v) for v in kept["at"])
    return View(row, column, kept["codes"], kept["seen"], kept["known"])
