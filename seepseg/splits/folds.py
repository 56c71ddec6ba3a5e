"""The fold of each tile: balanced by the rarest class of a tile, drawn, or from a table."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from seepseg.config import Split
from seepseg.data.catalog import Catalog
from seepseg.errors import ConfigError
from seepseg.splits.groups import members
from seepseg.splits.strata import dealt, strata
from seepseg.splits.table import folds_from_table


def check_fold(split: Split, fold: int | None) -> None:
    """Raise ConfigError where a split with folds is given none of them, or one without folds is given one."""
    if fold is not None and not split.folds:
        raise ConfigError("a fold is asked for, but the config has none", "data.split.folds", "set data.split.folds=5")
    if split.folds and fold is None:
        raise ConfigError(f"{split.folds} folds, and none is chosen", "--fold", "give --fold 0, or --all-folds")
    if split.folds and fold is not None and not 0 <= fold < split.folds:
        raise ConfigError(f"no fold {fold} of {split.folds}", "--fold", f"give 0 to {split.folds - 1}")


def folds_of(catalog: Catalog, split: Split, seed: int) -> NDArray[np.int64]:
    """The fold (N,) of each tile, 0 to `split.folds` − 1.

    Raises:
        ConfigError: there are too few scenes, blocks or tiles for so many folds.
        DataError: the split file does not fit the catalog, or puts one scene into two folds.
    """
    match split.by:
        case "random":
            return _dealt_folds(catalog, split, seed)
        case "group" | "blocks":
            return _group_folds(catalog, split, seed)
        case "file":
            return folds_from_table(catalog, split)
    raise AssertionError(f"no folds by {split.by}")


def _group_folds(catalog: Catalog, split: Split, seed: int) -> NDArray[np.int64]:
    assert split.folds
    groups = members(catalog, split)
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
    return dealt(catalog, np.arange(n) % split.folds, split.folds, seed)
