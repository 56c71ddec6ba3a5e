"""Splits: which tiles train, validate and test, so that no scene is on two sides and every class can be learned."""

from __future__ import annotations

import fnmatch
import warnings
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.config import Split
from seepseg.data.catalog import Catalog
from seepseg.errors import ConfigError, DataError, listed
from seepseg.io.table import read_table

Card = TypeVar("Card", bound=np.generic)
PARTS = ("train", "val", "test")
UNUSED = "unused"
"""The part of tiles that would train, where the catalog says they may not, and of what a file leaves out."""
BLOCK = 10
"""Similar tiles, of which each part gets its share."""


def make_splits(catalog: Catalog, split: Split, seed: int, fold: int | None = None) -> pd.DataFrame:
    """A row per labelled tile: id, group (its scene), split (train, val, test or unused), its fold and block, if any.

    Args:
        catalog: labelled tiles with their class counts.
        split: how to divide.
        seed: of the random choices; the same seed gives the same rows.
        fold: the fold that validates, needed with `split.folds`.

    Raises:
        ConfigError: a part would be empty, a named scene is not there, the fold does not exist, or a class is missing
            from training.
        DataError: the split file does not fit the catalog, or puts one scene on two sides.
    """
    tiles = pd.DataFrame({"id": [t.id for t in catalog.tiles], "group": [t.group for t in catalog.tiles]})
    check_fold(split, fold)
    if split.by == "blocks":
        tiles["block"] = _members(catalog, split)
    if split.folds and fold is not None:
        tiles["fold"] = _folds(catalog, split, seed)
        # All of them, so that one that cannot train is reported before hours go into the others.
        sides = [
            _settled(catalog, np.where(tiles["fold"] == k, "val", "train"), split, f"fold {k}", seed)
            for k in range(split.folds)
        ]
        tiles["split"] = sides[fold]
        return tiles
    if split.by == "file":
        parts = _from_table(catalog, split)
    elif split.by in ("group", "blocks"):
        parts = _by_group(catalog, split)
    elif split.by == "extent":
        parts = np.array([t.part for t in catalog.tiles])
    else:
        parts = _at_random(catalog, split, seed)
    tiles["split"] = _settled(catalog, parts, split, "data.split", seed)
    return tiles


def check_fold(split: Split, fold: int | None) -> None:
    """Raise ConfigError where a split with folds is given none of them, or one without folds is given one."""
    if fold is not None and not split.folds:
        raise ConfigError("a fold is asked for, but the config has none", "data.split.folds", "set data.split.folds=5")
    if split.folds and fold is None:
        raise ConfigError(f"{split.folds} folds, and none is chosen", "--fold", "give --fold 0, or --all-folds")
    if split.folds and fold is not None and not 0 <= fold < split.folds:
        raise ConfigError(f"no fold {fold} of {split.folds}", "--fold", f"give 0 to {split.folds - 1}")


def part(splits: pd.DataFrame, name: str) -> list[str]:
    """Ids of one part, in catalog order."""
    return [str(i) for i in splits.loc[splits["split"] == name, "id"]]


def shares(catalog: Catalog, splits: pd.DataFrame) -> pd.DataFrame:
    """Tiles, blocks or scenes (where a tile is not one) and pixels of each class in each part."""
    pixels = pd.DataFrame(catalog.pixels(), columns=list(catalog.classes.names))
    pixels["split"] = splits["split"].to_numpy()
    kind = "block" if "block" in splits else "group"
    pixels["group"] = splits[kind].to_numpy()
    by = pixels.groupby("split")
    table = by[list(catalog.classes.names)].sum()
    table.insert(0, "tiles", by.size())
    if pixels["group"].nunique() < len(catalog):
        table.insert(1, {"block": "blocks", "group": "scenes"}[kind], by["group"].nunique())
    return table.reindex([p for p in (*PARTS, UNUSED) if p in table.index])


def strata(catalog: Catalog) -> NDArray[np.int64]:
    """What a tile is balanced by, (N,): its rarest class, or its coverage in tenths where there is one class."""
    if len(catalog.classes) == 2:
        return np.array([t.coverage_class or 0 for t in catalog.tiles], np.int64)
    pixels = catalog.pixels()
    total = pixels.sum(0)
    rarest_first = sorted(range(1, len(catalog.classes)), key=lambda c: int(total[c]))
    present = pixels[:, rarest_first] > 0
    rarest: NDArray[np.int64] = np.where(present.any(1), np.array(rarest_first)[present.argmax(1)], 0)
    return rarest


def _folds(catalog: Catalog, split: Split, seed: int) -> NDArray[np.int64]:
    match split.by:
        case "random":
            return _dealt_folds(catalog, split, seed)
        case "group" | "blocks":
            return _group_folds(catalog, split, seed)
        case "file":
            return _folds_from_table(catalog, split)
    raise AssertionError(f"no folds by {split.by}")


def _group_folds(catalog: Catalog, split: Split, seed: int) -> NDArray[np.int64]:
    assert split.folds
    groups = _members(catalog, split)
    if (n := len(set(groups))) < split.folds:
        kind = "blocks" if split.by == "blocks" else "scenes"
        raise ConfigError(f"{split.folds} folds of {n} {kind}", "data.split.folds", "ask for fewer")
    from sklearn.model_selection import StratifiedGroupKFold  # takes .6 s to import, which only folds need

    stratum = strata(catalog)
    if np.bincount(stratum).max() < split.folds:
        raise ConfigError(
            f"{split.folds} folds, but no class is the rarest of so many tiles", "data.split.folds", "ask for fewer"
        )
    fold = np.zeros(len(catalog), np.int64)
    chooser = StratifiedGroupKFold(split.folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A stratum smaller than the number of folds is a rare class; what matters is checked below.
        warnings.simplefilter("ignore", UserWarning)
        for k, (_, held_out) in enumerate(chooser.split(groups, stratum, groups)):
            fold[held_out] = k
    return fold


def _dealt_folds(catalog: Catalog, split: Split, seed: int) -> NDArray[np.int64]:
    assert split.folds
    n = len(catalog)
    if n < split.folds:
        raise ConfigError(f"{split.folds} folds of {n} tiles", "data.split.folds", "ask for fewer")
    return _dealt(catalog, np.arange(n) % split.folds, split.folds, seed)


def _at_random(catalog: Catalog, split: Split, seed: int) -> NDArray[np.str_]:
    n = len(catalog)
    sizes = {"val": round(n * split.val_fraction), "test": round(n * split.test_fraction)}
    sizes["train"] = n - sum(sizes.values())
    # Each part's k-th card lies at (k + ½) / its number of cards: all parts evenly through the pack.
    places = [((k + 0.5) / count, part) for part, count in sizes.items() for k in range(count)]
    return _dealt(catalog, np.array([part for _, part in sorted(places)], dtype="<U6"), BLOCK, seed)


def _dealt(catalog: Catalog, cards: NDArray[Card], block: int, seed: int) -> NDArray[Card]:
    """One of the cards (N,) for each tile: tiles in order of stratum and depth get the cards in order.

    So similar tiles go to all parts in their shares. Chance shuffles the cards inside blocks, and the tiles that are
    equal in both.
    """
    n = len(catalog)
    rng = np.random.default_rng(seed)
    depth = np.array([-1.0 if t.depth is None else t.depth for t in catalog.tiles])
    order = np.lexsort((rng.permutation(n), depth, strata(catalog)))
    dealt = np.empty_like(cards)
    for start in range(0, n, block):
        dealt[order[start : start + block]] = rng.permutation(cards[start : start + block])
    return dealt


def _from_table(catalog: Catalog, split: Split) -> NDArray[np.str_]:
    """The part of each tile by the column split of `split.file`, or of the data set's own table."""
    where = split.file or "data.table"
    names = np.array([str(n) for n in _column(catalog, split, "split", [t.part for t in catalog.tiles])])
    wrong = sorted(set(names.tolist()) - {*PARTS, UNUSED})
    if wrong:
        raise DataError(f"unknown split {wrong[0]!r}", where, f"use {', '.join((*PARTS, UNUSED))}")
    _refuse_leak(catalog, names.tolist(), split, where)
    return names


def _folds_from_table(catalog: Catalog, split: Split) -> NDArray[np.int64]:
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


def _by_group(catalog: Catalog, split: Split) -> NDArray[np.str_]:
    """The part of each tile: named scenes as named, the others, largest first, to the part that lacks most of them.

    Blocks of ground are divided as scenes are.
    """
    member = np.array(_members(catalog, split))
    groups = sorted(set(member.tolist()))
    if len(groups) == 1 and split.by == "blocks":
        raise ConfigError(f"all tiles lie in one block of {split.size:g}", "data.split.size", "give less")
    if len(groups) == 1:
        advice = "give more, name those of tiles with data.name_pattern, or divide it with data.split.by=blocks"
        raise ConfigError(f"all tiles are of one scene ({groups[0]})", "data.split", advice)
    chosen: dict[str, str] = {}
    for name, wanted in (("val", split.val), ("test", split.test)):
        for pattern in wanted or ():
            matches = [pattern] if pattern in groups else fnmatch.filter(groups, pattern)
            if not matches:
                raise ConfigError(
                    f"scene {pattern!r} is not in the data",
                    f"data.split.{name}",
                    f"the scenes are {listed(groups)}; set data.split.{name}=null to draw by fraction",
                )
            for group in matches:
                if chosen.get(group, name) != name:
                    raise ConfigError(f"scene {group!r} is in two parts", "data.split", "name it once")
                chosen[group] = name
    target = {"val": 0.0 if split.val else split.val_fraction, "test": 0.0 if split.test else split.test_fraction}
    target["train"] = 1 - sum(target.values())
    pixels = catalog.pixels()
    # A class counts by its share of itself, so that rare ones weigh as much as common ones.
    totals = np.zeros((len(groups), pixels.shape[1]))
    np.add.at(totals, np.searchsorted(groups, member), pixels)
    share = dict(zip(groups, totals / np.maximum(pixels.sum(0), 1), strict=True))
    filled = {p: np.zeros(pixels.shape[1]) for p in target}
    for group in sorted((g for g in groups if g not in chosen), key=lambda g: (-share[g].sum(), g)):
        lack = {p: float((target[p] - filled[p]).sum()) for p in target if target[p] > 0}
        best = max(lack, key=lambda p: (lack[p] / target[p], p == "train"))
        chosen[group] = best
        filled[best] += share[group]
    return np.array([chosen[g] for g in member])


def _members(catalog: Catalog, split: Split) -> list[str]:
    """What each tile (N) must not be divided from: its scene, or its block."""
    if split.by != "blocks":
        return [t.group for t in catalog.tiles]
    if any(t.blocks is None for t in catalog.tiles):
        raise ConfigError("these tiles have no place", "data.split.by", "use another one than blocks")
    return [t.blocks.own for t in catalog.tiles if t.blocks]


def _inside(catalog: Catalog, parts: NDArray[np.str_]) -> NDArray[np.str_]:
    """The part of each tile (N,), unused where it reaches into a block of another one, or trains within the margin.

    So no two tiles of several parts share ground. A block in which no tile has its middle goes with the first that
    reaches into it.
    """
    blocks = [t.blocks for t in catalog.tiles if t.blocks]
    side = {b.own: part for b, part in zip(blocks, parts.tolist(), strict=True)}
    for b, part in zip(blocks, parts.tolist(), strict=True):
        side.update((name, part) for name in b.under if name not in side)
    reach = (b.near if part == "train" else b.under for b, part in zip(blocks, parts, strict=True))
    stays = [
        all(side.get(name, part) == part for name in names) for names, part in zip(reach, parts.tolist(), strict=True)
    ]
    return np.where(stays, parts, UNUSED)


def _settled(catalog: Catalog, parts: NDArray[np.str_], split: Split, where: str, seed: int) -> NDArray[np.str_]:
    """The part of each tile (N,), some left out where they must be, once training can work."""
    parts = _inside(catalog, parts) if split.by == "blocks" else parts
    parts = np.where((parts == "train") & ~catalog.may_train(seed), UNUSED, parts)
    for name in ("train", "val"):
        if not (parts == name).any():
            raise ConfigError(f"the {name} part is empty", where, "change the fractions, the named scenes or the folds")
    pixels = catalog.pixels()
    learned = pixels[parts == "train"].sum(0)
    missing = [name for name, count in zip(catalog.classes.names, learned, strict=True) if not count]
    if missing and not split.allow_missing_classes:
        raise ConfigError(
            f"no training tile holds {listed(missing)}",
            where,
            "choose other scenes or another seed, or set data.split.allow_missing_classes=true",
        )
    return parts
