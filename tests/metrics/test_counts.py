from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from seepseg.metrics.counts import Counts


@dataclass
class Toy(Counts):
    at: tuple[float, ...]
    pixels: NDArray[np.int64]
    area: float | None = 0.0
    notes: dict[int, str] = field(default_factory=dict)


def test_fields_are_added_each_in_its_way() -> None:
    one = Toy((0.5,), np.array([1, 2]), 3.0, {0: "a"})
    both = one + Toy((0.5,), np.array([10, 20]), 4.0, {1: "b"})
    assert (both.at, both.pixels.tolist(), both.area, both.notes) == ((0.5,), [11, 22], 7.0, {0: "a", 1: "b"})
    # Neither summand is changed.
    assert (one.pixels.tolist(), one.notes) == ([1, 2], {0: "a"})
    assert type(both) is Toy


def test_what_is_not_known_in_part_is_not_known() -> None:
    assert (Toy((), np.zeros(1, np.int64), None) + Toy((), np.zeros(1, np.int64), 4.0)).area is None


def test_what_was_counted_at_other_places_does_not_add_up() -> None:
    with pytest.raises(ValueError, match=r"the at differ: \(0.5,\) and \(0.4,\)"):
        _ = Toy((0.5,), np.zeros(1, np.int64)) + Toy((0.4,), np.zeros(1, np.int64))
