"""Vector files: polygons with their attributes as GeoPackage or GeoJSON; the one module that uses pyogrio."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FieldError, GeometryError

from seepseg.errors import ConfigError, DataError, ResourceError, listed
from seepseg.io.atomic import atomic_path
from seepseg.io.files import open_regular

DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON"}
_UTC = 100
"""GDAL's number of that time zone."""

_KINDS = re.compile(rb"\{|SQLite format 3\0.{52}GP|\0\0\x27\x0a|fgb\x03fgb", re.DOTALL)

# A GeoPackage holds the time of its last change; a fixed one keeps reruns identical byte for byte.
os.environ.setdefault("OGR_CURRENT_DATE", "2000-01-01T00:00:00.000Z")
pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": os.environ["OGR_CURRENT_DATE"]})


def write_vectors(path: Path, shapes: NDArray[Any], table: pd.DataFrame, crs: str | None) -> None:
    """Write shapes and their attributes, complete or absent; the suffix says the format.

    GeoJSON is longitude and latitude whatever `crs` (RFC 7946).

    Args:
        path: .gpkg or .geojson.
        shapes: (n) shapely polygons or multi-polygons.
        table: n rows; NaN, NaT, NA and None become null. Times are in UTC.
        crs: WKT, or None for pixel coordinates.

    Raises:
        ConfigError: not writable.
        ResourceError: the disk is full, or fails.
    """
    polygons, shape = shapely.get_parts(shapes, return_index=True)
    many = shapely.multipolygons(polygons, indices=shape) if len(shapes) else shapes
    extra = {"RFC7946": "YES"} if path.suffix == ".geojson" and crs else {}
    with atomic_path(path) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        try:
            pyogrio.raw.write(
                temporary,
                shapely.to_wkb(many),
                [_column(table[name]) for name in table.columns],
                list(table.columns),
                field_mask=[_missing(table[name]) for name in table.columns],
                gdal_tz_offsets={name: np.full(len(table), _UTC) for name in table.select_dtypes("datetimetz")},
                layer=path.stem,
                driver=DRIVERS[path.suffix],
                geometry_type="MultiPolygon",
                crs=crs,
                **extra,
            )
        except (DataSourceError, DataLayerError, FieldError, GeometryError, RuntimeError) as error:
            if not os.access(path.parent, os.W_OK):
                raise ConfigError("not writable", path, "change its permissions, or choose another folder") from None
            raise ResourceError(
                f"cannot be written ({' '.join(str(error).split())[:120]})",
                path,
                "check the free space, then run again",
            ) from None


def read_vectors(path: Path) -> tuple[NDArray[Any], pd.DataFrame, str | None]:
    """Shapes, attributes and CRS (WKT or authority code) of a vector file of one layer.

    Raises:
        DataError: it is none of the kinds meant, by its first bytes, has several layers, or cannot be read.
    """
    with open_regular(path) as stream:
        head = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    # GDAL goes by content too, and other kinds (virtual files, pipelines in JSON) name more files, or addresses.
    if not _KINDS.match(head) or b"gdal_streamed_alg" in head:
        raise DataError("not a GeoPackage, GeoJSON, Shapefile or FlatGeobuf", path, "convert it to one")
    try:
        layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
        if len(layers) > 1:
            what = f"holds {len(layers)} layers ({listed(layers)})"
            raise DataError(what, path, "save the one that is meant in a file of its own")
        meta, _, geometry, fields = pyogrio.raw.read(path)
    except (DataSourceError, DataLayerError, RuntimeError) as error:
        raise DataError(f"cannot be read ({' '.join(str(error).split())[:120]})", path, "save it again") from None
    shapes = shapely.from_wkb(np.array([] if geometry is None else geometry, dtype=object))
    return shapes, pd.DataFrame(dict(zip(meta["fields"], fields, strict=True))), meta["crs"]


def read_shapes(path: Path) -> tuple[NDArray[Any], str | None]:
    """Polygons of a vector file and their CRS.

    Raises:
        ConfigError: it cannot be read, or holds none.
    """
    try:
        shapes, _, crs = read_vectors(path)
    except DataError as error:
        raise ConfigError(error.what, error.where, error.fix) from None
    parts = shapely.get_parts(shapely.get_parts(shapes))  # a collection may hold multi-polygons
    areas = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    if not len(areas):
        raise ConfigError("no polygon", path, "give a vector file of polygons")
    return areas, crs


def _column(values: pd.Series[Any]) -> NDArray[Any]:
    """A column as pyogrio takes it: numbers, truth values, times, or text."""
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        return np.asarray(values.dt.tz_convert(None))
    if isinstance(values.dtype, pd.Int64Dtype):
        return values.fillna(0).to_numpy(np.int64)
    if values.dtype == object or str(values.dtype) in ("str", "string"):
        return values.astype(object).to_numpy()
    return values.to_numpy()


def _missing(values: pd.Series[Any]) -> NDArray[np.bool_] | None:
    """Where a column of whole numbers has none; other columns say so themselves."""
    return values.isna().to_numpy(bool) if isinstance(values.dtype, pd.Int64Dtype) else None
