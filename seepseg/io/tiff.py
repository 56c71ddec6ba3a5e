"""TIFF tiles, read only after their header has been checked: a broken file is an error, never an array.

tifffile returns *empty arrays* for some broken files, pads others, and follows cyclic directories; GDAL fills missing
strips with zeros. So the directories are walked here, and what they promise is held against the size of the file and a
budget before a pixel is decoded.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from tifffile.tifffile import jpeg_shape

from seepseg.errors import DataError, SeepsegError
from seepseg.io.files import open_regular
from seepseg.io.ifd import MASK, REDUCED, Directory, walk

DTYPES = ("uint8", "uint16", "int16", "float32")
MAX_BANDS = 1024

_NONE, _LZW, _JPEG, _DEFLATE, _PACKBITS, _OLD_DEFLATE = 1, 5, 7, 8, 32773, 32946
_LZMA, _OLD_ZSTD, _ZSTD = 34925, 34926, 50000
# Codecs whose decoders accept a bound on what they put out (JPEG: its own header is checked); others could be bombs.
_CODECS = (_NONE, _LZW, _JPEG, _DEFLATE, _PACKBITS, _OLD_DEFLATE, _LZMA, _OLD_ZSTD, _ZSTD)

_OFFSETS, _BYTE_COUNTS = (324, 273), (325, 279)


@dataclass(frozen=True)
class TiffInfo:
    """What `read_tiff` would return: a (bands, height, width) array of `dtype`, and the file's own no-data value.

    `nodata` is None where the file has no GDAL_NODATA tag, or one that no pixel of this dtype can equal. `page` is the
    0-based directory that holds the image.
    """

    height: int
    width: int
    bands: int
    dtype: np.dtype[Any]
    nodata: float | None
    page: int = 0


def inspect_tiff(
    path: Path, page: int | None = None, bands: Sequence[int] | None = None, *, max_pixels: int = 2**28
) -> TiffInfo:
    """What the header says, once it is known to be sound: no pixel is decoded.

    Args:
        path: the file.
        page: 0-based directory; None where the file holds one image (overviews and masks aside).
        bands: 1-based bands; None where the image has one.
        max_pixels: the most values (height · width · bands of the file) to accept.

    Raises:
        DataError: whatever is wrong with the file.
    """
    with _opened(path, page, bands, max_pixels) as (info, _):
        return info


def read_tiff(
    path: Path, *, page: int | None = None, bands: Sequence[int] | None = None, max_pixels: int = 2**28
) -> NDArray[Any]:
    """Pixels (C, H, W) in native byte order: uint8, uint16, int16 or float32, as in the file.

    Args:
        path: the file.
        page: 0-based directory; None where the file holds one image (overviews and masks aside).
        bands: 1-based bands, in the order wanted; None where the image has one.
        max_pixels: the most values (height · width · bands of the file) to accept.

    Raises:
        DataError: whatever is wrong with the file; no other error, for any bytes.
    """
    with _opened(path, page, bands, max_pixels) as (info, image):
        pixels = _decode(path, image, info.nodata)[[b - 1 for b in bands or (1,)]]
    if pixels.shape != (info.bands, info.height, info.width) or pixels.dtype != info.dtype:
        raise DataError(f"decodes to {pixels.dtype} {pixels.shape}, not what its header says", path, "save it again")
    return pixels


@contextmanager
def _opened(
    path: Path, page: int | None, bands: Sequence[int] | None, max_pixels: int
) -> Iterator[tuple[TiffInfo, tifffile.TiffPage]]:
    """The checked image of an open file. Anything a library raises inside becomes a DataError."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL + 1)  # it logs what is raised here
    with open_regular(path) as stream:
        try:
            size = os.fstat(stream.fileno()).st_size
            directories = walk(path, stream, size)
            chosen = _choose(path, directories, page)
            if directories[chosen].end > size:
                raise DataError("a tag lies past the end of the file", path, "it was cut short: copy it again")
            stream.seek(0)
            # Vendors' dialects reinterpret offsets and bits; plain TIFF is read as it is written.
            with tifffile.TiffFile(stream, name=path.name, is_ndpi=False, is_lsm=False, is_scanimage=False) as tiff:
                if chosen == 0:
                    image = tiff.pages.first
                else:  # straight to the directory: tifffile's own walk may go round in circles
                    tiff.filehandle.seek(directories[chosen].offset)
                    image = tifffile.TiffPage(tiff, chosen)
                yield _check(path, image, size, chosen, bands, max_pixels), image
        except SeepsegError:
            raise
        except MemoryError:
            raise DataError("does not fit in memory", path, "cut it into smaller tiles") from None
        except Exception as error:
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise DataError(f"is damaged ({reason})", path, "copy or save it again") from None


def _choose(path: Path, directories: Sequence[Directory], page: int | None) -> int:
    """Index of the directory asked for, or of the only image."""
    if page is not None:
        if not 0 <= page < len(directories):
            raise DataError(f"no page {page}, the file has {len(directories)}", path, "set data.page (the first is 0)")
        return page
    images = [i for i, d in enumerate(directories) if not d.subfile & (REDUCED | MASK)] or [0]
    if len(images) > 1:
        raise DataError(f"holds {len(images)} pages", path, "choose one with data.page (the first is 0)")
    return images[0]


def _check(
    path: Path, image: tifffile.TiffPage, size: int, page: int, bands: Sequence[int] | None, max_pixels: int
) -> TiffInfo:
    """The image's facts, after every check that needs no decoding."""
    samples, depth, height, width, contiguous = image.shaped
    count = samples * contiguous
    if not height or not width or not count:
        raise DataError(f"is {height}×{width} pixels of {count} bands", path, "save it again with its true size")
    if depth != 1:
        raise DataError(f"is a volume of {depth} slices", path, "save one slice a file")
    if count > MAX_BANDS:
        raise DataError(f"holds {count} bands, the most is {MAX_BANDS}", path, "save the bands you need")
    if height * width * count > max_pixels:
        raise DataError(
            f"{height}×{width} pixels of {count} bands are over the budget of {max_pixels} values",
            path,
            "cut it into tiles",
        )
    dtype = _dtype(path, image)
    _check_codec(path, image, dtype)
    if bands is not None and len(bands):
        wrong = [b for b in bands if not 1 <= b <= count]
        if wrong:
            raise DataError(f"no band {wrong[0]}, the file has {count}", path, "set data.bands (the first is 1)")
    elif count > 1:
        raise DataError(
            f"holds {count} bands", path, "choose with data.bands (the first is 1), for example data.bands=[1]"
        )
    nodata = _nodata(image.tags.valueof(42113), dtype)
    _check_segments(path, image, dtype, size, nodata, max_pixels)
    return TiffInfo(height, width, len(bands) if bands else 1, dtype, nodata, page)


def _dtype(path: Path, image: tifffile.TiffPage) -> np.dtype[Any]:
    bits, advice = image.bitspersample, f"save it as {', '.join(DTYPES)}"
    if image.sampleformat in (5, 6):
        raise DataError("pixels are complex", path, f"take the amplitude first and {advice}")
    if bits == 1:
        raise DataError("pixels are bool (1 bit)", path, advice)
    if bits not in (8, 16, 32, 64) or image.dtype is None:
        raise DataError(f"pixels of {bits} bits, sample format {int(image.sampleformat)}", path, advice)
    if image.dtype.name not in DTYPES:
        raise DataError(f"pixels are {image.dtype.name}", path, advice)
    return np.dtype(image.dtype.name)


def _check_codec(path: Path, image: tifffile.TiffPage, dtype: np.dtype[Any]) -> None:
    code, advice = int(image.compression), "save it uncompressed or with deflate, LZW or zstd"
    if code not in _CODECS:
        known = {int(c): c.name for c in tifffile.COMPRESSION}
        name = f"{known[code]} ({code})" if code in known else str(code)
        raise DataError(f"compression {name} is not supported", path, advice)
    if code == _JPEG and dtype != np.uint8:
        raise DataError(f"JPEG compression of {dtype} pixels is not supported", path, advice)
    predictor = int(image.predictor)
    if code != _JPEG and (predictor not in (1, 2, 3) or (predictor == 3 and dtype != np.float32)):
        raise DataError(f"predictor {predictor} of {dtype} pixels is not supported", path, advice)


def _check_segments(
    path: Path, image: tifffile.TiffPage, dtype: np.dtype[Any], size: int, nodata: float | None, max_pixels: int
) -> None:
    """Hold the strips or tiles against the image and the file: as many as needed, all inside, none larger than allowed.

    A segment of offset and length 0 was never written: GDAL's sparse files mean no-data by it, so without a no-data
    value it is missing.
    """
    what = "tiles" if image.is_tiled else "strips"
    values = _segment_values(image)
    if values <= 0 or values > max_pixels:
        raise DataError(f"{what} of {values} pixels are over the budget of {max_pixels}", path, "save it again")
    needed = math.prod(image.chunked)
    for codes in (_OFFSETS, _BYTE_COUNTS):
        held = sum(image.tags[code].count for code in codes if code in image.tags)
        if held != needed:
            raise DataError(
                f"holds {held} {what}, its size needs {needed}", path, "it is damaged: copy or save it again"
            )
    offsets, lengths = np.array(image.dataoffsets, np.uint64), np.array(image.databytecounts, np.uint64)
    missing = int(((offsets == 0) | (lengths == 0)).sum())
    if missing and nodata is None:
        raise DataError(f"{missing} of {needed} {what} were never written", path, "save it again whole")
    past = int(((offsets > size) | (lengths > size) | (offsets + lengths > size)).sum())
    if past:
        raise DataError(
            f"{past} of {needed} {what} lie past the end of the file", path, "it was cut short: copy it again"
        )
    if image.compression == _NONE:
        expected = np.full(needed, values, np.uint64)
        if not image.is_tiled:  # the last strip of a plane may have fewer rows
            strips = math.ceil(image.imagelength / image.rowsperstrip)
            rows = image.imagelength - (strips - 1) * image.rowsperstrip
            expected[strips - 1 :: strips] = values // image.rowsperstrip * rows
        short = int(((lengths < expected * np.uint64(dtype.itemsize)) & (lengths > 0)).sum())
        if short:
            raise DataError(f"{short} of {needed} {what} are too short", path, "it is damaged: copy or save it again")


def _segment_values(image: tifffile.TiffPage) -> int:
    """Values (pixels · interleaved bands) of one whole strip or tile."""
    interleaved = image.samplesperpixel if image.planarconfig == 1 else 1
    if image.is_tiled:
        return int(image.tiledepth * image.tilelength * image.tilewidth * interleaved)
    return int(image.rowsperstrip * image.imagewidth * interleaved)


def _nodata(text: object, dtype: np.dtype[Any]) -> float | None:
    """The no-data value of GDAL's tag, where a pixel of this dtype can equal it."""
    try:
        value = float(str(text).strip(" \0\n"))
    except ValueError:
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return float(np.float32(value))  # so that comparing with float32 pixels finds it
    limits = np.iinfo(dtype)
    return value if value.is_integer() and limits.min <= value <= limits.max else None


def _decode(path: Path, image: tifffile.TiffPage, nodata: float | None) -> NDArray[Any]:
    """All bands (C, H, W), segment by segment; tifffile's own loop takes short reads and odd shapes in its stride."""
    assert image.dtype is not None
    samples, _, height, width, contiguous = image.shaped
    pixels: NDArray[Any] = np.empty((samples, height, width, contiguous), image.dtype.newbyteorder("="))
    stream = image.parent.filehandle
    jpeg = image.compression == _JPEG
    tables = {"jpegtables": image.jpegtables, "jpegheader": image.jpegheader} if jpeg else {}
    for index, (offset, length) in enumerate(zip(image.dataoffsets, image.databytecounts, strict=True)):
        content: bytes | None = None
        if offset and length:
            stream.seek(offset)
            content = stream.read(length)
            if len(content) != length:
                raise DataError("ends before its pixels do", path, "it changed while being read: try again")
            if jpeg:  # a JPEG states its own size, which the decoder would allocate
                _, rows, columns, components = jpeg_shape(content)
                if rows * columns * components > _segment_values(image):
                    raise DataError("a JPEG segment is larger than its tile", path, "it is damaged: save it again")
        segment, (plane, _, row, column, _), shape = image.decode(content, index, _fullsize=False, **tables)
        target = pixels[plane, row : row + shape[1], column : column + shape[2]]
        if segment is None:
            target[...] = nodata
            continue
        block = segment[0, : target.shape[0], : target.shape[1]]
        if block.shape != target.shape:
            raise DataError(f"segment {index} decodes to {block.shape}, not {target.shape}", path, "save it again")
        target[...] = block
    return pixels[..., 0] if contiguous == 1 else pixels[0].transpose(2, 0, 1)
