"""Parts by what must not be divided: whole scenes, or blocks of ground."""

from __future__ import annotations

import fnmatch

import numpy as np
from numpy.typing import NDArray

from seepseg.config import Split
from seepseg.data.catalog import Catalog
from seepseg.errors import ConfigError, listed
from seepseg.splits.parts import UNUSED


def parts_by_group(catalog: Catalog, split: Split) -> NDArray[np.str_]:
    """The part of each tile: named scenes as named, the others, largest first, to the part that lacks most of them.

    Blocks of ground are divided as scenes are.
    """
    member = np.array(members(catalog, split))
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


def members(catalog: Catalog, split: Split) -> list[str]:
    """What each tile (N) must not be divided from: its scene, or its block."""
    if split.by != "blocks":
        return [t.group for t in catalog.tiles]
    if any(t.blocks is None for t in catalog.tiles):
        raise ConfigError("these tiles have no place", "data.split.by", "use another one than blocks")
    return [t.blocks.own for t in catalog.tiles if t.blocks]


def inside_blocks(catalog: Catalog, parts: NDArray[np.str_]) -> NDArray[np.str_]:
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
