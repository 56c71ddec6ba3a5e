"""Polygons as pixels of a scene: a pixel belongs to the polygon in which its middle lies, whichever part is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from seepseg.errors import DataError
from seepseg.geo.place import Map, Place, counted_from, place_of
from seepseg.io.raster import Georeference

LONGEST = 256
"""Pixels of an edge; longer ones are divided, because what is straight in one coordinate system bends in another."""


class Located(Protocol):
    """A scene: its file, size and georeference."""

    @property
    def path(self) -> Path:
        """Its file."""

    @property
    def height(self) -> int:
        """Its rows."""

    @property
    def width(self) -> int:
        """Its columns."""

    @property
    def georeference(self) -> Georeference:
        """What the file says of its place."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """Polygons (m) in the pixels of a scene, those on top last.

    Attributes:
        tree: of their shapes.
        values: (m) uint8.
        edges: (n, 4) column and row of the upper and of the lower end of each edge, polygon after polygon.
        rows: (n, 2) the first row whose middle an edge crosses, and the row after the last.
        starts: (m + 1) where the edges of each polygon begin.
    """

    tree: Any
    values: NDArray[np.uint8]
    edges: NDArray[np.float64]
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]

    def touches(self, height: int, width: int) -> bool:
        """Whether any of them reaches a scene of this size."""
        return bool(len(self.tree.query(shapely.box(0, 0, width, height), predicate="intersects")))

    def window(self, row: int, column: int, height: int, width: int, fill: int = 0) -> NDArray[np.uint8]:
        """The values of the polygons in part of the scene (height, width), `fill` where there is none."""
        plane = np.full((height, width), fill, np.uint8)
        for k in np.sort(self.tree.query(shapely.box(column, row, column + width, row + height))).tolist():
            self._draw(k, plane, row, column)
        return plane

    def _draw(self, k: int, plane: NDArray[np.uint8], row: int, column: int) -> None:
        """Set the pixels of the plane, which begins at a row and column, whose middle has an odd number of edges left.

        An edge crosses the same columns wherever a window begins, and from whichever side it is seen, so that windows
        fit together and polygons that touch leave no gap.
        """
        height, width = plane.shape
        mine = slice(self.starts[k], self.starts[k + 1])
        (x0, y0, x1, y1), (first, last) = self.edges[mine].T, self.rows[mine].T
        first, last = np.maximum(first, row), np.minimum(last, row + height)
        count = np.maximum(last - first, 0)
        edge = np.repeat(np.arange(len(count)), count)
        if not len(edge):
            return
        rows = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        x = x0[edge] + (rows + 0.5 - y0[edge]) * ((x1 - x0)[edge] / (y1 - y0)[edge])
        columns = np.clip(np.ceil(x - 0.5), column, column + width).astype(np.int64)
        (top, left), bottom = (rows.min(), columns.min()), rows.max() + 1
        right = columns.max()  # nothing of it lies in this column any more
        crossed = np.zeros((bottom - top, right - left + 1), np.uint8)
        np.bitwise_xor.at(crossed.reshape(-1), (rows - top) * crossed.shape[1] + columns - left, 1)
        inside = np.bitwise_xor.accumulate(crossed, axis=1)[:, :-1].view(bool)
        plane[top - row : bottom - row, left - column : right - column][inside] = self.values[k]


def drawing(shapes: Sequence[Any] | NDArray[Any], values: NDArray[np.uint8]) -> Drawing:
    """Shapes (n) of columns and rows with their values (n), ready to be drawn.

    Where polygons overlap, the smaller one is on top: of equal ones that of the higher value, then the later one. Each
    part of a shape is a polygon of its own.
    """
    polygons, shape = _parts(np.asarray(shapes, object))
    return _drawing(polygons, values[shape], shapely.area(polygons))


def drawing_over(
    scene: Located, shapes: NDArray[Any], values: NDArray[np.uint8], crs: str | None, path: Path
) -> Drawing:
    """Shapes (n) of a vector file, repaired, with their values (n), ready to be drawn over a scene.

    Arguments and errors as `drawing` and `in_pixels`.

    Which polygon is smaller is measured in the file: in a scene, those that reach far beyond it are cut.
    """
    polygons, shape = _parts(_repaired(shapes))
    return _drawing(in_pixels(polygons, crs, path, scene), values[shape], shapely.area(polygons))


def _parts(shapes: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The polygons (m) of shapes (n), and of which shape each is."""
    parts, shape = shapely.get_parts(shapes, return_index=True)
    polygons, part = shapely.get_parts(parts, return_index=True)  # a collection may hold multi-polygons
    areal = (shapely.get_type_id(polygons) == shapely.GeometryType.POLYGON) & ~shapely.is_empty(polygons)
    return polygons[areal], shape[part[areal]]


def _drawing(shapes: NDArray[Any], values: NDArray[np.uint8], areas: NDArray[np.float64]) -> Drawing:
    """Shapes (n) of columns and rows, ready to be drawn, the larger ones first."""
    polygons, shape = _parts(shapes)
    value = values[shape]
    order = np.lexsort((np.arange(len(polygons)), value, -areas[shape]))
    polygons, value = polygons[order], value[order]
    rings, polygon = shapely.get_rings(polygons, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    edge = np.flatnonzero(ring[1:] == ring[:-1])
    ends = np.stack([points[edge], points[edge + 1]], axis=1)
    upward = ends[:, 0, 1] > ends[:, 1, 1]
    ends[upward] = ends[upward, ::-1]
    rows = np.ceil(ends[:, :, 1] - 0.5).astype(np.int64)
    crosses = rows[:, 0] < rows[:, 1]
    starts = np.searchsorted(polygon[ring[edge]][crosses], np.arange(len(polygons) + 1))
    return Drawing(shapely.STRtree(polygons), value, ends[crosses].reshape(-1, 4), rows[crosses], starts)


def in_pixels(shapes: NDArray[Any], crs: str | None, path: Path, scene: Located) -> NDArray[Any]:
    """Shapes (n) of a vector file as columns and rows of a scene; empty where they are nowhere near it.

    Without a CRS they are columns and rows already, or, as GIS programs show a scene without a place, have rows
    counted below 0. So are numbers in a GeoJSON, which cannot say that it has no CRS, that are no degrees.

    Args:
        crs: WKT or code of the file's coordinate system.
        path: the file.

    Raises:
        DataError: the file or the scene has a place, and the other has none; or nothing leads from one to the other.
    """
    if not len(shapes):
        return shapes
    place = place_of(scene.georeference)
    if place.crs is None and path.suffix.lower() in (".geojson", ".json"):
        degrees = np.abs(shapely.total_bounds(shapes)) <= [180, 90, 180, 90]
        crs = crs if degrees.all() else None
    if crs is None or place.crs is None:
        if crs is not None or place.crs is not None:
            what = f"{path.name} cannot be laid over a scene when either has no CRS"
            what += f" ({place.warning})" if crs else ""
            raise DataError(what, scene.path, "give a raster of the scene's size")
        upward = shapely.total_bounds(shapes)[3] <= 0
        return np.asarray(shapely.transform(shapes, lambda p: p * [1, -1]) if upward else shapes)
    same = CRS(crs) == CRS(place.crs) and scene.georeference.transform  # straight lines stay straight
    project = None if same else between(crs, place.crs, path, scene.path)
    geographic, middle = CRS(crs).is_geographic, np.array([[scene.width / 2, scene.height / 2]])
    back = _back(project, geographic, place, middle)
    shapes = _near(shapes, geographic, _surroundings(back, scene))
    if project:
        shapes = shapely.segmentize(shapes, _edge(back, middle))

    def to_pixels(points: NDArray[np.float64]) -> NDArray[np.float64]:
        if project:
            pixels = place.pixels_of(np.stack(project.transform(*points.T), axis=1), scene.height, scene.width)
        else:
            pixels = place.to_pixels(points)
        if not np.isfinite(pixels).all():
            what = f"{path.name} cannot be laid over it: some of its points are at no pixel"
            raise DataError(what, scene.path, "check its georeference, or give a raster of the scene's size")
        return pixels

    return np.asarray(shapely.transform(shapes, to_pixels))


def _repaired(shapes: NDArray[Any]) -> NDArray[Any]:
    """Shapes of which what goes around an area twice, or crosses itself, is the areas that it goes around."""
    invalid = ~shapely.is_valid(shapes)
    if not invalid.any():
        return shapes
    return np.where(invalid, shapely.make_valid(shapes, method="structure", keep_collapsed=False), shapes)


def between(source: str | None, target: str, path: Path, scene: Path) -> Any:
    """The pyproj transformer from the coordinate system of a file to that of a scene; DataError without one."""
    try:
        return Transformer.from_crs(source, target, always_xy=True)
    except ProjError:
        what = f"{path.name} cannot be laid over it: nothing leads from one coordinate system to the other"
        raise DataError(what, scene, "give a raster of the scene's size") from None


def _back(project: Any, geographic: bool, place: Place, middle: NDArray[np.float64]) -> Map:
    """Columns and rows (n, 2) → the file's coordinates, without those that have none; degrees go on over 180°."""

    def in_file(points: NDArray[np.float64]) -> NDArray[np.float64]:
        xy = place.to_map(points)
        return np.stack(project.transform(*xy.T, direction="INVERSE"), axis=1) if project else xy

    def back(points: NDArray[np.float64]) -> NDArray[np.float64]:
        xy = in_file(points)
        if project and geographic:
            xy[:, 0] = counted_from(in_file(middle)[0, 0], xy[:, 0])
        return np.asarray(xy[np.isfinite(xy).all(1)])

    return back


def _surroundings(back: Map, scene: Located) -> Any:
    """The box of a scene and half its size around it, in the file's coordinates; empty where these do not reach it.

    Masks of land may cover the Earth, and most of it has no place in the coordinates of one scene.
    """
    steps = np.linspace(-0.5, 1.5, 41)
    corners = np.stack(np.meshgrid(steps * scene.width, steps * scene.height), axis=-1).reshape(-1, 2)
    return shapely.envelope(shapely.multipoints(back(corners)))


def _near(shapes: NDArray[Any], geographic: bool, around: Any) -> NDArray[Any]:
    """What of shapes lies in a box; of those in degrees, wherever their longitudes are counted from."""
    found = []
    for turn in (0, -360, 360) if geographic else (0,):
        moved = shapely.transform(shapes, partial(np.add, (turn, 0))) if turn else shapes
        if not turn or shapely.intersects(shapely.box(*shapely.total_bounds(moved)), around):
            beyond = ~shapely.covers(around, moved)
            found.append(np.array(moved))
            found[-1][beyond] = shapely.intersection(moved[beyond], around)
    return found[0] if len(found) == 1 else np.asarray(shapely.union_all(np.stack(found), axis=0))


def _edge(back: Map, middle: NDArray[np.float64]) -> float:
    """`LONGEST` pixels in the middle of a scene, in the file's units."""
    ends = back(middle + np.array([[0, 0], [LONGEST, 0], [0, LONGEST]]))
    return float(np.hypot(*(ends[1:] - ends[:1]).T).min()) if len(ends) == 3 else float("inf")
