"""From a finished class raster to polygons: outlines, measures, the probable origin of a slick."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from seepseg.classes import IGNORE, ClassTable
from seepseg.errors import DataError
from seepseg.geo.place import Place
from seepseg.io.raster import raster_rows
from seepseg.metrics.grades import Grade, graded
from seepseg.objects.components import StripLabels
from seepseg.objects.outlines import outlines
from seepseg.objects.shape import joined, measures, simplified, without_holes

STRIP = 256
"""Rows traced at once."""

MOST = 1_000_000
"""Parts of polygons that a map may have; each takes some 2 kB of memory, and a scene has thousands."""

CELL = 64
"""Pixels a side of the cells in which valid pixels are counted: one area of a pixel holds for all of a cell."""

COLUMNS: dict[str, str] = {
    "object": "int64",
    "class": "int64",
    "class_name": "str",
    "pixels": "int64",
    "mean_probability": "float64",
    "max_probability": "float64",
    "grade": "object",
    "area_m2": "float64",
    "perimeter_m": "float64",
    "length_m": "float64",
    "width_m": "float64",
    "linearity": "float64",
    "polsby_popper": "float64",
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

TOGETHER = {
    "pixels": "sum",
    "mean_probability": "sum",
    "max_probability": "max",
    "touches_nodata": "any",
    "touches_edge": "any",
}
"""How the parts of a polygon in several strips add up; probabilities are sums and maxima of bytes until then."""


class NoisyMapError(DataError):
    """A map has more polygons than anybody could use."""


@dataclass(frozen=True)
class Polygons:
    """The polygons of one scene, in the order of their objects' first pixels, then of class.

    Attributes:
        shapes: (n) shapely polygons in the coordinates of `crs`.
        table: (n) rows of `COLUMNS`.
        origins: (n) their probable origins as points in `crs`; None where none is probable.
        crs: WKT; None for pixel coordinates.
        valid_km2: area of the valid pixels; None without georeference.
    """

    shapes: NDArray[Any]
    table: pd.DataFrame
    origins: NDArray[Any]
    crs: str | None
    valid_km2: float | None


def trace(
    raster: Path,
    confidence: Path,
    place: Place,
    classes: ClassTable,
    *,
    simplify: float = 0,
    fill_holes: float = 0,
    min_area_m2: float = 0,
    grades: Sequence[Grade] = (),
    strip: int = STRIP,
) -> Polygons:
    """The polygons of a class raster: the one-class parts of its objects (8-connected foreground of any class).

    Read strip by strip: memory grows with the outlines, not with the raster. The result is the same for every
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
        grades: by mean probability.
        strip: rows read at once.

    Raises:
        NoisyMapError: there are more than `MOST` parts.
    """
    labels, tables, patches, owners = (
        StripLabels(),
        list[pd.DataFrame](),
        list[NDArray[Any]](),
        list[NDArray[np.int64]](),
    )
    valid, start, number = dict[int, NDArray[np.int64]](), 0, 0
    previous: NDArray[np.uint8] | None = None
    for rows, sure, following in _with_next(raster, confidence, strip):
        table, part = _parts(labels.add(rows), rows, sure, _flags(rows, previous, following))
        owner, outlined = outlines(part, start)
        tables.append(table)
        patches.append(outlined)
        owners.append(owner - 1 + number)
        _count(valid, rows != IGNORE, start)
        previous, start, number = rows[-1:], start + len(rows), number + len(table)
        if number > MOST:
            raise NoisyMapError(
                f"is a map of more than {MOST:,} polygons, as noise has: none are written; larger predict.min_pixels "
                "leaves out small objects"
            )
    parts = pd.concat(tables, ignore_index=True)
    parts["object"] = labels.numbers()[parts["object"].to_numpy()]
    polygons = parts.groupby(["object", "class"])
    polygon = polygons.ngroup().to_numpy()[np.concatenate(owners)]
    shapes = joined(np.concatenate(patches), polygon, np.repeat(np.arange(len(patches)), list(map(len, patches))))
    if fill_holes:
        shapes = without_holes(shapes, fill_holes)
    shown = simplified(shapes, simplify) if simplify else shapes
    values, corners = measures(shapes, shown, place)
    values |= {str(name): sums.to_numpy() for name, sums in polygons.agg(TOGETHER).reset_index().items()}
    values["class_name"] = np.array(classes.names, object)[values["class"]]
    values["mean_probability"] = values["mean_probability"] / (values["pixels"] * 255)
    values["max_probability"] = values["max_probability"] / 255
    values["grade"] = graded(values["mean_probability"], grades)
    # All columns at once: one by one, they take longer than the measures of a small scene.
    table = pd.DataFrame({name: values[name] for name in COLUMNS}).astype(COLUMNS)
    written = shapely.transform(shown, place.to_map)
    origins = np.full(len(shapes), None)
    known = np.isfinite(corners).all(axis=1)
    origins[known] = shapely.points(place.to_map(corners[known]))
    if min_area_m2 and place.crs:
        large = (table.groupby("object")["area_m2"].transform("sum") >= min_area_m2).to_numpy(bool)
        table, written, origins = table[large].reset_index(drop=True), written[large], origins[large]
    valid_km2 = _km2(np.stack(list(valid.values())), start, rows.shape[1], place)
    return Polygons(written, table, origins, place.crs, valid_km2)


def _count(cells: dict[int, NDArray[np.int64]], valid: NDArray[np.bool_], start: int) -> None:
    """Add the valid pixels (h, W) of rows from `start` to the rows of cells (n), by their number."""
    # A cell has at most CELL in a row, which a byte holds, and bytes are added many at a time.
    across = np.add.reduceat(valid.view(np.uint8), range(0, valid.shape[1], CELL), axis=1, dtype=np.uint8)
    for row, counts in enumerate(across, start):
        cells[row // CELL] = cells.get(row // CELL, np.zeros(len(counts), np.int64)) + counts


def _km2(counts: NDArray[np.int64], height: int, width: int, place: Place) -> float | None:
    """Area of the valid pixels, counted in cells (m, n) of a scene; None without a place."""
    if place.to_lonlat is None:
        return None
    tops, lefts = np.arange(0, height, CELL), np.arange(0, width, CELL)
    middle = [(np.minimum(at + CELL, size) + at) / 2 for at, size in ((lefts, width), (tops, height))]
    points = np.stack(np.meshgrid(*middle), axis=-1).reshape(-1, 2)
    areas = np.abs(np.linalg.det(place.metric(points)))
    return float((counts.ravel() * areas).sum() / 1e6)


def _with_next(
    raster: Path, confidence: Path, strip: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8] | None]]:
    """Strips of both rasters, with the first row of the strip that follows."""
    pairs = zip(raster_rows(raster, strip), raster_rows(confidence, strip), strict=True)
    strips = next(pairs)
    for pair in pairs:
        yield *strips, pair[0][:1]
        strips = pair
    yield *strips, None


def _flags(
    rows: NDArray[np.uint8], above: NDArray[np.uint8] | None, below: NDArray[np.uint8] | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Pixels (n, W) that touch no-data, seen across the borders of the strip, and pixels at the edge of the scene."""
    gaps, edge = np.zeros((len(rows) + 2, rows.shape[1] + 2), bool), np.zeros(rows.shape, bool)
    edge[:, [0, -1]] = True
    gaps[1:-1, 1:-1] = rows == IGNORE
    for row, beyond in ((0, above), (-1, below)):
        if beyond is None:
            edge[row] = True
        else:
            gaps[row, 1:-1] = beyond == IGNORE
    if not gaps.any():
        return edge & False, edge
    down = gaps[:-2] | gaps[1:-1] | gaps[2:]
    return down[:, :-2] | down[:, 1:-1] | down[:, 2:], edge


def _parts(
    numbers: NDArray[np.int64],
    rows: NDArray[np.uint8],
    sure: NDArray[np.uint8],
    flags: tuple[NDArray[np.bool_], NDArray[np.bool_]],
) -> tuple[pd.DataFrame, NDArray[np.int32]]:
    """The parts of a strip by provisional number and class, and which of them (n, W), from 1, each pixel belongs to."""
    # Comparing first: numpy finds true values five times as fast as non-zero ones.
    here = np.flatnonzero(numbers > 0)
    code, keys = pd.factorize(numbers.ravel()[here] * IGNORE + rows.ravel()[here], sort=True)
    part = np.zeros(rows.shape, np.int32)
    part.ravel()[here] = code + 1
    # How many pixels each part has of each confidence.
    counts = np.bincount(code * 256 + sure.ravel()[here], minlength=256 * len(keys)).reshape(-1, 256)
    gap, rim = (np.bincount(code, flag.ravel()[here], len(keys)) > 0 for flag in flags)
    columns = {
        "object": keys // IGNORE,
        "class": keys % IGNORE,
        "pixels": counts.sum(axis=1),
        "mean_probability": counts @ np.arange(256),
        "max_probability": 255 - (counts[:, ::-1] > 0).argmax(axis=1),
        "touches_nodata": gap,
        "touches_edge": rim,
    }
    return pd.DataFrame(columns), part
