"""Parts and folds as a table names them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seepseg.config import Split
from seepseg.data.catalog import Catalog
from seepseg.errors import ConfigError, DataError, listed
from seepseg.io.table import read_table
from seepseg.splits.parts import PARTS, UNUSED


def parts_from_table(catalog: Catalog, split: Split) -> NDArray[np.str_]:
    """The part of each tile by the column split of `split.file`, or of the data set's own table."""
    where = split.file or "data.table"
    names = np.array([str(n) for n in _column(catalog, split, "split", [t.part for t in catalog.tiles])])
    wrong = sorted(set(names.tolist()) - {*PARTS, UNUSED})
    if wrong:
        raise DataError(f"unknown split {wrong[0]!r}", where, f"use {', '.join((*PARTS, UNUSED))}")
    _refuse_leak(catalog, names.tolist(), split, where)
    return names


def folds_from_table(catalog: Catalog, split: Split) -> NDArray[np.int64]:
    """The fold of each tile by the column fold of `split.file`, or of the data set's own table."""
    where = split.file or "data.table"
    own = ["" if t.fold is None else str(t.fold) for t in catalog.tiles]
    texts = _column(catalog, split, "fold", own)
    assert split.folds
    wrong = sorted(set(texts) - {str(k) for k in range(split.folds)})
    if wrong:
        raise DataError(
            f"fold {wrong[0]!r} of {split.folds}", where, f"give 0 to {split.folds - 1}, or set data.split.folds"
        )
    _refuse_leak(catalog, texts, split, where)
    return np.array([int(text) for text in texts], np.int64)


def _column(catalog: Catalog, split: Split, name: str, own: Sequence[str]) -> list[str]:
    """What a column says of each tile."""
    if split.file is None:
        if empty := [t.id for t, text in zip(catalog.tiles, own, strict=True) if not text]:
            what = f"{len(empty)} tiles have no {name} ({listed(empty)})"
            raise DataError(what, "data.table", f"fill the column {name}, or set data.split.file")
        return list(own)
    if not split.file.is_file():
        raise ConfigError("no such split file", split.file, f"set data.split.file to a CSV of id and {name}")
    table = read_table(split.file, "id", [name])
    ids = {t.id for t in catalog.tiles}
    for odd, what in ((ids - table.keys(), "tiles have no row"), (table.keys() - ids, "rows have no tile")):
        if odd:
            raise DataError(f"{len(odd)} {what} ({listed(sorted(odd))})", split.file, "make them agree")
    return [table[t.id][name] for t in catalog.tiles]


def _refuse_leak(catalog: Catalog, sides: Sequence[str], split: Split, where: object) -> None:
    """Raise DataError where tiles of one scene are on several sides; `UNUSED` is no side."""
    of_scene: dict[str, set[str]] = {}
    for tile, side in zip(catalog.tiles, sides, strict=True):
        of_scene.setdefault(tile.group, set()).update({side} - {UNUSED})
    leaks = sorted(scene for scene, several in of_scene.items() if len(several) > 1)
    if leaks and not split.allow_leak:
        raise DataError(
            f"scenes on two sides of the split ({listed(leaks)})",
            where,
            "keep a scene in one part, or set data.split.allow_leak=true and claim no accuracy from it",
        )
