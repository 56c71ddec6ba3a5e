"""The table of findings that a prediction leaves, read back with its types."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.errors import ConfigError, DataError
from seepseg.geo.identity import COLUMNS as IDENTITY
from seepseg.geo.vector import read_vectors
from seepseg.io.files import local_path
from seepseg.io.table import read_frame
from seepseg.mapping.polygons import COLUMNS

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

TYPES = {"scene": "str"} | COLUMNS | IDENTITY
"""Columns of findings and their types."""


@overload
def read_findings(folder: str | os.PathLike[str], *, geometry: Literal[False] = ...) -> pd.DataFrame: ...


@overload
def read_findings(folder: str | os.PathLike[str], *, geometry: Literal[True]) -> GeoDataFrame: ...


def read_findings(folder: str | os.PathLike[str], *, geometry: bool = False) -> pd.DataFrame | GeoDataFrame:
    """The polygons of all inputs of a prediction folder as one table; docs/howto-polygons.md explains its columns.

    Examples:
        >>> import seepseg
        >>> model = seepseg.load("demo/seep/run")
        >>> folder = model.predict("demo/seep/scene.tif").save("out")
        >>> findings = seepseg.read_findings(folder)
        >>> findings[["scene", "class_name", "area_m2"]].dtypes.astype(str).tolist()
        ['str', 'str', 'float64']
        >>> bool((findings["area_m2"] > 0).all())
        True

    Args:
        folder: what `seepseg predict` or `Prediction.save` wrote.
        geometry: with the polygons, in longitude and latitude, as a `geopandas.GeoDataFrame` (`pip install
            "seepseg[geo]"`); without those of scenes that have no georeference.

    Raises:
        DataError: the folder holds no findings, or they cannot be read.
        ConfigError: geopandas is wanted and not installed.
    """
    path = local_path(os.fspath(folder)) / ("findings.gpkg" if geometry else "findings.csv")
    if not path.is_file():
        fix = "give a folder of a prediction with polygons"
        raise DataError(f"no {path.name}", path.parent, fix)
    if geometry:
        shapes, table, crs = read_vectors(path)
        return geo_frame(shapes, typed(table), crs)
    return read_table(path)


def read_table(path: Path) -> pd.DataFrame:
    """findings.csv with its types; names of scenes are text, also where they look like numbers."""
    times = [name for name, kind in IDENTITY.items() if kind.startswith("datetime")]
    texts = {name: "str" for name, kind in TYPES.items() if kind in ("str", "object") or name in times}
    try:
        return typed(read_frame(path, dtype=texts, keep_default_na=False, na_values=[""]))
    except (OSError, ValueError, TypeError, OverflowError) as error:
        raise DataError(f"cannot be read ({' '.join(str(error).split())[:120]})", path, "predict again") from None


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the types of `TYPES`, where it has these columns."""
    kinds = {name: kind for name, kind in TYPES.items() if name in table}
    times = [name for name, kind in kinds.items() if kind.startswith("datetime")]
    parsed = {name: pd.to_datetime(table[name], utc=True, format="ISO8601") for name in times}
    return table.assign(**parsed).astype(kinds)


def geo_frame(shapes: NDArray[np.object_], table: pd.DataFrame, crs: Any) -> GeoDataFrame:
    """Shapes and their attributes as a GeoDataFrame.

    Raises:
        ConfigError: geopandas is not installed.
    """
    try:
        import geopandas
    except ImportError:
        raise ConfigError("needs geopandas", "polygons", 'pip install "seepseg[geo]"') from None
    return geopandas.GeoDataFrame(table, geometry=shapes, crs=crs)
