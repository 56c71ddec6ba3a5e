"""The catalog: what tiles there are, where they lie, and how much of each class they hold."""

from __future__ import annotations

import gc
import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import ClassTable
from seepseg.errors import DataError, listed
from seepseg.scenes.blocks import Blocks
from seepseg.scenes.images import Window
from seepseg.scenes.mosaic import Cell
from seepseg.scenes.overlaps import Overlap

FLAGS = {
    "constant": "one grey level all over: no information, whatever its mask says",
    "vertical": "every column of the mask is all salt or none: probably a labelling artefact",
}
"""What can be odd about a tile, and what that means."""


@dataclass(frozen=True)
class Tile:
    """One image with, where it is labelled, its mask.

    Attributes:
        id: unique in the catalog; the file's name, after its folder where there are several.
        group: what must not be divided between parts: the scene of a seep tile, the tile itself for salt.
        cell: row and column in the grid of its scene, where that is known.
        rle: TGS run lengths, where masks come from the table instead of `mask`.
        background: whether no pixel is foreground, so that it is labelled without a mask.
        depth: depth of a salt tile, in the units of depths.csv.
        part: "train", "val", "test" or "unused" where the data set's own table or extent says it, or "".
        fold: the fold that validates on it, where the table says it.
        window: the part of `image` that it is, where that is a whole scene.
        extent: a layer of polygons beyond which nothing is labelled.
        blocks: of ground, where the split is by them.
        channels: files of further channels, where these are files of their own.
        pixels: pixels of each class (K), None when unlabelled; filled in by `with_counts`.
        flag: what is odd about a salt tile, a key of `FLAGS`, or "" (also before `with_counts`).
    """

    id: str
    image: Path
    mask: Path | None = None
    group: str = ""
    cell: Cell | None = None
    rle: str | None = None
    background: bool = False
    depth: float | None = None
    part: str = ""
    fold: int | None = None
    window: Window | None = None
    extent: Path | None = None
    blocks: Blocks | None = None
    channels: tuple[Path, ...] = ()
    pixels: tuple[int, ...] | None = None
    flag: str = ""

    @property
    def labelled(self) -> bool:
        """Whether it has truth."""
        return self.mask is not None or self.rle is not None or self.background

    @property
    def files(self) -> tuple[Path, ...]:
        """What it is read from."""
        return (*(path for path in (self.image, self.mask, self.extent) if path), *self.channels)

    @property
    def coverage(self) -> float | None:
        """Share of foreground among the labelled pixels, 0–1; None before they are counted, or where there are none."""
        total = sum(self.pixels or ())
        return sum((self.pixels or ())[1:]) / total if total else None

    @property
    def coverage_class(self) -> int | None:
        """Coverage in tenths, rounded up: 0 is empty, 1 up to 10 %, 10 over 90 %."""
        total = sum(self.pixels or ())
        return -(-10 * sum((self.pixels or ())[1:]) // total) if total else None


@dataclass(frozen=True)
class Catalog:
    """Tiles scene by scene.

    Attributes:
        tiles: with ids that are unique.
        classes: the class table their masks are read with.
        train_flagged: whether flagged tiles may train.
        empty: share of the tiles without foreground that may train, and then none without labelled pixels; None = all.
        overlaps: scenes that show the same ground.
        warnings: what is odd about the data set, a sentence each, for the user.
    """

    tiles: tuple[Tile, ...]
    classes: ClassTable
    train_flagged: bool = True
    empty: float | None = None
    overlaps: tuple[Overlap, ...] = ()
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.tiles)

    def subset(self, ids: Collection[str]) -> Catalog:
        """The tiles whose id is in `ids`, in catalog order."""
        ids = set(ids)
        return replace(self, tiles=tuple(t for t in self.tiles if t.id in ids))

    def may_train(self, seed: int) -> NDArray[np.bool_]:
        """Which tiles (N) may train: those without foreground are drawn by seed and id."""
        known = [not (t.flag and not self.train_flagged) for t in self.tiles]
        if self.empty is None:
            return np.array(known, bool)
        drawn = [bool(t.coverage) or (t.coverage == 0 and _uniform(f"{seed} {t.id}") < self.empty) for t in self.tiles]
        return np.array(known, bool) & drawn

    def pixels(self) -> NDArray[np.int64]:
        """(N, K) pixels of each class in each tile; zeros for an unlabelled one."""
        rows = [t.pixels or (0,) * len(self.classes) for t in self.tiles]
        return np.array(rows, dtype=np.int64).reshape(len(self.tiles), len(self.classes))

    def flagged(self) -> dict[str, int]:
        """Number of tiles with each flag that occurs."""
        return dict(sorted(Counter(t.flag for t in self.tiles if t.flag).items()))

    def groups(self) -> tuple[str, ...]:
        """Names of the scenes, sorted."""
        return tuple(sorted({t.group for t in self.tiles}))


def _uniform(text: str) -> float:
    """A number from 0 to below 1 that a text stands for."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest()) / 2**48


@contextmanager
def uncollected() -> Iterator[None]:
    """No garbage collection while the block lasts: of many tiles at once, none is garbage, and all would be looked at.

    It takes a quarter of the time of listing 100,000 tiles.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def labelled_of(catalog: Catalog) -> Catalog:
    """The tiles that have truth.

    Raises:
        DataError: none has.
    """
    labelled = catalog.subset([t.id for t in catalog.tiles if t.labelled])
    if not len(labelled):
        where = catalog.tiles[0].image.parent if len(catalog) else "data"
        raise DataError(
            f"none of {len(catalog)} tiles has a mask",
            where,
            "training needs labels: set data.labels or data.background of scenes, data.masks or data.mask_suffix of "
            "tiles (salt: masks=rle, the runs of train.csv), or fill the column mask of data.table",
        )
    return labelled


def unique_names(files: Iterable[tuple[str, Path]], what: str) -> dict[str, Path]:
    """Files by their names, in NFC: some systems leave umlauts decomposed.

    Raises:
        DataError: two files share a name, so that a mask could not be matched to one image.
    """
    by_name: dict[str, Path] = {}
    for written, file in files:
        name = normalize("NFC", written)
        if name in by_name:
            raise DataError(
                f"two {what} are named {name!r} ({by_name[name].name}, {file.name})",
                file.parent,
                "rename or remove one",
            )
        by_name[name] = file
    return by_name


def same_names(images: Iterable[str], masks: Iterable[str], mask_place: Path, image_place: Path) -> None:
    """Raise DataError where an image has no mask, or a mask no image."""
    image_names, mask_names = set(images), set(masks)
    for odd, what, where in (
        (image_names - mask_names, "images without a mask", mask_place),
        (mask_names - image_names, "masks without an image", image_place),
    ):
        if odd:
            raise DataError(f"{len(odd)} {what} ({listed(sorted(odd))})", where, "add or remove the odd ones")
