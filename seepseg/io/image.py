"""The one reader of images, for tiles and scenes, in training and prediction: TIFF, PNG or JPEG, by its first bytes.

A file's own metadata are obeyed: masks inside it and beside it (`.msk`), alpha, its no-data value, its georeference
(inside it, in `.aux.xml`, in a world file). Scale and offset, a turned picture, and colours that are no measurement are
refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from seepseg.bands import Bands, numbered
from seepseg.errors import DataError
from seepseg.io.files import MAX_PIXELS, MAX_SCENE, beside, image_kind, open_regular
from seepseg.io.images import inspect_picture, read_picture
from seepseg.io.pam import Pam, nodata_value, read_pam, refuse_scaling
from seepseg.io.raster import DRIVERS, Georeference, as_data_error, gdal, georeference_of, open_raster
from seepseg.io.tiff import TiffInfo, inspect_tiff

_PLACES = (
    ".tfw", ".tifw", ".tiffw", ".pgw", ".pngw", ".jgw", ".jpgw", ".wld", ".tab", "_RPC.TXT", "_rpc.txt", ".RPB", ".IMD",
)  # fmt: skip


class Choice(TypedDict, total=False):
    """What is read of a file.

    Attributes:
        page: 0-based directory of a TIFF; None where it holds one image (overviews and masks aside), or bands as pages.
        bands: 1-based bands, not counting alpha, in the order wanted, or their names (`bands`); pages, where a TIFF
            holds each band as one. None where the image has one band or, in PNG and JPEG, three that are equal.
        max_pixels: the most values (height · width · bands) of a TIFF: `MAX_PIXELS`, or `MAX_SCENE` to read by rows.
        verify: check the sums of compressed data before anything is read, which GDAL does not.
        labels: the numbers are labels: a palette is then only for display, and bits are 0 and 1; both are refused in an
            image.
    """

    page: int | None
    bands: Bands | None
    max_pixels: int
    verify: bool
    labels: bool


class Pixels(NamedTuple):
    """Pixels of an image, and where the file itself says that they are data.

    Attributes:
        raw: (C, H, W) as stored: uint8, uint16, int16 or float32 in native byte order.
        valid: (H, W); False where a mask, alpha or the file's no-data value says so. NaN is left to the caller.
    """

    raw: NDArray[Any]
    valid: NDArray[np.bool_]


@dataclass(frozen=True)
class ImageInfo:
    """What the header of an image says.

    Attributes:
        kind: "TIFF", "PNG" or "JPEG".
        height, width: in pixels.
        bands: how many are read.
        dtype: of the pixels.
        nodata: the file's own value; None where it has none, or one that no pixel of this dtype can equal.
        page: 0-based directory of a TIFF, of its first band where pages are bands.
    """

    kind: str
    height: int
    width: int
    bands: int
    dtype: np.dtype[Any]
    nodata: float | None = None
    page: int = 0


@dataclass(frozen=True, kw_only=True)
class Image(ImageInfo):
    """An open image; pixels are read on request. One thread at a time.

    Attributes:
        path: the file.
        chunk: how many rows are best read at once: whole blocks of the file.
        window: reads rows and columns, as far as the image goes; DataError where they cannot be decoded.
        georeference: where it lies.
        warnings: metadata files of it that are not understood.
    """

    path: Path
    chunk: int
    window: Callable[[slice, slice], Pixels]
    georeference: Georeference
    warnings: tuple[str, ...]

    def rows(self, start: int, stop: int) -> Pixels:
        """Rows `start` … `stop` − 1; errors as `window`."""
        return self.window(slice(start, stop), slice(None))


def inspect_image(path: Path, **choice: Unpack[Choice]) -> ImageInfo:
    """What the header says, once it is known to be sound: nothing is decoded; errors as `read_image`."""
    return _header(path, **choice).info


def read_image(path: Path, **choice: Unpack[Choice]) -> tuple[Pixels, ImageInfo]:
    """All pixels of an image, and what its header says.

    Raises:
        DataError: whatever is wrong with the file; no other error, for any bytes.
    """
    choice.setdefault("verify", True)
    header = _header(path, **choice)
    if header.tiff and header.tiff.start is not None and not header.masks:
        return _as_stored(header, header.tiff.start, slice(None), slice(None)), header.info
    with ExitStack() as stack, gdal(), as_data_error(path):
        return _window(header, stack)(slice(None), slice(None)), header.info


@contextmanager
def open_image(path: Path, **choice: Unpack[Choice]) -> Iterator[Image]:
    """An image, open while the block lasts; errors as `read_image`. PNG and JPEG are decoded whole."""
    choice.setdefault("max_pixels", MAX_SCENE)
    choice.setdefault("verify", True)
    header = _header(path, **choice)
    with ExitStack() as stack:
        # GDAL's settings are a stack: they must not stay while other code runs.
        with gdal(), as_data_error(path):
            window, place = _window(header, stack), _place(header)
        warnings = header.pam.warnings
        yield Image(
            **vars(header.info), path=path, chunk=_chunk(header), window=window, georeference=place, warnings=warnings
        )


@dataclass(frozen=True)
class _Header:
    """What is known of an image before a pixel is read."""

    path: Path
    info: ImageInfo
    numbers: Sequence[int] | None  # bands of a PNG or JPEG, 1-based; None for what is grey
    labels: bool
    pam: Pam
    tiff: TiffInfo | None  # None for PNG and JPEG
    nodata: tuple[tuple[int, float], ...]  # (0-based band of those read, value that is no data there)
    masks: tuple[tuple[Path, int], ...]  # files and directories of its masks, inside and beside


def _header(
    path: Path,
    page: int | None = None,
    bands: Bands | None = None,
    max_pixels: int = MAX_PIXELS,
    labels: bool = False,
    verify: bool = False,
) -> _Header:
    kind, pam = image_kind(path), read_pam(path)
    tiff, masks, numbers = None, list[tuple[Path, int]](), None
    if kind == "TIFF":
        tiff = inspect_tiff(
            path, page, bands, described=pam.described, max_pixels=max_pixels, labels=labels, verify=verify
        )
        info = ImageInfo(kind, tiff.height, tiff.width, len(tiff.bands), tiff.dtype, tiff.nodata, tiff.pages[0])
        masks += [] if tiff.mask is None else [(path, tiff.mask)]
    else:
        numbers = [band for band in bands or () if isinstance(band, int)] or None
        if bands and not numbers:  # names: one band, what is grey, may be any; several would be colours
            numbered(bands, 1, pam.described, path, colours=len(bands) > 1)
        info = ImageInfo(kind, *inspect_picture(path, kind, numbers, labels))
    if mask := beside(path, ".msk"):
        size = inspect_tiff(mask, mask=True, max_pixels=max_pixels, verify=verify)
        if (size.height, size.width) != (info.height, info.width):
            what = f"is {size.height}×{size.width}, its image {info.height}×{info.width}"
            raise DataError(what, mask, "save it in the image's size, or remove it")
        masks.append((mask, 0))
    samples = tiff.bands if tiff else numbers or (1,)
    refuse_scaling(path, pam.scaling, samples)
    values = [(band, nodata_value(pam.nodata.get(sample), info.dtype)) for band, sample in enumerate(samples)]
    values = [(band, info.nodata) for band in range(info.bands)] + values
    nodata = tuple((band, value) for band, value in values if value is not None)
    info = replace(info, nodata=nodata[0][1] if nodata else None)
    return _Header(path, info, numbers, labels, pam, tiff, nodata, tuple(masks))


def _opened(path: Path, directory: int, **options: str) -> Any:
    """A directory of a TIFF as GDAL opens it; all but the first are without overviews and masks of their own."""
    part = f"GTIFF_DIR:{directory + 1}:{os.fspath(path.absolute())}" if directory else ""
    return open_raster(path, "GTiff", part, **options)


# A window → bands (C, h, w) and alpha (A, h, w), A of 0 where there is none.
_Planes = Callable[[Window], tuple[NDArray[Any], NDArray[Any]]]


def _window(header: _Header, stack: ExitStack) -> Callable[[slice, slice], Pixels]:
    """The function that reads pixels until the stack is closed."""
    info = header.info
    if header.tiff and header.tiff.start is not None and not header.masks:
        return partial(_as_stored, header, header.tiff.start)
    planes = _tiff_planes(header.path, header.tiff, stack) if header.tiff else _picture_planes(header)
    masks = [stack.enter_context(_opened(*mask)) for mask in header.masks]

    def window(rows: slice, columns: slice) -> Pixels:
        box = Window.from_slices(rows, columns, height=info.height, width=info.width)
        with gdal(), as_data_error(header.path):
            raw, alpha = planes(box)
            validity = [alpha, *(mask.read(window=box) for mask in masks)]
        if (len(raw), raw.dtype) != (info.bands, info.dtype):
            what = f"decodes to {len(raw)} bands of {raw.dtype}, not what its header says"
            raise DataError(what, header.path, "save it again")
        return _validated(raw, validity, header)

    return window


def _as_stored(header: _Header, start: int, rows: slice, columns: slice) -> Pixels:
    """Pixels of a TIFF that stores them as they are in memory: GDAL takes longer to open it, and reads whole rows."""
    info = header.info
    down, across = range(*rows.indices(info.height)), range(*columns.indices(info.width))
    raw = np.empty((1, len(down), len(across)), info.dtype)
    row_bytes = info.width * raw.itemsize
    # Whole rows are one piece.
    pieces = [raw] if len(across) == info.width else raw[0]
    with open_regular(header.path) as stream, as_data_error(header.path):
        str(header.path).encode()  # a name that GDAL cannot open is an error here too
        file = stream.raw  # type: ignore[attr-defined]  # through a buffer, each piece would be 8 KiB
        for row, piece in zip(down, pieces, strict=False):
            file.seek(start + row * row_bytes + across.start * raw.itemsize)
            if file.readinto(piece) < piece.nbytes:
                raise DataError("its pixels end too early", header.path, "it was cut short: copy it again")
    return _validated(raw, [], header)


def _validated(raw: NDArray[Any], validity: Sequence[NDArray[Any]], header: _Header) -> Pixels:
    """Pixels (C, h, w), valid where all planes (A, h, w) are above 0 and no band has its no-data value."""
    valid = np.ones(raw.shape[1:], bool)
    for plane in validity:
        valid &= (plane > 0).all(0)
    for band, value in header.nodata:
        valid &= ~np.isnan(raw[band]) if np.isnan(value) else raw[band] != value
    return Pixels(raw, valid)


def _tiff_planes(path: Path, tiff: TiffInfo, stack: ExitStack) -> _Planes:
    pages = [stack.enter_context(_opened(path, page)) for page in tiff.pages]
    if any((page.height, page.width) != (tiff.height, tiff.width) for page in pages):
        raise DataError("GDAL and its header disagree about its size", path, "save it again")
    samples = [1] if len(pages) > 1 else [*tiff.bands, *tiff.alpha]

    def planes(window: Window) -> tuple[NDArray[Any], NDArray[Any]]:
        read = [page.read(samples, window=window) for page in pages]
        raw = read[0] if len(read) == 1 else np.concatenate(read)
        return raw[: len(tiff.bands)], raw[len(tiff.bands) :]

    return planes


def _chunk(header: _Header) -> int:
    """Rows of whole blocks, some 256 of them; blocks taller than 1024 rows would take too much memory."""
    block = header.tiff.block if header.tiff else 1
    return 256 if block > 1024 else -(-256 // block) * block


def _picture_planes(header: _Header) -> _Planes:
    raw, alpha = read_picture(header.path, header.info.kind, header.numbers, header.labels)
    return lambda window: (raw[:, *window.toslices()], alpha[:, *window.toslices()])


def _place(header: _Header) -> Georeference:
    """Where an image lies; what its `.aux.xml` says goes before what it says itself, as GDAL has it."""
    path, page = header.path, header.info.page
    for place in (path.with_name(path.stem + ending) for ending in _PLACES):
        # A pipe would keep GDAL waiting. Path.exists fails where a name is too long to have one beside it.
        if os.path.exists(place):  # noqa: PTH110 - see above
            open_regular(place).close()
    with gdal(GDAL_DISABLE_READDIR_ON_OPEN="FALSE"):  # world files and the like
        driver = DRIVERS[header.info.kind]
        with _opened(path, page) if header.tiff else open_raster(path, driver) as source:
            own = georeference_of(source)
        if header.tiff and not (own.transform or own.gcps):  # the identity says nothing, yet GDAL looks no further
            with _opened(path, page, GEOREF_SOURCES="TABFILE,WORLDFILE") as source:
                own = replace(own, transform=georeference_of(source).transform)
    pam = header.pam.georeference
    if pam.transform or pam.gcps:
        own = replace(own, transform=pam.transform, gcps=pam.gcps, gcps_crs_wkt=pam.gcps_crs_wkt)
    tags = {**own.tags, **pam.tags}
    return replace(own, crs_wkt=pam.crs_wkt or own.crs_wkt, rpcs=pam.rpcs or own.rpcs, tags=tags)
