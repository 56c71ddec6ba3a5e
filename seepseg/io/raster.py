"""GDAL through rasterio: its settings, its errors, where a raster lies, and the rows of a finished one.

Nothing else opens a raster with it, so that none is opened but by a driver of one format: others, such as virtual
rasters, name more files, or addresses.
"""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from seepseg.errors import DataError, SeepsegError, shortage
from seepseg.io.files import image_kind, open_regular

DRIVERS = {"TIFF": "GTiff", "PNG": "PNG", "JPEG": "JPEG"}
"""GDAL's name of each kind of image."""
READ = (*DRIVERS.values(), "GRIB", "netCDF")
"""All drivers that open a file; the last two only wind."""

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


def georeference_of(source: Any) -> Georeference:
    """Where an open rasterio dataset lies, by the file itself and the world file, `.tab` or RPC file beside it."""
    points, points_crs = source.gcps
    transform = tuple(float(v) for v in source.transform[:6])
    return Georeference(
        crs_wkt=wkt(source.crs),
        transform=None if transform == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0) else transform,  # type: ignore[arg-type]  # has six
        gcps=tuple((float(p.row), float(p.col), float(p.x), float(p.y), float(p.z or 0)) for p in points),
        gcps_crs_wkt=wkt(points_crs),
        rpcs=dict(sorted(source.tags(ns="RPC").items())),
        tags=dict(sorted(source.tags().items())),
    )


def wkt(crs: Any) -> str | None:
    """The system's WKT; None also for the unnamed one that GDAL invents where a file has none."""
    text = str(crs.to_wkt()) if crs else ""
    return None if not text or text.startswith('LOCAL_CS["unnamed"') else text


@contextmanager
def gdal(**settings: str) -> Iterator[None]:
    """GDAL without other files in the folder, and without its own warnings: what matters is raised."""
    quiet("rasterio")
    # For the whole process: where threads read, leaving catch_warnings in one undoes the filter of another.
    warnings.simplefilter("ignore", NotGeoreferencedWarning)
    options = {"GDAL_PAM_ENABLED": "NO", "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", **settings}
    with rasterio.Env(GDAL_CACHEMAX=CACHE_MB, **options):
        yield


def open_raster(path: Path, driver: str, part: str = "", **options: str) -> Any:
    """A raster, open for reading with one driver, within `gdal`.

    Args:
        path: the file.
        driver: one of `READ`.
        part: GDAL's name of a part of this file; "" for the whole.
        options: of the driver.

    Raises:
        DataError: it is no regular file here.
        RasterioError: it is none of this driver.
    """
    name = os.fspath(path.absolute())
    assert driver in READ and name in (part or name), (driver, part)
    if name.startswith("/vsi"):
        raise DataError("is no file of this machine", path, "copy it here first")
    open_regular(path).close()
    return rasterio.open(part or name, driver=driver, **options)


def create_raster(path: Path, **profile: Any) -> Any:
    """A new GeoTIFF, open for writing within `gdal`; the profile is rasterio's."""
    _silence_libtiff()
    return rasterio.open(path, "w", driver="GTiff", **profile)


@cache
def _silence_libtiff() -> None:
    """What GDAL raises, its libtiff would also print where a write fails; rasterio's wheels bring one of their own."""
    packages = Path(rasterio.__file__).parents[1]
    for library in (*packages.glob("rasterio.libs/*tiff*"), *packages.glob("rasterio/.dylibs/*tiff*")):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(str(library)).TIFFSetErrorHandler(None)


def copy_raster(source: Path, target: Path, **options: Any) -> None:
    """Write a GeoTIFF again as a cloud-optimised one, within `gdal`; options are of GDAL's driver COG."""
    rasterio.shutil.copy(os.fspath(source), os.fspath(target), driver="COG", **options)


def warp_raster(source: Any, **grid: Any) -> Any:
    """An open raster as it looks in another grid, within `gdal`; arguments are rasterio's."""
    return WarpedVRT(source, **grid)


def quiet(library: str) -> None:
    """Silence a library's log: what matters is raised."""
    logger = logging.getLogger(library)
    if logger.level <= logging.CRITICAL:  # setting a level makes every logger look it up again
        logger.setLevel(logging.CRITICAL + 1)


@contextmanager
def as_data_error(
    path: Path, errors: type[Exception] | tuple[type[Exception], ...] = (RasterioError, OSError, ValueError)
) -> Iterator[None]:
    """What a library raises about one file, GDAL's errors unless others are given, as DataErrors."""
    try:
        yield
    except SeepsegError:
        raise
    except UnicodeEncodeError:
        raise DataError("the name is not valid UTF-8", path, "rename the file") from None
    except MemoryError:
        raise DataError("does not fit in memory", path, "cut it into smaller ones") from None
    except errors as error:
        damaged = DataError(f"is damaged ({reason(error)})", path, "copy or save it again")
        raise shortage(error, path) or damaged from None


def reason(error: BaseException) -> str:
    """The innermost cause on one line: rasterio wraps GDAL's words as `__cause__`."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:160] or type(error).__name__


def raster_rows(path: Path, heights: int | Sequence[int]) -> Iterator[NDArray[Any]]:
    """The first band (n, W) of a raster in strips, all of one height or of the given; DataError where it is damaged."""
    with _opened(path) as source:
        if isinstance(heights, int):
            heights = [min(heights, source.height - start) for start in range(0, source.height, heights)]
        edges = itertools.accumulate(heights, initial=0)
        for start, stop in itertools.pairwise(edges):
            yield _read(source, slice(start, stop), slice(0, source.width))


@contextmanager
def raster_windows(path: Path) -> Iterator[Callable[[slice, slice], NDArray[Any]]]:
    """Reads rows and columns (h, w) of the first band of a raster, as far as it goes; errors as `raster_rows`."""
    with _opened(path) as source:
        yield lambda rows, columns: _read(source, rows, columns)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    # GDAL's settings are a stack; kept while other code runs, they would come off in the wrong order.
    driver = DRIVERS[image_kind(path)]
    with as_data_error(path), gdal():
        source = open_raster(path, driver)
    with source:
        yield source


def _read(source: Any, rows: slice, columns: slice) -> NDArray[Any]:
    window = Window.from_slices(rows, columns, height=source.height, width=source.width)
    with as_data_error(Path(source.name)), gdal():
        return np.asarray(source.read(1, window=window))


def raster_header(path: Path) -> tuple[Georeference, int, int]:
    """Where a finished raster lies, its height and width; DataError where it cannot be read."""
    with as_data_error(path), _opened(path) as source:
        return georeference_of(source), source.height, source.width


def thinned(path: Path, step: int) -> NDArray[Any]:
    """About every `step`-th row and column of the first band of a finished raster, from its overviews where it has any.

    Pixel (i, j) lies at i + ½ and j + ½ of the result's rows and columns, as a share of the raster's height and width.

    Raises:
        DataError: it cannot be read.
    """
    with as_data_error(path), _opened(path) as source:
        shape = -(-source.height // step), -(-source.width // step)
        with gdal():
            return np.asarray(source.read(1, out_shape=shape))
