"""The split of a catalog: made as the config says, and refused where training could not work with it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.config import Split
from seepseg.data.catalog import Catalog
from seepseg.errors import ConfigError, listed
from seepseg.scenes.overlaps import judged
from seepseg.splits.folds import check_fold, folds_of
from seepseg.splits.groups import inside_blocks, members, parts_by_group
from seepseg.splits.parts import UNUSED
from seepseg.splits.strata import parts_at_random
from seepseg.splits.table import parts_from_table

NOWHERE = -1
"""The fold of tiles whose place is not known, where folds are blocks of ground: they are used in none."""


def divided(catalog: Catalog, split: Split, seed: int, fold: int | None) -> tuple[pd.DataFrame, list[str]]:
    """`make_splits`, and warnings of scenes on two sides that show the same ground.

    Raises:
        SeepsegError: see `make_splits` and `judged`.
    """
    splits = make_splits(catalog, split, seed, fold)
    return splits, judged(catalog.overlaps, splits, split)


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
    placed = [t.id for t in catalog.tiles if t.blocks]
    if split.by == "blocks" and 0 < len(placed) < len(catalog):
        made = make_splits(catalog.subset(placed), split, seed, fold).drop(columns="group")
        rows = tiles.merge(made, on="id", how="left").fillna({"block": "", "split": UNUSED, "fold": NOWHERE})
        return rows.astype({"fold": int} if split.folds else {})
    if split.by == "blocks":
        tiles["block"] = members(catalog, split)
    if split.folds and fold is not None:
        tiles["fold"] = folds_of(catalog, split, seed)
        # All of them, so that one that cannot train is reported before hours go into the others.
        sides = [
            _settled(catalog, np.where(tiles["fold"] == k, "val", "train"), split, f"fold {k}", seed)
            for k in range(split.folds)
        ]
        tiles["split"] = sides[fold]
        return tiles
    if split.by == "file":
        parts = parts_from_table(catalog, split)
    elif split.by in ("group", "blocks"):
        parts = parts_by_group(catalog, split)
    elif split.by == "extent":
        parts = np.array([t.part for t in catalog.tiles])
    else:
        parts = parts_at_random(catalog, split, seed)
    tiles["split"] = _settled(catalog, parts, split, "data.split", seed)
    return tiles


def fold_shares(catalog: Catalog, split: Split, seed: int) -> pd.DataFrame:
    """A row per fold: tiles that it holds out, trains on and leaves unused, and its share of each class in %.

    The arguments are those of `make_splits`, and so are its errors.
    """
    pixels, rows = catalog.pixels(), []
    for fold in range(split.folds or 0):
        part = make_splits(catalog, split, seed, fold)["split"].to_numpy()
        share = 100 * pixels[part == "val"].sum(0) / np.maximum(pixels.sum(0), 1)
        counts = {name: int((part == name).sum()) for name in ("val", "train", UNUSED)}
        rows.append({"fold": fold} | counts | dict(zip(catalog.classes.names, share.round(1).tolist(), strict=True)))
    return pd.DataFrame(rows)


def _settled(catalog: Catalog, parts: NDArray[np.str_], split: Split, where: str, seed: int) -> NDArray[np.str_]:
    """The part of each tile (N,), some left out where they must be, once training can work."""
    parts = inside_blocks(catalog, parts) if split.by == "blocks" else parts
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
    if not learned.any():
        raise ConfigError("no training tile holds a labelled pixel", where, "choose other scenes or another seed")
    return parts
