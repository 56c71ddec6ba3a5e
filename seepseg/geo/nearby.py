"""What a user knows to lie near slicks (platforms, wrecks, pipelines, ships with times): the nearest of each file."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import ProjError

from seepseg.errors import DataError
from seepseg.geo.admitted import MAX_VECTORS
from seepseg.geo.place import GEOD, LONLAT, Map, reproject
from seepseg.geo.vector import read_vectors
from seepseg.io.files import open_regular
from seepseg.io.raster import as_data_error
from seepseg.io.table import MAX_COLUMNS, check_names

LON, LAT = ("lon", "longitude"), ("lat", "latitude")
"""What a table may call its coordinates, in upper or lower case."""
EDGE = 0.05, 5000.0
"""Longest edge of a line before it is bent into another map: degrees, metres."""
SLACK = 1.06
"""What a frame may make of a distance, at most (`geo/frame.py`)."""
CHUNK = 500
"""Places that are compared at once."""
SPAN = 10**11
"""Seconds that keep the times of one place apart from those of the next."""


@dataclass(frozen=True)
class Nearby:
    """Everything of some files, and how far it counts.

    Attributes:
        shapes: (n) points, lines or areas in longitude and latitude.
        table: n rows: file, name, kind (text), time (UTC; NaT for what is always there).
        reach: metres.
        hours: before and after an image, for what has a time.
    """

    shapes: NDArray[Any]
    table: pd.DataFrame
    reach: float
    hours: float


def read_nearby(paths: Sequence[Path], reach: float, hours: float) -> Nearby:
    """Tables (CSV: lon, lat, name, kind, time) and vector layers; without a kind, the name of the file is it.

    Raises:
        DataError: one cannot be read, is empty, or does not say where something is, or of when.
    """
    files = [_read(path) for path in dict.fromkeys(paths)]
    table = pd.concat([one for _, one in files], ignore_index=True)
    return Nearby(np.concatenate([shapes for shapes, _ in files]), table, reach, hours)


def nearest(near: Nearby, places: NDArray[Any], moments: pd.Series[Any], to_plane: Map, to_lonlat: Map) -> pd.DataFrame:
    """The nearest of each file to each place within the reach, by place and rank.

    Of one name, the position nearest in time is taken, then the nearest of all names. What has a time counts within
    the hours around an image only.

    Args:
        near: what is there.
        places: (m) shapes in a plane of metres.
        moments: times of images as text, indexed by the place (0 … m − 1) that they show; a place may have several.
        to_plane: longitude and latitude → x, y of that plane.
        to_lonlat: the way back.

    Returns:
        place, rank (from 1, by distance; ships at a place of several images last), file, name, kind, distance_m,
        bearing_deg (from the place, clockwise from north; NaN at distance 0), hours (after the image; negative before).
    """
    moments = pd.to_datetime(moments.dropna(), utc=True, format="ISO8601")
    seconds = _seconds(moments)
    # Most positions of ships are of other days.
    gap = _hours(np.zeros(len(near.table), np.int64), near.table["time"], np.sort(seconds))
    kept = near.table["time"].isna().to_numpy() | (np.abs(gap) <= near.hours)
    table, shapes = near.table[kept], np.asarray(shapely.transform(near.shapes[kept], to_plane), object)
    always = table["time"].isna().to_numpy()
    there = np.flatnonzero(np.isfinite(shapely.bounds(shapes).reshape(-1, 4)).all(axis=1))
    tree = shapely.STRtree(shapes[there])
    keys = np.sort(moments.index.to_numpy(np.int64) * SPAN + seconds)
    parts = list[pd.DataFrame]()
    for start in range(0, max(1, len(places)), CHUNK):
        part = places[start : start + CHUNK]
        i, j = tree.query(part, predicate="dwithin", distance=near.reach * SLACK)
        hours = _hours(i + start, table["time"].iloc[there[j]], keys)
        counts = always[there[j]] | (np.abs(hours) <= near.hours)
        i, j, hours = i[counts], there[j[counts]], hours[counts]
        ends = shapely.get_coordinates(shapely.shortest_line(part[i], shapes[j])).reshape(-1, 2, 2)
        bearing, _, metres = GEOD.inv(*to_lonlat(ends[:, 0]).T, *to_lonlat(ends[:, 1]).T)
        pairs = table.iloc[j].assign(place=i + start, distance_m=metres, hours=hours)
        pairs["bearing_deg"] = np.where(metres > 0, bearing % 360, np.nan)
        parts.append(_first(pairs[metres <= near.reach]))
    rows = pd.concat(parts, ignore_index=True)
    # A ship at one of several images explains less than what is always there.
    rows["passing"] = rows["hours"].notna() & rows["place"].isin(moments.index[moments.index.duplicated()])
    rows = rows.sort_values(["place", "passing", "distance_m"], kind="stable", ignore_index=True)
    rows["rank"] = rows.groupby("place").cumcount() + 1
    rows = rows[["place", "rank", "file", "name", "kind", "distance_m", "bearing_deg", "hours"]]
    return rows.round({"distance_m": 1, "bearing_deg": 1, "hours": 2})


def first_of(rows: pd.DataFrame, places: range) -> pd.DataFrame:
    """The first of `nearest` as columns near_name, near_kind and near_m, a row for each place."""
    first = rows[rows["rank"] == 1].set_index("place").reindex(places).reset_index(drop=True)
    text = {f"near_{c}": first[c].astype(object).where(first[c].notna(), None) for c in ("name", "kind")}
    return pd.DataFrame({**text, "near_m": first["distance_m"]})


def _first(pairs: pd.DataFrame) -> pd.DataFrame:
    """The nearest of each file to each place, in no order of places."""
    best = pairs.assign(late=pairs["hours"].abs().fillna(0))
    best = best.sort_values(["late", "distance_m"], kind="stable").drop_duplicates(["place", "file", "name"])
    return best.sort_values("distance_m", kind="stable").drop_duplicates(["place", "file"])


def _seconds(times: pd.Series[Any]) -> NDArray[np.int64]:
    return np.asarray(times.dt.tz_convert(None).to_numpy("datetime64[s]"), np.int64)


def _hours(place: NDArray[np.int64], times: pd.Series[Any], keys: NDArray[np.int64]) -> NDArray[np.float64]:
    """Hours (k) from the nearest moment of each place to a time; NaN without either. Keys are place · SPAN + second."""
    hours, known = np.full(len(place), np.nan), times.notna().to_numpy()
    if known.any() and len(keys):
        wanted = place[known] * SPAN + _seconds(times[known])
        after = np.searchsorted(keys, wanted)
        gaps = wanted - keys[np.clip([after - 1, after], 0, len(keys) - 1)]
        gap = np.where(np.abs(gaps[0]) <= np.abs(gaps[1]), gaps[0], gaps[1])
        hours[known] = np.where(np.abs(gap) < SPAN // 2, gap / 3600, np.nan)
    return hours


def _read(path: Path) -> tuple[NDArray[Any], pd.DataFrame]:
    shapes, table, crs = _points(path) if path.suffix.lower() == ".csv" else read_vectors(path, times_as_text=True)
    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    shapes, table = shapely.force_2d(shapes[there]), table[there].reset_index(drop=True)
    if not len(shapes):
        raise DataError("holds nothing that is anywhere", path, "leave it out")
    if not crs:
        raise DataError("has no coordinate system", path, "save it with one")
    with as_data_error(path, ProjError):
        degrees, project = CRS(crs).is_geographic, reproject(crs)
    # Not by bounds, which leave out holes: one that lies far outside would be cut into more points than fit in memory.
    if np.all(np.abs(shapely.get_coordinates(shapes)) <= ([360, 90] if degrees else 1e8)):
        with as_data_error(path, shapely.GEOSException):  # a line of one point
            shapes = shapely.transform(shapely.segmentize(shapes, EDGE[0] if degrees else EDGE[1]), project)
    if not np.all(np.abs(shapely.get_coordinates(shapes)) <= [360, 90]):
        raise DataError("has places that are not on Earth", path, "check its coordinates and their system")
    named, blank = {str(column).lower(): table[column] for column in table}, pd.Series("", table.index)
    name, kind = (_text(named.get(column, blank)) for column in ("name", "kind"))
    time = _times(named.get("time", blank), path)
    columns = {"file": path.name, "name": name, "kind": kind.where(kind != "", path.stem), "time": time}
    return shapes, pd.DataFrame(columns, table.index).astype({"time": "datetime64[ms, UTC]"})


def _points(path: Path) -> tuple[NDArray[Any], pd.DataFrame, str]:
    wanted = {*LON, *LAT, "name", "kind", "time"}
    # Without an index, cells beyond the header are left out and move no others.
    how: dict[str, Any] = {"dtype": str, "keep_default_na": False, "index_col": False, "encoding": "utf-8-sig"}
    how["usecols"] = lambda name: name.lower() in wanted  # tables of ships are long, and wide
    try:
        with open_regular(path) as stream:
            if (size := os.fstat(stream.fileno()).st_size) > MAX_VECTORS:
                raise DataError(f"is {size / 2**30:.1f} GiB, over {MAX_VECTORS >> 30}", path, "cut out your region")
            lines = TextIOWrapper(stream, "utf-8-sig", newline="")
            header = next(csv.reader(lines, skipinitialspace=True), [])
            if len(header) > MAX_COLUMNS:
                raise ValueError(f"{len(header)} columns, over {MAX_COLUMNS}")
            check_names([name.lower() for name in header if name.lower() in wanted], path)
            stream.seek(0)
            table: pd.DataFrame = pd.read_csv(stream, skipinitialspace=True, **how)
    except (csv.Error, ValueError) as error:  # pandas' own are such
        raise DataError(f"cannot be read as CSV ({' '.join(str(error).split())})", path, "fix the table") from None
    found = [next((c for c in table if str(c).lower() in names), None) for names in (LON, LAT)]
    if None in found:
        raise DataError(f"has no column {(LON, LAT)[found.index(None)][0]}", path, "give lon and lat in degrees")
    numbers = table[found].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
    wrong = np.flatnonzero(~(np.abs(numbers) <= [360, 90]).all(axis=1))
    if len(wrong):
        said = ", ".join(map(str, table[found].iloc[wrong[0]]))
        raise DataError(f"row {wrong[0] + 2} has lon, lat {said!r}", path, "give degrees")
    return np.asarray(shapely.points(numbers), object), table, LONLAT


def _text(values: pd.Series[Any]) -> pd.Series[Any]:
    return values.astype(object).where(values.notna(), "").map(lambda value: str(value).strip())


def _times(values: pd.Series[Any], path: Path) -> pd.Series[Any]:
    """Times in UTC, as which those without a zone are taken; NaT where a cell is empty."""
    text = _text(values)
    times = pd.to_datetime(text.where(text != ""), utc=True, format="ISO8601", errors="coerce")
    # A day is no time, and midnight would be a guess.
    wrong = np.flatnonzero((text != "") & (times.isna() | ~text.str.contains(r"\d[Tt ]\d")))
    if len(wrong):
        said = f"row {wrong[0] + 1 + (path.suffix.lower() == '.csv')} has the time {text.iloc[wrong[0]]!r}"
        raise DataError(said, path, "give date and time, as in 2021-04-01T05:26:23Z")
    return times
