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

from seepseg.errors import DataError, SeepsegError
from seepseg.io.atomic import atomic_path
from seepseg.io.files import open_regular

_ORIENTATION = 0x0112


def inspect_picture(path: Path, kind: str, max_pixels: int) -> tuple[int, int, np.dtype[Any]]:
    """Height, width and dtype (uint8 or uint16) by the header of a PNG or JPEG.

    Raises:
        DataError: the header is damaged, or the picture larger than `max_pixels`.
    """
    with _opened(path, kind, max_pixels) as (picture, depth, _):
        return picture.height, picture.width, np.dtype(np.uint16 if depth == 16 else np.uint8)


def read_picture(
    path: Path, kind: str, bands: Sequence[int] | None = None, *, max_pixels: int = 2**28, labels: bool = False
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Bands (C, H, W) of a PNG or JPEG, uint8 or uint16, and its alpha (A, H, W), A of 0 or 1.

    Grey of less than 8 bits is scaled to 8, as the standard has it. A palette becomes its colours.

    Args:
        path: the file.
        kind: "PNG" or "JPEG".
        bands: 1-based; None for grey, or the one band of colours that are all grey.
        max_pixels: the most to accept.
        labels: of a palette that is not grey, take the numbers.

    Raises:
        DataError: it is damaged, too large, stored turned, in CMYK, or in colour where one band is wanted.
    """
    with _opened(path, kind, max_pixels) as (picture, depth, stream):
        if picture.mode == "CMYK":
            raise DataError("its pixels are CMYK colours, no measurement", path, "save it as grey levels")
        picture.load()
        if (orientation := picture.getexif().get(_ORIENTATION, 1)) != 1:
            raise DataError(f"is stored turned or mirrored (orientation {orientation})", path, "save it upright")
        colours, alpha = _colours(picture, depth, stream)
        count = colours.shape[2]
        if bands:
            if wrong := [b for b in bands if not 1 <= b <= count]:
                raise DataError(f"no band {wrong[0]}, the file has {count}", path, "set data.bands (the first is 1)")
            colours = colours[..., [b - 1 for b in bands]]
        elif (colours[..., :1] == colours[..., 1:]).all():
            colours = colours[..., :1]
        elif labels and picture.mode == "P":
            colours = np.asarray(picture)[..., None]
        else:
            raise DataError("is in colour (its channels differ)", path, "save one grey channel")
    return np.ascontiguousarray(colours.transpose(2, 0, 1)), alpha


def read_gray_png(path: Path) -> NDArray[Any]:
    """Pixels (H, W) of a grey picture; `image.read_image` takes its place."""
    from seepseg.io.image import read_image

    return np.asarray(read_image(path)[0].raw[0])


def eight_bit_scale(pixels: NDArray[Any]) -> NDArray[Any]:
    """Grey levels on the scale of 8 bits, 0–255: uint8 as it is, uint16 as float32 (65535 is 255).

    So that a limit of the scaling means the same in tiles of either depth.
    """
    return pixels if pixels.dtype == np.uint8 else (pixels / np.float32(257)).astype(np.float32)


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
def _opened(path: Path, kind: str, max_pixels: int) -> Iterator[tuple[PngImageFile | JpegImageFile, int, BinaryIO]]:
    """A picture whose header is sound, its bits a channel, its file. What Pillow raises inside becomes a DataError."""
    with open_regular(path) as stream:
        try:
            depth = _png_depth(path, stream.read(29), max_pixels) if kind == "PNG" else 8
            stream.seek(0)
            # Not Image.open: its own limit is lower than ours, and cannot be set for one file.
            with (PngImageFile if kind == "PNG" else JpegImageFile)(stream) as picture:
                _check_size(path, picture.height, picture.width, max_pixels)
                yield picture, depth, stream
        except SeepsegError:
            raise
        except MemoryError:
            raise DataError("does not fit in memory", path, "cut it into smaller tiles") from None
        except Exception as error:
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise DataError(f"is cut short or damaged ({reason})", path, "copy or save it again") from None


def _png_depth(path: Path, head: bytes, max_pixels: int) -> int:
    """Bits a channel by the header of a PNG, of a size that Pillow may be shown."""
    if len(head) < 29 or head[12:16] != b"IHDR":
        raise DataError("is cut short or damaged (no header)", path, "copy or save it again")
    width, height, depth = struct.unpack(">IIB", head[16:25])
    _check_size(path, height, width, max_pixels)
    return int(depth)


def _check_size(path: Path, height: int, width: int, max_pixels: int) -> None:
    if not width or not height:
        raise DataError(f"is {height}×{width} pixels", path, "save it again with its true size")
    if width * height > max_pixels:
        raise DataError(f"{height}×{width} pixels are over the budget of {max_pixels}", path, "cut it into tiles")


def _colours(picture: PngImageFile | JpegImageFile, depth: int, stream: BinaryIO) -> tuple[NDArray[Any], NDArray[Any]]:
    """Grey or colours (H, W, 1 or 3) and alpha (0 or 1, H, W) of a loaded picture."""
    clear = picture.info.get("transparency")
    if depth == 16 and picture.mode != "I;16":  # Pillow would halve the depth
        stream.seek(0)
        pixels = np.asarray(imagecodecs.png_decode(stream.read()))
        clear = None  # it is alpha already
    elif picture.mode == "P":
        pixels = np.asarray(picture.convert("RGB" if clear is None else "RGBA"))
        clear = None
    else:
        pixels = np.asarray(picture.convert("L") if picture.mode == "1" else picture)
        pixels = pixels.astype(np.uint8 if pixels.dtype == np.uint8 else np.uint16, copy=False)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    count = {1: 1, 2: 1, 3: 3, 4: 3}[pixels.shape[2]]
    colours, alpha = pixels[..., :count], pixels[..., count:]
    if clear is not None:  # the one colour that is no data; Pillow scales grey of few bits, but not this
        factor = 255 // (2**depth - 1) if depth < 8 else 1
        alpha = (colours != np.array(clear, ndmin=1) * factor).any(2, keepdims=True)
    return colours, alpha.transpose(2, 0, 1)
