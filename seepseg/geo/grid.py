"""A finished raster of a scene on a map grid: north up, square pixels, corners at multiples of the pixel size."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from seepseg.errors import ConfigError
from seepseg.geo.place import Map, Place
from seepseg.io.raster import Georeference

STEP = 32
"""Pixels of a map between those whose place in the scene is computed; between them it is interpolated."""
SIDE = 256
"""Pixels of the scene, about, that are read at once are so many a side."""
SIZES = (1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 7.5, 10)
"""Round pixel sizes, and ten times, a tenth of them."""
FINEST = 16
"""A map may have so many pixels for one of the scene along each axis."""
WIDEST = 100
"""Beyond so many times its area, a scene is torn apart by the projection, not turned."""
NOWHERE = -1e9
"""The column and row of what does not lie on the Earth."""

Read = Callable[[slice, slice], NDArray[np.uint8]]
"""Rows and columns of a raster → pixels (h, w)."""


@dataclass(frozen=True)
class Grid:
    """What map grid is asked for.

    Attributes:
        epsg: number of its coordinate system; None for the UTM zone of a scene's centre.
        metres: pixel size; None for the scene's own, rounded.
    """

    epsg: int | None = None
    metres: float | None = None


@dataclass(frozen=True)
class Sheet:
    """The part of a map grid that a scene covers.

    Attributes:
        georeference: where it lies.
        height, width: its size.
        to_pixels: columns and rows of the sheet (n, 2) → columns and rows of the scene.
        side: rows and columns that are made at once.
    """

    georeference: Georeference
    height: int
    width: int
    to_pixels: Map
    side: int


def parse_grid(text: str) -> Grid:
    """The grid that `EPSG[:METRES]` or `utm[:METRES]` names.

    Raises:
        ConfigError: it names none, or none in metres.
    """
    where, example = f"--grid {text}", "for example utm, 32616 or 32616:50"
    match = re.fullmatch(r"(utm|(?:epsg:)?(\d{1,9}))(?::(.+))?", text.strip().lower())
    if not match:
        raise ConfigError("is not EPSG[:METRES] or utm[:METRES]", where, example)
    epsg, metres = int(match[2]) if match[2] else None, None
    if epsg is not None:
        try:
            crs = CRS.from_epsg(epsg)
        except CRSError:
            raise ConfigError(f"EPSG has no coordinate system {epsg}", where, example) from None
        axes = [(axis.unit_name, axis.direction) for axis in crs.axis_info]
        if not crs.is_projected or len(axes) != 2 or any(unit != "metre" or to == "west" for unit, to in axes):
            raise ConfigError(f"{crs.name} is no map in metres", where, "give a projected system, for example utm")
    if match[3]:
        with suppress(ValueError):
            metres = float(match[3])
        if metres is None or not 0.01 <= metres <= 100_000:
            raise ConfigError(f"{match[3]!r} is not a pixel size from .01 to 100000 metres", where, example)
    return Grid(epsg, metres)


def sheet_of(grid: Grid, place: Place, height: int, width: int) -> Sheet | None:
    """The sheet that a scene of a size covers; None where its place is unknown, or not on this map.

    Raises:
        ConfigError: its pixels would be far smaller than those of the scene.
    """
    if place.crs is None or place.to_lonlat is None:
        return None
    middle = np.array([[width / 2, height / 2]])
    crs = CRS.from_epsg(grid.epsg or _utm(*place.to_lonlat(middle)[0]))
    project = Transformer.from_crs(place.crs, crs, always_xy=True)

    def on_map(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = place.to_map(points).T
        return np.stack(project.transform(x, y), axis=1)

    xs, ys = (np.append(np.arange(0, size, STEP / 2), size) for size in (width, height))
    sides = [np.stack(np.broadcast_arrays(x, y), axis=1) for x, y in ((xs, 0), (xs, height), (0, ys), (width, ys))]
    # Its border, and half a pixel to the right of and below its middle.
    points = on_map(np.concatenate([*sides, *(middle + step for step in ((0, 0), (0.5, 0), (0, 0.5)))]))
    if not np.isfinite(points).all():
        return None
    border, across, down = points[:-3], points[-2] - points[-3], points[-1] - points[-3]
    pixel = 2 * float(np.sqrt(abs(across[0] * down[1] - across[1] * down[0])))
    if np.prod(np.ptp(border, 0)) >= WIDEST * height * width * pixel**2:
        return None
    metres = grid.metres or _rounded(pixel)
    if metres < pixel / FINEST:
        raise ConfigError(
            f"pixels of {metres:g} m are far finer than those of the scene, {pixel:.3g} m",
            "--grid",
            "give more metres, or none",
        )
    # A hair less than a pixel is none: a scene that lies on the grid keeps its size.
    (left, bottom), (right, top) = np.floor(border.min(0) / metres + 1e-6), np.ceil(border.max(0) / metres - 1e-6)
    transform = (metres, 0.0, float(left * metres), 0.0, -metres, float(top * metres))

    def to_pixels(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = ((points * [1, -1] + [left, top]) * metres).T
        x, y = project.transform(x, y, direction="INVERSE")
        xy = np.stack([x, y], axis=1)
        known, pixels = np.isfinite(xy).all(1), np.full(xy.shape, NOWHERE)
        if known.any():
            pixels[known] = place.pixels_of(xy[known], height, width)
        return pixels

    georeference = Georeference(crs.to_wkt(), transform)
    side = max(1, round(SIDE / max(1, metres / pixel)))
    return Sheet(georeference, int(top - bottom), int(right - left), to_pixels, side)


def warped(read: Read, height: int, width: int, sheet: Sheet, fill: int) -> Iterator[NDArray[np.uint8]]:
    """The rows of a sheet in strips (h, W), each pixel that of the scene (`height` × `width`) in which its centre lies.

    Memory depends on the width of the sheet. Places are interpolated bilinearly between every 32nd row and column:
    less than .01 pixels off in scenes of Sentinel-1 without relief.
    """
    side, n = sheet.side, -(-sheet.side // STEP) + 1
    # Rows and columns of a block, as weighted sums of its n nodes each way.
    weights = np.maximum(0, 1 - np.abs(np.arange(side)[:, None] / STEP - np.arange(n)))
    lefts = np.arange(0, sheet.width, side)
    for top in range(0, sheet.height, side):
        strip = np.full((min(side, sheet.height - top), sheet.width), fill, np.uint8)
        at = np.stack(
            np.broadcast_arrays(lefts[:, None, None] + np.arange(n) * STEP, (top + np.arange(n) * STEP)[:, None]), -1
        )
        nodes = sheet.to_pixels(at.reshape(-1, 2) + 0.5).reshape(len(lefts), n, n, 2)
        for left, corners in zip(lefts, nodes, strict=True):
            block = strip[:, left : left + side]
            # Centres on the border of two pixels belong to the second, whatever the rounding.
            column, row = (
                np.floor(weights[: len(block)] @ corners[..., k] @ weights[: block.shape[1]].T + 1e-6) for k in (0, 1)
            )
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            if inside.any():
                column, row = column[inside].astype(np.intp), row[inside].astype(np.intp)
                x, y = column.min(), row.min()
                block[inside] = read(slice(y, row.max() + 1), slice(x, column.max() + 1))[row - y, column - x]
        yield strip


def _utm(longitude: float, latitude: float) -> int:
    """EPSG's number of the UTM zone of a place, of UPS beyond them."""
    if not -80 <= latitude <= 84:
        return 5041 if latitude > 0 else 5042
    return (32600 if latitude >= 0 else 32700) + int((longitude + 180) // 6) % 60 + 1


def _rounded(size: float) -> float:
    """The round size that is nearest by ratio, so that scenes of one kind get the same."""
    power = 10 ** np.floor(np.log10(size))
    return round(float(min(SIZES, key=lambda one: abs(np.log(one * power / size))) * power), 6)
