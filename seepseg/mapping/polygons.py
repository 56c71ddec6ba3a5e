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
from seepseg.geo.place import GEOD, Place
from seepseg.io.trace import outlines, raster_rows
from seepseg.mapping.shape import joined, measures, simplified, without_holes
from seepseg.objects.components import EIGHT, StripLabels

STRIP = 512
"""Rows traced at once."""

CELL = 64
"""Pixels a side of the cells in which valid pixels are counted: one area of a pixel holds for all of a cell."""

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

    def attributes(self) -> dict[str, Any]:
        return {
            "pixels": self.pixels,
            "mean_probability": self.confidence / self.pixels / 255,
            "max_probability": self.highest / 255,
            "touches_nodata": self.nodata,
            "touches_edge": self.edge,
        }


def trace(
    raster: Path,
    confidence: Path,
    place: Place,
    classes: ClassTable,
    *,
    simplify: float = 0,
    fill_holes: float = 0,
    min_area_m2: float = 0,
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
        min_area_m2: objects of less area are left out, the others keep their numbers; without a place there are no
            areas, and every object is kept.
        strip: rows read at once.
    """
    labels, found = StripLabels(), dict[tuple[int, int], _Part]()
    valid, start = dict[int, NDArray[np.int64]](), 0
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
        _count(valid, rows != IGNORE, start)
        previous, start = rows[-1:], start + len(rows)
    final, parts = labels.numbers(), dict[tuple[int, int], _Part]()
    for (label, index), part in found.items():
        parts.setdefault((int(final[label]), index), _Part()).take(part)
    width = rows.shape[1]
    records, shapes = [], []
    for (number, index), part in sorted(parts.items(), key=lambda item: item[0]):
        shape = joined(part.pieces)
        shape = without_holes(shape, fill_holes) if fill_holes else shape
        outline = simplified(shape, simplify) if simplify else shape
        named = {"object": number, "class": index, "class_name": classes.names[index]}
        records.append(named | part.attributes() | measures(shape, outline, place))
        shapes.append(shapely.transform(outline, place.to_map))
    table = pd.DataFrame(records, columns=list(COLUMNS)).astype(COLUMNS)
    held = np.empty(len(shapes), object)
    held[:] = shapes
    if min_area_m2 and place.crs:
        large = (table.groupby("object")["area_m2"].transform("sum") >= min_area_m2).to_numpy(bool)
        table, held = table[large].reset_index(drop=True), held[large]
    return Polygons(held, table, place.crs, _km2(np.stack(list(valid.values())), start, width, place))


def _count(cells: dict[int, NDArray[np.int64]], valid: NDArray[np.bool_], start: int) -> None:
    """Add the valid pixels (h, W) of rows from `start` to the rows of cells (n), by their number."""
    across = np.add.reduceat(valid, range(0, valid.shape[1], CELL), axis=1, dtype=np.int64)
    # A row of cells may have begun in the strip before.
    edges = [0, *range(-start % CELL or CELL, len(valid), CELL)]
    for edge, counts in zip(edges, np.add.reduceat(across, edges, axis=0), strict=True):
        row = (start + edge) // CELL
        cells[row] = cells.get(row, 0) + counts


def _km2(counts: NDArray[np.int64], height: int, width: int, place: Place) -> float | None:
    """Area of the valid pixels, counted in cells (m, n) of a scene; None without a place."""
    if place.to_lonlat is None:
        return None
    tops, lefts = np.arange(0, height, CELL), np.arange(0, width, CELL)
    middle = [(np.minimum(at + CELL, size) + at) / 2 for at, size in ((lefts, width), (tops, height))]
    column, row = (grid.ravel() for grid in np.meshgrid(*middle))
    corners = [np.stack([column + dx, row + dy], axis=1) for dx, dy in ((0, 0), (1, 0), (0, 1))]
    here, right, below = (place.to_lonlat(points).T for points in corners)
    direction, _, across = GEOD.inv(*here, *right)
    other, _, down = GEOD.inv(*here, *below)
    # A pixel is a parallelogram: scenes may be sheared.
    areas = across * down * np.abs(np.sin(np.radians(direction - other)))
    return float((counts.ravel() * areas).sum() / 1e6)


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
