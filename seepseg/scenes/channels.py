"""Images whose channels are files of their own, as nnU-Net has them: NAME_0000.png, NAME_0001.png and so on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from seepseg.config import DataNode
from seepseg.errors import DataError
from seepseg.io.files import MAX_SCENE
from seepseg.io.image import Image, ImageInfo, Pixels, inspect_image, open_image, read_image

_NAME = re.compile(r"(.*)_\d{4}(\.[^.]+)")


def channel(path: Path, number: int) -> Path | None:
    """The file of another channel, from 0, of the image that `path` is one of; None where it is not named as one."""
    match = _NAME.fullmatch(path.name)
    return path.with_name(f"{match[1]}_{number:04d}{match[2]}") if match else None


def channels_of(data: DataNode, path: Path) -> list[Path]:
    """The files of the bands that a config reads of an image; empty where these are all in the one file.

    They are, where no file beside the first channel is a second one.
    """
    second = channel(path, 1) if data.channel_files and channel(path, 0) == path else None
    if second is None or not second.exists():
        return []
    numbers = [band for band in data.bands or (1,) if isinstance(band, int)]
    return [file for number in numbers if (file := channel(path, number - 1))]


def read_channels(data: DataNode, files: Sequence[Path]) -> Pixels:
    """All pixels of channels of one image, valid where all are; errors as `io.image.read_image`."""
    read = [read_image(file, page=data.page) for file in files]
    _refuse_different(files, [info for _, info in read])
    return _joined([pixels for pixels, _ in read])


def inspect_channels(data: DataNode, files: Sequence[Path]) -> ImageInfo:
    """What the headers of channels of one image say; errors as `read_channels`."""
    infos = [inspect_image(file, page=data.page, max_pixels=MAX_SCENE) for file in files]
    _refuse_different(files, infos)
    return replace(infos[0], bands=len(files))


@contextmanager
def open_channels(data: DataNode, files: Sequence[Path], *, verify: bool) -> Iterator[Image]:
    """Channels of one image, open while the block lasts, placed where the first one is; errors as `read_channels`."""
    with ExitStack() as stack:
        images = [stack.enter_context(open_image(file, page=data.page, verify=verify)) for file in files]
        _refuse_different(files, images)
        yield replace(
            images[0],
            bands=len(images),
            window=lambda rows, columns: _joined([image.window(rows, columns) for image in images]),
        )


def _joined(parts: Sequence[Pixels]) -> Pixels:
    return Pixels(np.concatenate([part.raw for part in parts]), np.all([part.valid for part in parts], axis=0))


def _refuse_different(files: Sequence[Path], infos: Sequence[ImageInfo]) -> None:
    """Raise DataError where channels differ in size or type."""
    first = infos[0]
    for file, info in zip(files, infos, strict=True):
        if (info.height, info.width) != (first.height, first.width):
            what = f"is {info.height}×{info.width}, channel {files[0].name} {first.height}×{first.width}"
            raise DataError(what, file, "save all channels of an image in one size")
        if info.dtype != first.dtype:
            what = f"holds {info.dtype}, channel {files[0].name} {first.dtype}"
            raise DataError(what, file, "save all channels of an image in one type")
