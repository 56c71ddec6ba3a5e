"""Where a slick could have been seen: incidence angles and winds that show one, and where they are known from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from unicodedata import normalize

import numpy as np

from seepseg.conditions.cmod import wind_speed
from seepseg.conditions.winds import Winds, read_winds
from seepseg.errors import ConfigError, DataError
from seepseg.geo.frame import Field
from seepseg.io.files import stamp
from seepseg.io.table import number, read_table
from seepseg.passes.scenes import Scene
from seepseg.passes.view import INCIDENCE, WIND, Judge, Nodes
from seepseg.sentinel1.coarse import INCIDENCE as INCIDENCE_TAG
from seepseg.sentinel1.coarse import SIGMA0, Lattice, lattice_of

IMAGE = "image"
"""What --wind says for the wind that the image itself shows."""
LIMITS = (20.0, 45.0), (2.0, 10.0)
"""Incidence in degrees and wind in m/s between which slicks show; docs/howto-zones.md says whence."""
HIGHEST = {"wind_speed": 100.0, "wind_direction": 360.0, "incidence": 90.0}
"""What a table may say of a scene, and the most that it may be: m/s at 10 m, degrees that it comes from, degrees."""

Row = Mapping[str, float]
Form = tuple[Callable[[Scene, Nodes], Field], Callable[[Scene], str]]
"""`Judge.measure` and `Judge.key`."""


def judges_of(
    winds: Sequence[Path],
    wind_range: tuple[float, float] = LIMITS[1],
    incidence: tuple[float, float] = LIMITS[0],
    direction: float | None = None,
) -> tuple[Judge, ...]:
    """What decides whether a slick could have been seen.

    Args:
        winds: files of one kind: a CSV by scene, or GRIB, netCDF or GeoTIFF; and the path `IMAGE`, where speeds are
            those that the images show, and files or `direction` say where it comes from.
        wind_range: m/s.
        incidence: degrees.
        direction: that the wind comes from, degrees clockwise from north, for `IMAGE`.

    Raises:
        ConfigError: they do not go together.
        DataError: a file cannot be read, or holds no wind.
    """
    from_image, files = Path(IMAGE) in winds, [path for path in winds if path != Path(IMAGE)]
    tables = [path for path in files if path.suffix.lower() == ".csv"]
    fields = [path for path in files if path not in tables]
    rows = _rows(tables)
    told = {name for row in rows.values() for name in row}
    if fields and told & {"wind_speed", "wind_direction"}:
        raise ConfigError("wind is given twice", f"--wind {tables[0]} --wind {fields[0]}", "give a table or fields")
    if direction is not None and (not from_image or fields or "wind_direction" in told):
        why = "the files say it" if from_image else "it is only needed for --wind image"
        raise ConfigError(f"the direction of the wind is given, and {why}", "--wind-direction", "leave it out")
    if from_image and not (fields or direction is not None or "wind_direction" in told):
        fix = "give --wind-direction, or a file of wind beside it"
        raise ConfigError("backscatter tells no wind without its direction", "--wind image", fix)
    if from_image and "wind_speed" in told:
        raise ConfigError("wind is given twice", f"--wind image --wind {tables[0]}", "leave out one, or wind_speed")
    weather = read_winds(fields) if fields else None
    words = f"incidence {incidence[0]:g}–{incidence[1]:g}°"
    angle = Judge(INCIDENCE, "incidence_deg", *incidence, words, *_incidence(rows))
    source = " and ".join(f"--wind {path}" for path in winds)
    if weather:
        first, last = (f"{time:%Y-%m-%d %H:%M}" for time in (weather.times[0], weather.times[-1]))
        source += f" (winds of {first} to {last})"
    if from_image:
        source += " (which needs Sentinel-1 products in VV, predicted by this version)"
        form = _from_image(rows, weather, direction)
    elif weather:
        form = _from_fields(weather)
    elif "wind_speed" in told:
        form = _from_table(rows)
    else:
        return (angle,)
    words = f"wind {wind_range[0]:g}–{wind_range[1]:g} m/s by {', '.join(path.name for path in winds)}"
    return angle, Judge(WIND, "wind_m_s", *wind_range, words, *form, source)


def parse_range(text: str, option: str, highest: float) -> tuple[float, float]:
    """The two numbers of LOW:HIGH; ConfigError where they are none from 0 to the highest, or LOW is not below HIGH."""
    low, _, high = text.partition(":")
    try:
        numbers = number(low), number(high)
    except ValueError:
        numbers = np.nan, np.nan
    if not 0 <= numbers[0] < numbers[1] <= highest:
        raise ConfigError(f"{text!r} is not LOW:HIGH between 0 and {highest:g}", option, "for example 2:10")
    return numbers


def _rows(tables: Sequence[Path]) -> dict[str, Row]:
    """The numbers of a table by scene."""
    if len(tables) > 1:
        raise ConfigError("two tables", " and ".join(map(str, tables)), "put all scenes into one")
    rows = dict[str, Row]()
    for path in tables:
        for scene, cells in read_table(path, "scene", (), HIGHEST).items():
            try:
                rows[scene] = {c: _number(c, cells[c]) for c in HIGHEST if cells.get(c, "").strip()}
            except ValueError as error:
                raise DataError(f"{scene} has {error}", path, "fix the table") from None
        if not any(rows.values()):
            raise DataError("says no wind and no incidence", path, f"give columns of {', '.join(HIGHEST)}")
    return rows


def _number(column: str, text: str) -> float:
    try:
        value = number(text)
    except ValueError:
        value = np.nan
    if not 0 <= value <= HIGHEST[column]:
        raise ValueError(f"{column} {text!r}, which is not between 0 and {HIGHEST[column]:g}")
    return value


def _row(rows: Mapping[str, Row], scene: Scene) -> Row:
    """What a table says of a scene, by its name, with or without folders, or that of its product."""
    names = (scene.name, Path(scene.name).name, scene.identity.product or "")
    return next((rows[name] for name in (normalize("NFC", name) for name in names) if name in rows), {})


def _constant(rows: Mapping[str, Row], scene: Scene, column: str, at: Nodes) -> Field:
    return np.full(len(at.pixels), _row(rows, scene).get(column, np.nan))


def _incidence(rows: Mapping[str, Row]) -> Form:
    def measure(scene: Scene, at: Nodes) -> Field:
        lattice = lattice_of(at.tags, INCIDENCE_TAG)
        return lattice.at(at.pixels) if lattice else _constant(rows, scene, "incidence", at)

    return measure, lambda scene: str(_row(rows, scene))


def _from_table(rows: Mapping[str, Row]) -> Form:
    def measure(scene: Scene, at: Nodes) -> Field:
        return _constant(rows, scene, "wind_speed", at)

    return measure, lambda scene: str(_row(rows, scene))


def _from_fields(weather: Winds) -> Form:
    def measure(scene: Scene, at: Nodes) -> Field:
        return _weather(weather, scene, at)[0]

    return measure, lambda scene: _time_key(weather, scene)


def _weather(weather: Winds, scene: Scene, at: Nodes) -> tuple[Field, Field]:
    """Speed and direction (k) of the fields at places."""
    number = weather.nearest(scene.identity.acquired)
    values = np.full((2, len(at.lonlat)), np.nan)
    known = np.isfinite(at.lonlat).all(axis=1)
    if number is not None and known.any():
        values[:, known] = weather.at(number, at.lonlat[known])
    return values[0], values[1]


def _time_key(weather: Winds, scene: Scene) -> str:
    number = weather.nearest(scene.identity.acquired)
    if number is None:
        return ""
    bands = weather.bands[number].values()
    return repr([(str(band.path), stamp(band.path), band.name, band.number) for band in bands])


def _from_image(rows: Mapping[str, Row], weather: Winds | None, direction: float | None) -> Form:
    """Wind of σ0, incidence and direction on the lattice of σ0; unknown where the class map lacks one of them."""

    def measure(scene: Scene, at: Nodes) -> Field:
        sigma0, incidence = lattice_of(at.tags, SIGMA0), lattice_of(at.tags, INCIDENCE_TAG)
        if sigma0 is None or incidence is None or at.place.to_lonlat is None:
            return np.full(len(at.pixels), np.nan)
        points = sigma0.points
        there = Nodes(at.place.to_lonlat(points), points, at.place, at.tags)
        towards = np.full(len(points), np.nan if direction is None else direction)
        if weather:
            towards = _weather(weather, scene, there)[1]
        elif direction is None:
            towards = _constant(rows, scene, "wind_direction", there)
        # Sentinel-1 looks along its rows, away from the first column.
        east, north = at.place.metric(points)[:, :, 0].T
        look = np.degrees(np.arctan2(east, north))
        speed = wind_speed(10 ** (sigma0.values.ravel() / 10), incidence.at(points), towards - look)
        return Lattice(sigma0.rows, sigma0.columns, speed.reshape(sigma0.values.shape)).at(at.pixels)

    def key(scene: Scene) -> str:
        if weather:
            return f"image {_time_key(weather, scene)}"
        return f"image {direction} {_row(rows, scene)}"

    return measure, key
