from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from seepseg.sentinel1.coarse import Lattice, SeaMeans, lattice_of

PLANE = Lattice(np.array([0.0, 10.0]), np.array([0.0, 20.0]), np.array([[30.0, 40.0], [31.0, 41.0]]))


def test_values_lie_on_a_plane_and_beyond_it_for_one_interval() -> None:
    # 30 + column / 2 + row / 10; three intervals to the right it goes on for one.
    points = np.array([[10.0, 5.0], [20.0, 0.0], [30.0, 10.0], [60.0, 0.0]])
    assert PLANE.at(points) == pytest.approx([35.5, 40.0, 46.0, 50.0])


def test_each_interval_is_between_its_own_values() -> None:
    # Columns 0, 10, 40 hold 0, 10, 100 in the first row and 7 more in the second: 10 and 30 to an interval.
    lattice = Lattice(np.array([0.0, 5.0]), np.array([0.0, 10.0, 40.0]), np.array([[0.0, 10, 100], [7.0, 17, 107]]))
    points = np.array([[5.0, 0], [10, 0], [20, 0], [25, 5], [40, 5], [70, 0], [-10, 0], [-99, 0], [5, -5], [5, 10]])
    assert lattice.at(points) == pytest.approx([5, 10, 40, 62, 107, 190, -10, -10, -2, 19])
    line = Lattice(np.array([3.0]), lattice.columns, lattice.values[:1])
    assert line.at(np.array([[20.0, 0], [20, 99]])) == pytest.approx([40, 40])


def test_an_unknown_value_leaves_its_share_to_its_neighbours() -> None:
    lattice = Lattice(PLANE.rows, PLANE.columns, np.array([[30.0, np.nan], [31.0, np.nan]]))
    assert lattice.at(np.array([[10.0, 0.0], [10.0, 5.0]])) == pytest.approx([30.0, 30.5])
    assert np.isnan(lattice.at(np.array([[20.0, 0.0], [np.nan, 0.0]]))).all()


def test_one_value_is_everywhere() -> None:
    assert Lattice(np.array([5.0]), np.array([5.0]), np.array([[7.0]])).at(np.array([[0.0, 99.0]])) == [7.0]


def test_a_tag_brings_it_back() -> None:
    lattice = Lattice(PLANE.rows, PLANE.columns, np.array([[30.1234, np.nan], [31.0, 41.0]]))
    again = lattice_of({"T": lattice.tag(2)}, "T")
    assert again is not None
    assert np.array_equal(again.values, [[30.12, np.nan], [31.0, 41.0]], equal_nan=True)


@pytest.mark.parametrize("text", ["", "[1]", "{", json.dumps({"rows": [1], "columns": [1, 2], "values": [[1]]}), "7"])
def test_a_tag_of_another_kind_is_none(text: str) -> None:
    assert lattice_of({"T": text}, "T") is None
    assert lattice_of({}, "T") is None


def means(sea: NDArray[np.float64], slick: NDArray[np.bool_], valid: NDArray[np.bool_]) -> Lattice:
    """The means of a sea of pixels of 10 m, added in strips of 100 rows, in dB."""
    averages = SeaMeans(*sea.shape, 10.0, band=0, decibels=True)
    for start in range(0, len(sea), 100):
        rows = slice(start, start + 100)
        averages.add(start, (10 * np.log10(sea[rows])).astype(np.float32), valid[rows], slick[rows])
    return averages.lattice()


def test_blocks_hold_the_mean_of_the_sea_without_slicks_ships_and_what_is_not_valid() -> None:
    # Blocks of 62 · 8 = 496 pixels: two rows of two, the last one cut short: middles at 248, (496 + 700) / 2.
    sea = np.full((700, 600), 0.01)
    slick, valid = np.zeros(sea.shape, bool), np.ones(sea.shape, bool)
    sea[100:200, :300], slick[100:200, :300] = 0.001, True
    sea[300:306, 300:330] = 100.0
    sea[:, 496:] *= 2
    valid[550:] = False
    lattice = means(sea, slick, valid)
    assert lattice.rows.tolist() == [248.0, 598.0]
    assert lattice.columns.tolist() == [248.0, 548.0]
    # 0.01 is −20 dB, 0.02 is −16.99 dB.
    assert lattice.values == pytest.approx(np.array([[-20.0, -16.99], [-20.0, -16.99]]), abs=0.01)


def test_a_sea_that_is_all_slick_counts_and_one_that_is_not_valid_does_not() -> None:
    sea, every = np.full((500, 500), 0.001), np.ones((500, 500), bool)
    assert means(sea, every, every).values.ravel()[0] == pytest.approx(-30.0, abs=1e-3)
    assert np.isnan(means(sea, ~every, ~every).values).all()
