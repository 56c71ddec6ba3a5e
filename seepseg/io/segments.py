"""Strips and tiles of a TIFF: as many as it needs, inside the file, whole."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from seepseg.errors import DataError

NONE, DEFLATE, OLD_DEFLATE = 1, 8, 32946
"""TIFF's numbers of codecs."""

_CHUNK = 2**20
_OFFSETS, _BYTE_COUNTS = (324, 273), (325, 279)


def check_segments(
    image: tifffile.TiffPage, path: Path, size: int, max_pixels: int, nodata: float | None, *, verify: bool
) -> int | None:
    """Strips or tiles: as many as the image needs, all inside the file, none larger than allowed.

    A segment of offset and length 0 was never written: GDAL's sparse files mean no-data by it, so without a no-data
    value it is missing.

    Args:
        image: a directory of an open file.
        path, size: of the file, its size in bytes.
        max_pixels: the most values of a segment.
        nodata: its no-data value.
        verify: check the sums in deflate streams too.

    Returns:
        Where the first strip starts, if the samples of one band follow it, uncompressed and without a gap.

    Raises:
        DataError: whatever is wrong with them.
    """

    def error(what: str, fix: str) -> DataError:
        return DataError(what, path, fix)

    what, damaged = "tiles" if image.is_tiled else "strips", "it is damaged: copy or save it again"
    rows, columns = (image.tilelength, image.tilewidth) if image.is_tiled else (image.rowsperstrip, image.imagewidth)
    interleaved = image.samplesperpixel if image.planarconfig == 1 else 1
    values = rows * columns * interleaved
    if values <= 0 or values > max_pixels:
        raise error(f"{what} of {values} pixels are over the budget of {max_pixels}", "save it again")
    needed = math.prod(image.chunked)
    for codes in (_OFFSETS, _BYTE_COUNTS):
        count = sum(image.tags[code].count for code in codes if code in image.tags)
        if count != needed:
            raise error(f"holds {count} {what}, its size needs {needed}", damaged)
    offsets, lengths = np.array(image.dataoffsets, np.uint64), np.array(image.databytecounts, np.uint64)
    missing = int(((offsets == 0) | (lengths == 0)).sum())
    if missing and nodata is None:
        raise error(f"{missing} of {needed} {what} were never written", "save it again whole")
    past = int(((offsets > size) | (lengths > size) | (offsets + lengths > size)).sum())
    if past:
        fix = "it was cut short: copy it again"
        raise error(f"{past} of {needed} {what} lie past the end of the file", fix)
    row_bytes = math.ceil(columns * interleaved * image.bitspersample / 8)
    expected = np.full(needed, rows * row_bytes, np.uint64)
    if not image.is_tiled:  # the last strip of a plane may have fewer rows
        strips = math.ceil(image.imagelength / rows)
        expected[strips - 1 :: strips] = (image.imagelength - (strips - 1) * rows) * row_bytes
    short = 0
    if image.compression == NONE:
        short = int(((lengths < expected) & (lengths > 0)).sum())
    elif image.compression in (DEFLATE, OLD_DEFLATE) and verify:
        segments = zip(offsets.tolist(), lengths.tolist(), expected.tolist(), strict=True)
        stream, most = image.parent.filehandle, rows * row_bytes
        short = sum(_inflated(stream, o, n, most, error) < size for o, n, size in segments if o and n)
    if short:
        raise error(f"{short} of {needed} {what} are too short", damaged)
    plain = (image.compression, image.predictor, image.fillorder, image.samplesperpixel) == (NONE, 1, 1, 1)
    if plain and not image.is_tiled and (offsets == offsets[0] + np.cumsum(expected) - expected).all():
        return int(offsets[0]) if (lengths > 0).all() else None
    return None


def _inflated(stream: Any, offset: int, length: int, most: int, error: Callable[[str, str], DataError]) -> int:
    """Bytes in a deflate stream that is whole, at most `most`; 0 if it is not, zlib.error if its sum is wrong."""
    if max(length, most) <= _CHUNK:
        stream.seek(offset)
        # In one go, twice as fast; what is wrong with the others is found below.
        with suppress(imagecodecs.DeflateError):
            return len(imagecodecs.deflate_decode(stream.read(length), out=most))
    inflater, count = zlib.decompressobj(), 0
    stream.seek(offset)
    while not inflater.eof:
        data = inflater.unconsumed_tail or stream.read(min(length, _CHUNK))
        length -= 0 if inflater.unconsumed_tail else len(data)
        piece = inflater.decompress(data, _CHUNK)
        count += len(piece)
        if count > most:
            raise error("a strip or tile inflates to more than its size", "it is damaged: save it again")
        if not data and not piece:
            return 0
    return count
