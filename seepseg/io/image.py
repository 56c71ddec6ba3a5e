"""The one reader of images, for tiles and scenes, training and prediction: TIFF, PNG or JPEG, by its first bytes.

What a file says of itself is obeyed or refused: masks inside and beside it, alpha, its no-data value, its place inside
and beside it; scale and offset, orientation, and colours that are no measurement are refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from seepseg.errors import DataError
from seepseg.io.files import beside, kind_of, open_regular
from seepseg.io.images import inspect_picture, read_picture
from seepseg.io.pam import Pam, nodata_value, read_pam, refuse_scaling
from seepseg.io.raster import Georeference, as_data_error, gdal, georeference_of
from seepseg.io.tiff import TiffInfo, inspect_tiff

WHOLE = 2**28
"""The most pixels of a PNG or JPEG, which are decoded whole."""

_DRIVERS = {"TIFF": "GTiff", "PNG": "PNG", "JPEG": "JPEG"}


class Pixels(NamedTuple):
    """Pixels of an image, and where the file itself says that they are data.

    Attributes:
        raw: (C, H, W) as stored: uint8, uint16, int16 or float32 in native byte order.
        valid: (H, W); False where a mask, alpha or the file's no-data value says so. NaN counts as any other number.
    """

    raw: NDArray[Any]
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class ImageInfo:
    """What the header of an image says.

    Attributes:
        kind: "TIFF", "PNG" or "JPEG".
        height, width: in pixels.
        bands: how many are read: those asked for, else 1.
        dtype: of the pixels.
        nodata: the file's own value; None where it has none, or one that no pixel of this dtype can equal.
        page: 0-based directory of a TIFF (of the first band, where pages are bands).
    """

    kind: str
    height: int
    width: int
    bands: int
    dtype: np.dtype[Any]
    nodata: float | None = None
    page: int = 0


@dataclass(frozen=True)
class Image(ImageInfo):
    """An open image; pixels are read when asked for. One thread at a time.

    Attributes:
        path: the file.
        georeference: where it lies, by the file and by what stands beside it.
        warnings: what the user should know of it.
        window: pixels of some rows and columns, as far as the image goes; DataError where they cannot be decoded.
    """

    path: Path = field(kw_only=True)
    window: Callable[[slice, slice], Pixels] = field(kw_only=True)
    georeference: Georeference = field(kw_only=True)
    warnings: tuple[str, ...] = field(kw_only=True)

    def rows(self, start: int, stop: int) -> Pixels:
        """Pixels of the rows `start` … `stop` − 1; errors as `window`."""
        return self.window(slice(start, stop), slice(0, self.width))


def inspect_image(
    path: Path,
    *,
    page: int | None = None,
    bands: Sequence[int] | None = None,
    max_pixels: int = 2**28,
    labels: bool = False,
) -> ImageInfo:
    """What the header says, once it is known to be sound: no pixel is decoded; arguments and errors as `read_image`."""
    return _header(path, page, bands, max_pixels, labels).info


def read_image(
    path: Path,
    *,
    page: int | None = None,
    bands: Sequence[int] | None = None,
    max_pixels: int = 2**28,
    labels: bool = False,
) -> tuple[Pixels, ImageInfo]:
    """All pixels of an image, and what its header says.

    Args:
        path: the file; what it is, its bytes tell, not its name.
        page: 0-based directory of a TIFF; None where it holds one image (overviews and masks aside), or bands as pages.
        bands: 1-based bands (pages, where a TIFF holds each band as one), in the order wanted, not counting alpha. None
            where the image has one, or, in PNG and JPEG, three that are equal.
        max_pixels: the most values (height · width · bands of the file) to accept.
        labels: the numbers are labels: those behind a palette of colours are taken, which in an image is refused.

    Raises:
        DataError: whatever is wrong with the file; no other error, for any bytes.
    """
    header = _header(path, page, bands, max_pixels, labels, verify=True)
    # What stands beside is looked for by name; GDAL would list the folder again for every tile in it.
    with ExitStack() as stack, gdal(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"), as_data_error(path):
        return _window(header, stack)(slice(None), slice(None)), header.info


@contextmanager
def open_image(
    path: Path,
    *,
    page: int | None = None,
    bands: Sequence[int] | None = None,
    max_pixels: int = 2**36,
    labels: bool = False,
) -> Iterator[Image]:
    """An image, open while the block lasts; arguments and errors as `read_image`. PNG and JPEG are decoded whole."""
    header = _header(path, page, bands, max_pixels, labels, verify=True)
    with ExitStack() as stack:
        # GDAL's settings are a stack; they must not stay while other code runs.
        with gdal(), as_data_error(path):
            window = _window(header, stack)
            place = _place(header)
        yield Image(**vars(header.info), path=path, window=window, georeference=place, warnings=header.pam.warnings)


@dataclass(frozen=True)
class _Header:
    """What is known of an image before a pixel is read.

    Attributes:
        path, info: of the image.
        bands, labels: as asked for.
        pam: what the `.aux.xml` beside it says.
        tiff: what a TIFF says; None for PNG and JPEG.
        nodata: (0-based band of those read, value that is no data there).
        masks: the files, or directories of them, that hold its masks, as GDAL names them.
    """

    path: Path
    info: ImageInfo
    bands: Sequence[int] | None
    labels: bool
    pam: Pam
    tiff: TiffInfo | None
    nodata: tuple[tuple[int, float], ...]
    masks: tuple[str, ...]


def _header(
    path: Path, page: int | None, bands: Sequence[int] | None, max_pixels: int, labels: bool, verify: bool = False
) -> _Header:
    with open_regular(path) as stream:
        kind = kind_of(stream.read(16))
    pam = read_pam(path)
    tiff, masks = None, []
    if kind == "TIFF":
        tiff = inspect_tiff(path, page, bands, max_pixels=max_pixels, labels=labels, verify=verify)
        info = ImageInfo(kind, tiff.height, tiff.width, len(tiff.bands), tiff.dtype, tiff.nodata, tiff.pages[0])
        if tiff.mask is not None:
            masks.append(_gdal_name(path, tiff.mask))
    elif kind in _DRIVERS:
        height, width, dtype = inspect_picture(path, kind, min(max_pixels, WHOLE))
        info = ImageInfo(kind, height, width, len(bands or (1,)), dtype)
    else:
        raise DataError(f"not an image, the file is {kind}", path, "give a TIFF, PNG or JPEG")
    if mask := beside(path, ".msk"):
        held = inspect_tiff(mask, mask=True, max_pixels=max_pixels, verify=verify)
        if (held.height, held.width) != (info.height, info.width):
            what = f"is {held.height}×{held.width}, its image {info.height}×{info.width}"
            raise DataError(what, mask, "save it in the image's size, or remove it")
        masks.append(_gdal_name(mask))
    samples = tiff.bands if tiff else bands or (1,)
    refuse_scaling(path, pam.scaling, samples)
    values = [(band, tiff.nodata) for band in range(len(samples))] if tiff else []
    values += [(band, nodata_value(pam.nodata[s], info.dtype)) for band, s in enumerate(samples) if s in pam.nodata]
    nodata = tuple((band, value) for band, value in values if value is not None)
    if nodata:
        info = replace(info, nodata=nodata[0][1])
    return _Header(path, info, bands, labels, pam, tiff, nodata, tuple(masks))


def _gdal_name(path: Path, directory: int = 0) -> str:
    """What GDAL calls a directory of a TIFF; without the overviews and masks that belong to it, if not the first."""
    name = os.fspath(path.absolute())
    return f"GTIFF_DIR:{directory + 1}:{name}" if directory else name


def _window(header: _Header, stack: ExitStack) -> Callable[[slice, slice], Pixels]:
    """The function that reads pixels until the stack is closed."""
    info = header.info
    planes = _tiff_planes(header.path, header.tiff, stack) if header.tiff else _picture_planes(header)
    masks = [stack.enter_context(rasterio.open(name, driver="GTiff")) for name in header.masks]

    def window(rows: slice, columns: slice) -> Pixels:
        box = Window.from_slices(rows, columns, height=info.height, width=info.width)
        with gdal(), as_data_error(header.path):
            raw, alpha = planes(box)
            kept = [alpha, *(mask.read(window=box) for mask in masks)]
        if raw.dtype != info.dtype or len(raw) != info.bands:
            raise DataError(
                f"decodes to {len(raw)} bands of {raw.dtype}, not what its header says", header.path, "save it again"
            )
        valid = np.ones(raw.shape[1:], bool)
        for plane in kept:
            valid &= (plane > 0).all(0)
        for band, value in header.nodata:
            valid &= ~np.isnan(raw[band]) if np.isnan(value) else raw[band] != value
        return Pixels(raw, valid)

    return window


_Planes = Callable[[Window], tuple[NDArray[Any], NDArray[Any]]]
"""A window → bands (C, h, w) and alpha (A, h, w), A of 0 where there is none."""


def _tiff_planes(path: Path, tiff: TiffInfo, stack: ExitStack) -> _Planes:
    pages = [stack.enter_context(rasterio.open(_gdal_name(path, page), driver="GTiff")) for page in tiff.pages]
    if any((page.height, page.width) != (tiff.height, tiff.width) for page in pages):
        raise DataError("GDAL and its header disagree about its size", path, "save it again")
    bands = [1] if len(pages) > 1 else [*tiff.bands, *tiff.alpha]

    def planes(window: Window) -> tuple[NDArray[Any], NDArray[Any]]:
        read = [page.read(bands, window=window) for page in pages]
        raw = read[0] if len(read) == 1 else np.concatenate(read)
        return raw[: len(tiff.bands)], raw[len(tiff.bands) :]

    return planes


def _picture_planes(header: _Header) -> _Planes:
    raw, alpha = read_picture(header.path, header.info.kind, header.bands, labels=header.labels)
    return lambda window: (raw[:, *window.toslices()], alpha[:, *window.toslices()])


def _place(header: _Header) -> Georeference:
    """Where an image lies; what its `.aux.xml` says goes before what it says itself, as GDAL has it."""
    name = _gdal_name(header.path, header.info.page)
    with rasterio.open(name, driver=_DRIVERS[header.info.kind]) as source:
        own = georeference_of(source)
    pam = header.pam.georeference
    if pam.transform or pam.gcps:
        own = replace(own, transform=pam.transform, gcps=pam.gcps, gcps_crs_wkt=pam.gcps_crs_wkt)
    return replace(own, crs_wkt=pam.crs_wkt or own.crs_wkt, rpcs=pam.rpcs or own.rpcs, tags={**own.tags, **pam.tags})
