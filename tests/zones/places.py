"""Class maps anywhere on Earth, as `seepseg predict` leaves them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from seepseg.classes import SEEP_BINARY, ClassTable
from seepseg.geo.identity import with_identity
from seepseg.geo.place import place_of
from seepseg.geo.vector import write_vectors
from seepseg.io.cog import class_layout, row_writer
from seepseg.io.raster import Georeference


def scene(
    out: Path,
    name: str,
    crs: str | None,
    transform: tuple[float, ...] | None,
    classes: NDArray[np.uint8],
    table: ClassTable = SEEP_BINARY,
    **identity: str | int,
) -> None:
    """Add a scene to a prediction folder; each pixel of foreground is a slick, its origin its middle."""
    georeference = Georeference(CRS(crs).to_wkt() if crs else None, transform)  # type: ignore[arg-type]
    with row_writer(
        out / f"{name}_class.tif", georeference, *classes.shape, class_layout(table.names, table.colors, {})
    ) as w:
        w.write(classes)
    place = place_of(georeference)
    rows, columns = np.nonzero((classes > 0) & (classes < 255))
    boxes = shapely.box(columns, rows, columns + 1, rows + 1)
    middle = np.stack([columns, rows], axis=1) + 0.5
    x, y = (place.to_lonlat(middle) if place.to_lonlat else middle).T if len(rows) else (np.empty(0), np.empty(0))
    points = {f"{prefix}{axis}": v for prefix in ("", "end1_", "end2_", "origin_") for axis, v in (("x", x), ("y", y))}
    index = classes[rows, columns].astype(np.int64)
    slicks = pd.DataFrame(
        {
            "object": np.arange(1, len(rows) + 1),
            "class": index,
            "class_name": pd.Series([table.names[i] for i in index], dtype="str"),
            "pixels": np.ones(len(rows), np.int64),
            "mean_probability": np.full(len(rows), 0.9),
            "area_m2": np.full(len(rows), 1e4),
            "length_m": np.full(len(rows), 100.0),
            **points,
        }
    )
    shapes = shapely.transform(boxes, place.to_map)
    write_vectors(out / f"{name}.gpkg", np.asarray(shapes, object), with_identity(slicks, identity), place.crs)
    outputs: dict[str, Any] = {f"{name}_class.tif": 0, f"{name}.gpkg": 0}
    line = {"name": name, "outputs": outputs, "identity": identity, "input": [len(name), 0]}
    with (out / "manifest.jsonl").open("a") as stream:
        stream.write(json.dumps(line) + "\n")


def dotted(size: int, *pixels: tuple[int, int]) -> NDArray[np.uint8]:
    """A map (size, size) of sea, with slicks of one pixel."""
    classes = np.zeros((size, size), np.uint8)
    for row, column in pixels:
        classes[row, column] = 1
    return classes
