from __future__ import annotations

import numpy as np
import pytest

from seepseg.metrics.rates import by_chance, false_share, wilson


def test_wilsons_interval_by_hand() -> None:
    lower, upper = wilson(np.array([5, 0, 10, 0]), np.array([10, 10, 10, 0]))
    # z² = 3.8415; middle (.5 + 3.8415/20) / 1.38415 = .5; half 1.96/1.38415 · √(.025 + .0096037) = .26341
    assert (lower[0], upper[0]) == (pytest.approx(0.2366, abs=1e-4), pytest.approx(0.7634, abs=1e-4))
    # z² / (n + z²) = 3.8415 / 13.8415 = .27753
    assert (lower[1], upper[1]) == (0, pytest.approx(0.2775, abs=1e-4))
    assert (lower[2], upper[2]) == (pytest.approx(0.7225, abs=1e-4), 1)
    assert np.isnan([lower[3], upper[3]]).all()


def test_the_first_sighting_is_no_chance() -> None:
    chance = by_chance(np.array([1, 2, 3]), np.array([3, 3, 3]), np.array([0.1, 0.1, 0.1]))
    # of the two other passes: any number; at least one, 1 − .9²; both, .1²
    assert chance == pytest.approx([1, 0.19, 0.01])


def test_false_share_by_hand() -> None:
    # sorted .001 .02 .03 of 100 tests: .1/1, 2/2, 3/3 → at most 1, and none above a later one
    assert false_share(np.array([0.03, 0.001, 0.02]), 100) == pytest.approx([1, 0.1, 1])
    # .001·10/1 = .01, .002·10/2 = .01, .5·10/3 = 1.67 → 1
    assert false_share(np.array([0.001, 0.002, 0.5]), 10) == pytest.approx([0.01, 0.01, 1])
