"""Wind at 10 m from GRIB, netCDF or GeoTIFF: nearest in time, bilinear in place."""

from __future__ import annotations

import os
import re
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from rasterio.transform import Affine

from seepseg.conditions.hdf5 import names_other_files
from seepseg.conditions.netcdf3 import check_header
from seepseg.errors import DataError
from seepseg.geo.place import LONLAT
from seepseg.io.files import open_regular
from seepseg.io.raster import as_data_error, gdal, open_raster

Field = NDArray[np.float64]

HOURS = 3.0
"""Between a wind and the scene that it is used for, at most."""
MOST = 2**25
"""Numbers in a field, at most; those of ERA5 have 2²⁰."""
MOST_FIELDS = 2**15
"""Fields of one variable, at most, as of GDAL's netCDF, which leaves out more; a year of hours has 2¹³."""
MOST_BYTES = 2**33
"""Of a file; a month of ERA5's hours has 2³²."""

DRIVERS = {b"GRIB": "GRIB", b"CDF": "netCDF", b"\x89HDF": "netCDF", b"II": "GTiff", b"MM": "GTiff"}
"""GDAL's driver by the first bytes; no other opens a file."""
NAMES = {
    "u": ("u10", "10u", "u10n", "u10m", "ugrd", "uwnd", "eastward_wind"),
    "v": ("v10", "10v", "v10n", "v10m", "vgrd", "vwnd", "northward_wind"),
    "speed": ("wind_speed", "si10", "10si", "ws10", "ws", "wspd", "wind"),
}
"""What files call the parts of wind, in small letters."""
UNITS = ("", "m/s", "ms**-1", "ms-1", "ms^-1", "m.s-1", "m.s**-1", "meters/second", "metres/second")
"""m/s, spaces left out; "" is not said."""
GRIDS = ("grid_latitude", "grid_longitude", "projection_x_coordinate", "projection_y_coordinate")
"""Standard names of rows and columns that are no longitude and latitude."""


@dataclass(frozen=True)
class Band:
    """One field.

    Attributes:
        path, name: the file, and what GDAL calls the part of it; "" for the whole.
        number: of its band.
        part: "u", "v" or "speed".
        time: UTC.
    """

    path: Path
    name: str
    driver: str
    number: int
    part: str
    time: pd.Timestamp


@dataclass(frozen=True)
class Winds:
    """All fields of some files, by time.

    Attributes:
        times: sorted.
        bands: of each, by part: "u" and "v", or "speed", or all.
    """

    times: tuple[pd.Timestamp, ...]
    bands: tuple[Mapping[str, Band], ...]

    def nearest(self, time: str | None) -> int | None:
        """The number of the time that is nearest to one; None where it is more than `HOURS` away, or none is given."""
        if not time:
            return None
        when, last = pd.Timestamp(time), len(self.times) - 1
        after = min(bisect(self.times, when), last)
        number = min((max(after - 1, 0), after), key=lambda i: abs(self.times[i] - when))
        return number if abs(self.times[number] - when) <= pd.Timedelta(hours=HOURS) else None

    def at(self, number: int, lonlat: Field) -> tuple[Field, Field]:
        """Speed (k), m/s, and direction (k) that it comes from, degrees clockwise from the y axis of its map.

        NaN where the field does not reach, or does not say.

        Args:
            number: of the time.
            lonlat: (k, 2) longitudes and latitudes.

        Raises:
            DataError: the file is damaged.
        """
        parts = {part: _at(band, lonlat) for part, band in self.bands[number].items()}
        if not {"u", "v"} <= parts.keys():
            return parts["speed"], np.full(len(lonlat), np.nan)
        u, v = parts["u"], parts["v"]
        return parts.get("speed", np.hypot(u, v)), np.degrees(np.arctan2(-u, -v)) % 360


def read_winds(paths: Sequence[Path]) -> Winds:
    """The wind fields of files, of which nothing but headers is read yet.

    Raises:
        DataError: a file cannot be read, holds no wind at 10 m in m/s, or does not say where and of when.
    """
    every = dict[pd.Timestamp, dict[str, Band]]()
    for path in paths:
        found = list(_bands(path))
        for band in found:
            every.setdefault(band.time, {}).setdefault(band.part, band)
    whole = {time: parts for time, parts in every.items() if "speed" in parts or {"u", "v"} <= parts.keys()}
    if not whole:
        where = ", ".join(map(str, paths))
        raise DataError("holds only one component of the wind", where, "give both, u10 and v10, or a speed")
    times = tuple(sorted(whole))
    return Winds(times, tuple(whole[time] for time in times))


def _bands(path: Path) -> Iterator[Band]:
    with open_regular(path) as stream:
        head, size = stream.read(8), os.fstat(stream.fileno()).st_size
    driver = next((name for magic, name in DRIVERS.items() if head.startswith(magic)), None)
    if driver is None:
        raise DataError("is no GRIB, netCDF or GeoTIFF", path, "convert it, for example with gdal_translate or cdo")
    if size > MOST_BYTES:
        raise DataError(f"is {size / 2**30:.1f} GiB, over {MOST_BYTES >> 30}", path, "cut out your region and time")
    if head.startswith(b"\x89HDF") and names_other_files(path):
        raise DataError("names other files", path, "write all of it into one, for example with nccopy")
    with as_data_error(path), gdal():
        if head.startswith(b"CDF"):
            check_header(path)
        whole = _opened(path, driver)
        # GDAL makes their names, of variables in this file.
        names = whole.subdatasets or [""]
        held, wanted = list[str](), list[tuple[str, int, str, dict[str, str]]]()
        for name in names:
            source = _opened(path, driver, name)
            if source.count >= MOST_FIELDS:
                raise DataError(f"holds {source.count:,} fields or more", path, "cut out your time")
            common = source.tags()
            for number in range(1, source.count + 1):
                tags = {**common, **source.tags(number)}
                called = _called(tags, source.descriptions[number - 1])
                held += called[:1]
                part = next((p for p, known in NAMES.items() if set(called) & set(known)), None)
                if part and _at_ten(tags):
                    wanted.append((name, number, part, tags))
    if not wanted:
        seen = ", ".join(dict.fromkeys(held)) or "nothing with a name"
        raise DataError(f"holds no wind at 10 m, only {seen}"[:200], path, "it needs u10 and v10, or wind_speed")
    for name, number, part, tags in wanted:
        unit = re.sub(r"[\[\]\s]", "", tags.get("GRIB_UNIT") or tags.get("units") or tags.get("UNITS") or "").lower()
        if unit not in UNITS:
            raise DataError(f"its wind is in {unit}", path, "convert it to m/s")
        yield Band(path, name, driver, number, part, _time(tags, path))
    for name in {name for name, *_ in wanted}:
        source = _opened(path, driver, name)
        if source.transform == Affine.identity() or _elsewhere(source):
            what = "does not lie on a regular grid of longitude and latitude or of a map"
            raise DataError(what, path, "regrid it, for example with cdo remapbil")
        if source.height * source.width > MOST:
            raise DataError(f"its fields have {source.height} × {source.width} numbers", path, "cut out your region")


def _elsewhere(source: Any) -> bool:
    """Whether rows and columns are of another pole than the Earth's, or of a map that is not known here."""
    if source.crs:
        return bool(source.crs.is_geographic and CRS.from_wkt(source.crs.to_wkt()).is_derived)
    said = [(key.rpartition("#")[2], value) for key, value in source.tags().items()]
    mapped = any(key == "grid_mapping_name" and value != "latitude_longitude" for key, value in said)
    return mapped or any(key == "standard_name" and value in GRIDS for key, value in said)


@lru_cache(maxsize=64)
def _opened(path: Path, driver: str, part: str = "") -> Any:
    """A dataset, open as long as it is among the last used."""
    options = {"USE_IDX": "NO"} if driver == "GRIB" else {}
    return open_raster(path, driver, part, **options)


def _called(tags: Mapping[str, str], description: str | None) -> list[str]:
    """All names of a band, in small letters."""
    variable = tags.get("NETCDF_VARNAME", "")
    standard = tags.get("standard_name") or tags.get(f"{variable}#standard_name")
    names = (variable, tags.get("GRIB_ELEMENT"), description, standard)
    return [name.strip().lower() for name in names if name]


def _at_ten(tags: Mapping[str, str]) -> bool:
    """Whether a band is not said to be of another height than 10 m above the sea."""
    level = tags.get("GRIB_SHORT_NAME", "")
    if level:
        return level in ("10-HTGL", "0-SFC", "0-MSL")
    dimensions = {k.removeprefix("NETCDF_DIM_").lower(): v for k, v in tags.items() if k.startswith("NETCDF_DIM_")}
    for name, value in dimensions.items():
        if name.endswith(("_def", "_values")):
            continue
        if name.startswith(("lev", "plev", "isobaric", "pressure")):
            return False
        if name.startswith("height") and float(value) != 10:
            return False
    return True


def _time(tags: Mapping[str, str], path: Path) -> pd.Timestamp:
    """When a band is of."""
    try:
        if "GRIB_VALID_TIME" in tags:
            return pd.Timestamp(int(tags["GRIB_VALID_TIME"].split()[0]), unit="s", tz="UTC")
        for key, units in tags.items():
            name = key.removesuffix("#units")
            if name != key and " since " in units and f"NETCDF_DIM_{name}" in tags:
                if tags.get(f"{name}#calendar", "standard") not in ("standard", "gregorian", "proleptic_gregorian"):
                    raise ValueError(tags[f"{name}#calendar"])
                unit, _, start = units.partition(" since ")
                return _utc(start) + float(tags[f"NETCDF_DIM_{name}"]) * pd.Timedelta(f"1 {unit.strip().lower()}")
        return _utc(datetime.fromisoformat(tags["TIME"].strip()))
    except (KeyError, ValueError, OverflowError) as error:
        what = "does not say of when its wind is" if isinstance(error, KeyError) else f"has a time of {error}"
        raise DataError(what, path, "give a file with a time axis, or a tag TIME such as 2021-04-01T05:00Z") from None


def _utc(said: str | datetime) -> pd.Timestamp:
    time = pd.Timestamp(said)
    return time.tz_convert("UTC") if time.tzinfo else time.tz_localize("UTC")


def _at(band: Band, lonlat: Field) -> Field:
    """Values (k) of a field, bilinear between the middles of its cells; NaN beyond its border."""
    values, crs, back, turns = _field(band)
    xy = lonlat
    if crs:
        with as_data_error(band.path, ProjError):
            xy = np.stack(Transformer.from_crs(LONLAT, crs, always_xy=True).transform(*lonlat.T), axis=1)
    height, width = values.shape
    column, row = np.array(back @ np.vstack([xy.T, np.ones(len(xy))]))[:2] - 0.5
    if turns:  # a turn of longitude, in columns
        column = column - turns * np.floor((column + 0.5) / turns)
    inside = (column >= -0.5) & (column <= width - 0.5) & (row >= -0.5) & (row <= height - 0.5)
    around = abs(turns - width) < 0.5
    column, row = np.where(inside, column, 0.0), np.clip(np.where(inside, row, 0.0), 0, height - 1)
    column = column if around else np.clip(column, 0, width - 1)
    i, j = np.floor(row).astype(np.intp), np.floor(column).astype(np.intp)
    t, s = row - i, column - j
    below = np.minimum(i + 1, height - 1)
    left, right = (j % width, (j + 1) % width) if around else (j, np.minimum(j + 1, width - 1))
    upper = values[i, left] * (1 - s) + values[i, right] * s
    lower = values[below, left] * (1 - s) + values[below, right] * s
    return np.where(inside, upper * (1 - t) + lower * t, np.nan)


@lru_cache(maxsize=8)
def _field(band: Band) -> tuple[Field, str | None, Field, float]:
    """A field (h, w), its map (None: longitude and latitude), the matrix to its columns and rows, columns in 360°."""
    with as_data_error(band.path), gdal():
        source = _opened(band.path, band.driver, band.name)
        stored = source.read(band.number, masked=True)
        values = stored.astype(np.float64).filled(np.nan)
        values = values * source.scales[band.number - 1] + source.offsets[band.number - 1]
        crs = source.crs.to_wkt() if source.crs and not source.crs.is_geographic else None
        if source.transform.is_degenerate or not (crs or source.transform.a):
            raise ValueError("cells without a size")
        turns = 0.0 if crs else abs(360 / source.transform.a)
        back = np.array(~source.transform).reshape(3, 3)
    return values, crs, back, turns
