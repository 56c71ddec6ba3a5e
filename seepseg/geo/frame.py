"""The common frame of many scenes: metres on an equal-area map around them, or pixels where nothing says more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from seepseg.errors import ConfigError, DataError
from seepseg.geo.place import GEOD, LONLAT, Place
from seepseg.io.table import read_table

Field = NDArray[np.float64]

WIDEST_KM = 4000
"""From the middle of the frame, at most: there, it shows distances up to 5 % too long or too short."""
MOST = 100_000_000
"""Cells of a grid, at most: some 6 bytes each for counts, and 3 for what a pass shows."""
PIXELS = "rows-columns"


@dataclass(frozen=True)
class Frame:
    """Common coordinates of scenes and the grid of cells in them.

    With a CRS, x and y are metres east and north; without one, column and row. Cells are numbered from the origin of
    the frame: row down, column to the right; numbers may be negative.

    Attributes:
        crs: WKT of the map; None for pixels.
        cell: side of a cell, in metres or pixels.
        shifts: columns and rows to add to a scene's own, by its name; none where a scene is not named.
    """

    crs: str | None
    cell: float
    shifts: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def unit(self) -> str:
        """Of lengths, as names of columns end with it: m or px."""
        return "m" if self.crs else "px"

    def named(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table with what it calls metres and square metres called pixels, where they are."""
        if self.crs:
            return table
        return table.rename(columns=lambda name: re.sub("_(m|m2|km2)$", "_px", name))

    def cells(self, xy: Field) -> NDArray[np.int64]:
        """Row and column (n, 2) of the cells in which points (n, 2) lie."""
        x, y = xy.T
        return np.floor(np.stack([-y if self.crs else y, x], axis=1) / self.cell).astype(np.int64)

    def corners(self, cells: Field) -> Field:
        """x, y (n, 2) of rows and columns (n, 2), which may be fractions."""
        row, column = cells.T * self.cell
        return np.stack([column, -row if self.crs else row], axis=1)

    def lonlat(self, xy: Field) -> Field:
        """Longitude and latitude (n, 2); without a CRS, the points themselves."""
        return _through(self.crs, LONLAT, xy) if self.crs else xy

    def from_lonlat(self, lonlat: Field, scene: str) -> Field:
        """x, y (n, 2) of what a scene's table calls x and y: longitude and latitude, or column and row."""
        return _through(LONLAT, self.crs, lonlat) if self.crs else lonlat + self.shifts.get(scene, (0.0, 0.0))

    def from_map(self, crs: str | None, xy: Field, scene: str) -> Field:
        """x, y (n, 2) of points in a scene's own map coordinates."""
        return _through(crs, self.crs, xy) if crs and self.crs else self.from_lonlat(xy, scene)

    def to_pixels(self, place: Place, size: tuple[int, int], xy: Field, scene: str) -> Field:
        """Columns and rows (n, 2) in a scene; NaN for what is not on its map.

        Args:
            place: where the scene lies.
            size: its height and width.
            xy: points (n, 2) of the frame.
            scene: its name.
        """
        if not self.crs:
            return xy - self.shifts.get(scene, (0.0, 0.0))
        assert place.crs and place.to_lonlat
        points = _through(self.crs, place.crs, xy)
        on = np.isfinite(points).all(axis=1)
        pixels = np.full(points.shape, np.nan)
        pixels[on] = place.pixels_of(points[on], *size)
        return pixels


def frame_around(middles: Iterable[tuple[float, float]], cell: float) -> Frame:
    """An equal-area frame (Lambert) around longitudes and latitudes; antimeridian and poles are places like others.

    Raises:
        ConfigError: they lie too far apart for one map.
    """
    lonlat = np.array(list(middles), np.float64)
    lon, lat = np.radians(lonlat.T)
    x, y, z = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]).mean(axis=1)
    # Whole tenths, so that it can be read; another run of more scenes keeps it.
    lon0, lat0 = (round(float(np.degrees(v)), 1) for v in (np.arctan2(y, x), np.arctan2(z, np.hypot(x, y))))
    check_span(lonlat, (lon0, lat0))
    return Frame(laea(lon0, lat0), cell)


def check_span(lonlat: Field, centre: tuple[float, float]) -> None:
    """Raise ConfigError where a place is too far from the centre of a frame."""
    starts = np.tile(centre, (len(lonlat), 1))
    far = float(np.max(GEOD.inv(*starts.T, *lonlat.T)[2])) / 1000
    if far > WIDEST_KM:
        raise ConfigError(
            f"scenes lie up to {far:.0f} km from their middle, a map holds {WIDEST_KM}",
            "",
            "give those of one region at a time",
        )


def read_shifts(path: Path) -> dict[str, tuple[float, float]]:
    """Columns and rows to add to those of scenes, by name, of a CSV with the columns scene, column and row.

    Raises:
        ConfigError: it is no such table.
    """
    try:
        rows = read_table(path, "scene", ("column", "row"))
    except DataError as error:
        raise ConfigError(error.what, error.where, error.fix) from None
    if not rows:
        raise ConfigError("holds no shift", path, "give a row for each scene")
    shifts = dict[str, tuple[float, float]]()
    for scene, row in rows.items():
        try:
            shifts[scene] = float(row["column"]), float(row["row"])
        except ValueError:
            shifts[scene] = np.nan, np.nan
        if not np.isfinite(shifts[scene]).all():
            raise ConfigError(f"the shift of {scene} is no number", path, "give pixels")
    return shifts


def laea(lon: float, lat: float) -> str:
    """WKT of Lambert's azimuthal equal-area projection around a place on WGS 84."""
    name = f"seepseg zones around {abs(lat):g}{'N' if lat >= 0 else 'S'} {abs(lon):g}{'E' if lon >= 0 else 'W'}"
    crs = CRS.from_proj4(f"+proj=laea +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=m")
    return str(crs.to_wkt().replace('PROJCRS["unknown"', f'PROJCRS["{name}"', 1))


def check_size(height: int, width: int, cell: float) -> None:
    """Raise ConfigError where a grid has too many cells."""
    if height * width > MOST:
        wanted = cell * (height * width / MOST) ** 0.5
        what = f"the map would have {height} × {width} cells"
        fix = f"give at least {wanted:.0f}, or the scenes of one region at a time"
        raise ConfigError(what, f"--cell {cell:g}", fix)


def _through(source: str | None, target: str | None, points: Field) -> Field:
    return np.stack(_transformer(source, target).transform(*points.T), axis=1)


@lru_cache(maxsize=64)
def _transformer(source: str, target: str) -> Any:
    return Transformer.from_crs(source, target, always_xy=True)
