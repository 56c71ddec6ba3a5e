"""PNG tiles and pictures."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from seepseg.errors import DataError, SeepsegError
from seepseg.io.atomic import atomic_path
from seepseg.io.files import kind_of, open_regular


def read_png(path: Path, max_pixels: int = 2**28) -> NDArray[Any]:
    """Pixels (H, W), or (H, W, C) with C of 2 (grey, alpha), 3 or 4: uint8, or uint16 from 16-bit files.

    One-bit images become 0 and 255; palettes become their colours.

    Raises:
        DataError: not a PNG (going by its bytes, not its name), larger than `max_pixels`, cut short or damaged.
    """
    with open_regular(path) as stream:
        try:
            head = stream.read(29)
            depth, colour = _check_header(path, head, max_pixels)
            stream.seek(0)
            if depth == 16 and colour != 0:  # Pillow would halve the depth
                return np.asarray(imagecodecs.png_decode(stream.read()))
            # Not Image.open: its own limit is lower than ours, and cannot be set for one file.
            with PngImageFile(stream) as image:
                image.load()
                return _pixels(image)
        except SeepsegError:
            raise
        except Exception as error:
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise DataError(f"is cut short or damaged ({reason})", path, "copy or save it again") from None


def read_gray_png(path: Path, max_pixels: int = 2**28) -> NDArray[Any]:
    """Pixels (H, W), uint8 or uint16, of a grey image, or of a colour image whose channels are equal; alpha is dropped.

    Raises:
        DataError: as `read_png`, or the colour channels differ.
    """
    pixels = read_png(path, max_pixels)
    if pixels.ndim == 2:
        return pixels
    if pixels.shape[2] > 2 and not (pixels[..., :1] == pixels[..., 1:3]).all():
        raise DataError("is in colour (its channels differ)", path, "save one grey channel")
    return np.ascontiguousarray(pixels[..., 0])


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


def _check_header(path: Path, head: bytes, max_pixels: int) -> tuple[int, int]:
    """Bit depth and colour type, once signature and size are sound."""
    kind = kind_of(head)
    if kind == "TIFF":
        raise DataError("is a TIFF, not a PNG", path, "rename it to .tif, or save it as PNG")
    if kind != "PNG":
        raise DataError(f"not a PNG, the file is {kind}", path, "copy it again, or convert it to PNG")
    if len(head) < 29 or head[12:16] != b"IHDR":
        raise DataError("is cut short or damaged (no header)", path, "copy or save it again")
    width, height, depth, colour = struct.unpack(">IIBB", head[16:26])
    if not width or not height:
        raise DataError(f"is {height}×{width} pixels", path, "save it again with its true size")
    if width * height > max_pixels:
        raise DataError(f"{height}×{width} pixels are over the budget of {max_pixels}", path, "cut it into tiles")
    return depth, colour


def _pixels(image: Image.Image) -> NDArray[Any]:
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    pixels = np.asarray(image)
    return pixels.astype(np.uint8 if pixels.dtype == np.uint8 else np.uint16, copy=False)
