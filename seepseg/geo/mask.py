"""Masks of what is left out of a scene (land, outside the area of interest), as rows in the scene's own grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.features import rasterize
from rasterio.transform import Affine
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from seepseg.errors import ConfigError, DataError
from seepseg.io.files import kind_of, open_regular
from seepseg.io.image import DRIVERS, Image, open_image
from seepseg.io.raster import gdal, reason

RowMask = Callable[[int, int], NDArray[np.bool_]]
"""(first row, row after the last) → True where a pixel is left out, (n, W)."""


@contextmanager
def open_mask(path: Path, scene: Image) -> Iterator[RowMask]:
    """The mask of a scene: a TIFF, PNG or JPEG (above 0 = left out) or polygons (inside = left out).

    A raster with a CRS is warped to the scene's grid by nearest neighbour; without one, or where the scene has no
    affine transform, it must have the scene's size. Polygons are drawn in the scene's grid, through the ground control
    points where the scene has only those.

    Raises:
        ConfigError: it cannot be read.
        DataError: it cannot be laid over this scene.
    """
    if not path.is_file():
        raise ConfigError("no such mask", path, "give a raster, or a vector file of polygons")
    with open_regular(path) as stream:
        raster = kind_of(stream.read(16)) in DRIVERS
    with _raster(path, scene) if raster else nullcontext(_polygons(path, scene)) as rows:
        yield rows


@contextmanager
def _raster(path: Path, scene: Image) -> Iterator[RowMask]:
    place = scene.georeference
    with ExitStack() as stack:
        try:
            mask = stack.enter_context(open_image(path, bands=[1], labels=True))
        except DataError as error:
            raise ConfigError(f"the mask cannot be read ({error.what})", path, error.fix) from None
        own = mask.georeference
        if own.crs_wkt and own.transform and place.crs_wkt and place.transform:
            _between(own.crs_wkt, place.crs_wkt, path, scene)
            # With EMPTY_DIR, GDAL opens no other file in the mask's folder.
            with gdal(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
                source = stack.enter_context(rasterio.open(path, driver=DRIVERS[mask.kind]))
                warped = WarpedVRT(
                    source,
                    src_crs=CRS.from_wkt(own.crs_wkt),
                    src_transform=Affine(*own.transform),
                    src_nodata=mask.nodata,
                    nodata=mask.nodata,
                    crs=CRS.from_wkt(place.crs_wkt),
                    transform=Affine(*place.transform),
                    height=scene.height,
                    width=scene.width,
                    resampling=Resampling.nearest,
                )
                stack.enter_context(warped)
            yield _warped_rows(warped, path)
        elif (mask.height, mask.width) == (scene.height, scene.width):
            yield lambda start, stop: _left_out(*mask.rows(start, stop))
        else:
            what = f"the mask is {mask.height}×{mask.width} without a common georeference, the scene "
            fix = "give a mask of the scene's size, or polygons with a CRS"
            raise DataError(f"{what}{scene.height}×{scene.width}", scene.path, fix)


def _left_out(raw: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where the mask has no data it says nothing, so nothing is left out."""
    return np.asarray((raw[0] > 0) & valid)


def _warped_rows(source: Any, path: Path) -> RowMask:
    def rows(start: int, stop: int) -> NDArray[np.bool_]:
        with gdal():
            try:
                pixels = source.read(1, window=Window(0, start, source.width, stop - start), masked=True)
            except RasterioError as error:
                raise ConfigError(f"the mask is damaged ({reason(error)})", path, "save it again") from None
        return _left_out(pixels.data[None], ~np.ma.getmaskarray(pixels))

    return rows


def _polygons(path: Path, scene: Image) -> RowMask:
    """Polygons as pixels: in the scene's grid their vertices are (column, row)."""
    import shapely

    from seepseg.geo.vector import read_shapes

    shapes, wkt = read_shapes(path)
    to_pixels = _to_pixels(path, wkt, scene)
    valid = shapely.make_valid(shapes, method="structure", keep_collapsed=False)
    near_by = shapely.intersection(valid, _surroundings(path, wkt, scene))
    # A straight edge in one coordinate system is a curve in another.
    pixels = [
        shapely.transform(shapely.segmentize(s, np.ptp(np.reshape(s.bounds, (2, 2)), 0).max() / 200), to_pixels)
        for s in near_by
        if s.area
    ]
    tree = shapely.STRtree(pixels)

    def rows(start: int, stop: int) -> NDArray[np.bool_]:
        near = [pixels[i] for i in tree.query(shapely.box(0, start, scene.width, stop))]
        if not near:
            return np.zeros((stop - start, scene.width), bool)
        drawn = rasterize(near, (stop - start, scene.width), transform=Affine.translation(0, start), dtype="uint8")
        return np.asarray(drawn > 0)

    return rows


def _between(source: str | None, target: str, path: Path, scene: Image) -> Any:
    """The pyproj transformer from one coordinate system to another."""
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    try:
        return Transformer.from_crs(source, target, always_xy=True)
    except ProjError:
        what = f"{path.name} cannot be laid over it: nothing leads from one coordinate system to the other"
        raise DataError(what, scene.path, "give a raster of the scene's size") from None


def _surroundings(path: Path, wkt: str | None, scene: Image) -> Any:
    """The box of a scene and half its size around it, in a coordinate system; empty where that does not reach it.

    Masks of land may cover the Earth, and most of it has no place in the coordinates of one scene.
    """
    import shapely

    from seepseg.geo.place import place_of

    place = place_of(scene.georeference)
    assert place.crs, "_to_pixels refused"
    steps = np.linspace(-0.5, 1.5, 41)
    corners = np.stack(np.meshgrid(steps * scene.width, steps * scene.height), axis=-1).reshape(-1, 2)
    points = np.stack(_between(wkt, place.crs, path, scene).transform(*place.to_map(corners).T, direction="INVERSE"), 1)
    return shapely.envelope(shapely.multipoints(points[np.isfinite(points).all(1)]))


def _to_pixels(path: Path, wkt: str | None, scene: Image) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """The function from vertices (n, 2) of a vector file to (column, row)."""
    from seepseg.geo.place import place_of

    place = place_of(scene.georeference)
    if not place.crs or not wkt:
        what = f"{path.name} cannot be laid over a scene when either has no CRS"
        raise DataError(f"{what} ({place.warning})" if wkt else what, scene.path, "give a raster of the scene's size")
    project = _between(wkt, place.crs, path, scene)
    return lambda vertices: place.to_pixels(np.stack(project.transform(*vertices.T), axis=1))
