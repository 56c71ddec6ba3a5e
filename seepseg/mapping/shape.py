"""One polygon: its outline out of the pieces that strips left, and its measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely

from seepseg.geo.place import Place
from seepseg.mapping.centreline import centreline

LONGEST_EDGE = 64
"""Pixels between two vertices when areas are taken: a long straight edge on the map is no geodesic."""


def joined(pieces: Sequence[Any]) -> Any:
    """One shape of pixel corners; without the vertices that borders of strips leave on straight lines."""
    return shapely.normalize(shapely.simplify(shapely.union_all(pieces), 0))


def without_holes(shape: Any, largest: float) -> Any:
    """The shape with its holes of at most `largest` pixels filled, whatever lies in them."""
    kept = [
        shapely.Polygon(p.exterior, [h for h in p.interiors if shapely.Polygon(h).area > largest])
        for p in shapely.get_parts(shape)
    ]
    return shapely.normalize(shapely.union_all(kept))


def simplified(shape: Any, tolerance: float) -> Any:
    """The shape with fewer vertices, moved by about `tolerance` pixels; unchanged where it would break.

    GEOS exceeds the tolerance where it drops the first vertex of a ring: 1.65 times, at most, in 4000 random shapes.
    """
    simple = shapely.normalize(shapely.simplify(shape, tolerance))
    return shape if simple.is_empty or not simple.is_valid else simple


def measures(shape: Any, outline: Any, place: Place) -> dict[str, Any]:
    """Attributes of a polygon that follow from its form; in metres they are NaN without a place.

    Args:
        shape: of pixel corners, whole pixels: what the centreline is taken from. A simplified outline may be so thin
            that no pixel's centre lies in it.
        outline: what is written, in pixel corners: what area, perimeter and centroid are taken from.
        place: where the scene lies.
    """
    middle = np.array([[outline.centroid.x, outline.centroid.y]])
    line = centreline(shape, place.pixel_size(*middle[0]))
    area, perimeter = place.area_perimeter(shapely.segmentize(outline, LONGEST_EDGE))
    to_lonlat = place.to_lonlat or (lambda points: points)
    (x, y), first, last = to_lonlat(np.concatenate([middle, line.ends]))
    origin = line.origin
    at = (np.nan, np.nan) if origin is None else (first, last)[origin[0]]
    metres = {
        "area_m2": area,
        "perimeter_m": perimeter,
        "length_m": line.length,
        "width_m": line.width,
        "end1_width_m": line.end_widths[0],
        "end2_width_m": line.end_widths[1],
    }
    return (metres if place.crs else dict.fromkeys(metres, np.nan)) | {
        "orientation_deg": place.azimuth(line.ends) if np.ptp(line.ends, axis=0).max() >= 1 else np.nan,
        "x": x,
        "y": y,
        "end1_x": first[0],
        "end1_y": first[1],
        "end2_x": last[0],
        "end2_y": last[1],
        "origin_x": at[0],
        "origin_y": at[1],
        "origin_ratio": np.nan if origin is None else origin[1],
    }
