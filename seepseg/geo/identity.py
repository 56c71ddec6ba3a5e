"""When and by what a scene was taken: from its tags, its name, or a table; what none of them says stays unknown.

TIFFTAG_DATETIME is no such tag: it is when a file was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from seepseg.errors import ConfigError, DataError
from seepseg.io.table import read_table, whole

COLUMNS = {
    "acquired": "datetime64[ms, UTC]",
    "acquired_end": "datetime64[ms, UTC]",
    "platform": "str",
    "mode": "str",
    "polarisation": "str",
    "orbit": "Int64",
    "relative_orbit": "Int64",
    "direction": "str",
    "product": "str",
}
"""The fields of `Identity` as columns, and their types; docs/howto-polygons.md says what each means."""

_TAGS = {
    "acquired": ("ACQUISITION_START_TIME",),
    "acquired_end": ("ACQUISITION_STOP_TIME",),
    "platform": ("MISSION_ID", "SATELLITE_IDENTIFIER"),
    "mode": ("BEAM_MODE",),
    "polarisation": ("POLARISATION",),
    "orbit": ("ORBIT_NUMBER",),
    "relative_orbit": ("RELATIVE_ORBIT_NUMBER",),
    "direction": ("ORBIT_DIRECTION",),
    "product": ("PRODUCT_NAME",),
}
"""Where tags say it, as GDAL's drivers for Sentinel-1 and RADARSAT-2 and our own outputs name them; the first wins."""

MADE_UP = "SYNTHETIC_"
"""How names of products begin that no satellite took."""

_DAY = r"\d{8}T\d{6}"
_NAMES = (
    # Sentinel-1: products, and their measurements (S1-RS-MDA-52-7441).
    rf"(?P<product>(?P<platform>S1[A-Z])_(?P<mode>IW|EW|WV|S[1-6])_[A-Z]{{3}}[FHM_]_[012][SA](?P<polarisation>[SDHV][HV])"
    rf"_(?P<acquired>{_DAY})_(?P<acquired_end>{_DAY})_(?P<orbit>\d{{6}})_[0-9A-F]{{6}}_[0-9A-F]{{4}})",
    rf"(?P<platform>S1[A-Z])-(?P<mode>IW|EW|S[1-6])-GRD-(?P<polarisation>[HV]{{2}})-(?P<acquired>{_DAY})"
    rf"-(?P<acquired_end>{_DAY})-(?P<orbit>\d{{6}})-[0-9A-F]{{6}}-\d{{3}}",
    # RADARSAT-2: order, product and delivery keys, beam, time, polarisations, type.
    r"(?P<product>RS2_OK\d+_PK\d+_DK\d+_(?P<mode>[A-Z0-9]+)_(?P<acquired>\d{8}_\d{6})_(?P<polarisation>[HV]{2}(_[HV]{2})*)"
    r"_[A-Z]{3})",
    # ENVISAT ASAR: time, duration in seconds, phase and cycle, relative and absolute orbit (PO-RS-MDA-GS-2009).
    r"(?P<product>ASA_(?P<mode>IM|AP|WS|GM|WV)[A-Z]_[01][A-Z]{2}\w{3}(?P<acquired>\d{8}_\d{6})_(?P<seconds>\d{8})\d{4}"
    r"_(?P<relative_orbit>\d{5})_(?P<orbit>\d{5})_\d{4})",
)
_PLATFORMS = {"RS2": "RADARSAT-2", "ASA": "ENVISAT"}
_CODES = {"SH": "HH", "SV": "VV", "DH": "HH+HV", "DV": "VV+VH"}


@dataclass(frozen=True)
class Identity:
    """Which acquisition a scene is; None is unknown.

    Attributes:
        acquired, acquired_end: start and end, in UTC, as "2021-04-01T05:26:23.794Z".
        platform: "S1A", "RADARSAT-2", "ENVISAT".
        mode: of the beam: "IW".
        polarisation: "VV+VH".
        orbit, relative_orbit: number at its start.
        direction: "ascending" or "descending".
        product: its name.
    """

    acquired: str | None = None
    acquired_end: str | None = None
    platform: str | None = None
    mode: str | None = None
    polarisation: str | None = None
    orbit: int | None = None
    relative_orbit: int | None = None
    direction: str | None = None
    product: str | None = None

    @property
    def made_up(self) -> bool:
        """Whether it is of a made-up sea, not of a satellite."""
        return (self.product or "").startswith(MADE_UP)

    @property
    def known(self) -> dict[str, str | int]:
        """What is known, by column."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def tags(self) -> dict[str, str]:
        """What is known, as tags of a raster."""
        return {_TAGS[name][0]: str(value) for name, value in self.known.items()}


def identity_of(tags: Mapping[str, str], name: str, row: Mapping[str, str | int]) -> Identity:
    """The identity of a scene: what a row of `read_scenes` says goes before its tags, and these before its name."""
    said = dict[str, str | int]()
    for column, names in _TAGS.items():
        text = next((tags[tag] for tag in names if tags.get(tag)), "")
        try:
            said |= {column: _value(column, text)} if text else {}
        except ValueError:
            continue  # a tag of another meaning
    return Identity(**{**_named(name), **said, **row})  # type: ignore[arg-type]  # text or None, each


def read_scenes(path: Path) -> dict[str, dict[str, str | int]]:
    """What a table says of scenes, by the column `scene`, their names; its other columns are some of `COLUMNS`.

    Raises:
        ConfigError: it is no such table, or a cell of it cannot be understood.
    """
    try:
        rows = read_table(path, "scene", (), COLUMNS)
    except DataError as error:
        raise ConfigError(error.what, error.where, error.fix) from None
    if not any(COLUMNS.keys() & row.keys() for row in rows.values()):
        raise ConfigError("says nothing of a scene", path, f"give columns of {', '.join(COLUMNS)}")
    scenes = dict[str, dict[str, str | int]]()
    for scene, row in rows.items():
        for column in (c for c in COLUMNS if row.get(c, "").strip()):
            try:
                scenes.setdefault(scene, {})[column] = _value(column, row[column])
            except ValueError:
                kind = "date and time, as in 2021-04-01T05:26:23Z" if "acquired" in column else "another value"
                raise ConfigError(f"{column} of {scene} is {row[column]!r}", path, f"give {kind}") from None
    return scenes


def with_identity(table: pd.DataFrame, known: Mapping[str, str | int]) -> pd.DataFrame:
    """A table with the columns of what is known of its scene, the same in each row; the others are empty."""
    index = table.index
    columns = {c: pd.Series([known.get(c)] * len(index), index, dtype=t) for c, t in COLUMNS.items()}
    return pd.concat([table, pd.DataFrame(columns)], axis=1)  # column by column, it takes longer than tracing a tile


def _named(name: str) -> dict[str, str | int]:
    """What the name of a file or folder says; nothing where it holds the names of two products."""
    matches = [m for p in _NAMES for m in re.finditer(rf"(?<![A-Z0-9]){p}", name, re.IGNORECASE)]
    if len({match[0].upper() for match in matches}) != 1:
        return {}
    said = {key: text for key, text in matches[0].groupdict().items() if text}
    start = said["acquired"] = said["acquired"].upper().replace("_", "T")
    said.setdefault("platform", _PLATFORMS.get(matches[0][0][:3].upper(), ""))
    try:
        if seconds := said.pop("seconds", ""):
            said["acquired_end"] = (datetime.fromisoformat(start) + timedelta(seconds=int(seconds))).isoformat()
        return {key: _value(key, text) for key, text in said.items()}
    except ValueError:
        return {}


def _value(column: str, text: str) -> str | int:
    """A value as `Identity` holds it; ValueError where it is none."""
    text = text.strip()
    if column in ("acquired", "acquired_end"):
        if not re.search(r"\d[Tt ]\d", text):
            raise ValueError(text)  # a day is no time, and midnight would be a guess
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if COLUMNS[column] == "Int64":
        return whole(text)
    if column == "direction" and text.lower() not in ("ascending", "descending"):
        raise ValueError(text)
    if column == "polarisation":
        return _joined(re.split(r"[_+,/ ]+", text.upper()))
    if column == "mode":
        return re.sub(r"^S[1-6]$", "SM", text.upper())
    return {"direction": text.lower(), "platform": text.upper()}.get(column, text)


def _joined(codes: Iterable[str]) -> str:
    joined = "+".join(_CODES.get(code, code) for code in codes)
    if not re.fullmatch(r"[HV]{2}(\+[HV]{2})*", joined):
        raise ValueError(joined)
    return joined
