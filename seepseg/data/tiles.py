"""Tiles in folders: images and masks of one name in two folders or, by a suffix, in one; or a table of both."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from seepseg.archives.unpacked import data_root
from seepseg.classes import ClassTable
from seepseg.config import TileFolders
from seepseg.data.catalog import Catalog, Tile, same_names, uncollected, unique_names
from seepseg.errors import DataError, listed
from seepseg.io.files import SUFFIXES, exists, image_names
from seepseg.io.image import Pixels, read_image
from seepseg.io.table import read_table
from seepseg.scenes.files import on_disk
from seepseg.scenes.mosaic import Cell
from seepseg.sentinel1 import is_product

BACKGROUND = "background"
"""In place of a mask folder or file: no pixel of these images is foreground."""
OPTIONAL = ("mask", "id", "scene", "split", "fold")
"""Columns of a table besides `image`."""


@dataclass(frozen=True)
class TilesSource:
    """The `Source` of tiles that are cells of scenes, or scenes of their own."""

    data: TileFolders
    per_tile = False
    eight_bit = False

    @cached_property
    def classes(self) -> ClassTable:
        """The class table."""
        return self.data.class_table()

    @property
    def pixel_size(self) -> float | None:
        """Side of a pixel in metres, where the config says it."""
        return self.data.pixel_size

    @uncollected()
    def catalog(self) -> Catalog:
        """The tiles under `data.root` by scene, cell and id.

        Raises:
            DataError: no images, images without masks or masks without images, or two images of one name.
        """
        for folder in (self.data.root, *(self.data.root / name for name in self.data.images)):
            _refuse_product(folder)
        root = data_root(self.data.root, str(self.data.table or self.data.images[0]))
        unplaced = self._tabled(root, self.data.table) if self.data.table else self._paired(root)
        unique_names(((t.id, t.image) for _, t in unplaced), "images")
        tiles = [self._placed(folder, t) for folder, t in unplaced]
        # Scene after scene, so that a scene can be put together as its tiles go by; names may begin with the index.
        tiles.sort(key=lambda t: (t.group, t.cell or (-1, -1), t.id))
        for one, other in pairwise(tiles):
            if one.cell and (one.group, one.cell) == (other.group, other.cell):
                what = f"{one.id} and {other.id} are both row {one.cell[0]}, column {one.cell[1]} of scene {one.group}"
                raise DataError(what, other.image, "set data.name_pattern and data.grid, so that each cell is one tile")
        warnings = self._warnings([t for _, t in unplaced], tiles)
        return Catalog(tuple(tiles), self.classes, empty=self.data.empty, warnings=warnings)

    def labels(self, tile: Tile, shape: tuple[int, int]) -> Labels | None:
        """Label values of a tile as they are in its mask; None when it is unlabelled."""
        if tile.background:
            return Labels(np.full(shape, self.classes.background_values[0], np.uint16), np.zeros(shape, bool))
        return None if tile.mask is None else read_labels(tile.mask, shape, self.classes)

    def tile(self, path: Path, name: str) -> Tile:
        """A file as an unlabelled tile: scene and cell are in its file's name, its folder is part of the scene's."""
        return self._placed(name.rpartition("/")[0], Tile(name, path))

    def flag(self, raw: NDArray[np.generic], mask: NDArray[np.uint8] | None) -> str:
        """Always "": nothing is odd about these tiles."""
        del raw, mask
        return ""

    def _paired(self, root: Path) -> list[tuple[str, Tile]]:
        """The tiles of the folders of images, each after its folder."""
        tiles = []
        several = len(self.data.images) > 1
        for number, folder in enumerate(self.data.images):
            masks = self.data.masks[number] if self.data.masks else None
            above = inside(PurePosixPath(folder)).parts if several else ()
            for name, image, mask in self._pairs(root, folder, masks):
                path = normalize("NFC", "/".join((*above, name)))
                tiles.append((path.rpartition("/")[0], Tile(path, image, mask, background=masks == BACKGROUND)))
        return tiles

    def _pairs(self, root: Path, folder: str, mask_folder: str | None) -> Iterable[tuple[str, Path, Path | None]]:
        """Name (below the folder, without suffixes), image and mask of each image in a folder."""
        own, other = self.data.image_suffix, self.data.mask_suffix
        together = mask_folder == folder
        apart = {root / f for f in (*self.data.images, *(self.data.masks or ())) if f not in (None, BACKGROUND)}
        images = _files(root / folder, "images", own, other if together else "", apart)
        if not images:
            named = f" named …{own}" if own else ""
            raise DataError(f"no TIFF, PNG or JPEG tiles{named}", root / folder, "set data.root and data.images")
        masks: dict[str, Path] = {}
        if mask_folder not in (None, BACKGROUND):
            path = root / mask_folder
            if not path.is_dir() and len(self.data.images) > 1:
                raise DataError("no folder of masks", path, "set data.masks, null for a folder without masks")
            # A single folder that is missing means that nothing is labelled, which is reported where labels are needed.
            masks = _files(path, "masks", other, own if together and not other else "", apart) if path.is_dir() else {}
        if masks and not images.keys() & masks.keys():
            what = f"no mask has the name of an image (images are {min(images)} …, masks {min(masks)} …)"
            raise DataError(what, root / str(mask_folder), "set data.image_suffix and data.mask_suffix, how names end")
        if masks:
            same_names(images, masks, root / str(mask_folder), root / folder)
        return [(name, image, masks.get(name)) for name, image in images.items()]

    def _tabled(self, root: Path, table: Path) -> list[tuple[str, Tile]]:
        """The tiles of a CSV, each after its folder: `image` and, if there, those of `OPTIONAL`."""
        path = root / table
        tiles = []
        for text, row in read_table(path, "image", (), OPTIONAL).items():
            label, fold = row.get("mask", ""), row.get("fold", "")
            image, mask = on_disk(root, row["image"]), None if label in ("", BACKGROUND) else on_disk(root, label)
            if fold and not re.fullmatch(r"\d{1,9}", fold, re.ASCII):
                raise DataError(f"fold of {text} is {fold[:40]!r}", path, "give a whole number from 0")
            _refuse_product(image)
            for said, file in ((row["image"], image), (label, mask)):
                if file and not (exists(file) and file.is_file()):
                    raise DataError(f"no file {said}", path, f"give paths below {root}")
            name = inside(PurePosixPath(text).with_suffix(""))
            tile = Tile(
                inside(PurePosixPath(normalize("NFC", row.get("id") or str(name)))).as_posix(),
                image,
                mask,
                row.get("scene", ""),
                part=row.get("split", ""),
                fold=int(fold) if fold else None,
                background=label == BACKGROUND,
            )
            tiles.append((name.as_posix().rpartition("/")[0], tile))
        if not tiles:
            raise DataError("lists no tile", path, "give a row for each image")
        return tiles

    def _placed(self, folder: str, tile: Tile) -> Tile:
        """A tile with its cell and, where it has none yet, its scene: its folder, and what its name says."""
        scene, cell = place_in(self._stem(tile), self.data)
        # Scenes of one name in two folders are two scenes.
        group = tile.group or (f"{folder}/{scene}" if folder else scene)
        return replace(tile, group=normalize("NFC", group), cell=cell)

    def _stem(self, tile: Tile) -> str:
        return normalize("NFC", tile.image.stem).removesuffix(self.data.image_suffix)

    def _warnings(self, tiles: list[Tile], placed: list[Tile]) -> tuple[str, ...]:
        """What is odd about parts and scenes: of tiles as they were listed, and as they were placed."""
        by, pattern = self.data.split.by, self.data.name_pattern
        unread = by != "file" and any(t.part or t.fold is not None for t in tiles)
        passed = ("the columns split and fold of data.table count only with data.split.by=file",) if unread else ()
        odd = [t.id for t in tiles if not (t.group or (pattern and re.match(pattern, self._stem(t))))]
        if pattern and not odd and re.search(r"\(\?P<(index|row)>", pattern):
            # Only tiles that are cells of something: others say with ^(?P<group>.+)$ that each is a scene.
            odd = [t.id for t in placed] if len({t.group for t in placed}) == len(placed) else []
            said = f"are by data.name_pattern {pattern!r} each the only tile of their scene"
        elif pattern:
            said = f"do not match data.name_pattern {pattern!r}"
        else:
            said = "have no scene, without data.name_pattern"
        if by != "group" or len(tiles) < 2 or not odd:
            return passed
        return (
            *passed,
            f"{len(odd)} of {len(tiles)} names {said} ({listed(odd[:3])}{' …' if odd[3:] else ''}): each such tile "
            "counts as a scene of its own, so tiles of one true scene can be on both sides of the split; set "
            "data.name_pattern",
        )


class Labels(NamedTuple):
    """Label values (H, W) of a mask, and where the file itself says that they count nowhere (H, W).

    They are background there: what the file holds there need not be a label.
    """

    values: NDArray[np.generic]
    ignored: NDArray[np.bool_]


def read_labels(path: Path, shape: tuple[int, int], classes: ClassTable) -> Labels:
    """The labels of a mask file for an image of `shape`.

    A no-data value that the class table names is a label all the same.

    Raises:
        DataError: the mask is damaged, has several bands, is of another size, or not of whole numbers where labels are.
    """
    try:
        (values, valid), info = read_image(path, labels=True)
    except DataError as error:
        # Which page and bands are read is said of images only.
        fix = "give a one-band mask of class values" if "data." in error.fix else error.fix
        raise DataError(f"mask: {error.what}", error.where, fix) from None
    if valid.shape != shape:
        what = f"mask is {valid.shape[0]}×{valid.shape[1]}, image {shape[0]}×{shape[1]}"
        raise DataError(what, path, "give a mask of the image's size")
    return as_labels(Pixels(values, valid), info.nodata, path, classes)


def as_labels(pixels: Pixels, nodata: float | None, path: Path, classes: ClassTable) -> Labels:
    """Labels of the pixels of a mask whose no-data value is known; DataError where they are not of whole numbers."""
    labels, valid = pixels.raw[0], pixels.valid
    if labels.dtype.kind not in "ui" and not classes.soft:
        raise DataError(f"mask holds {labels.dtype} values", path, "save class values as uint8, or give at_least")
    ignored = ignored_by_file(labels, valid, nodata, classes.has)
    return Labels(np.where(ignored, np.uint16(classes.background_values[0]), labels), ignored)


def ignored_by_file(
    values: NDArray[np.generic], valid: NDArray[np.bool_], nodata: float | None, is_class: Callable[[float], bool]
) -> NDArray[np.bool_]:
    """Where a mask or a map says itself that its pixels (H, W) count nowhere; not where their no-data value is a class.

    Many tools declare the background to be no data.
    """
    return ~valid & (values != nodata) if nodata is not None and is_class(nodata) else ~valid


def place_in(stem: str, data: TileFolders) -> tuple[str, Cell | None]:
    """Scene and cell in the name of a tile; a name of another form is its own scene."""
    match = re.match(data.name_pattern, stem) if data.name_pattern else None
    if match is None:
        return stem, None
    named: Mapping[str, str | None] = match.groupdict()
    scene, index, row, column = (named.get(key) for key in ("group", "index", "row", "column"))
    for text in (index, row, column):
        if text and not text.isdecimal():
            raise DataError(f"{text!r} is no row, column or index", stem, "set data.name_pattern, with digits there")
    if row and column:
        return scene or stem, (int(row), int(column))
    # The longest key that the scene's name begins with.
    keys = sorted((key for key in data.grid if (scene or "").startswith(key)), key=len)
    return scene or stem, divmod(int(index), data.grid[keys[-1]]) if index and keys else None


def inside(path: PurePosixPath) -> PurePosixPath:
    """A path without what leads out of a folder, so that outputs named by it stay in theirs."""
    return PurePosixPath(*(part for part in path.parts if part not in (path.anchor, "..", ".")))


def _refuse_product(path: Path) -> None:
    if is_product(path):
        what = "a Sentinel-1 product is a whole scene, and training reads tiles"
        raise DataError(what, path, "use data.source=scenes (docs/data.md)")


def _files(folder: Path, what: str, suffix: str, without: str, apart: Collection[Path]) -> dict[str, Path]:
    """Image files by their path below the folder, without extension and suffix.

    Those of one suffix only, and not `without` another, nor in the folders `apart` that lie inside this one.
    """
    if not folder.is_dir():
        raise DataError(f"no folder of {what}", folder, f"set data.root and data.{what}")
    inner = tuple(f"{other.relative_to(folder).as_posix()}/" for other in apart if folder in other.parents)
    names = [name for name in image_names(folder, SUFFIXES) if not name.startswith(inner)]
    if product := next((name for name in names if ".safe/" in name.lower()), None):
        _refuse_product(folder / product[: product.lower().index(".safe/") + 5])
    files = ((normalize("NFC", name[: name.rindex(".")]), name) for name in names)
    chosen = (f for f in files if f[0].endswith(suffix) and not (without and f[0].endswith(without)))
    return unique_names(((stem.removesuffix(suffix), Path(f"{folder}/{name}")) for stem, name in chosen), what)
