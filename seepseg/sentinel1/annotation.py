"""The XML files of a Sentinel-1 product: what the image is, and the tables that calibrate it.

Elements are named as in ESA's product specification (S1-RS-MDA-52-7441).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from seepseg.errors import DataError
from seepseg.io.documents import parse_xml

Result = TypeVar("Result")
Vector = tuple[float, NDArray[np.float64], NDArray[np.float64]]
"""Line, pixels and values."""

SAME = timedelta(seconds=2)
"""How far apart start times in the files of one product may be; slices of a pass are 25 s apart."""

LARGEST = 1e12
"""Value in a table: that of a squared digital number is 4e9."""
MAX_VALUES = 2**25
"""Of one table over the width of the image; a real one has some 30 lines of 26,000."""


@dataclass(frozen=True)
class Header:
    """Which acquisition ("S1A", absolute orbit, data take, start in UTC) and polarisation ("vv") a file belongs to."""

    platform: str
    orbit: int
    take: int
    polarisation: str
    start: datetime


@dataclass(frozen=True)
class Table:
    """A look-up table of a few lines over the width of an image, bilinear between the points that the product gives.

    Beyond the first and the last line it goes on straight for one more interval, and is constant from there, because
    tables may begin after the image does and end before it.

    Attributes:
        lines: (n), increasing.
        values: (n, W).
    """

    lines: NDArray[np.float64]
    values: NDArray[np.float32]

    def block(self, rows: range, columns: range) -> NDArray[np.float32]:
        """The table at rows and columns of the image (n, w): the same numbers whatever block they are part of."""
        last = len(self.lines) - 1
        where = np.arange(rows.start, rows.stop, dtype=np.float64)
        below = np.clip(np.searchsorted(self.lines, where, side="right") - 1, 0, max(last - 1, 0))
        out = np.empty((len(rows), len(columns)), np.float32)
        for k in np.unique(below).tolist():
            these, above = np.flatnonzero(below == k), min(k + 1, last)
            low, high = (self.values[i, columns.start : columns.stop] for i in (k, above))
            share = np.clip((where[these] - self.lines[k]) / (self.lines[above] - self.lines[k] or 1.0), -1, 2)
            part = out[these[0] : these[-1] + 1]
            np.multiply.outer(share.astype(np.float32), high - low, out=part)
            part += low
        return out


@dataclass(frozen=True)
class Factor:
    """What the noise of some rows and columns is multiplied by: values (n) at lines (n), linear between."""

    rows: range
    columns: range
    lines: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(frozen=True)
class Noise:
    """Thermal noise, in squared digital numbers: a table, and its factors since IPF 2.90."""

    table: Table
    factors: tuple[Factor, ...] = ()

    def block(self, rows: range, columns: range) -> NDArray[np.float32]:
        """Noise at rows and columns of the image (n, w), not below 0."""
        noise = np.maximum(self.table.block(rows, columns), 0)
        for factor in self.factors:
            top, bottom = max(rows.start, factor.rows.start), min(rows.stop, factor.rows.stop)
            left, right = max(columns.start, factor.columns.start), min(columns.stop, factor.columns.stop)
            if top < bottom and left < right:
                part = noise[top - rows.start : bottom - rows.start, left - columns.start : right - columns.start]
                part *= np.interp(np.arange(top, bottom), factor.lines, factor.values).astype(np.float32)[:, None]
        return noise


@dataclass(frozen=True)
class Annotation:
    """What the annotation of one polarisation says of its image.

    Attributes:
        header: whose it is.
        height, width: in pixels.
        spacing: of pixels in range and azimuth, metres.
        denoised: whether the processor removed the noise already.
        points: (n, 5) of the geolocation grid: row, column, longitude, latitude, height. GDAL's row and column, where
            the middle of the first pixel is (½, ½): the grid counts pixels, whose samples are their middles.
        incidence: incidence angle in degrees, from that grid.
    """

    header: Header
    height: int
    width: int
    spacing: tuple[float, float]
    denoised: bool
    points: NDArray[np.float64]
    incidence: Table


def read_annotation(content: bytes, where: Path) -> Annotation:
    """The annotation in an XML file.

    Raises:
        DataError: it is no such file, damaged or too large.
    """
    return _read(content, where, "annotation", _annotation)


def read_calibration(content: bytes, where: Path, width: int) -> tuple[Header, Table]:
    """Whose calibration it is, and A in σ0 = DN² / A²; errors as `read_annotation`."""
    return _read(content, where, "calibration", lambda root: _calibration(root, width))


def read_noise(content: bytes, where: Path, height: int, width: int) -> tuple[Header, Noise]:
    """Whose noise it is, and the noise, in either schema; errors as `read_annotation`."""
    return _read(content, where, "noise", lambda root: (_header(root), _noise(root, height, width)))


def check_same(header: Header, other: Header, where: Path) -> None:
    """Raise DataError where a file belongs to another acquisition or polarisation than its product."""
    mine, its = ((h.platform, h.orbit, h.take, h.polarisation) for h in (header, other))
    if mine != its or abs(header.start - other.start) > SAME:
        what = f"belongs to {other.polarisation.upper()} of {other.platform} at {other.start:%Y-%m-%d %H:%M:%S}, "
        what += f"its product to {header.polarisation.upper()} of {header.platform} at {header.start:%H:%M:%S}"
        raise DataError(what, where, "copy the product again")


def utc(text: str) -> datetime:
    """A time as the products write it, in UTC."""
    return datetime.fromisoformat(text.strip()).replace(tzinfo=UTC)


def _read(content: bytes, where: Path, kind: str, parse: Callable[[Element], Result]) -> Result:
    try:
        return parse(parse_xml(content, where))
    except (KeyError, ValueError, OverflowError) as error:
        raise DataError(f"is no {kind} of a Sentinel-1 product ({error})", where, "copy the product again") from None


def _annotation(root: Element) -> Annotation:
    image = "imageAnnotation/imageInformation/"
    height, width = int(_text(root, f"{image}numberOfLines")), int(_text(root, f"{image}numberOfSamples"))
    if height < 1 or width < 1:
        raise ValueError(f"{height} lines of {width} samples")
    names = ("line", "pixel", "longitude", "latitude", "height", "incidenceAngle")
    table = np.array([[float(_text(p, n)) for n in names] for p in root.iter("geolocationGridPoint")], np.float64)
    if len(table) < 4 or not np.isfinite(table).all():
        raise ValueError("geolocationGridPoint")
    rows = [table[table[:, 0] == line] for line in np.unique(table[:, 0])]
    return Annotation(
        _header(root),
        height,
        width,
        (float(_text(root, f"{image}rangePixelSpacing")), float(_text(root, f"{image}azimuthPixelSpacing"))),
        root.findtext("imageAnnotation/processingInformation/thermalNoiseCorrectionPerformed") == "true",
        table[:, :5] + [0.5, 0.5, 0, 0, 0],
        _table(((row[0, 0], row[:, 1], row[:, 5]) for row in rows), width),
    )


def _header(root: Element) -> Header:
    return Header(
        _text(root, "adsHeader/missionId"),
        int(_text(root, "adsHeader/absoluteOrbitNumber")),
        int(_text(root, "adsHeader/missionDataTakeId")),
        _text(root, "adsHeader/polarisation").lower(),
        utc(_text(root, "adsHeader/startTime")),
    )


def _calibration(root: Element, width: int) -> tuple[Header, Table]:
    table = _table(_vectors(root, "calibrationVector", "sigmaNought"), width)
    first, second = table.values[:-1], table.values[1:]
    if table.values.min() <= 0 or (np.abs(second - first) >= np.minimum(first, second)).any():
        raise ValueError("sigmaNought is not above 0, or jumps")
    return _header(root), table


def _noise(root: Element, height: int, width: int) -> Noise:
    if root.find("noiseRangeVectorList") is None:
        return Noise(_table(_vectors(root, "noiseVector", "noiseLut"), width))
    factors = []
    for vector in root.iter("noiseAzimuthVector"):
        lines, values = _numbers(vector, "line"), _numbers(vector, "noiseAzimuthLut")
        _check(lines, values)
        edges = ("firstAzimuthLine", "lastAzimuthLine"), ("firstRangeSample", "lastRangeSample")
        rows, columns = (
            range(int(vector.findtext(first, "0")), int(vector.findtext(last, str(size - 1))) + 1)
            for (first, last), size in zip(edges, (height, width), strict=True)
        )
        factors.append(Factor(rows, columns, lines, values))
    return Noise(_table(_vectors(root, "noiseRangeVector", "noiseRangeLut"), width), tuple(factors))


def _vectors(root: Element, name: str, values: str) -> Iterator[Vector]:
    for vector in root.iter(name):
        yield float(_text(vector, "line")), _numbers(vector, "pixel"), _numbers(vector, values)


def _table(vectors: Iterable[Vector], width: int) -> Table:
    vectors = list(vectors)
    if not 0 < len(vectors) * width <= MAX_VALUES:
        raise ValueError(f"{len(vectors)} vectors for {width} pixels")
    lines, at = np.array([line for line, _, _ in vectors]), np.arange(width)
    if not np.isfinite(lines).all() or (np.diff(lines) <= 0).any():
        raise ValueError("lines do not increase")
    for _, pixels, values in vectors:
        _check(pixels, values)
    return Table(lines, np.array([np.interp(at, pixels, values) for _, pixels, values in vectors], np.float32))


def _check(places: NDArray[np.float64], values: NDArray[np.float64]) -> None:
    if len(places) != len(values) or not len(places):
        raise ValueError(f"{len(values)} values at {len(places)} places")
    if not np.isfinite([places, values]).all() or (np.diff(places) < 0).any():
        raise ValueError("values that are not finite, or places that do not increase")
    if np.abs(values).max() > LARGEST:
        raise ValueError(f"values above {LARGEST:g}")


def _numbers(element: Element, name: str) -> NDArray[np.float64]:
    return np.array(_text(element, name).split(), np.float64)


def _text(element: Element, path: str) -> str:
    """The text of an element below another; KeyError without it."""
    text = element.findtext(path)
    if text is None:
        raise KeyError(path)
    return text.strip()
