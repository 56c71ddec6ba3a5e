"""The catalog: what tiles there are, where they lie, and how much of each class they hold."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import ClassTable
from seepseg.errors import DataError

SHOWN = 20
"""How many names an error lists before it only counts."""


@dataclass(frozen=True)
class Tile:
    """One image with, where it is labelled, its mask.

    Attributes:
        id: unique in the catalog; the file's stem.
        group: what must not be split apart: the scene of a seep tile, the tile itself for salt.
        index: cell in the grid of its scene, where the name tells.
        rle: TGS run lengths, where masks come from the table instead of `mask`.
        depth: depth of a salt tile, in the units of depths.csv.
        pixels: pixels of each class (K), None when unlabelled; filled in by `with_counts`.
    """

    id: str
    image: Path
    mask: Path | None = None
    group: str = ""
    index: int | None = None
    rle: str | None = None
    depth: float | None = None
    pixels: tuple[int, ...] | None = None

    @property
    def labelled(self) -> bool:
        """Whether truth is known."""
        return self.mask is not None or self.rle is not None


@dataclass(frozen=True)
class Catalog:
    """Tiles sorted by id, and the class table their masks are read with."""

    tiles: tuple[Tile, ...]
    classes: ClassTable

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
