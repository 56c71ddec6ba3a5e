"""SAR seep tiles: two folders of TIFF files with equal names, `SCENE.INDEX.tif`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seepseg.config import SeepData
from seepseg.data.catalog import Catalog, Tile, listed, unique_stems
from seepseg.data.mosaic import Cell
from seepseg.errors import DataError
from seepseg.io.files import image_files
from seepseg.io.tiff import inspect_tiff, read_tiff

SUFFIXES = (".tif", ".tiff")


def index_seep(data: SeepData) -> Catalog:
    """The tiles under `data.root` by scene, cell and id, each image paired with the mask of the same stem.

    A mask folder that is not there means unlabelled tiles; single missing masks are an error.

    Raises:
        DataError: no images, images without masks or masks without images, equal stems, or names without a group.
    """
    images = _files(data.root / data.images, "images")
    if not images:
        raise DataError("no TIFF tiles", data.root / data.images, "set data.root and data.images to the tile folder")
    mask_folder = data.root / data.masks
    masks = _files(mask_folder, "masks") if mask_folder.is_dir() else {}
    if masks:
        for missing, what, folder in (
            (sorted(images.keys() - masks.keys()), "images without a mask", mask_folder),
            (sorted(masks.keys() - images.keys()), "masks without an image", data.root / data.images),
        ):
            if missing:
                raise DataError(f"{len(missing)} {what} ({listed(missing)})", folder, "add or remove the odd ones")
    tiles = [_tile(stem, path, masks.get(stem), data) for stem, path in images.items()]
    # Scene after scene, so that a scene can be put together as its tiles go by; names may begin with the index.
    tiles.sort(key=lambda t: (t.group, t.cell or (-1, -1), t.id))
    return Catalog(tuple(tiles), data.class_table())


def place_of(stem: str, data: SeepData) -> tuple[str, Cell | None]:
    """Scene and cell in a tile's name; a name of another form is its own scene."""
    match = re.match(data.name_pattern, stem)
    if match is None:
        return stem, None
    group, index = match["group"], match.groupdict().get("index")
    # The longest key that the scene's name begins with.
    columns = next((data.grid[key] for key in sorted(data.grid, key=len, reverse=True) if group.startswith(key)), None)
    return group, divmod(int(index), columns) if index and columns else None


def read_seep_image(path: Path, data: SeepData) -> tuple[NDArray[np.generic], float | None]:
    """Raw pixels (C, H, W) of a tile and the file's own no-data value."""
    return read_tiff(path, page=data.page, bands=data.bands), inspect_tiff(path, data.page, data.bands).nodata


def read_seep_mask(path: Path) -> NDArray[np.generic]:
    """Label values (H, W) of a mask.

    Raises:
        DataError: the mask has several bands or is not of an integer type.
    """
    try:
        mask: NDArray[np.generic] = read_tiff(path)[0]
    except DataError as error:
        raise DataError(f"mask: {error.what}", error.where, "give a one-band mask of class values") from None
    if mask.dtype.kind not in "ui":
        raise DataError(f"mask holds {mask.dtype} values", path, "save class values as uint8")
    return mask


def _tile(stem: str, image: Path, mask: Path | None, data: SeepData) -> Tile:
    group, cell = place_of(stem, data)
    return Tile(stem, image, mask, group, cell)


def _files(folder: Path, what: str) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"no folder of {what}", folder, f"set data.root and data.{what}")
    return unique_stems(image_files(folder, SUFFIXES), what)
