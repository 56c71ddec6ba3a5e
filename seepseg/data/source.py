"""Data sources: the one object that training, evaluation and prediction read a data set through."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from seepseg.archives.unpacked import data_root
from seepseg.classes import IGNORE, ClassTable
from seepseg.config import DataNode, NnunetData, Scaling, ScenesData, SeepData, TgsData, TilesData
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.nnunet import NnunetSource
from seepseg.data.scaling import Limits, group_limits
from seepseg.data.scenes import ScenesSource
from seepseg.data.tgs import TgsSource
from seepseg.data.tiles import Labels, TilesSource
from seepseg.errors import ConfigError, DataError
from seepseg.io.image import Image, ImageInfo, Pixels
from seepseg.scenes.files import is_layer, scene_files
from seepseg.scenes.images import inspected, opened, read_whole, read_window

MEASURED = 256
"""Limits of a scene are measured on at most so many of its tiles: more would take minutes, and change nothing."""


class Source(Protocol):
    """A data set: which tiles there are, and how a file of it is read, placed and scored."""

    @property
    def data(self) -> DataNode:
        """The config it was made of."""

    @property
    def classes(self) -> ClassTable:
        """The class table of its masks."""

    @property
    def per_tile(self) -> bool:
        """Whether every tile is scored on its own, as in the TGS salt competition, and none is part of a scene."""

    @property
    def eight_bit(self) -> bool:
        """Whether 16-bit grey levels are brought to the scale of 8 bits, 0–255, so that tiles of both depths mix."""

    @property
    def pixel_size(self) -> float | None:
        """Side of a pixel in metres, where it is known."""

    def catalog(self) -> Catalog:
        """Its tiles, with ids that are unique, those of a scene one after the other; no pixel is read.

        A tile is labelled by its `mask`, a file that `labels` understands, or by `rle` or `background`.

        Raises:
            DataError: there are none, or tiles and masks do not belong together.
        """

    def labels(self, tile: Tile, shape: tuple[int, int]) -> Labels | None:
        """Label values of a tile, which the class table turns into class indices; None when it is unlabelled.

        Raises:
            DataError: the mask is damaged or is not of that shape.
        """

    def tile(self, path: Path, name: str) -> Tile:
        """A file from anywhere as an unlabelled tile with the id `name`; its name says which scene and cell it is."""

    def flag(self, raw: NDArray[np.generic], mask: NDArray[np.uint8] | None) -> str:
        """What is odd about a tile with these pixels (C, H, W) and mask (H, W), a key of `catalog.FLAGS`, or ""."""


def source_of(data: DataNode) -> Source:
    """The source that a config names."""
    match data:
        case TilesData() | SeepData():
            return TilesSource(data)
        case NnunetData():
            return NnunetSource(data)
        case TgsData():
            return TgsSource(data)
        case ScenesData():
            return ScenesSource(data)
    raise AssertionError(f"no source for {type(data).__name__}")


def area_of(source: Source, tile: Tile, shape: tuple[int, ...]) -> int:
    """Pixels of a tile (H, W) that lie in its scene: a window may reach beyond its edge."""
    height, width = shape
    if tile.window is not None and isinstance(source, ScenesSource):
        scene, (row, column, *_) = source.scenes[tile.group], tile.window
        height, width = min(height, scene.height - row), min(width, scene.width - column)
    return height * width


def at_root(data: DataNode, root: Path) -> DataNode:
    """The same kind of data below another root.

    A layer of polygons for all scenes (`labels`, `extent`) may lie anywhere: it may cover those of both roots.

    Raises:
        ConfigError: another path of `data` leads elsewhere, so old files would be read.
        DataError: there are no scenes.
    """
    for name in ("images", "masks", "table", "labels", "extent"):
        value = getattr(data, name, None)
        entries = [Path(entry) for entry in (value if isinstance(value, list) else [value]) if entry is not None]
        for_all = name in ("labels", "extent") and len(entries) == 1 and is_layer(entries[0])
        for entry in entries:
            if entry.is_absolute() and not for_all and not entry.resolve().is_relative_to(root.resolve()):
                what = f"{entry} is absolute, so it would be read in place of what is below {root}"
                fix = "predict those images, and score the maps with seepseg eval --predictions DIR --truth DIR"
                raise ConfigError(what, f"data.{name}", fix)
    if not isinstance(data, ScenesData):
        return data.model_copy(update={"root": root})
    # What names scenes of the old root only would be taken for a slip.
    scenes = scene_files(data, data_root(root, data.images[0]))
    background = [pattern for pattern in data.background if fnmatch.filter(scenes, pattern)]
    return data.model_copy(update={"root": root, "background": background})


@contextmanager
def open_pixels(source: Source, path: Path) -> Iterator[Image]:
    """An image as a source reads it, open while the block lasts; errors as `io.image.open_image`.

    Training and prediction see the same pixels of one file, whole or row by row.
    """
    with opened(source.data, path) as image:
        yield replace(image, window=lambda rows, columns: _as_source(image.window(rows, columns), source))


def inspect_pixels(source: Source, path: Path) -> ImageInfo:
    """What the header of an image or a product says; errors as `open_pixels`."""
    return inspected(source.data, path)


def read_pixels(source: Source, tile: Tile, *, margin: int = 0, verify: bool = False) -> Pixels:
    """Raw pixels (C, H, W) of a tile, and where they are valid (H, W); errors as `io.image.read_image`.

    Args:
        margin: of a window of a scene, pixels around it on all sides too.
        verify: check the sums of compressed scenes that are not open yet; those of tile files always are.
    """
    data = source.data
    if tile.window is None:
        return _as_source(read_whole(data, tile.image), source)
    row, column, height, width = tile.window
    window = (row - margin, column - margin, height + 2 * margin, width + 2 * margin)
    choice = (data.page, data.bands, data.scaling.kind, verify)
    pixels, _ = read_window(tile.image, window, choice, lambda: opened(data, tile.image, verify=verify))
    raw, valid = _as_source(pixels, source)
    land = source.scenes[tile.group].land if isinstance(source, ScenesSource) else None
    return Pixels(raw, valid & (land.window(*window) == 0) if land else valid)


def read_mask(source: Source, tile: Tile, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Class indices (H, W) of a tile, all `IGNORE` when it is unlabelled.

    Raises:
        DataError: the mask differs in size from the image or holds an unknown value.
    """
    labels = source.labels(tile, shape)
    if labels is None:
        return np.full(shape, IGNORE, np.uint8)
    indices = source.classes.to_indices(labels.values, str(tile.mask))
    return np.where(labels.ignored, np.uint8(IGNORE), indices)


def refuse_non_finite(raw: NDArray[np.generic], valid: NDArray[np.bool_], where: Path) -> None:
    """Raise DataError where valid pixels are NaN or infinite: training on them would be training on noise."""
    if raw.dtype.kind == "f" and (count := int((~np.isfinite(raw[:, valid])).any(0).sum())):
        raise DataError(f"{count} pixels are NaN or infinite", where, "fix the file, or set data.nodata=nan")


def images_of(source: Source, tiles: Sequence[Tile]) -> Iterator[tuple[str, NDArray[np.generic], NDArray[np.bool_]]]:
    """Scene, raw pixels (C, H, W) and validity (H, W) of each tile, as scaling is measured on them."""
    for tile in tiles:
        yield tile.group, *read_pixels(source, tile)


def scene_limits(source: Source, scaling: Scaling, everything: Catalog, groups: Iterable[str]) -> dict[str, Limits]:
    """The limits of some scenes, where they are scaled each by its own: from all their tiles, labelled or not.

    So they are the same in training and in scoring, whichever tiles are scored.
    """
    if scaling.basis != "scene":
        return {}
    wanted = set(groups)
    return group_limits(scaling, scene_images(source, [t for t in everything.tiles if t.group in wanted]))


def scene_images(source: Source, tiles: Iterable[Tile]) -> Iterator[tuple[str, NDArray[np.generic], NDArray[np.bool_]]]:
    """The same of at most `MEASURED` tiles of each scene, by chance: for limits by scene."""
    for _, of_scene in groupby(tiles, key=lambda tile: tile.group):
        yield from images_of(source, some(list(of_scene), MEASURED))


def some(tiles: Sequence[Tile], most: int) -> list[Tile]:
    """At most so many of the tiles, in their order, by chance: the same ones every time."""
    # Every k-th might lie in a few columns of a scene, and radar is brighter in near ones.
    return [tiles[k] for k in np.sort(np.random.default_rng(0).permutation(len(tiles))[:most])]


def _as_source(pixels: Pixels, source: Source) -> Pixels:
    """Pixels with the source's own no-data value and scale of grey levels."""
    (raw, valid), nodata = pixels, source.data.nodata
    if nodata == "nan":
        valid = valid & np.isfinite(raw).all(0)
    elif nodata is not None and nodata != "auto":
        valid = valid & (raw != nodata).all(0)
    if source.eight_bit and raw.dtype != np.uint8:
        raw = (raw / np.float32(257)).astype(np.float32)  # 65535 is 255
    return Pixels(raw, valid)
