"""Polygons as labels: those of a vector file, and the class of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from seepseg.classes import ClassTable
from seepseg.errors import DataError, listed
from seepseg.geo.vector import read_vectors

NAMES = "class_name"
"""The column that our own layers have."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Polygons (n) of a vector file, a table of n rows, and their coordinate system."""

    path: Path
    shapes: NDArray[Any]
    table: pd.DataFrame
    crs: str | None

    def where(self, rows: NDArray[np.bool_]) -> Layer:
        """Some of its rows (n)."""
        return Layer(self.path, self.shapes[rows], self.table[rows], self.crs)

    @property
    def columns(self) -> list[str]:
        """Names of its columns."""
        return [str(name) for name in self.table.columns]

    def column(self, name: str) -> pd.Series[Any]:
        """A column; DataError without it."""
        if name not in self.table:
            raise DataError(f"has no column {name}", self.path, f"it has {listed(self.columns) or 'none'}")
        return self.table[name]

    def classes(self, attribute: str | None, classes: ClassTable) -> NDArray[np.uint8]:
        """Class indices (n) by a column of label values or of names of classes; 255 where the value is to be ignored.

        Without an attribute, that is `NAMES`; where there is one class, everything is it.

        Raises:
            DataError: no such column, empty cells, or values that are no class, with the number of their polygons.
        """
        if attribute is None and len(classes) == 2:
            return np.ones(len(self.table), np.uint8)
        if attribute is None and NAMES not in self.table:
            what = f"which class a polygon is, is not said: its columns are {listed(self.columns) or 'none'}"
            raise DataError(what, self.path, "set data.attribute to the column with the class")
        column = self.column(attribute or NAMES)
        if empty := int((column.isna() | (column.astype("str").str.strip() == "")).sum()):
            what = f"{empty} polygons have no {column.name}" if empty > 1 else f"a polygon has no {column.name}"
            raise DataError(what, self.path, "fill it in, or leave them out")
        by_name = {name.casefold(): index for index, name in enumerate(classes.names)}
        index = {value: _index(value, by_name, classes) for value in column.unique().tolist()}
        if unknown := {v: int((column == v).sum()) for v in index if index[v] < 0}:
            shown = ", ".join(f"{value!r} ({n} polygons)" for value, n in list(unknown.items())[:8])
            raise DataError(
                f"unknown {column.name} {shown}",
                self.path,
                f"the classes are {listed(list(classes.names))}; fix them, or name a label value of data.classes",
            )
        return np.array([index[value] for value in column], np.uint8)


def read_layer(path: Path) -> Layer:
    """The polygons of a vector file; rows without a geometry are left out.

    Raises:
        DataError: it cannot be read, or holds points or lines.
    """
    shapes, table, crs = read_vectors(path)
    there = ~(shapely.is_missing(shapes) | shapely.is_empty(shapes))
    kinds = shapely.GeometryType
    areal = np.isin(shapely.get_type_id(shapes), (kinds.POLYGON, kinds.MULTIPOLYGON, kinds.GEOMETRYCOLLECTION))
    if wrong := int((there & ~areal).sum()):
        raise DataError(f"holds {wrong} points or lines", path, "give polygons")
    return Layer(path, shapely.force_2d(shapes), table, crs).where(there)


def _index(value: object, by_name: dict[str, int], classes: ClassTable) -> int:
    """The class index of a name or label value; -1 where it is none."""
    if isinstance(value, str) and value.strip().casefold() in by_name:
        return by_name[value.strip().casefold()]
    try:
        number = np.array([float(value)])  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        return -1
    indices, unknown = classes.indices_and_unknown(number)
    return -1 if unknown or np.isnan(number[0]) else int(indices[0])
