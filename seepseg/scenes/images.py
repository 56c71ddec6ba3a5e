"""Image files as the config of a data set has them read: whole, by rows, or a window at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from seepseg.config import DataNode
from seepseg.errors import DataError
from seepseg.io.files import MAX_SCENE
from seepseg.io.image import Image, ImageInfo, Pixels, inspect_image, open_image, read_image
from seepseg.machine.kept import kept
from seepseg.scenes.channels import channels_of, inspect_channels, open_channels, read_channels
from seepseg.sentinel1 import is_product
from seepseg.sentinel1.pixels import inspect_scene, open_scene

Window = tuple[int, int, int, int]
"""First row and column in a scene, height and width; what lies beyond the scene is no data."""


def opened(data: DataNode, path: Path, *, verify: bool = True) -> AbstractContextManager[Image]:
    """An image or a Sentinel-1 product, open while the block lasts; errors as `io.image.open_image`.

    Args:
        verify: check the sums of compressed data first, which reads the whole file.
    """
    if is_product(path):
        return open_scene(path, _names(data, path), decibels=data.scaling.kind == "db")
    if files := channels_of(data, path):
        return open_channels(data, files, verify=verify)
    return open_image(path, page=data.page, bands=data.bands, verify=verify)


def read_whole(data: DataNode, path: Path) -> Pixels:
    """All pixels of an image file, or of the files of its channels; errors as `io.image.read_image`."""
    if files := channels_of(data, path):
        return read_channels(data, files)
    return read_image(path, page=data.page, bands=data.bands)[0]


def inspected(data: DataNode, path: Path) -> ImageInfo:
    """What the header of an image or a product says; errors as `opened`."""
    if is_product(path):
        return inspect_scene(path, _names(data, path))
    if files := channels_of(data, path):
        return inspect_channels(data, files)
    return inspect_image(path, page=data.page, bands=data.bands, max_pixels=MAX_SCENE)


def read_window(
    path: Path, window: Window, choice: object, opened: Callable[[], AbstractContextManager[Image]]
) -> tuple[Pixels, Image]:
    """Pixels of a window, and the image, which stays open for the next one; errors as `io.image.open_image`.

    Args:
        choice: what tells this reading of the file from others.
        opened: opens it.
    """
    row, column, height, width = window
    state = path.stat() if path.exists() else None
    key = path, state and (state.st_size, state.st_mtime_ns, state.st_ino), repr(choice)
    with kept(key, opened, _decoded) as image:
        bottom, right = min(row + height, image.height), min(column + width, image.width)
        pixels = image.window(slice(max(row, 0), bottom), slice(max(column, 0), right))
    if pixels.valid.shape == (height, width):
        return pixels, image
    pads = ((max(-row, 0), row + height - bottom), (max(-column, 0), column + width - right))
    return Pixels(np.pad(pixels.raw, ((0, 0), *pads)), np.pad(pixels.valid, pads)), image


def _decoded(image: Image) -> int:
    """Bytes that an open image holds: PNG and JPEG are decoded whole, with alpha."""
    pixels = image.height * image.width if image.kind in ("PNG", "JPEG") else 0
    return pixels * (image.bands * image.dtype.itemsize + 1)


def _names(data: DataNode, path: Path) -> Sequence[str]:
    """The bands of a product that a run reads; DataError where it was trained on other numbers than backscatter."""
    if data.scaling.kind == "dn" or not data.names:
        trained = "digital numbers" if data.scaling.kind == "dn" else "bands without names"
        what = f"a Sentinel-1 product gives backscatter by polarisation, and the run was trained on {trained}"
        raise DataError(what, path, "use one with data.bands=[vv] and data.scaling.kind=db (docs/howto-sentinel1.md)")
    return data.names
