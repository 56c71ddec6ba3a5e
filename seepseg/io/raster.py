"""Georeferenced rasters: scenes in, class and probability maps out. The one module that uses rasterio for files."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine

from seepseg.classes import IGNORE
from seepseg.errors import ConfigError, DataError, ResourceError
from seepseg.io.atomic import atomic_path
from seepseg.io.tiff import inspect_tiff

TILE = 256


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
        tags: the file's own metadata; not carried into outputs, which hold no times.
    """

    crs_wkt: str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None
    gcps: tuple[tuple[float, float, float, float, float], ...] = ()
    gcps_crs_wkt: str | None = None
    rpcs: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def read_scene(
    path: Path, *, page: int | None = None, bands: Sequence[int] | None = None, max_pixels: int = 2**31
) -> tuple[NDArray[Any], Georeference, float | None]:
    """Pixels (C, H, W), georeference and no-data value of a TIFF scene.

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
    with _gdal():
        try:
            # GTIFF_DIR opens one directory (from 1), but not the overviews and masks that belong to it.
            with rasterio.open(f"GTIFF_DIR:{info.page + 1}:{name}" if info.page else name, driver="GTiff") as source:
                pixels: NDArray[Any] = source.read(list(bands or (1,)))
                georeference = _georeference(source)
        except UnicodeEncodeError:
            raise DataError("the name is not valid UTF-8", path, "rename the file") from None
        except MemoryError:
            raise DataError("does not fit in memory", path, "cut it into smaller scenes") from None
        except (RasterioError, OSError, ValueError) as error:
            raise DataError(f"is damaged ({_reason(error)})", path, "copy or save it again") from None
    if pixels.shape != (info.bands, info.height, info.width) or pixels.dtype != info.dtype:
        raise DataError(f"decodes to {pixels.dtype} {pixels.shape}, not what its header says", path, "save it again")
    return pixels, georeference, info.nodata


def write_class_raster(
    path: Path,
    indices: NDArray[np.uint8],
    georeference: Georeference,
    names: Sequence[str],
    colors: NDArray[np.uint8],
    tags: Mapping[str, str],
) -> None:
    """Write class indices (H, W) as a tiled GeoTIFF, 255 = no data, complete or absent.

    Args:
        path: the file to write.
        indices: uint8 class indices, 255 where nothing is known.
        georeference: what the scene's `read_scene` gave.
        names: K class names, background first; tags CLASS_0 … CLASS_K−1 hold them.
        colors: (K, 3) RGB, the colour table.
        tags: further metadata; nothing that changes from run to run.

    Raises:
        ConfigError: not writable.
        ResourceError: the disk is full, or fails.
    """
    assert indices.dtype == np.uint8 and indices.ndim == 2 and len(names) == len(colors), indices.shape
    profile = {"count": 1, "dtype": "uint8", "nodata": IGNORE, "height": indices.shape[0], "width": indices.shape[1]}
    with _created(path, georeference, profile) as target:
        # The colour table decides how the file is laid out, so it comes before the pixels.
        table = {i: (int(r), int(g), int(b), 255) for i, (r, g, b) in enumerate(colors)}
        target.write_colormap(1, table | {IGNORE: (0, 0, 0, 0)})
        target.update_tags(**{f"CLASS_{i}": name for i, name in enumerate(names)}, **tags)
        target.write(indices, 1)


def write_probability_raster(
    path: Path,
    probabilities: NDArray[np.float32],
    georeference: Georeference,
    names: Sequence[str],
    tags: Mapping[str, str],
) -> None:
    """Write probabilities (K, H, W) as a tiled GeoTIFF, NaN = no data, bands described by the class names.

    Raises:
        ConfigError: not writable.
        ResourceError: the disk is full, or fails.
    """
    assert probabilities.dtype == np.float32 and len(probabilities) == len(names), probabilities.shape
    count, height, width = probabilities.shape
    profile = {
        "count": count,
        "dtype": "float32",
        "nodata": float("nan"),
        "height": height,
        "width": width,
        "predictor": 3,
        "interleave": "band",
    }
    with _created(path, georeference, profile) as target:
        target.descriptions = tuple(names)
        target.update_tags(**tags)
        target.write(probabilities)


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
def _created(path: Path, georeference: Georeference, profile: Mapping[str, Any]) -> Iterator[Any]:
    """A new tiled deflate GeoTIFF with the georeference laid on, in place once it is whole."""
    place: dict[str, Any] = {}
    if georeference.crs_wkt:
        place["crs"] = CRS.from_wkt(georeference.crs_wkt)
    if georeference.transform:
        place["transform"] = Affine(*georeference.transform)
    with atomic_path(path) as temporary, _gdal():
        try:
            with rasterio.open(
                temporary,
                "w",
                driver="GTiff",
                compress="deflate",
                tiled=True,
                blockxsize=TILE,
                blockysize=TILE,
                bigtiff="IF_SAFER",
                **profile,
                **place,
            ) as target:
                # A TIFF holds a transform or control points. AREA_OR_POINT is never written: GDAL has already moved
                # what it read to pixel corners, and "Point" would move control points again at every copy (measured).
                if georeference.gcps and not georeference.transform:
                    points = [GroundControlPoint(*point) for point in georeference.gcps]
                    wkt = georeference.gcps_crs_wkt
                    target.gcps = (points, CRS.from_wkt(wkt) if wkt else CRS())
                if georeference.rpcs:
                    target.update_tags(ns="RPC", **georeference.rpcs)
                yield target
            # GDAL does not always report a write that failed while closing.
            inspect_tiff(temporary, bands=range(1, profile["count"] + 1), max_pixels=2**62)
        except UnicodeEncodeError:
            raise ConfigError("the name is not valid UTF-8", path, "choose another name") from None
        except RasterioError as error:
            if not os.access(path.parent, os.W_OK):
                raise ConfigError("not writable", path, "change its permissions, or choose another folder") from None
            raise ResourceError(
                f"cannot be written ({_reason(error)})", path, "check the free space, then run again"
            ) from None
        except DataError as error:
            raise ResourceError(
                f"was not written whole ({error.what})", path, "check the free space, then run again"
            ) from None


@contextmanager
def _gdal() -> Iterator[None]:
    """GDAL without side files, and without its own warnings: what matters is raised."""
    logging.getLogger("rasterio").setLevel(logging.CRITICAL + 1)
    with warnings.catch_warnings(), rasterio.Env(GDAL_PAM_ENABLED="NO"):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        yield


def _reason(error: BaseException) -> str:
    """The innermost cause on one line: rasterio wraps GDAL's words as `__cause__`."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:160]
