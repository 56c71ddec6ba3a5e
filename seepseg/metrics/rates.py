"""How sure a rate is, and how likely chance alone would give it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

Field = NDArray[np.float64]
Counts = NDArray[Any]

Z = 1.959964
"""Of 95 %, two-sided."""


def wilson(seen: Counts, observed: Counts) -> tuple[Field, Field]:
    """Lower and upper limits (…) of rates of `seen` of `observed`, Wilson's interval of 95 %; NaN of none.

    Source: Wilson 1927, JASA 22(158).
    """
    n, k = np.asarray(observed, np.float64), np.asarray(seen, np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = k / n
        middle = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z / (1 + Z**2 / n) * np.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2))
    # At 0 and n of n the limits are 0 and 1, but for rounding.
    return np.where(k == 0, np.where(n > 0, 0.0, np.nan), middle - half), np.where(
        (k == n) & (n > 0), 1.0, middle + half
    )


def by_chance(seen: Counts, observed: Counts, per_pass: Field) -> Field:
    """Probability (n) that slicks that lie anywhere give a disc around one of them at least as many sightings.

    One sighting is there by choice of the disc: the others count.

    Args:
        seen: passes (n) with a slick in the disc.
        observed: passes that could have shown one; at least `seen`.
        per_pass: probability that a pass shows a slick in a disc of this size, anywhere.
    """
    return np.asarray(binom.sf(np.asarray(seen) - 2, np.maximum(observed, seen) - 1, per_pass))


def false_share(chance: Field, tests: int) -> Field:
    """Expected share (n) of false ones among those at least as unlikely by chance (Benjamini and Hochberg 1995).

    Args:
        chance: probabilities (n), the smallest of `tests`.
        tests: how many places were looked at.
    """
    order = np.argsort(chance, kind="stable")
    ranked = chance[order] * tests / np.arange(1, len(chance) + 1)
    share = np.empty(len(chance))
    share[order] = np.minimum(np.minimum.accumulate(ranked[::-1])[::-1], 1.0)
    return share
