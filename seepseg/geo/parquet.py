"""Layers as GeoParquet, by geopandas and pyarrow, which are an extra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.errors import ConfigError
from seepseg.geo.shapes import without_empty_parts
from seepseg.io.raster import as_data_error

MAGIC = b"PAR1"


def check_parquet(option: str) -> None:
    """Raise ConfigError where GeoParquet can be neither read nor written here; `option` is what asks for it."""
    try:
        import geopandas  # noqa: F401 - only whether they are there
        import pyarrow  # noqa: F401 - likewise
    except ImportError:
        what = "GeoParquet takes geopandas and pyarrow, which are not installed"
        raise ConfigError(what, option, "pip install 'seepseg[geo]'") from None


def write_parquet(path: Path, shapes: NDArray[Any], table: pd.DataFrame, crs: str | None) -> None:
    """Write a layer as GeoParquet 1.0, geometry last; texts are texts where all are missing, too."""
    import geopandas

    texts = [name for name in table.columns if table[name].dtype == object]
    frame = geopandas.GeoDataFrame(table.astype(dict.fromkeys(texts, "str")), geometry=shapes, crs=crs)
    frame.to_parquet(path, index=False)


def read_parquet(path: Path, *, times_as_text: bool) -> tuple[NDArray[Any], pd.DataFrame, str | None]:
    """Shapes (n), attributes and CRS (WKT) of a GeoParquet file; times as `vector.read_vectors` has them.

    Raises:
        DataError: it is none, or damaged.
        ConfigError: geopandas is not installed.
    """
    check_parquet(str(path))
    import geopandas

    # Arrow, JSON, PROJ and GEOS each have errors of their own for what is in a file.
    with as_data_error(path, Exception):
        frame = geopandas.read_parquet(path)
        table = pd.DataFrame(frame.drop(columns=frame.geometry.name)).reset_index(drop=True)
        shapes = without_empty_parts(np.asarray(frame.geometry.values))
        for _, column in table.items():
            if pd.api.types.is_string_dtype(column):
                column.to_numpy()  # text that is not UTF-8 would be found by whoever looks at it
    for name in table.select_dtypes("datetimetz"):
        times = table[name].dt.tz_convert("UTC")
        text = times.dt.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if times_as_text else None
        table[name] = times.dt.tz_localize(None) if text is None else text
    return shapes, table, frame.crs.to_wkt() if frame.crs else None
