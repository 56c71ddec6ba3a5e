"""The catalog: what tiles there are, where they lie, and how much of each class they hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import ClassTable
from seepseg.data.mosaic import Cell
from seepseg.errors import DataError

SHOWN = 20
"""How many names an error lists before it only counts."""

FLAGS = {
    "constant": "one grey level all over: nothing to see in it, whatever its mask says",
    "vertical": "every column of the mask is all salt or none: thought to be a labelling artefact",
}
"""What can be odd about a tile, and what that means."""


@dataclass(frozen=True)
class Tile:
    """One image with, where it is labelled, its mask.

    Attributes:
        id: unique in the catalog; the file's stem.
        group: what must not be split apart: the scene of a seep tile, the tile itself for salt.
        cell: row and column in the grid of its scene, where that is known.
        rle: TGS run lengths, where masks come from the table instead of `mask`.
        depth: depth of a salt tile, in the units of depths.csv.
        pixels: pixels of each class (K), None when unlabelled; filled in by `with_counts`.
        flag: what is odd about a salt tile, a key of `FLAGS`, or "" (also before `with_counts`).
    """

    id: str
    image: Path
    mask: Path | None = None
    group: str = ""
    cell: Cell | None = None
    rle: str | None = None
    depth: float | None = None
    pixels: tuple[int, ...] | None = None
    flag: str = ""

    @property
    def labelled(self) -> bool:
        """Whether truth is known."""
        return self.mask is not None or self.rle is not None

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
    """Tiles group by group, the class table their masks are read with, and whether flagged tiles may train."""

    tiles: tuple[Tile, ...]
    classes: ClassTable
    train_flagged: bool = True

    def __len__(self) -> int:
        """Number of tiles."""
        return len(self.tiles)

    def subset(self, ids: Collection[str]) -> Catalog:
        """The tiles whose id is in `ids`, in catalog order."""
        wanted = set(ids)
        return replace(self, tiles=tuple(t for t in self.tiles if t.id in wanted))

    def pixels(self) -> NDArray[np.int64]:
        """(N, K) pixels of each class in each tile; zeros for an unlabelled one."""
        rows = [t.pixels or (0,) * len(self.classes) for t in self.tiles]
        return np.array(rows, dtype=np.int64).reshape(len(self.tiles), len(self.classes))

    def flagged(self) -> dict[str, int]:
        """How many tiles carry each flag that there is."""
        found = Counter(t.flag for t in self.tiles if t.flag)
        return dict(sorted(found.items()))

    def groups(self) -> tuple[str, ...]:
        """Names of the groups, sorted."""
        return tuple(sorted({t.group for t in self.tiles}))


def unique_stems(files: Iterable[Path], what: str) -> dict[str, Path]:
    """Files by their stem.

    Raises:
        DataError: two files share a stem, so that a mask could not be matched to one image.
    """
    by_stem: dict[str, Path] = {}
    for file in sorted(files):
        if file.stem in by_stem:
            raise DataError(
                f"two {what} are named {file.stem!r} ({by_stem[file.stem].name}, {file.name})",
                file.parent,
                "rename or remove one",
            )
        by_stem[file.stem] = file
    return by_stem


def listed(names: Sequence[str]) -> str:
    """Names for an error message: up to twenty, then the count of the rest."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
