from __future__ import annotations

import numpy as np
import pytest

from seepseg.zones.chance import chance_of
from seepseg.zones.cluster import Points, discs

AREA = 100.0 * 100
"""Of a sea that all passes showed."""


def points_of(xy: np.ndarray, passes: np.ndarray) -> Points:
    return Points(xy, np.arange(len(xy)), passes, np.full(len(xy), 2.0))


def test_a_vent_among_slicks_anywhere_is_the_only_zone() -> None:
    rng = np.random.default_rng(0)
    vent = np.array([50.0, 50.0]) + rng.normal(0, 0.5, (12, 2))
    xy = np.concatenate([vent, rng.uniform(0, 100, (300, 2))])
    passes = np.concatenate([np.arange(12), rng.integers(0, 30, 300)])
    found = discs(points_of(xy, passes), 2)
    expected, share = chance_of(found, points_of(xy, passes), np.full(len(found), 30.0), 30 * AREA, 0.05)
    assert len(found) > 10
    assert np.flatnonzero(share <= 0.05).tolist() == [0]
    # 300 of 10 000 cells and 30 passes: .001 a cell and pass, .0126 a disc of radius 2 and pass, .377 in 30 of them.
    # The rings around the vent have their own share of chance.
    assert 0.37 < expected[0] < 1.2


def test_a_lane_makes_no_zones() -> None:
    """Slicks lie along a lane 4 wide, 20 times as dense as the sea around: its density is that near by."""
    rng = np.random.default_rng(1)
    lane = np.stack([rng.uniform(0, 100, 300), rng.uniform(48, 52, 300)], axis=1)
    xy = np.concatenate([lane, rng.uniform(0, 100, (150, 2))])
    passes = rng.integers(0, 40, len(xy))
    found = discs(points_of(xy, passes), 2)
    _, share = chance_of(found, points_of(xy, passes), np.full(len(found), 40.0), 40 * AREA, 0.05)
    # One ring around each disc, mostly beside the lane, let 19 pass.
    assert (share <= 0.05).sum() <= 5


def test_nothing_found_is_no_zone() -> None:
    empty = points_of(np.empty((0, 2)), np.empty(0, np.int64))
    expected, share = chance_of([], empty, np.empty(0), 3 * AREA, 0.1)
    assert (len(expected), len(share)) == (0, 0)
    assert discs(empty, 2) == []


def test_a_disc_at_the_end_of_the_world_was_observed_as_often_as_seen() -> None:
    points = points_of(np.array([[500.0, 500.0], [500.0, 500.5]]), np.array([0, 1]))
    expected, _ = chance_of(discs(points, 2), points, np.zeros(1), 3 * AREA, 1.0)
    assert expected == pytest.approx([0.0], abs=0.01)


def test_a_pass_that_showed_half_of_a_disc_counts_half() -> None:
    """4 passes showed a sea of 100 by 100 cells, 4 only a half that ends in the middle of the disc."""
    lone = np.stack([np.linspace(0, 99, 60), np.full(60, 5.0)], axis=1)
    vent = 50.0 + np.array([[0.0, 0], [0.1, 0], [0, 0.1], [0.1, 0.1]])
    points = points_of(np.concatenate([vent, lone]), np.concatenate([np.arange(4), np.arange(60) % 8]))
    (zone,) = (disc for disc in discs(points, 2) if disc.centre[1] > 40)
    expected, _ = chance_of([zone], points, np.array([4 + 4 * 0.5]), 4 * AREA + 4 * AREA / 2, 1.0)
    # None lies around; all over, 60 on 60 000 cells and passes are .001. A disc of π · 2² = 12.566 cells, which 6 whole
    # passes showed: 6 · (1 − exp(−.012566)) = 6 · .012488 = .0749. By its middle alone, it would be 4 or 8 times that.
    assert expected == pytest.approx([0.0749], abs=1e-4)


@pytest.mark.parametrize(("apart", "counts"), [(0.0, 1.0), (2.0, 2.2180), (4.0, 3.0), (9.0, 3.0)])
def test_a_slick_without_origin_counts_for_the_discs_that_hold_a_point_of_it(apart: float, counts: float) -> None:
    """Discs of radius 2 around its middle and ends cover 3 discs less what two neighbours share, twice.

    At a distance of one radius that is 2 π / 3 − √3 / 2 = 1.2284 of 3.1416 for a radius of 1, or .3910.
    """
    middle = np.stack([np.linspace(0, 99, 60), np.full(60, 5.0)], axis=1)
    lone = (middle[:, None] + np.array([[0, 0], [-apart, 0], [apart, 0]])).reshape(-1, 2)
    vent = 50.0 + np.array([[0.0, 0], [0.1, 0], [0, 0.1], [0.1, 0.1]])
    slick = np.concatenate([np.arange(4), 4 + np.arange(60).repeat(3)])
    passes = np.concatenate([np.arange(4), (np.arange(60) % 8).repeat(3)])
    points = Points(np.concatenate([vent, lone]), slick, passes, np.full(len(slick), 2.0))
    (zone,) = (disc for disc in discs(points, 2) if disc.centre[1] > 40)
    expected, _ = chance_of([zone], points, np.array([8.0]), 8 * AREA, 1.0)
    assert expected == pytest.approx([8 * (1 - np.exp(-60 * counts / (8 * AREA) * np.pi * 2**2))], rel=1e-4)
