"""Land in a scene and a margin of sea along it, from outlines of Natural Earth that come with the package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Proj, Transformer

from seepseg.errors import DataError
from seepseg.geo.mask import RowMask, open_mask
from seepseg.geo.place import LONLAT, border, place_of
from seepseg.geo.polygons import Drawing, Located, drawing
from seepseg.geo.vector import read_vectors
from seepseg.io.image import Image

OUTLINES = Path(__file__).with_name("land.fgb")
"""Polygons of land by longitude and latitude; `scripts/land` makes it."""

FARTHEST = 3e6
"""Metres from the middle of a scene beyond which one plane does not show distances any more."""
STRAIGHT = 5000.0
"""Metres between the vertices of what is straight in one coordinate system and a curve in another."""
STEPS = 1024
"""Points along each side of a scene."""
SEAM = 2.0
"""The least margin, in metres: it closes the seams between the cells that the outlines are cut into."""


@contextmanager
def open_masks(scene: Image, mask: Path | None, land: float | None) -> Iterator[RowMask | None]:
    """Rows of what is left out of a scene by a mask, see `open_mask`, or as land, see `draw_land`; None: nothing is.

    Raises:
        ConfigError: the mask cannot be read.
        DataError: it cannot be laid over this scene, or nobody knows where the scene lies.
    """
    ashore = None if land is None else _rows(draw_land(scene, land), scene.width)
    if mask is None:
        yield ashore
        return
    with open_mask(mask, scene) as masked:
        yield masked if ashore is None else lambda start, stop: masked(start, stop) | ashore(start, stop)


def _rows(drawn: Drawing, width: int) -> RowMask | None:
    """What is drawn, as rows; None where that is nothing."""
    if not len(drawn.values):
        return None
    return lambda start, stop: drawn.window(start, 0, stop - start, width).view(bool)


def draw_land(scene: Located, margin: float) -> Drawing:
    """Land in a scene, and a margin of sea along it, as polygons in its pixels.

    Lakes are land. Coasts may be a kilometre off, and islands of a few km² be missing. The margin is taken in a plane
    around the middle of the scene, where distances are right within .1 % up to 500 km from there.

    Args:
        scene: with a georeference of any kind.
        margin: metres.

    Raises:
        DataError: nobody knows where the scene lies, or it is a large part of the Earth.
    """
    place = place_of(scene.georeference)
    if place.to_lonlat is None or place.crs is None:
        fix = "leave out --land, or give --mask of the scene's size"
        raise DataError(f"where its land lies is not known ({str(place.warning).split(':')[0]})", scene.path, fix)
    size = np.array([scene.width, scene.height])
    # A quarter of a pixel less: on a border at 180°, places might be on the other side of the map.
    (lon, lat), *around = place.to_lonlat(np.concatenate([size[None] / 2, 0.25 + border(STEPS) * (size - 0.5)]))
    if not np.isfinite([(lon, lat), *around]).all():
        raise DataError("part of it does not lie on the Earth", scene.path, "leave out --land")
    plane = Proj(proj="aeqd", lon_0=lon, lat_0=lat, datum="WGS84")

    def flat(lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(plane(*lonlat.T), axis=1)

    outline = shapely.Polygon(flat(np.array(around)))
    reach = float(np.hypot(*shapely.get_coordinates(outline).T).max()) + margin
    if reach > FARTHEST or not shapely.is_valid(outline):
        raise DataError("too much of the Earth for one plane", scene.path, "leave out --land, or cut it into parts")
    near = outline.envelope.buffer(margin + SEAM, join_style="mitre")
    land = shapely.segmentize(outlines_near(lon, lat, reach), STRAIGHT / 111_000)
    land = np.asarray(shapely.transform(land, flat))
    land = shapely.intersection(shapely.make_valid(land, method="structure", keep_collapsed=False), near)
    shore = shapely.intersection(shapely.buffer(shapely.union_all(land), max(margin, SEAM)), outline)
    project = Transformer.from_crs(LONLAT, place.crs, always_xy=True)

    def to_pixels(points: NDArray[np.float64]) -> NDArray[np.float64]:
        east, north = points.T
        x, y = project.transform(*plane(east, north, inverse=True))
        return place.pixels_of(np.stack([x, y], axis=1), scene.height, scene.width)

    pixels = shapely.get_parts(shapely.transform(shapely.segmentize(shore, STRAIGHT), to_pixels))
    return drawing(pixels, np.ones(len(pixels), np.uint8))


def outlines_near(lon: float, lat: float, reach: float) -> NDArray[Any]:
    """Polygons (n) of land within a reach in metres of a place, and more, by longitude and latitude."""
    angle = 1.01 * reach / 6.357e6  # the least radius of the Earth
    south, north = lat - np.degrees(angle), lat + np.degrees(angle)
    # The meridians that touch a circle on a sphere; a circle around a pole meets all of them.
    pole = south <= -90 or north >= 90
    across = 180.0 if pole else float(np.degrees(np.arcsin(np.sin(angle) / np.cos(np.radians(lat)))))
    found = []
    for turn in (-360, 0, 360):
        west, east = max(lon - across + turn, -180), min(lon + across + turn, 180)
        if west < east:
            found.append(read_vectors(OUTLINES, box=(west, south, east, north))[0])
    return np.concatenate(found)
