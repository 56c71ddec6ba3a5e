"""Polygons as layers: what they say of themselves, and the files that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

import shapely

from seepseg.classes import ClassTable
from seepseg.figures.style import qgis_style
from seepseg.geo.vector import FORMATS, Layer, write_layers
from seepseg.io.atomic import write_text
from seepseg.mapping.polygons import Polygons

ORIGINS = "origins"
"""The layer of points beside that of polygons."""

SAID = "Each polygon is the part of one class of an object: a patch of foreground of any class, 8-connected."
SAID_OF_ORIGINS = (
    "The probable origins of slicks: the narrower end, where the other one is at least 1.5 times as wide. Hints, not"
    " positions. The columns are those of the polygon of the same scene, object and class."
)
"""Descriptions of the layers."""


def layers_of(name: str, polygons: Polygons, classes: ClassTable, about: str) -> list[Layer]:
    """The layer of polygons, called `name`, and that of their origins, with the same columns; `about` is of grades."""
    table, crs = polygons.table, polygons.crs
    there = ~shapely.is_missing(polygons.origins)
    points, rows = polygons.origins[there], table[there]
    # A file has no two layers of one name, whatever its scene is called.
    name = "polygons" if name.lower() == ORIGINS else name
    said, also = (f"{text} {about}" for text in (SAID, SAID_OF_ORIGINS))
    return [
        Layer(name, polygons.shapes, table, crs, "MultiPolygon", said, qgis_style(classes, "fill")),
        Layer(ORIGINS, points, rows, crs, "Point", also, qgis_style(classes, "marker")),
    ]


def write_polygons(stem: Path, layers: Sequence[Layer], formats: Sequence[str]) -> list[Path]:
    """Write the layers of `layers_of` in some of `geo.vector.FORMATS`, and return the files.

    A GeoPackage holds both, with styles; others hold one, so there are two, STEM and STEM_origins, and styles beside.
    """
    files = list[Path]()
    for suffix in formats:
        if suffix == ".gpkg":
            files.append(stem.with_name(f"{stem.name}{suffix}"))
            write_layers(files[-1], layers)
            continue
        for layer in layers:
            name = stem.name + ("" if layer is layers[0] else f"_{ORIGINS}")
            files += [stem.with_name(f"{name}{ending}") for ending in (suffix, ".qml")]
            write_layers(files[-2], [layer])
            write_text(files[-1], layer.style)
    return list(dict.fromkeys(files))


def polygons_among(outputs: Iterable[str]) -> str | None:
    """The file of polygons among outputs of an input: those of origins have a longer name; None where there is none."""
    files = [(FORMATS.index(suffix), path) for path in outputs if (suffix := PurePosixPath(path).suffix) in FORMATS]
    return min(files)[1] if files else None
