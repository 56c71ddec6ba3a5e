"""Polygons: their outlines, out of the pieces that strips left, and their measures."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from seepseg.geo.place import Place
from seepseg.objects.extent import extents

LONGEST_EDGE = 64
"""Pixels between two vertices when areas are taken: a long straight edge on the map is no geodesic."""

TOGETHER = 20_000
"""Shapes measured at once."""

NARROWER = 1.5
"""Minimum ratio of the widths of both ends for the narrower one to be the probable origin.

A slick leaves its vent as a thread and widens with drift (Suresh et al. 2015, IEEE TGRS 53(8)).
"""

ELONGATED = 1.1
"""Minimum ratio of length to width for a polygon to have a direction."""


def joined(
    pieces: NDArray[Any], owners: NDArray[np.integer[Any]], strips: NDArray[np.integer[Any]] | None = None
) -> NDArray[Any]:
    """Shapes (n) of pixel corners, each of its pieces; without the vertices that borders of strips leave on lines.

    Args:
        pieces: (m) polygons.
        owners: (m) the number of each one's shape, from 0 to n − 1.
        strips: (m) the number of its strip. Pieces of one strip touch at corners at most, and need no union, which
            takes longer than tracing them. None if pieces may overlap.
    """
    order = np.argsort(owners, kind="stable")
    pieces, owners = pieces[order], owners[order]
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    counts = np.diff(np.append(starts, len(owners)))
    apart = counts == 1
    if strips is not None:
        apart |= np.maximum.reduceat(strips[order], starts) == np.minimum.reduceat(strips[order], starts)
    shapes = np.asarray(shapely.multipolygons(pieces, indices=owners)) if len(pieces) else pieces
    shapes[counts == 1] = pieces[starts[counts == 1]]
    for number in np.flatnonzero(~apart):
        many = pieces[starts[number] : starts[number] + counts[number]]
        shapes[number] = shapely.simplify(shapely.union_all(many), 0)
    return np.asarray(shapely.normalize(shapes))


def without_holes(shapes: NDArray[Any], largest: float) -> NDArray[Any]:
    """The shapes (n) with their holes of at most `largest` pixels filled, whatever lies in them."""
    polygons, shape = shapely.get_parts(shapes, return_index=True)
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    outside = np.diff(polygon, prepend=-1) > 0
    keep = outside | (shapely.area(shapely.polygons(rings)) > largest)
    filled = np.asarray(shapely.polygons(rings[keep], indices=polygon[keep]))
    return joined(filled, shape)


def simplified(shapes: NDArray[Any], tolerance: float) -> NDArray[Any]:
    """The shapes (n) with fewer vertices, moved by about `tolerance` pixels; unchanged where they would break.

    GEOS exceeds the tolerance where it drops the first vertex of a ring: 1.65 times, at most, in 4000 random shapes.
    """
    simple = shapely.normalize(shapely.simplify(shapes, tolerance))
    return np.where(shapely.is_empty(simple) | ~shapely.is_valid(simple), shapes, simple)


def measures(
    shapes: NDArray[Any], outlines: NDArray[Any], place: Place
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """As `_measures`, some shapes at a time: their corners in several coordinates take far more memory than they do."""
    parts = [slice(start, start + TOGETHER) for start in range(0, max(1, len(shapes)), TOGETHER)]
    values, origins = zip(*(_measures(shapes[part], outlines[part], place) for part in parts), strict=True)
    return {name: np.concatenate([v[name] for v in values]) for name in values[0]}, np.concatenate(origins)


def _measures(
    shapes: NDArray[Any], outlines: NDArray[Any], place: Place
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64]]:
    """Attributes (n) of polygons that follow from their form, and columns and rows (n, 2) of their probable origins.

    What is in metres is NaN without a place, and origins where no end is clearly the narrower one.

    Args:
        shapes: (n) of pixel corners, whole pixels: what the centrelines are taken from. A simplified outline may be so
            thin that no pixel's centre lies in it.
        outlines: (n) what is written, in pixel corners: what area, perimeter and centroid are taken from.
        place: where the scene lies.
    """
    middle = shapely.get_coordinates(shapely.centroid(outlines))
    extent = extents(shapes, place.metric(middle))
    area, perimeter = place.area_perimeter(shapely.segmentize(outlines, LONGEST_EDGE))
    points = np.concatenate([middle, *extent.ends.transpose(1, 0, 2)])
    (x, y), *ends = (place.to_lonlat(points) if place.to_lonlat else points).reshape(3, -1, 2).transpose(0, 2, 1)
    ratio, narrower = extent.end_widths.max(axis=1) / extent.end_widths.min(axis=1), extent.end_widths.argmin(axis=1)
    origins = np.where(ratio >= NARROWER, np.take_along_axis(extent.ends.T, narrower[None, None], 1)[:, 0], np.nan)
    origin_x, origin_y, ratio = np.where(ratio >= NARROWER, [*np.where(narrower, ends[1], ends[0]), ratio], np.nan)
    metres = {
        "area_m2": area,
        "perimeter_m": perimeter,
        "length_m": extent.length,
        "width_m": extent.width,
        "end1_width_m": extent.end_widths[:, 0],
        "end2_width_m": extent.end_widths[:, 1],
    }
    if not place.crs:
        metres = dict.fromkeys(metres, np.full(len(shapes), np.nan))
    values = metres | {
        "linearity": extent.length**2 / area,
        "polsby_popper": 4 * np.pi * area / perimeter**2,
        "orientation_deg": np.where(extent.length >= ELONGATED * extent.width, place.azimuth(extent.middles), np.nan),
        "x": x,
        "y": y,
        "end1_x": ends[0][0],
        "end1_y": ends[0][1],
        "end2_x": ends[1][0],
        "end2_y": ends[1][1],
        "origin_x": origin_x,
        "origin_y": origin_y,
        "origin_ratio": ratio,
    }
    return values, origins.T
