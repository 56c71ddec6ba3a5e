"""What GDAL's metadata say of an image, beside the file (`.aux.xml`) and inside it (tag GDAL_METADATA).

GDAL itself would read more of an `.aux.xml` than is safe: it may name overviews and systems of coordinates that are
other files, or addresses in the network. Here only numbers and plain coordinate systems are taken from it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from rasterio.crs import CRS
from rasterio.errors import CRSError

from seepseg.errors import DataError
from seepseg.io.documents import MAX_XML, parse_xml
from seepseg.io.files import beside, open_regular
from seepseg.io.raster import Georeference, gdal, wkt

Scaling = Mapping[tuple[int, str], float]
"""(1-based band, "SCALE" or "OFFSET") → the number stated."""


@dataclass(frozen=True)
class Pam:
    """What an `.aux.xml` says.

    Attributes:
        georeference: each part as far as it is stated.
        nodata: the text of the no-data value, by 1-based band.
        described: what bands are called, by number.
        scaling: as stated, by band.
        warnings: what is stated and not understood.
    """

    georeference: Georeference = field(default_factory=Georeference)
    nodata: Mapping[int, str] = field(default_factory=dict)
    described: Mapping[int, str] = field(default_factory=dict)
    scaling: Scaling = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def read_pam(image: Path) -> Pam:
    """What the `.aux.xml` beside an image says; nothing where there is none.

    Raises:
        DataError: it is there and cannot be read.
    """
    path = beside(image, ".aux.xml")
    if path is None:
        return Pam()
    with open_regular(path) as stream:
        content = stream.read(MAX_XML + 1)
    root = parse_xml(content, path)
    try:
        return _pam(root, path.name)
    except (KeyError, ValueError) as error:
        raise DataError(f"holds what is no number ({error})", path, "correct or remove it") from None


def tag_scaling(text: str, path: Path) -> Scaling:
    """Scale and offset in the text of a GDAL_METADATA tag."""
    return {
        (int(item.get("sample", "0")) + 1, item.get("role", "").upper()): float(item.text or "")
        for item in parse_xml(text.strip("\0 \n"), path).findall("Item")
        if item.get("role", "").upper() in ("SCALE", "OFFSET")
    }


def tag_descriptions(text: str, path: Path) -> dict[int, str]:
    """What the bands are called in the text of a GDAL_METADATA tag, by number."""
    items = parse_xml(text.strip("\0 \n"), path).findall("Item")
    named = (item for item in items if item.get("role", "").lower() == "description")
    return {int(item.get("sample", "0")) + 1: item.text or "" for item in named}


def refuse_scaling(path: Path, stated: Scaling, bands: Iterable[int]) -> None:
    """Raise DataError where a band has a scale other than 1, or an offset other than 0.

    They are not applied: most tools that cut tiles drop them, so models are mostly trained on the stored numbers, and
    `data.nodata` names a stored number, which would match nothing afterwards. Only the user knows which it was.
    """
    for band in bands:
        scale, offset = stated.get((band, "SCALE"), 1.0), stated.get((band, "OFFSET"), 0.0)
        if (scale, offset) != (1, 0):
            raise DataError(
                f"has SCALE {scale:g} and OFFSET {offset:g}: its stored numbers are not the values",
                path,
                "apply them (gdal_translate -unscale -ot Float32), or, if the model was trained on the stored numbers, "
                "remove them (gdal_edit.py -scale 1 -offset 0)",
            )


def nodata_value(text: object, dtype: np.dtype[Any]) -> float | None:
    """A stated no-data value, where a pixel of this dtype can equal it."""
    try:
        value = float(str(text).strip(" \0\n"))
    except ValueError:
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return float(np.float32(value))  # so that comparing with float32 pixels finds it
    limits = np.iinfo(dtype)
    return value if value.is_integer() and limits.min <= value <= limits.max else None


def _pam(root: Element, name: str) -> Pam:
    warnings: list[str] = []

    def system(text: str | None) -> str | None:
        system = _system((text or "").strip())
        if text and system is None:
            warnings.append(f"the coordinate system in {name} is not understood, and left out")
        return system

    place = _numbers(root.findtext("GeoTransform", ""))
    if place and len(place) != 6:
        raise ValueError(f"a transform of {len(place)} numbers")
    points = root.find("GCPList")
    metadata = {e.get("domain", ""): e for e in root.findall("Metadata")}
    bands = [(int(e.get("band", "1")), e) for e in root.findall("PAMRasterBand")]
    georeference = Georeference(
        crs_wkt=system(root.findtext("SRS")),
        transform=(place[1], place[2], place[0], place[4], place[5], place[3]) if place else None,
        gcps=() if points is None else tuple(_point(p) for p in points.findall("GCP")),
        gcps_crs_wkt=None if points is None else system(points.get("Projection")),
        rpcs=_items(metadata.get("RPC")),
        tags=_items(metadata.get("")),
    )
    return Pam(
        georeference,
        {n: text for n, band in bands if (text := band.findtext("NoDataValue"))},
        {n: text for n, band in bands if (text := band.findtext("Description"))},
        {(n, e.tag.upper()): float(e.text or "") for n, band in bands for e in band if e.tag in ("Scale", "Offset")},
        tuple(warnings),
    )


def _system(text: str) -> str | None:
    """The WKT of a coordinate system given as WKT or AUTHORITY:CODE; None for what could name a file or an address."""
    code = re.fullmatch(r"([A-Za-z]+):(\d+)", text)
    with gdal():
        try:
            if code:
                return wkt(CRS.from_authority(code[1].upper(), int(code[2])))
            return wkt(CRS.from_wkt(text)) if re.match(r"[A-Z_\d]+\s*\[", text) else None
        except CRSError:
            return None


def _numbers(text: str) -> Sequence[float]:
    values = [float(v) for v in text.split(",") if v.strip()]
    if not all(map(math.isfinite, values)):
        raise ValueError(text.strip()[:40])
    return values


def _point(element: Element) -> tuple[float, float, float, float, float]:
    row, column, x, y = _numbers(",".join(element.attrib[key] for key in ("Line", "Pixel", "X", "Y")))
    return row, column, x, y, float(element.get("Z", "0"))


def _items(element: Element | None) -> dict[str, str]:
    items = [] if element is None else element.findall("MDI")
    return dict(sorted((key, e.text or "") for e in items if (key := e.get("key"))))
