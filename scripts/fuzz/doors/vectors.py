"""Doors of vector files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from doors.door import Files, each, taken
from seepseg.classes import SEEP
from seepseg.geo.nearby import read_nearby
from seepseg.geo.vector import Layer, layer_names, read_shapes, read_vectors, write_layers, write_vectors
from seepseg.scenes.labels import read_layer

SHAPES = np.array(
    [
        shapely.box(-91, 28, -90.9, 28.1),
        shapely.box(-90.8, 28, -90.7, 28.1).difference(shapely.box(-90.78, 28.02, -90.72, 28.08)),
    ]
)
TABLE = pd.DataFrame(
    {"class_name": ["oil", "seep"], "object": [1, 2], "class": [1, 1], "x": [0.5, np.nan], "scene": ["a", "b"],
     "time": pd.to_datetime(["2021-04-01T05:00:00Z", None], utc=True)}
)  # fmt: skip


def vectors(ending: str) -> Callable[[Path], list[Files]]:
    """Makes two polygons in a file of one kind."""

    def made(folder: Path) -> list[Files]:
        if ending == ".shp":
            import pyogrio

            table = TABLE.drop(columns="time")
            columns = [
                table[c].to_numpy(object if table[c].dtype.kind in "OTU" or str(table[c].dtype) == "str" else None)
                for c in table
            ]
            pyogrio.raw.write(
                folder / "a.shp", shapely.to_wkb(SHAPES), columns, list(table), geometry_type="Polygon", crs="EPSG:4326"
            )
            return [taken(folder)]
        write_vectors(folder / f"a{ending}", SHAPES, TABLE, "EPSG:4326")
        sets = [taken(folder)]
        if ending == ".gpkg":
            write_layers(
                folder / "a.gpkg",
                [
                    Layer("a", SHAPES, TABLE, "EPSG:4326", style="<qgis/>"),
                    Layer("b", shapely.centroid(SHAPES), TABLE, "EPSG:4326", "Point"),
                ],
            )
            sets.append(taken(folder))
        return sets

    return made


def open_vectors(ending: str) -> Callable[[Path], None]:
    """Reads it as labels, as a mask, and as what is near."""

    def opened(folder: Path) -> None:
        path = folder / f"a{ending}"
        for opening in (
            lambda: read_vectors(path, box=(-91.0, 28.0, -90.0, 29.0), times_as_text=True),
            lambda: read_layer(path).classes(None, SEEP),
            lambda: read_shapes(path),
            lambda: layer_names(path) if ending != ".parquet" else None,
            lambda: read_nearby([path], 1000.0, 3.0),
        ):
            each(opening)

    return opened
