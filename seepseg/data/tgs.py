"""TGS salt tiles: PNG images, masks as PNG or run lengths, and a table of depths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seepseg.archives.unpacked import data_root
from seepseg.classes import ClassTable
from seepseg.config import TgsData
from seepseg.data.catalog import Catalog, Tile, same_names, unique_names
from seepseg.data.tiles import Labels, read_labels
from seepseg.errors import DataError, listed
from seepseg.io.files import image_files
from seepseg.io.table import number, read_table
from seepseg.objects.rle import decode

IMAGES = "train/images"
"""Where the images are below the root."""


@dataclass(frozen=True)
class TgsSource:
    """The `Source` of a salt folder; every tile is a scene of its own and is scored on its own."""

    data: TgsData
    per_tile = True
    eight_bit = True
    pixel_size = None

    @cached_property
    def classes(self) -> ClassTable:
        """The class table; where its class is 1, any mask value above 0 is."""
        return self.data.class_table()

    def catalog(self) -> Catalog:
        """The tiles under `data.root`, with depths where there is a depths.csv.

        Raises:
            DataError: no images, images without a mask or a row, or a table with missing, repeated or unknown ids.
        """
        root = data_root(self.data.root, IMAGES)
        folder = root / IMAGES
        if not folder.is_dir():
            raise DataError("no folder of images", folder, "set data.root to the folder that holds train/images")
        images = unique_names(((f.stem, f) for f in image_files(folder, (".png",))), "images")
        if not images:
            raise DataError("no PNG tiles", folder, "set data.root to the folder that holds train/images")
        depth = _depths(root / "depths.csv", images)
        masks: dict[str, Path] = {}
        runs: dict[str, str] = {}
        if self.data.masks == "rle":
            table = root / "train.csv"
            if not table.is_file():
                raise DataError("no such table", table, "give train.csv, or set data.masks=png")
            runs = {name: row["rle_mask"] for name, row in read_table(table, "id", ["rle_mask"]).items()}
            same_names(images, runs, table, folder)
        elif (mask_folder := root / "train" / "masks").is_dir():
            masks = unique_names(((f.stem, f) for f in image_files(mask_folder, (".png",))), "masks")
            if masks:
                same_names(images, masks, mask_folder, folder)
        tiles = (Tile(i, p, masks.get(i), i, rle=runs.get(i), depth=depth.get(i)) for i, p in images.items())
        return Catalog(tuple(tiles), self.classes, train_flagged=not self.data.drop_flagged)

    def labels(self, tile: Tile, shape: tuple[int, int]) -> Labels | None:
        """Label values: 1 for salt and 0, or, where the class is another than 1, what the mask holds.

        The masks of the public set come as 0/65535, and as 8-bit when empty. Run lengths are 1 and 0 always.
        """
        if tile.rle is not None:
            salt = decode(tile.rle, shape, f"{tile.id} of train.csv")
            return Labels(salt.astype(np.uint8), np.zeros(shape, bool))
        if tile.mask is None:
            return None
        values, ignored = read_labels(tile.mask, shape, self.classes)
        return Labels(np.greater(values, 0).astype(np.uint8) if self.classes.of_0_and_1 else values, ignored)

    def tile(self, path: Path, name: str) -> Tile:
        """A file as an unlabelled tile, a scene of its own."""
        return Tile(name, path, group=name)

    def flag(self, raw: NDArray[np.generic], mask: NDArray[np.uint8] | None) -> str:
        """What is odd about a tile.

        "constant": the image (1, H, W) is one grey level. "vertical": every column of the mask (H, W) is all salt or
        none, and it has columns of both kinds.
        """
        if raw.min() == raw.max():
            return "constant"
        if mask is None:
            return ""
        salt = mask == 1
        columns = salt.any(0)
        return "vertical" if columns.any() and not columns.all() and (salt == columns).all() else ""


def _depths(path: Path, images: Iterable[str]) -> dict[str, float]:
    """Depth of each image; none where there is no table. Rows of other tiles (the test set's) are skipped."""
    if not path.is_file():
        return {}
    table = read_table(path, "id", ["z"])
    missing = sorted(set(images) - table.keys())
    if missing:
        raise DataError(
            f"{len(missing)} images have no depth ({listed(missing)})", path, "add them, or remove the table"
        )
    depths = {}
    for name, row in table.items():
        try:
            depths[name] = number(row["z"])
        except ValueError:
            raise DataError(f"depth of {name} is {row['z']!r}", path, "give a number") from None
    return depths
