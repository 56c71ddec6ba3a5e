"""PNG and JPEG: pixels read, and pictures written."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from seepseg.errors import DataError
from seepseg.io.atomic import atomic_path
from seepseg.io.files import MAX_PIXELS, open_regular
from seepseg.io.raster import as_data_error

MAX_DECODED = 2**30
"""Bytes that a decoder may allocate for a picture, all its channels and their depth counted."""
SCANS = 100
"""Of a progressive JPEG, each over all its pixels; cameras and libraries write 10."""

_ORIENTATION = 0x0112

_CHROMA_STEP = 3
"""How far the channels of a grey pixel of a JPEG lie apart when its chroma is rounded one step away from grey.

One step of Cb adds 1.772 to blue, one of Cr takes 1.402 from red: rounded, 2 and −1. Colour of such a size is no
measurement and no colour either; many published JPEGs of SAR images have it.
"""


def inspect_picture(
    path: Path, kind: str, bands: Sequence[int] | None, labels: bool
) -> tuple[int, int, int, np.dtype[Any], float | None]:
    """Height, width, bands read, dtype (uint8 or uint16) and no-data value of a PNG or JPEG, by its header.

    The no-data value is the grey level, or the number of a label, that is clear: as such GDAL stores it in a PNG.

    Raises:
        DataError: the header is damaged, the picture larger than `MAX_PIXELS`, or in CMYK.
    """
    with _opened(path, kind) as (picture, depth, _):
        clear, palette, nodata = picture.info.get("transparency"), picture.mode == "P", None
        if isinstance(clear, int) and (not palette or (labels and _in_colour(picture))):
            nodata = float(clear * (1 if palette else _step(depth)))
        dtype = np.dtype(np.uint16 if depth == 16 else np.uint8)
        return picture.height, picture.width, len(bands or (1,)), dtype, nodata


def read_picture(path: Path, kind: str, bands: Sequence[int] | None, labels: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Bands (C, H, W) of a PNG or JPEG, and its alpha (A, H, W), A of 0 or 1; arguments as `image.Choice` has them.

    Grey of fewer than 8 bits is scaled to 8, as the standard has it. A palette becomes its colours, or, of labels and
    with a colour that is not grey, the numbers behind them. Channels of a JPEG that rounding has moved apart, by
    `_CHROMA_STEP` at most, are one grey band: its luma.

    Raises:
        DataError: it is damaged, too large, stored turned, or in colour where one band is wanted.
    """
    with _opened(path, kind) as (picture, depth, stream):
        picture.load()
        if "exif" in picture.info and (orientation := picture.getexif().get(_ORIENTATION, 1)) != 1:
            raise DataError(f"is stored turned or mirrored (orientation {orientation})", path, "save it upright")
        colours, alpha = _colours(picture, depth, stream)
        if bands:
            count = colours.shape[2]
            if wrong := [b for b in bands if not 1 <= b <= count]:
                raise DataError(f"no band {wrong[0]}, the file has {count}", path, "set data.bands (the first is 1)")
            colours = colours[..., [b - 1 for b in bands]]
        elif labels and picture.mode == "P" and _in_colour(picture):
            colours = np.asarray(picture)[..., None]
        elif (colours[..., :1] == colours[..., 1:]).all():
            colours = colours[..., :1]
        elif kind == "JPEG" and np.ptp(colours.astype(np.int16), axis=2).max() <= _CHROMA_STEP:
            colours = np.asarray(picture.convert("L"))[..., None]
        else:
            raise DataError("is in colour (its channels differ)", path, "save one grey channel")
    return np.ascontiguousarray(colours.transpose(2, 0, 1)), alpha


def write_png(path: Path, array: NDArray[np.uint8]) -> None:
    """Write uint8 pixels (H, W) or (H, W, 3) as a PNG, complete or absent; errors as `atomic.write_bytes`."""
    assert array.dtype == np.uint8 and (array.ndim == 2 or array.shape[2:] == (3,)), (array.dtype, array.shape)
    with atomic_path(path) as temporary:
        Image.fromarray(array).save(temporary, format="PNG")


def write_class_png(path: Path, classes: NDArray[np.uint8], n_classes: int) -> None:
    """Write a class map (H, W) as a PNG of class indices, 255 where there are no data.

    With one class as 0 and 255 for it, the mask format of the salt competition.
    """
    write_png(path, np.where(classes == 1, 255, 0).astype(np.uint8) if n_classes == 2 else classes)


@contextmanager
def _opened(path: Path, kind: str) -> Iterator[tuple[PngImageFile | JpegImageFile, int, BinaryIO]]:
    """A picture whose header is sound, its bits a channel, its file. What Pillow raises inside becomes a DataError."""
    with open_regular(path) as stream, as_data_error(path, Exception):
        depth = 8
        if kind == "PNG":  # before Pillow sees it: its own limit is lower than ours, and cannot be set for one file
            head = stream.read(29)
            if len(head) < 29 or head[12:16] != b"IHDR":
                raise DataError("is damaged (no header)", path, "copy or save it again")
            width, height, depth, colours = struct.unpack(">IIBB", head[16:26])
            # Colour types 0 and 4 are grey, and may have alpha; others become colours, and may have it, too.
            _check_size(path, height, width, (2 if colours in (0, 4) else 4) * (2 if depth == 16 else 1))
        elif (scans := stream.read().count(b"\xff\xda")) > SCANS:
            raise DataError(f"is stored in {scans} scans, more than {SCANS}", path, "save it again")
        stream.seek(0)
        with (PngImageFile if kind == "PNG" else JpegImageFile)(stream) as picture:
            # A second header would change the size that was checked.
            if kind == "PNG" and picture.size != (width, height):
                raise DataError("is damaged (two headers)", path, "copy or save it again")
            _check_size(path, picture.height, picture.width, len(picture.getbands()))
            if picture.mode == "CMYK":
                raise DataError("its pixels are CMYK colours, no measurement", path, "save it as grey levels")
            yield picture, depth, stream


def _check_size(path: Path, height: int, width: int, pixel_bytes: int) -> None:
    if not width or not height:
        raise DataError(f"is {height}×{width} pixels", path, "save it again with its true size")
    if width * height > MAX_PIXELS:
        raise DataError(f"{height}×{width} pixels are over the budget of {MAX_PIXELS}", path, "cut it into tiles")
    if width * height * pixel_bytes > MAX_DECODED:
        what = f"{height}×{width} pixels of {pixel_bytes} bytes are over the budget of {MAX_DECODED >> 20} MiB"
        raise DataError(what, path, "cut it into tiles")


def _in_colour(picture: PngImageFile | JpegImageFile) -> bool:
    """Whether its palette holds a colour that is not grey, whichever the pixels are."""
    return bool(np.ptp(np.reshape(picture.getpalette() or (), (-1, 3)), axis=1).any())


def _step(depth: int) -> int:
    """Between grey levels of few bits as Pillow scales them; the one that is clear it scales of one bit only."""
    return 255 // (2**depth - 1) if 1 < depth < 8 else 1


def _colours(picture: PngImageFile | JpegImageFile, depth: int, stream: BinaryIO) -> tuple[NDArray[Any], NDArray[Any]]:
    """Grey or colours (H, W, 1 or 3) and alpha (0 or 1, H, W) of a loaded picture."""
    clear = picture.info.get("transparency")
    if depth == 16 and picture.mode != "I;16":  # Pillow would halve the depth; what is clear comes as alpha
        stream.seek(0)
        pixels, clear = np.asarray(imagecodecs.png_decode(stream.read())), None
    elif picture.mode == "P":
        pixels, clear = np.asarray(picture.convert("RGB" if clear is None else "RGBA")), None
    else:
        pixels = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
        pixels = pixels.astype(np.uint16 if depth == 16 else np.uint8, copy=False)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    colours, alpha = np.split(pixels, [pixels.shape[2] // 3 * 2 + 1], axis=2)  # 1 of 1 or 2 channels, 3 of 3 or 4
    if clear is not None:  # the one grey or colour that is no data
        alpha = (colours != np.array(clear, ndmin=1) * _step(depth)).any(2, keepdims=True)
    return colours, alpha.transpose(2, 0, 1)
