"""Tiles drawn so that every part and fold gets its share of rare classes, of coverage and of depth."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from seepseg.config import Split
from seepseg.data.catalog import Catalog

Card = TypeVar("Card", bound=np.generic)
BLOCK = 10
"""Similar tiles, of which each part gets its share."""


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


def parts_at_random(catalog: Catalog, split: Split, seed: int) -> NDArray[np.str_]:
    """The part (N,) of each tile: as many of each as the fractions say, rounded, alike in stratum and depth."""
    n = len(catalog)
    sizes = {"val": round(n * split.val_fraction), "test": round(n * split.test_fraction)}
    sizes["train"] = n - sum(sizes.values())
    # Each part's k-th card lies at (k + ½) / its number of cards: all parts evenly through the pack.
    places = [((k + 0.5) / count, part) for part, count in sizes.items() for k in range(count)]
    return dealt(catalog, np.array([part for _, part in sorted(places)], dtype="<U6"), BLOCK, seed)


def dealt(catalog: Catalog, cards: NDArray[Card], block: int, seed: int) -> NDArray[Card]:
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
