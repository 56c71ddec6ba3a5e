"""One prediction as a STAC item: when and by what its scene was taken, where it lies, and its files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from pyproj import CRS

from seepseg.classes import IGNORE, ClassTable
from seepseg.geo.vector import FORMATS
from seepseg.io.image import inspect_image
from seepseg.io.raster import Georeference, raster_header
from seepseg.stac.footprint import footprint

VERSION = "1.1.0"
EXTENSIONS = {
    "classification": "v2.0.0",
    "processing": "v1.2.0",
    "proj": "v2.0.0",
    "sar": "v1.3.2",
    "sat": "v1.0.0",
}
"""Versions of the extensions, by the prefix of their fields."""
ANY_TIME = {"datetime": None, "start_datetime": "0001-01-01T00:00:00Z", "end_datetime": "9999-12-31T23:59:59Z"}
"""Of a scene whose time nothing says: STAC wants one, and this is no guess."""

_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_MEDIA = {
    ".tif": _COG,
    ".png": "image/png",
    ".gpkg": "application/geopackage+sqlite3",
    ".geojson": "application/geo+json",
    ".fgb": "application/vnd.flatgeobuf",
    ".parquet": "application/vnd.apache.parquet",
}
_RASTERS = {
    "_class": ("classes", "Class map"),
    "_prob": ("probabilities", "Probability of each class"),
    "_uncertainty": ("uncertainty", "Uncertainty, 0 (sure) to 254"),
    "_map": ("map", "Class map on a map grid"),
}
"""Endings of rasters; key and title of their assets."""
_SATELLITES = {
    "S1": ("sentinel-1", "c-sar", "C"),
    "RADARSAT-2": (None, "sar", "C"),
    "ENVISAT": ("envisat", "asar", "C"),
}
"""Constellation, instrument and band, by what a platform's name begins with."""


def item_of(
    identifier: str, stem: str, folder: Path, line: Mapping[str, Any], classes: ClassTable, tags: Mapping[str, str]
) -> dict[str, Any]:
    """The item of one input, without links.

    Args:
        identifier: its id, unique in the catalog.
        stem: what the names of its outputs begin with.
        folder: where these are, as the item will be.
        line: of the manifest.
        classes: names and colours.
        tags: what predicted it, as `Ensemble.tags`.

    Raises:
        DataError: an output cannot be read.
    """
    files = [folder / PurePosixPath(output).name for output in sorted(line["outputs"])]
    raster = next(path for path in files if path.name == f"{stem}_class{path.suffix}")
    place, height, width = _header(raster)
    outline = footprint(place, height, width)
    assets = dict(_assets(stem, files, classes))
    properties = _when(line.get("identity") or {}) | _by_what(line.get("identity") or {}) | _how(line, tags)
    used = {key.partition(":")[0] for fields in (properties, *assets.values()) for key in fields if ":" in key}
    names = {"proj": "projection"}
    return {
        "type": "Feature",
        "stac_version": VERSION,
        "stac_extensions": [
            f"https://stac-extensions.github.io/{names.get(prefix, prefix)}/{version}/schema.json"
            for prefix, version in EXTENSIONS.items()
            if prefix in used
        ],
        "id": identifier,
        "geometry": outline.geometry if outline else None,
        **({"bbox": outline.box} if outline else {}),
        "properties": properties,
        "assets": assets,
    }


def reference(path: str) -> str:
    """A relative path as a link: what has a meaning in addresses is escaped."""
    return "./" * (not path.startswith("../")) + re.sub(r'[%#?\s"<>\\^`{|}]', lambda match: quote(match[0]), path)


def _header(path: Path) -> tuple[Georeference, int, int]:
    if path.suffix != ".png":
        return raster_header(path)
    info = inspect_image(path, bands=[1], labels=True)
    return Georeference(), info.height, info.width  # a map in PNG says nothing of its place


def _when(identity: Mapping[str, Any]) -> dict[str, Any]:
    start, end = identity.get("acquired"), identity.get("acquired_end")
    if not start:
        return dict(ANY_TIME)
    return {"datetime": start} | ({"start_datetime": start, "end_datetime": end} if end else {})


def _by_what(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of platform, radar and orbit, as far as they are known."""
    name = str(identity.get("platform") or "")
    known = (facts for begin, facts in _SATELLITES.items() if name.startswith(begin))
    constellation, instrument, band = next(known, (None, None, None))
    modes = identity.get("polarisation")
    fields = {
        "platform": re.sub(r"^S1(?=[A-Z]$)", "sentinel-1", name).lower() or None,
        "constellation": constellation,
        "instruments": [instrument] if instrument else None,
        "sar:instrument_mode": identity.get("mode"),
        "sar:frequency_band": band,
        "sar:polarizations": str(modes).split("+") if modes else None,
        "sat:orbit_state": identity.get("direction"),
        "sat:absolute_orbit": identity.get("orbit"),
        "sat:relative_orbit": identity.get("relative_orbit"),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _how(line: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    """Fields of the processing, and what was found."""
    product = (line.get("identity") or {}).get("product")
    models, of = tags["SEEPSEG_MODEL"], f" of {product}" if product else ""
    fields = {
        "processing:software": {"seepseg": tags["SEEPSEG_VERSION"]},
        "processing:lineage": f"Classes{of} by seepseg, model {models}, config {tags['SEEPSEG_CONFIG']} (SHA-256)",
        "seepseg:objects": line.get("objects"),
        "seepseg:valid_km2": line.get("valid_km2"),
        "seepseg:km2": line.get("km2"),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _assets(stem: str, files: Iterable[Path], classes: ClassTable) -> Iterable[tuple[str, dict[str, Any]]]:
    vectors: dict[str, str] = {}
    for path in sorted(files, key=lambda path: (FORMATS.index(path.suffix) if path.suffix in FORMATS else 0, path)):
        ending = path.stem.removeprefix(stem)
        asset = {"href": reference(path.name), "type": _MEDIA.get(path.suffix, "")}
        if path.suffix in FORMATS:
            kind = "origins" if ending else "polygons"
            title = "Probable origins of slicks" if ending else "Polygons"
            key = kind if vectors.setdefault(kind, path.suffix) == path.suffix else f"{kind}_{path.suffix[1:]}"
            yield key, asset | {"title": title, "roles": ["data"]}
        elif ending in _RASTERS:
            key, title = _RASTERS[ending]
            yield key, asset | {"title": title, "roles": ["data"]} | _raster(path, key, classes)
        elif ending == "_quicklook":
            yield "quicklook", asset | {"title": "Quick-look", "roles": ["overview"]}


def _raster(path: Path, key: str, classes: ClassTable) -> dict[str, Any]:
    """Fields of what the pixels of a raster mean and where they lie."""
    place, height, width = _header(path)
    fields: dict[str, Any] = {"proj:shape": [height, width], **_projection(place)}
    if key == "probabilities":
        fields["bands"] = [{"name": name, "data_type": "float32", "nodata": "nan"} for name in classes.names]
        return fields
    white = path.suffix == ".png" and len(classes) == 2 and key == "classes"  # a mask of 0 and 255, without no data
    fields |= {"data_type": "uint8"} | ({} if white else {"nodata": IGNORE})
    if key != "uncertainty":
        fields["classification:classes"] = [
            {
                "value": 255 * index if white else index,
                "name": re.sub(r"[^0-9A-Za-z_-]+", "-", name).strip("-") or f"class-{index}",
                "title": name,
                "color_hint": bytes(color).hex().upper(),
            }
            for index, (name, color) in enumerate(zip(classes.names, classes.colors, strict=True))
        ] + ([] if white else [{"value": IGNORE, "name": "nodata", "title": "no data", "nodata": True}])
    return fields


def _projection(place: Georeference) -> dict[str, Any]:
    if not (place.crs_wkt and place.transform):
        return {}
    crs = CRS.from_wkt(place.crs_wkt)
    code = crs.to_epsg()
    # A raster's own text is of the first version of WKT.
    system = {"proj:code": f"EPSG:{code}"} if code else {"proj:code": None, "proj:wkt2": crs.to_wkt()}
    return system | {"proj:transform": list(place.transform)}
