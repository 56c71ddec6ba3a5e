"""Vector files: layers of shapes with their attributes, as GeoPackage and others; the one module that uses pyogrio."""

from __future__ import annotations

import glob
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError, FieldError, GeometryError
from pyogrio.util import vsi_path

from seepseg.errors import ConfigError, DataError, listed
from seepseg.geo.admitted import refuse_others
from seepseg.geo.parquet import MAGIC, read_parquet, write_parquet
from seepseg.geo.shapes import from_wkb
from seepseg.io.atomic import TEMPORARY_PREFIX, atomic_path, unwritten
from seepseg.io.files import open_regular

DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".fgb": "FlatGeobuf"}
FORMATS = (*DRIVERS, ".parquet")
"""Suffixes of what can be written, the first one goes first where several hold the same."""
STYLES = "layer_styles"
"""Where QGIS keeps styles in a GeoPackage."""
_UTC = 100
"""GDAL's number of that time zone."""
_SUFFIXES = (*DRIVERS, ".json", ".shp")

# A GeoPackage holds the time of its last change; a fixed one keeps reruns identical byte for byte.
os.environ.setdefault("OGR_CURRENT_DATE", "2000-01-01T00:00:00.000Z")
pyogrio.set_gdal_config_options({"OGR_CURRENT_DATE": os.environ["OGR_CURRENT_DATE"]})


@dataclass(frozen=True)
class Layer:
    """One layer of a vector file.

    Attributes:
        name: what the file calls it.
        shapes: (n) shapely geometries.
        table: n rows; NaN, NaT, NA and None become null. Times are in UTC.
        crs: WKT, or None for pixel coordinates.
        kind: of its geometries; parts of polygons become multi-polygons.
        description: what a reader should know, kept in the file.
        style: QGIS style (QML), kept in a GeoPackage and used by default there; "" for none.
    """

    name: str
    shapes: NDArray[Any]
    table: pd.DataFrame
    crs: str | None
    kind: str = "MultiPolygon"
    description: str = ""
    style: str = ""


def write_vectors(path: Path, shapes: NDArray[Any], table: pd.DataFrame, crs: str | None) -> None:
    """Write polygons as the only layer of a file, see `write_layers`."""
    write_layers(path, [Layer(path.stem, shapes, table, crs)])


def write_layers(path: Path, layers: Iterable[Layer]) -> None:
    """Write layers, complete or absent; the suffix, one of `FORMATS`, says how, and only a GeoPackage holds several.

    Layers of one name, one after another, are parts of one.

    GeoJSON is longitude and latitude whatever the `crs` (RFC 7946). FlatGeobuf has a spatial index, and with it another
    order of features.

    Raises:
        ConfigError: not writable.
        ResourceError: the disk is full, or fails.
    """
    with atomic_path(path) as target, _literal(target) as temporary, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'crs' was not provided")
        warnings.filterwarnings("ignore", "'geometry_type' was not provided|A geometry column was not provided")
        try:
            styles = dict[str, str]()
            for number, named in enumerate(layers):
                layer = replace(named, name=layer_name(named.name))
                _write(temporary, layer, path.suffix, append=number > 0)
                styles |= {layer.name: layer.style} if layer.style else {}
            if path.suffix == ".gpkg" and styles:
                _write_styles(temporary, styles)
        except (DataSourceError, DataLayerError, FieldError, GeometryError, RuntimeError) as error:
            raise unwritten(path, " ".join(str(error).split())[:120]) from None


def layer_name(name: str) -> str:
    """A name that a GeoPackage takes: it begins with a letter, digit or `_`, is not reserved, and is of one line."""
    name = re.sub(r"[\x00-\x1f\x7f]", "_", name)
    return name if re.match(rf"(?!gpkg|sqlite_|rtree_|{STYLES}$)\w", name, re.IGNORECASE) else f"_{name}"


@contextmanager
def _literal(path: Path) -> Iterator[Path]:
    """A path to a file that pyogrio takes as it stands: it would take `a!b` for `b` in an archive `a`."""
    if vsi_path(str(path)) == str(path):
        yield path
        return
    with TemporaryDirectory(prefix=TEMPORARY_PREFIX) as name:
        folder = Path(name)
        (folder / "d").symlink_to(path.parent.absolute())
        plain = folder / "d" / path.name
        if vsi_path(str(plain)) != str(plain):
            for part in path.parent.glob(f"{glob.escape(path.stem)}.*"):
                (folder / f"v{part.suffix}").symlink_to(part.absolute())
            plain = folder / f"v{path.suffix if path.suffix in _SUFFIXES else ''}"
        yield plain


def _write(path: Path, layer: Layer, suffix: str, *, append: bool) -> None:
    shapes, table = layer.shapes, layer.table
    if layer.kind == "MultiPolygon" and len(shapes):
        polygons, shape = shapely.get_parts(shapes, return_index=True)
        filled, place = np.unique(shape, return_inverse=True)  # some may be empty
        shapes = np.full(len(shapes), shapely.MultiPolygon(), object)
        shapes[filled] = shapely.multipolygons(polygons, indices=place)
    if suffix == ".parquet":
        write_parquet(path, shapes, table, layer.crs)
        return
    options = {"DESCRIPTION": layer.description} if layer.description else {}
    if suffix == ".fgb" and (shapely.is_missing(shapes) | shapely.is_empty(shapes)).any():
        options["SPATIAL_INDEX"] = "NO"  # it has no place for them
    columns = dict(table.items())
    times = [name for name, values in columns.items() if isinstance(values.dtype, pd.DatetimeTZDtype)]
    pyogrio.raw.write(
        path,
        shapely.to_wkb(shapes),
        list(map(_column, columns.values())),
        list(columns),
        field_mask=list(map(_missing, columns.values())),
        gdal_tz_offsets={name: np.full(len(table), _UTC) for name in times},
        layer=layer.name,
        driver=DRIVERS[suffix],
        geometry_type=layer.kind,
        crs=layer.crs,
        append=append,
        layer_options=options,
        **({"RFC7946": "YES"} if suffix == ".geojson" and layer.crs else {}),
    )


def _write_styles(path: Path, styles: Mapping[str, str]) -> None:
    """Append QGIS's own table of styles, which it reads before any file beside."""
    columns = {"f_table_name": np.array(list(styles), object), "styleQML": np.array(list(styles.values()), object)}
    same: dict[str, object] = {"f_table_catalog": "", "f_table_schema": "", "f_geometry_column": "geom"}
    same |= {"styleName": "seepseg", "styleSLD": "", "useAsDefault": True, "description": "", "owner": "", "ui": ""}
    for name, value in same.items():
        columns[name] = np.full(len(styles), value, bool if value is True else object)
    columns["update_time"] = np.full(len(styles), os.environ["OGR_CURRENT_DATE"].removesuffix("Z"), "datetime64[ms]")
    pyogrio.raw.write(
        path,
        None,
        list(columns.values()),
        list(columns),
        gdal_tz_offsets={"update_time": np.full(len(styles), _UTC)},
        layer=STYLES,
        driver="GPKG",
        append=True,
        layer_options={"FID": "id"},
    )


def read_vectors(
    path: Path,
    layer: str | None = None,
    box: tuple[float, float, float, float] | None = None,
    *,
    times_as_text: bool = False,
) -> tuple[NDArray[Any], pd.DataFrame, str | None]:
    """Shapes, attributes and CRS (WKT or authority code) of a layer: the one named, the only one, or that of polygons.

    With a box (least x and y, greatest x and y, in the layer's own CRS), only of what may lie in it.
    Times as text keep their zone, and are as they stand otherwise.

    Raises:
        DataError: it is none of the kinds meant, by its first bytes, has no such layer or none that must be the one
            meant, or cannot be read.
    """
    with open_regular(path) as stream:
        if stream.peek(4).startswith(MAGIC):  # type: ignore[attr-defined]  # a buffered reader has it
            return _of_parquet(path, layer, box, times_as_text)
    refuse_others(path)
    try:
        # GDAL's own warnings: what matters is raised.
        with _literal(path) as plain, warnings.catch_warnings(action="ignore", category=RuntimeWarning):
            name = _chosen(plain, path, layer)
            if pyogrio.read_info(plain, layer=name)["features"] > path.stat().st_size:  # room is made for as many
                raise ValueError("it counts more shapes than it has bytes")
            meta, _, geometry, fields = pyogrio.raw.read(plain, layer=name, bbox=box, datetime_as_string=times_as_text)
        rows = len(fields[0]) if geometry is None and fields else 0  # of a table without shapes
        shapes = from_wkb(np.full(rows, None, object) if geometry is None else np.array(geometry, object))
    # pyogrio has no name for what it could not make of a coordinate system, and none of its own for text.
    except (DataSourceError, DataLayerError, RuntimeError, ValueError, NameError, shapely.GEOSException) as error:
        raise DataError(f"cannot be read ({' '.join(str(error).split())[:120]})", path, "save it again") from None
    # The index: without a column, a table would have no row either.
    columns = dict(zip(meta["fields"], map(_cells, fields), strict=True))
    table = pd.DataFrame(columns, index=range(len(shapes)))
    return shapes, table, meta["crs"]


def read_polygons(path: Path) -> tuple[NDArray[Any], pd.DataFrame, str | None]:
    """The same of polygons that predict wrote, by object and class: an index has changed the order of a FlatGeobuf."""
    shapes, table, crs = read_vectors(path)
    if path.suffix == ".fgb" and {"object", "class"} <= set(table.columns):
        order = np.lexsort((table["class"], table["object"]))
        shapes, table = shapes[order], table.iloc[order].reset_index(drop=True)
    return shapes, table, crs


def _of_parquet(
    path: Path, layer: str | None, box: tuple[float, float, float, float] | None, times_as_text: bool
) -> tuple[NDArray[Any], pd.DataFrame, str | None]:
    if layer is not None:
        raise DataError(f"has no layer {layer}: a GeoParquet file is one without a name", path, "give another file")
    shapes, table, crs = read_parquet(path, times_as_text=times_as_text)
    if box is not None:
        near = shapely.intersects(shapely.envelope(shapes), shapely.box(*box))
        shapes, table = shapes[near], table[near].reset_index(drop=True)
    return shapes, table, crs


def layer_names(path: Path) -> list[str]:
    """The layers of a vector file; DataError where it cannot be read."""
    refuse_others(path)
    try:
        with _literal(path) as plain, warnings.catch_warnings(action="ignore", category=RuntimeWarning):
            return [str(name) for name, _ in pyogrio.list_layers(plain)]
    except (RuntimeError, ValueError) as error:  # pyogrio's own among them
        raise DataError(f"cannot be read ({error})", path, "check or replace the file") from error


def _chosen(plain: Path, path: Path, layer: str | None) -> str:
    """The name of the layer that is meant."""
    kinds = {str(name): str(kind or "") for name, kind in pyogrio.list_layers(plain) if name != STYLES}
    if layer is not None and layer not in kinds:
        raise DataError(f"has no layer {layer}, only {listed(list(kinds))}", path, "give another file")
    areas = [name for name, kind in kinds.items() if re.search("Polygon|Surface|Unknown|Collection", kind)]
    meant = [layer] if layer is not None else areas if len(kinds) > 1 else list(kinds)
    if len(meant) != 1:
        what = f"holds {len(meant) or 'no'} layers of polygons ({listed(meant or list(kinds))})"
        raise DataError(what, path, "save the one that is meant in a file of its own")
    return meant[0]


def read_shapes(path: Path) -> tuple[NDArray[Any], str | None]:
    """Polygons of a vector file and their CRS.

    Raises:
        ConfigError: it cannot be read, or holds none.
    """
    try:
        shapes, _, crs = read_vectors(path)
    except DataError as error:
        raise ConfigError(error.what, error.where, error.fix) from None
    parts = shapely.get_parts(shapes)
    while (shapely.get_type_id(parts) >= shapely.GeometryType.MULTIPOINT).any():  # a collection may hold others
        parts = shapely.get_parts(parts)
    areas = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    if not len(areas):
        raise ConfigError("no polygon", path, "give a vector file of polygons")
    return areas, crs


def _cells(values: NDArray[Any]) -> NDArray[Any]:
    """A field with lists as text: nothing here reads them, and pandas cannot compare them."""
    if values.dtype != object or not any(isinstance(value, np.ndarray) for value in values):
        return values
    return np.array([str(value.tolist()) if isinstance(value, np.ndarray) else value for value in values], object)


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
