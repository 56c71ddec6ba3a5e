"""TGS salt tiles: PNG images, masks as PNG or run lengths, and a table of depths."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.config import TgsData
from seepseg.data.catalog import Catalog, Tile, listed, unique_stems
from seepseg.errors import DataError
from seepseg.io.images import read_gray_png


def index_tgs(data: TgsData) -> Catalog:
    """The labelled tiles under `data.root`, with depths where depths.csv gives them.

    Raises:
        DataError: no images, images without a mask or a row, or a table with missing, double or unknown ids.
    """
    folder = data.root / "train" / "images"
    if not folder.is_dir():
        raise DataError("no folder of images", folder, "set data.root to the folder that holds train/images")
    images = unique_stems(folder.glob("*.png"), "images")
    if not images:
        raise DataError("no PNG tiles", folder, "set data.root to the folder that holds train/images")
    depths = _table(data.root / "depths.csv", "z")
    depth = {name: _number(value, name, data.root / "depths.csv") for name, value in depths.items()}
    if data.masks == "rle":
        table = data.root / "train.csv"
        runs = _table(table, "rle_mask")
        _same_ids(images.keys(), runs.keys(), table)
        tiles = [Tile(i, p, None, i, rle=runs[i], depth=depth.get(i)) for i, p in images.items()]
    else:
        mask_folder = data.root / "train" / "masks"
        masks = unique_stems(mask_folder.glob("*.png"), "masks")
        if masks:
            _same_ids(images.keys(), masks.keys(), mask_folder)
        tiles = [Tile(i, p, masks.get(i), i, depth=depth.get(i)) for i, p in images.items()]
    return Catalog(tuple(tiles), data.class_table())


def read_tgs_image(path: Path) -> NDArray[np.generic]:
    """Raw pixels (1, H, W) of a tile; three or four equal channels count as one."""
    return read_gray_png(path)[None]


def read_tgs_mask(path: Path) -> NDArray[np.uint8]:
    """1 where a PNG mask is above 0, else 0, (H, W): the masks come as 0/65535 and as 8-bit when empty."""
    return (read_gray_png(path) > 0).astype(np.uint8)


def _table(path: Path, column: str) -> dict[str, str]:
    if not path.is_file():
        if column == "z":
            return {}
        raise DataError("no such table", path, "give train.csv, or set data.masks=png")
    try:
        # utf-8-sig reads a byte-order mark away; an empty cell is an empty mask, not a missing value.
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise DataError(f"cannot be read as CSV ({str(error).splitlines()[0]})", path, "mend the table") from None
    if "id" not in frame or column not in frame:
        raise DataError(f"columns are {', '.join(frame.columns)}", path, f"it needs id and {column}")
    twice = sorted(frame.loc[frame["id"].duplicated(), "id"].unique())
    if twice:
        raise DataError(f"{len(twice)} ids stand twice ({listed(twice)})", path, "keep one row for each id")
    return dict(zip(frame["id"], frame[column], strict=True))


def _number(text: str, name: str, path: Path) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"depth of {name} is {text!r}", path, "give a number") from None


def _same_ids(images: Iterable[str], labels: Iterable[str], where: Path) -> None:
    have, know = set(images), set(labels)
    for missing, what in ((have - know, "images have no mask"), (know - have, "masks have no image")):
        if missing:
            raise DataError(f"{len(missing)} {what} ({listed(sorted(missing))})", where, "add or remove the odd ones")
