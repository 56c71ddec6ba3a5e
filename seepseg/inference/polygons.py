"""From a finished class raster to polygons: outlines, measures, the likelier end a slick began at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from seepseg.classes import IGNORE, ClassTable
from seepseg.inference.centreline import centreline
from seepseg.io.place import Place
from seepseg.io.trace import outlines, raster_rows
from seepseg.objects import EIGHT, StripLabels

STRIP = 512
"""Rows traced at once."""

COLUMNS: dict[str, str] = {
    "object": "int64",
    "class": "int64",
    "class_name": "str",
    "pixels": "int64",
    "mean_probability": "float64",
    "max_probability": "float64",
    "area_m2": "float64",
    "perimeter_m": "float64",
    "length_m": "float64",
    "width_m": "float64",
    "orientation_deg": "float64",
    "x": "float64",
    "y": "float64",
    "touches_nodata": "bool",
    "touches_edge": "bool",
    "end1_x": "float64",
    "end1_y": "float64",
    "end1_width_m": "float64",
    "end2_x": "float64",
    "end2_y": "float64",
    "end2_width_m": "float64",
    "origin_x": "float64",
    "origin_y": "float64",
    "origin_ratio": "float64",
}
"""Attributes of a polygon and their types; docs/howto-polygons.md says what each means.

x and y are longitude and latitude in degrees; without georeference, column and row.
"""


@dataclass(frozen=True)
class Polygons:
    """The polygons of one scene, in the order of their objects' first pixels, then of class.

    Attributes:
        shapes: (n) shapely polygons in the coordinates of `crs`.
        table: (n) rows of `COLUMNS`.
        crs: WKT; None for pixel coordinates.
        valid_km2: area that was looked at; None without georeference.
    """

    shapes: NDArray[Any]
    table: pd.DataFrame
    crs: str | None
    valid_km2: float | None


@dataclass
class _Part:
    """The pixels of one class in one object, as far as they have been seen."""

    pixels: int = 0
    confidence: int = 0
    highest: int = 0
    nodata: bool = False
    edge: bool = False
    pieces: list[Any] = field(default_factory=list)

    def take(self, other: _Part) -> None:
        self.pixels += other.pixels
        self.confidence += other.confidence
        self.highest = max(self.highest, other.highest)
        self.nodata |= other.nodata
        self.edge |= other.edge
        self.pieces += other.pieces


def trace(
    raster: Path,
    confidence: Path,
    place: Place,
    classes: ClassTable,
    *,
    simplify: float = 0,
    fill_holes: float = 0,
    strip: int = STRIP,
) -> Polygons:
    """The polygons of a class raster: the one-class parts of its objects (8-connected foreground of any class).

    Read strip by strip: what is held grows with the outlines, not with the raster. The result is the same for every
    height of strips.

    Args:
        raster: uint8 class indices, 255 = no data.
        confidence: uint8 raster of the same size, 255 times the probability of the class of each pixel.
        place: where the raster lies.
        classes: names.
        simplify: how far, in pixels, an outline may be moved to need fewer vertices; 0 keeps every pixel corner.
        fill_holes: holes of up to so many pixels are filled.
        strip: rows read at once.
    """
    labels, found = StripLabels(), dict[tuple[int, int], _Part]()
    valid_m2, start = 0.0, 0
    previous: NDArray[np.uint8] | None = None
    for rows, sure, following in _with_next(raster, confidence, strip):
        numbers = labels.add(rows)
        around = _around_nodata(rows, previous, following)
        edge = np.zeros(rows.shape, bool)
        edge[:, [0, -1]] = True
        if previous is None:
            edge[0] = True
        if following is None:
            edge[-1] = True
        _collect(found, numbers, rows, sure, around, edge, start)
        across, down = place.pixel_size(rows.shape[1] / 2, start + len(rows) / 2)
        valid_m2 += float((rows != IGNORE).sum()) * across * down
        previous, start = rows[-1:], start + len(rows)
    final, parts = labels.numbers(), dict[tuple[int, int], _Part]()
    for (label, index), part in found.items():
        parts.setdefault((int(final[label]), index), _Part()).take(part)
    records, shapes = [], []
    for (number, index), part in sorted(parts.items(), key=lambda item: item[0]):
        shape = _shape(part.pieces, simplify, fill_holes)
        records.append(
            {"object": number, "class": index, "class_name": classes.names[index]} | _measures(shape, part, place)
        )
        shapes.append(shapely.transform(shape, place.to_map))
    table = pd.DataFrame(records, columns=list(COLUMNS)).astype(COLUMNS)
    held = np.empty(len(shapes), object)
    held[:] = shapes
    return Polygons(held, table, place.crs, valid_m2 / 1e6 if place.crs else None)


def _with_next(
    raster: Path, confidence: Path, strip: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8] | None]]:
    """Strips of both rasters, with the first row of the strip that follows."""
    pairs = zip(raster_rows(raster, strip), raster_rows(confidence, strip), strict=True)
    held = next(pairs)
    for pair in pairs:
        yield *held, pair[0][:1]
        held = pair
    yield *held, None


def _around_nodata(
    rows: NDArray[np.uint8], above: NDArray[np.uint8] | None, below: NDArray[np.uint8] | None
) -> NDArray[np.bool_]:
    """Pixels that touch no-data, seen across the borders of the strip."""
    parts = [p for p in (above, rows, below) if p is not None]
    gaps = np.concatenate(parts) == IGNORE
    if not gaps.any():
        return np.zeros(rows.shape, bool)
    first = 0 if above is None else 1
    return np.asarray(binary_dilation(gaps, EIGHT)[first : first + len(rows)])


def _collect(
    found: dict[tuple[int, int], _Part],
    numbers: NDArray[np.int64],
    rows: NDArray[np.uint8],
    sure: NDArray[np.uint8],
    around: NDArray[np.bool_],
    edge: NDArray[np.bool_],
    start: int,
) -> None:
    """Add the parts of a strip."""
    here = np.nonzero(numbers)
    if not len(here[0]):
        return
    keys = numbers[here] * 256 + rows[here]
    known, code = np.unique(keys, return_inverse=True)
    patches = np.zeros(rows.shape, np.int32)
    patches[here] = code + 1
    count = np.bincount(code)
    total = np.bincount(code, sure[here])
    highest = np.zeros(len(known), np.int64)
    np.maximum.at(highest, code, sure[here])
    gap, rim = (np.bincount(code, flag[here]) > 0 for flag in (around, edge))
    parts = [
        _Part(int(count[i]), int(total[i]), int(highest[i]), bool(gap[i]), bool(rim[i])) for i in range(len(known))
    ]
    for patch, shape in outlines(patches, start):
        parts[patch - 1].pieces.append(shape)
    for key, part in zip(known.tolist(), parts, strict=True):
        found.setdefault(divmod(key, 256), _Part()).take(part)


def _shape(pieces: list[Any], simplify: float, fill_holes: float) -> Any:
    """One shape of pixel corners; without the vertices that borders of strips leave on straight lines."""
    shape = shapely.simplify(shapely.union_all(pieces), 0)
    if fill_holes:
        shape = _filled(shape, fill_holes)
    if simplify:
        simple = shapely.simplify(shape, simplify)
        shape = simple if not simple.is_empty else shape
    return shapely.normalize(shape)


def _filled(shape: Any, largest: float) -> Any:
    polygons = shapely.get_parts(shape)
    kept = [
        shapely.Polygon(p.exterior, [h for h in p.interiors if shapely.Polygon(h).area > largest]) for p in polygons
    ]
    return shapely.union_all(kept)


def _measures(shape: Any, part: _Part, place: Place) -> dict[str, Any]:
    """Attributes of a polygon of pixel corners."""
    middle = np.array([[shape.centroid.x, shape.centroid.y]])
    line = centreline(shape, place.pixel_size(*middle[0]))
    area, perimeter = place.area_perimeter(shape)
    to_lonlat = place.to_lonlat or (lambda points: points)
    (lon, lat), first, last = to_lonlat(np.concatenate([middle, line.ends]))
    origin = line.origin
    at = (np.nan, np.nan) if origin is None else (first, last)[origin[0]]
    return {
        "pixels": part.pixels,
        "mean_probability": part.confidence / part.pixels / 255,
        "max_probability": part.highest / 255,
        "area_m2": area if place.crs else np.nan,
        "perimeter_m": perimeter if place.crs else np.nan,
        "length_m": line.length if place.crs else np.nan,
        "width_m": line.width if place.crs else np.nan,
        "orientation_deg": place.azimuth(line.ends) if (line.ends[0] != line.ends[1]).any() else np.nan,
        "x": lon,
        "y": lat,
        "touches_nodata": part.nodata,
        "touches_edge": part.edge,
        "end1_x": first[0],
        "end1_y": first[1],
        "end1_width_m": line.end_widths[0],
        "end2_x": last[0],
        "end2_y": last[1],
        "end2_width_m": line.end_widths[1],
        "origin_x": at[0],
        "origin_y": at[1],
        "origin_ratio": np.nan if origin is None else origin[1],
    }
