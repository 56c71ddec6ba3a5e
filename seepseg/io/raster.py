"""Scenes: pixels and georeference of a TIFF, whole or row by row, through rasterio."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from seepseg.errors import DataError
from seepseg.io.tiff import TiffInfo, inspect_tiff

CACHE_MB = 32
"""GDAL keeps this much of decoded blocks; its own default is a twentieth of the memory."""


@dataclass(frozen=True)
class Georeference:
    """Where a raster lies, as plain values; every part may be missing.

    Pixel coordinates follow GDAL: the corner of the first pixel is (0, 0), whatever AREA_OR_POINT the file had.

    Attributes:
        crs_wkt: coordinate system of the transform.
        transform: (a, b, c, d, e, f) of x = a·column + b·row + c, y = d·column + e·row + f.
        gcps: ground control points (row, column, x, y, z).
        gcps_crs_wkt: coordinate system of the control points.
        rpcs: rational polynomial coefficients under GDAL's names.
        tags: the file's own metadata.
    """

    crs_wkt: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None
    gcps: tuple[tuple[float, float, float, float, float], ...] = ()
    gcps_crs_wkt: str | None = None
    rpcs: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class Scene:
    """An open scene; rows of pixels are read when asked for. One thread at a time.

    Attributes:
        path, height, width, bands, dtype, nodata: as in `TiffInfo`.
        georeference: where it lies.
    """

    def __init__(self, path: Path, info: TiffInfo, source: Any, bands: Sequence[int]) -> None:
        self.path, self._source, self._bands = path, source, list(bands)
        self.height, self.width, self.bands = info.height, info.width, info.bands
        self.dtype, self.nodata = info.dtype, info.nodata
        self.georeference = _georeference(source)
        if (source.height, source.width) != (info.height, info.width):
            raise DataError("GDAL and its header disagree about its size", path, "save it again")

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Pixels (C, stop − start, W) of some rows.

        Raises:
            DataError: they cannot be decoded.
        """
        return self.window(slice(start, stop), slice(0, self.width))

    def window(self, rows: slice, columns: slice) -> NDArray[Any]:
        """Pixels (C, h, w) of some rows and columns, as far as the scene goes; errors as `rows`."""
        window = Window.from_slices(rows, columns, height=self.height, width=self.width)
        with gdal(), _as_data_error(self.path):
            pixels: NDArray[Any] = self._source.read(self._bands, window=window)
        if pixels.dtype != self.dtype:
            raise DataError(f"decodes to {pixels.dtype}, not what its header says", self.path, "save it again")
        return pixels


@contextmanager
def open_scene(
    path: Path, *, page: int | None = None, bands: Sequence[int] | None = None, max_pixels: int = 2**36
) -> Iterator[Scene]:
    """A TIFF scene, open while the block lasts.

    Args:
        path: the file.
        page: 0-based directory; None where the file holds one image (overviews and masks aside).
        bands: 1-based bands; None where the image has one.
        max_pixels: the most values (height · width · bands of the file) to accept.

    Raises:
        DataError: whatever is wrong with the file. Its header is checked by `inspect_tiff` first, because GDAL fills
            missing strips with zeros and says nothing.
    """
    info = inspect_tiff(path, page, bands, max_pixels=max_pixels)
    name = os.fspath(path.absolute())
    with gdal():
        with _as_data_error(path):
            # GTIFF_DIR opens one directory (from 1), but not the overviews and masks that belong to it.
            name = f"GTIFF_DIR:{info.page + 1}:{name}" if info.page else name
            source = rasterio.open(name, driver="GTiff")
        with source:
            with _as_data_error(path):
                scene = Scene(path, info, source, bands or (1,))
            yield scene


def read_scene(
    path: Path, *, page: int | None = None, bands: Sequence[int] | None = None, max_pixels: int = 2**31
) -> tuple[NDArray[Any], Georeference, float | None]:
    """Pixels (C, H, W), georeference and no-data value of a TIFF scene; arguments and errors as `open_scene`."""
    with open_scene(path, page=page, bands=bands, max_pixels=max_pixels) as scene:
        return scene.rows(0, scene.height), scene.georeference, scene.nodata


def _georeference(source: Any) -> Georeference:
    points, points_crs = source.gcps
    transform = tuple(float(v) for v in source.transform[:6])
    return Georeference(
        crs_wkt=_wkt(source.crs),
        transform=None if transform == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0) else transform,  # type: ignore[arg-type]
        gcps=tuple((float(p.row), float(p.col), float(p.x), float(p.y), float(p.z or 0)) for p in points),
        gcps_crs_wkt=_wkt(points_crs),
        rpcs=dict(sorted(source.tags(ns="RPC").items())),
        tags=dict(sorted(source.tags().items())),
    )


def _wkt(crs: Any) -> str | None:
    """The system's WKT; None too for the nameless one that GDAL makes up where a file has none."""
    wkt = str(crs.to_wkt()) if crs else ""
    return None if not wkt or wkt.startswith('LOCAL_CS["unnamed"') else wkt


@contextmanager
def gdal() -> Iterator[None]:
    """GDAL without side files, and without its own warnings: what matters is raised."""
    logging.getLogger("rasterio").setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings(), rasterio.Env(GDAL_PAM_ENABLED="NO", GDAL_CACHEMAX=CACHE_MB):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


@contextmanager
def _as_data_error(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeEncodeError:
        raise DataError("the name is not valid UTF-8", path, "rename the file") from None
    except MemoryError:
        raise DataError("does not fit in memory", path, "cut it into smaller scenes") from None
    except (RasterioError, OSError, ValueError) as error:
        raise DataError(f"is damaged ({reason(error)})", path, "copy or save it again") from None


def reason(error: BaseException) -> str:
    """The innermost cause on one line: rasterio wraps GDAL's words as `__cause__`."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:160]
