from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepseg.zones.cluster import Disc, Points, candidates, discs, joined


def points_of(xy: list[tuple[float, float]], passes: list[int], radius: float = 1.0) -> Points:
    every = np.arange(len(xy))
    return Points(np.array(xy, float).reshape(-1, 2), every, np.array(passes, np.int64), np.full(len(xy), radius))


def test_an_origin_stands_alone_else_both_ends_and_the_middle() -> None:
    nan = [np.nan, np.nan]
    slicks = np.array([[[1.0, 0], [0, 0], [2, 0], [2, 0]], [[6.0, 0], [5, 0], [7, 0], nan]])
    points = candidates(slicks, np.array([3, 4]), np.full(2, 1.5))
    assert points.xy.tolist() == [[2, 0], [6, 0], [5, 0], [7, 0]]
    assert points.slick.tolist() == [0, 1, 1, 1]
    assert points.passes.tolist() == [3, 4, 4, 4]


def test_one_pass_counts_once() -> None:
    assert discs(points_of([(0, 0), (0.1, 0), (0, 0.1)], [7, 7, 7]), 2) == []
    (zone,) = discs(points_of([(0, 0), (0.1, 0), (0, 0.3)], [7, 7, 8]), 2)
    assert zone.n_passes == 2
    assert sorted(zone.slicks.tolist()) == [0, 1, 2]


def test_a_line_of_slicks_is_cut_into_discs() -> None:
    """Linked within 1, all 31 points would be one zone 15 long."""
    xy = [(0.5 * i, 0.0) for i in range(31)]
    zones = discs(points_of(xy, list(range(31))), 2)
    assert len(zones) >= 6
    for zone in zones:
        # Its slicks lie within a radius of where it was found, and it is their median.
        assert np.ptp(zone.origins[:, 0]) <= 2
        assert zone.centre.tolist() == np.median(zone.origins, axis=0).tolist()
    slicks = np.concatenate([zone.slicks for zone in zones])
    assert len(set(slicks.tolist())) == len(slicks)


def test_the_densest_goes_first() -> None:
    xy = [(0, 0), (0, 0.2), (5, 0), (5, 0.2), (5, 0.4)]
    zones = discs(points_of(xy, [0, 1, 0, 1, 2]), 2)
    assert [zone.n_passes for zone in zones] == [3, 2]
    # The median of three sightings at 0, .2 and .4.
    assert zones[0].centre.tolist() == [5, 0.2]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 8), st.floats(0, 8), st.integers(0, 6)), max_size=40))
def test_no_slick_is_in_two_zones_and_none_has_too_few_passes(rows: list[tuple[float, float, int]]) -> None:
    zones = discs(points_of([(x, y) for x, y, _ in rows], [p for *_, p in rows]), 2)
    slicks = np.concatenate([np.empty(0, np.int64), *(zone.slicks for zone in zones)])
    assert len(set(slicks.tolist())) == len(slicks)
    assert all(zone.n_passes >= 2 for zone in zones)
    assert all(np.hypot(*(zone.origins - zone.centre).T).max() <= zone.radius * (1 + 1e-9) for zone in zones)


def test_a_slick_whose_other_end_lies_in_a_zone_joins_it() -> None:
    zone = Disc(np.zeros(2), 1.0, np.array([0, 1]), np.zeros((2, 2)), np.array([0, 1]))
    # Slick 2 (pass 2) ends at (.5, 0); slick 3 is of pass 1, which saw the zone; slick 4 only passes over it.
    ends = {2: ((0.5, 0), (9, 0)), 3: ((0.2, 0), (9, 0)), 4: ((-9, 0), (9, 0))}
    points = np.full((5, 4, 2), 100.0)
    for slick, pair in ends.items():
        points[slick, 1:3], points[slick, 0], points[slick, 3] = pair, np.mean(pair, axis=0), (9, 0)
    (after,) = joined([zone], points, np.array([0, 1, 2, 1, 4]))
    assert after.slicks.tolist() == [0, 1, 2]
    assert after.origins[-1].tolist() == [0.5, 0]
    assert after.centre.tolist() == [0, 0]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(0, 3)), max_size=60))
def test_a_crowd_has_the_zones_that_all_pairs_give(rows: list[tuple[int, int, int]]) -> None:
    """Whole coordinates: many points lie exactly a radius, 5 by 3 and 4, from each other."""
    points = points_of([(x, y) for x, y, _ in rows], [p for *_, p in rows], 5.0)
    zones = []
    for crowd in (0, 10**9):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("seepseg.zones.cluster.CROWD", crowd)
            zones.append([(zone.centre.tolist(), zone.slicks.tolist()) for zone in discs(points, 2)])
    assert zones[0] == zones[1]


def test_a_zone_needs_its_passes_within_its_radius() -> None:
    # Three passes at 0, 1 and 2: all lie within 1, borders included, of the one in the middle.
    line = points_of([(0, 0), (1, 0), (2, 0)], [0, 1, 2])
    (zone,) = discs(line, 3)
    assert (zone.centre.tolist(), zone.radius, zone.slicks.tolist()) == ([1, 0], 1.0, [0, 1, 2])
    assert zone.origins.tolist() == [[0, 0], [1, 0], [2, 0]]
    assert discs(line, 4) == []
    assert discs(points_of([(0, 0), (1.01, 0), (2.02, 0)], [0, 1, 2]), 2) == []
    assert discs(points_of([], []), 1) == []
    assert [z.n_passes for z in discs(points_of([(0, 0)], [5]), 1)] == [1]


def test_a_zone_moves_to_where_its_passes_are() -> None:
    # Around each of the first three are these three; their mean, (.6, .03), is .99 from the fourth.
    xy = [(0, 0), (0.9, 0), (0.9, 0.1), (0.4, 1.0)]
    (zone,) = discs(points_of(xy, [0, 1, 2, 3]), 3)
    assert zone.passes.tolist() == [0, 1, 2, 3]
    # The median of 0, .9, .9, .4 and of 0, 0, .1, 1.
    assert zone.centre == pytest.approx([0.65, 0.05])


def test_of_a_slick_the_point_nearest_to_the_middle_is_its_origin() -> None:
    # Slick 1 may begin at (.5, 0) or (.1, 0); slicks 0 and 2 at (0, 0). It is counted once.
    xy = np.array([[0.0, 0], [0.5, 0], [0.1, 0], [0.0, 0]])
    points = Points(xy, np.array([0, 1, 1, 2]), np.array([0, 1, 1, 2]), np.ones(4))
    (zone,) = discs(points, 2)
    assert zone.slicks.tolist() == [0, 1, 2]
    assert zone.origins.tolist() == [[0, 0], [0.1, 0], [0, 0]]


def test_of_a_pass_the_nearest_slick_joins_and_joins_once() -> None:
    near = Disc(np.zeros(2), 1.0, np.array([0]), np.zeros((1, 2)), np.array([0]))
    far = Disc(np.array([1.5, 0]), 1.0, np.array([1]), np.array([[1.5, 0]]), np.array([0]))
    # Slicks 2 and 3 of pass 7 end at .4 and −.2; slick 4 of pass 8 at 1, on both borders; slick 5 of pass 9 beyond.
    points = np.full((6, 4, 2), np.nan)
    points[2:, 2] = [[0.4, 0], [-0.2, 0], [1, 0], [2.6, 0]]
    first, second = joined([near, far], points, np.array([0, 0, 7, 7, 8, 9]))
    assert first.slicks.tolist() == [0, 3, 4]
    assert first.passes.tolist() == [0, 7, 8]
    assert first.origins.tolist() == [[0, 0], [-0.2, 0], [1, 0]]
    assert second.slicks.tolist() == [1]
    assert joined([], points, np.zeros(6, np.int64)) == []


def test_what_was_seen_once_joins_no_other_zone() -> None:
    # Slick 0 of pass 0 is of the first zone, and its other end lies in the second, which pass 0 did not see.
    first = Disc(np.zeros(2), 1.0, np.array([0]), np.zeros((1, 2)), np.array([0]))
    second = Disc(np.array([5.0, 0]), 1.0, np.array([1]), np.array([[5.0, 0]]), np.array([1]))
    points = np.full((2, 4, 2), np.nan)
    points[0, 1:3] = [[0, 0], [5, 0]]
    assert [zone.slicks.tolist() for zone in joined([first, second], points, np.array([0, 1]))] == [[0], [1]]


def test_nearest_is_nearest_to_the_zone_wherever_it_lies() -> None:
    """Around (10, 10), where the nearest to the middle is neither the nearest to the origin nor the farthest."""
    xy = np.array([[10.0, 10], [10.6, 10], [10.1, 10], [9.5, 10], [10, 10]])
    points = Points(xy, np.array([0, 1, 1, 1, 2]), np.array([0, 1, 1, 1, 2]), np.ones(5))
    (zone,) = discs(points, 3)
    assert zone.origins.tolist() == [[10, 10], [10.1, 10], [10, 10]]
    ends = np.full((4, 4, 2), np.nan)
    ends[1:, 1] = [[10.6, 10], [10.1, 10], [9.5, 10]]
    alone = Disc(np.full(2, 10.0), 1.0, np.array([0]), np.full((1, 2), 10.0), np.array([0]))
    (after,) = joined([alone], ends, np.array([0, 1, 1, 1]))
    assert after.slicks.tolist() == [0, 2]


@pytest.mark.parametrize("crowd", [0, 10**9])
@pytest.mark.parametrize("chunk", [1, 3, 2**20])
def test_passes_are_counted_a_few_pairs_at_a_time_borders_included(
    crowd: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seepseg.zones.cluster.CROWD", crowd)
    monkeypatch.setattr("seepseg.zones.cluster.CHUNK", chunk)
    # The second lies exactly 5 from the first, and 5 from the third; the last two are of one pass.
    points = points_of([(0, 0), (3, 4), (6, 8), (30, 0), (30, 1), (30, 2)], [0, 1, 2, 3, 4, 4], 5.0)
    assert [(zone.n_passes, zone.slicks.tolist()) for zone in discs(points, 2)] == [(3, [0, 1, 2]), (2, [3, 4, 5])]


def test_a_zone_stays_where_moving_would_lose_a_pass() -> None:
    # All lie within 1 of the first; the last is 1.08 from their mean, (.23, 0), and .95 from their median.
    (zone,) = discs(points_of([(0, 0), (0.1, 0), (0.95, 0), (0.95, 0), (-0.85, 0)], [0, 1, 2, 3, 4]), 3)
    assert zone.passes.tolist() == [0, 1, 2, 3, 4]
    assert zone.centre == pytest.approx([0.1, 0])


def test_what_lies_outside_in_the_end_is_no_sighting() -> None:
    # All lie within 1 of the first, and the last 1.4 from the median of 0, .9, .9 and −.95.
    (zone,) = discs(points_of([(0, 0), (0.9, 0), (0.9, 0), (-0.95, 0)], [0, 1, 2, 3]), 3)
    assert zone.centre == pytest.approx([0.45, 0])
    assert zone.passes.tolist() == [0, 1, 2]


def test_a_place_that_lost_slicks_to_another_waits_for_its_turn() -> None:
    # Around 1.8 are passes 3 and 4 at .9, which the first zone takes, and 0 and 1; around 10 are three.
    xy = [(0.0, 0.0)] * 3 + [(0.9, 0.0)] * 2 + [(1.8, 0.0)] * 2 + [(10.0, 0.0)] * 3
    zones = discs(points_of(xy, [0, 1, 2, 3, 4, 0, 1, 0, 1, 2]), 2)
    assert [(zone.n_passes, zone.slicks.tolist()) for zone in zones] == [
        (5, [0, 1, 2, 3, 4]), (3, [7, 8, 9]), (2, [5, 6]),
    ]  # fmt: skip


def test_a_zone_stays_where_it_has_its_passes() -> None:
    # All four lie within 1 of the first. Their mean, (.24, 0), is 1.14 from the last, and their median, (.45, 0), 1.35.
    xy = [(0, 0), (0.9, 0.1), (0.95, -0.1), (-0.9, 0)]
    (zone,) = discs(points_of(xy, [0, 1, 2, 3]), 4)
    assert (zone.centre.tolist(), zone.slicks.tolist()) == ([0, 0], [0, 1, 2, 3])
    # Three are enough: the median has them, and is kept.
    (zone,) = discs(points_of(xy, [0, 1, 2, 3]), 3)
    assert (zone.centre.tolist(), zone.slicks.tolist()) == ([0.45, 0], [0, 1, 2])


def test_a_place_that_its_zone_has_left_may_have_another() -> None:
    # Around the first are six passes; the means of the nearest of each lie at .275 (1.65 / 6), .858 (5.15 / 6) and 1.05
    # (6.3 / 6), where the median is, too. The first three, of three passes, are farther away than 1; the first alone
    # has all of them within 1.
    xy = [(0, 0), (-0.6, 0.75), (-0.6, -0.75)] + [(1.15, 0)] * 3 + [(0.95, 0)] * 3 + [(1.5, 0)]
    first, second = discs(points_of(xy, [0, 1, 2, 0, 1, 2, 3, 4, 5, 3]), 3)
    assert (first.centre.tolist(), first.slicks.tolist()) == (pytest.approx([1.05, 0]), [3, 4, 5, 6, 7, 8, 9])
    assert second.slicks.tolist() == [0, 1, 2]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24), st.integers(0, 11)), min_size=4, max_size=12),
    st.integers(3, 6),
)
def test_around_what_is_left_are_too_few_passes(rows: list[tuple[int, int, int]], least: int) -> None:
    points = points_of([(x, y) for x, y, _ in rows], [p for *_, p in rows], 10.5)
    left = np.ones(len(rows), bool)
    for zone in discs(points, least):
        assert zone.n_passes >= least
        left[zone.slicks] = False
    for xy in points.xy[left]:
        around = np.hypot(*(points.xy - xy).T) <= 10.5  # no two whole points are 10.5 apart
        assert len(np.unique(points.passes[left & around])) < least
