"""Masks of what is left out of a scene (land, outside the area of interest), as rows in the scene's own grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window

from seepseg.errors import ConfigError, DataError
from seepseg.io.files import kind_of, open_regular
from seepseg.io.image import Image, open_image
from seepseg.io.raster import DRIVERS, gdal, open_raster, reason, warp_raster

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
            from seepseg.geo.polygons import between

            between(own.crs_wkt, place.crs_wkt, path, scene.path)
            with gdal():
                source = stack.enter_context(open_raster(path, DRIVERS[mask.kind]))
                options = {
                    "src_nodata": mask.nodata,
                    "nodata": mask.nodata,
                    "src_crs": (crs := CRS.from_wkt(own.crs_wkt)),
                    "crs": CRS.from_wkt(place.crs_wkt),
                    "transform": Affine(*place.transform),
                    "height": scene.height,
                    "width": scene.width,
                    "resampling": Resampling.nearest,
                }
                # Longitudes, of the mask and of the scene, may be counted from anywhere.
                turns = (0, -360, 360) if crs.is_geographic else (0,)
                a, b, c, *rest = own.transform
                places = [Affine(a, b, c + turn, *rest) for turn in turns]
                warped = [stack.enter_context(warp_raster(source, src_transform=at, **options)) for at in places]
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


def _warped_rows(sources: Sequence[Any], path: Path) -> RowMask:
    """What any of them leaves out."""

    def of(source: Any, start: int, stop: int) -> NDArray[np.bool_]:
        with gdal():
            try:
                pixels = source.read(1, window=Window(0, start, source.width, stop - start), masked=True)
            except RasterioError as error:
                raise ConfigError(f"the mask is damaged ({reason(error)})", path, "save it again") from None
        return _left_out(pixels.data[None], ~np.ma.getmaskarray(pixels))

    return lambda start, stop: reduce(np.logical_or, (of(source, start, stop) for source in sources))


def _polygons(path: Path, scene: Image) -> RowMask:
    """Polygons as pixels: in the scene's grid their vertices are (column, row)."""
    from seepseg.geo.polygons import drawing_over
    from seepseg.geo.vector import read_shapes

    shapes, crs = read_shapes(path)
    drawn = drawing_over(scene, shapes, np.ones(len(shapes), np.uint8), crs, path)
    return lambda start, stop: drawn.window(start, 0, stop - start, scene.width).view(bool)
