"""TGS salt tiles: PNG images, masks as PNG or run lengths, and a table of depths."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seepseg.config import TgsData
from seepseg.data.catalog import Catalog, Tile, listed, unique_stems
from seepseg.errors import DataError
from seepseg.io.files import image_files
from seepseg.io.images import eight_bit_scale, read_gray_png

IMAGES = "train/images"
"""Where the images are below the root."""


def index_tgs(data: TgsData) -> Catalog:
    """The labelled tiles under `data.root`, with depths where there is a depths.csv.

    Raises:
        DataError: no images, images without a mask or a row, or a table with missing, double or unknown ids.
    """
    folder = data.root / IMAGES
    if not folder.is_dir():
        raise DataError("no folder of images", folder, "set data.root to the folder that holds train/images")
    images = unique_stems(image_files(folder, (".png",)), "images")
    if not images:
        raise DataError("no PNG tiles", folder, "set data.root to the folder that holds train/images")
    depth = _depths(data.root / "depths.csv", images)
    if data.masks == "rle":
        table = data.root / "train.csv"
        if not table.is_file():
            raise DataError("no such table", table, "give train.csv, or set data.masks=png")
        runs = _table(table, "rle_mask")
        _same_ids(images, runs, table)
        tiles = [Tile(i, p, None, i, rle=runs[i], depth=depth.get(i)) for i, p in images.items()]
    else:
        mask_folder = data.root / "train" / "masks"
        masks = unique_stems(image_files(mask_folder, (".png",)), "masks") if mask_folder.is_dir() else {}
        if masks:
            _same_ids(images, masks, mask_folder)
        tiles = [Tile(i, p, masks.get(i), i, depth=depth.get(i)) for i, p in images.items()]
    return Catalog(tuple(tiles), data.class_table(), train_flagged=not data.drop_flagged)


def read_tgs_image(path: Path) -> NDArray[np.generic]:
    """Raw pixels (1, H, W) of a tile, 0–255 whatever its bit depth; three or four equal channels count as one."""
    return eight_bit_scale(read_gray_png(path))[None]


def read_tgs_mask(path: Path) -> NDArray[np.uint8]:
    """1 where a PNG mask is above 0, else 0, (H, W): the masks come as 0/65535 and as 8-bit when empty."""
    return (read_gray_png(path) > 0).astype(np.uint8)


def flag_of(image: NDArray[np.generic], mask: NDArray[np.uint8] | None) -> str:
    """What is odd about a tile, a key of `catalog.FLAGS`, or "" where nothing is.

    "constant": the image (1, H, W) is one grey level. "vertical": every column of the mask (H, W) is all salt or none,
    and it has columns of both kinds.
    """
    if image.min() == image.max():
        return "constant"
    if mask is None:
        return ""
    salt = mask == 1
    columns = salt.any(0)
    return "vertical" if columns.any() and not columns.all() and (salt == columns).all() else ""


def _depths(path: Path, images: Iterable[str]) -> dict[str, float]:
    """Depth of each image; none where there is no table. Rows of other tiles (the test set's) are passed by."""
    if not path.is_file():
        return {}
    table = _table(path, "z")
    missing = sorted(set(images) - table.keys())
    if missing:
        raise DataError(
            f"{len(missing)} images have no depth ({listed(missing)})", path, "add them, or remove the table"
        )
    depths = {}
    for name, text in table.items():
        try:
            depths[name] = float(text)
        except ValueError:
            depths[name] = math.nan
        if not math.isfinite(depths[name]):
            raise DataError(f"depth of {name} is {text!r}", path, "give a number")
    return depths


def _table(path: Path, column: str) -> dict[str, str]:
    """One column of a CSV by id; a cell may be empty, an id may not. A byte-order mark and CRLF change nothing."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = [(number, row) for number, row in enumerate(csv.reader(stream, strict=True), 1) if row]
    except (csv.Error, ValueError, OSError) as error:
        raise DataError(f"cannot be read as CSV ({error})", path, "fix the table") from None
    header = rows[0][1] if rows else []
    if "id" not in header or column not in header:
        raise DataError(f"columns are {', '.join(header) or 'none'}", path, f"it needs id and {column}")
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise DataError(f"row {number} has {len(row)} cells, the header {len(header)}", path, "fix the row")
    key, value = header.index("id"), header.index(column)
    table = {row[key]: row[value] for _, row in rows[1:]}
    if "" in table:
        raise DataError("a row has no id", path, "fix the row")
    if len(table) < len(rows) - 1:
        twice = sorted(i for i, count in Counter(row[key] for _, row in rows[1:]).items() if count > 1)
        raise DataError(f"{len(twice)} ids stand twice ({listed(twice)})", path, "keep one row for each id")
    return table


def _same_ids(images: Iterable[str], labels: Iterable[str], where: Path) -> None:
    have, know = set(images), set(labels)
    for missing, what in ((have - know, "images have no mask"), (know - have, "masks have no image")):
        if missing:
            raise DataError(f"{len(missing)} {what} ({listed(sorted(missing))})", where, "add or remove the odd ones")
