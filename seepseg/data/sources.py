"""The data sources seepseg knows: one `case` each for indexing, images and masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.config import DataNode, SeepData, TgsData
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.seep import index_seep, place_of, read_seep_image, read_seep_mask
from seepseg.data.tgs import IMAGES, flag_of, index_tgs, read_tgs_image, read_tgs_mask
from seepseg.errors import DataError
from seepseg.io.archive import folder_holding, unpacked
from seepseg.io.rle import decode
from seepseg.machine.progress import Tick, silent


def open_catalog(data: DataNode) -> Catalog:
    """The catalog of `data`, by its source; masks are not read yet. A root that is a ZIP is unpacked into the cache.

    Raises:
        DataError: there is no such root, the ZIP cannot be trusted, or tiles and masks do not belong together.
    """
    if data.root.is_file():
        inner = data.images if isinstance(data, SeepData) else IMAGES
        data = data.model_copy(update={"root": folder_holding(unpacked(data.root), inner)})
    elif not data.root.is_dir():
        raise DataError("no such data folder", data.root, "put the data there, or set data.root=FOLDER")
    match data:
        case SeepData():
            return index_seep(data)
        case TgsData():
            return index_tgs(data)
    raise AssertionError(f"no indexer for {type(data).__name__}")


def read_image(path: Path, data: DataNode) -> tuple[NDArray[np.generic], NDArray[np.bool_]]:
    """Raw pixels (C, H, W) of a tile, and where they are valid (H, W)."""
    match data:
        case SeepData():
            raw, tag = read_seep_image(path, data)
        case TgsData():
            raw, tag = read_tgs_image(path), None
        case _:
            raise AssertionError(f"no reader for {type(data).__name__}")
    return raw, validity(raw, data.nodata, tag)


def read_mask(tile: Tile, catalog: Catalog, shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Class indices (H, W) of a tile, all `IGNORE` when it is unlabelled.

    Raises:
        DataError: the mask differs in size from the image or holds an unknown value.
    """
    labels = read_labels(tile, shape)
    if labels is None:
        return np.full(shape, IGNORE, np.uint8)
    # Run lengths tell where salt is; they hold no label values to look up.
    return labels.astype(np.uint8) if tile.rle is not None else catalog.classes.to_indices(labels, str(tile.mask))


def read_labels(tile: Tile, shape: tuple[int, int]) -> NDArray[np.generic] | None:
    """Label values (H, W) of a tile as they are in its mask; None when it is unlabelled.

    Raises:
        DataError: the mask is damaged or differs in size from the image.
    """
    if tile.rle is not None:
        return decode(tile.rle, shape, f"{tile.id} of train.csv").astype(np.uint8)
    if tile.mask is None:
        return None
    labels = read_tgs_mask(tile.mask) if tile.mask.suffix.lower() == ".png" else read_seep_mask(tile.mask)
    if labels.shape != shape:
        raise DataError(
            f"mask is {labels.shape[0]}×{labels.shape[1]}, image {shape[0]}×{shape[1]}",
            tile.mask,
            "give a mask of the image's size",
        )
    return labels


def loose_tile(path: Path, data: DataNode, name: str) -> Tile:
    """A loose file as an unlabelled tile of some id; its name tells the group, and the cell of a seep tile."""
    group, cell = place_of(path.stem, data) if isinstance(data, SeepData) else (path.stem, None)
    return Tile(name, path, group=group, cell=cell)


def validity(raw: NDArray[np.generic], nodata: str | float | None, tag: float | None) -> NDArray[np.bool_]:
    """Where every band of raw (C, H, W) holds data, (H, W).

    `nodata` is a value, "nan", "auto" (the file's own `tag`, where it has one) or None (everything is data).
    """
    value = tag if nodata == "auto" else nodata
    if value is None:
        return np.ones(raw.shape[1:], bool)
    if isinstance(value, str) or np.isnan(value):
        return np.asarray(np.isfinite(raw).all(0), dtype=bool)
    return np.asarray((raw != value).all(0), dtype=bool)


def with_counts(catalog: Catalog, data: DataNode, tick: Tick = silent) -> Catalog:
    """The catalog with the pixels of each class counted, and odd salt tiles flagged.

    Reads and so checks every image and mask. No-data pixels are not counted. `tick` is called after each tile with how
    many of how many are done.

    Raises:
        DataError: an image or mask is damaged, does not fit its partner, holds unknown labels, or holds NaN or
            infinite values that are not declared as no-data.
    """
    tiles = []
    for number, tile in enumerate(catalog.tiles, 1):
        raw, valid = read_image(tile.image, data)
        refuse_non_finite(raw, valid, tile.image)
        if tile.labelled:
            mask = read_mask(tile, catalog, valid.shape)
            counts = np.bincount(mask[valid], minlength=256)[: len(catalog.classes)]
            tile = replace(tile, pixels=tuple(counts.tolist()))
        if isinstance(data, TgsData):
            tile = replace(tile, flag=flag_of(raw, mask if tile.labelled else None))
        tiles.append(tile)
        tick(number, len(catalog))
    return replace(catalog, tiles=tuple(tiles))


def refuse_non_finite(raw: NDArray[np.generic], valid: NDArray[np.bool_], where: Path) -> None:
    """Raise DataError where valid pixels are NaN or infinite: training on them would be training on noise."""
    if raw.dtype.kind == "f" and not np.isfinite(raw[:, valid]).all():
        count = int((~np.isfinite(raw[:, valid])).any(0).sum())
        raise DataError(f"{count} pixels are NaN or infinite", where, "fix the file, or set data.nodata=nan")
