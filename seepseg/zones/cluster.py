"""Zones: discs of one radius in which slicks of more passes begin than elsewhere, the densest first.

Linking neighbours (DBSCAN) would join vents along a fault into one zone of any length. Here a zone never grows beyond
its radius; what lies outside may be another zone.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from seepseg.geo.frame import Field

Ints = NDArray[np.int64]

MOVES = 5
"""Times that the middle of a zone moves to the mean of its sightings."""
CHUNK = 2**20
"""Pairs of neighbours that are in memory at once, about."""
CROWD = 4
"""Neighbours per pass from which on a point is asked for the nearest of each pass, not for all its neighbours."""


@dataclass(frozen=True)
class Points:
    """Where slicks may begin.

    Attributes:
        xy: (m, 2) points.
        slick: (m) number of the slick of each.
        passes: (m) number of its pass.
        radius: (m) of a zone there.
    """

    xy: Field
    slick: Ints
    passes: Ints
    radius: Field


@dataclass(frozen=True)
class Disc:
    """A zone, as found.

    Attributes:
        centre: x, y: medians of the sightings that were found first, one of each pass; where too few passes lie around
            that, where the disc was before.
        radius: its own.
        slicks: numbers (k) of its slicks, which begin within the radius of the centre.
        origins: (k, 2) the point of each that is nearest to the centre.
        passes: (k) the pass of each.
    """

    centre: Field
    radius: float
    slicks: Ints
    origins: Field
    passes: Ints

    @property
    def n_passes(self) -> int:
        """Passes that saw it."""
        return len(np.unique(self.passes))


def candidates(points: Field, passes: Ints, radius: Field) -> Points:
    """Where slicks may begin: at their origin; without one, at either end or in the middle.

    Args:
        points: (n, 4, 2) middle, ends and origin.
        passes: (n) number of each slick's pass.
        radius: (n) of a zone there.
    """
    use = np.isfinite(points[..., 0])
    origin = use[:, 3].copy()
    use[origin, :3] = False
    slick, which = np.nonzero(use)
    return Points(points[slick, which], slick, passes[slick], radius[slick])


def discs(points: Points, min_passes: int) -> list[Disc]:
    """Zones in which slicks of at least so many passes begin; no slick is in two.

    The place with the most comes first; a zone may then lose some of them, or find more, as it moves.
    """
    tree = cKDTree(points.xy)
    free = np.ones(int(points.slick.max(initial=-1)) + 1, bool)
    counts = _passes_around(points, tree)
    # Counts only fall as slicks are taken: the first of the heap that still has its count has the most.
    heap = [(-count, i) for i, count in enumerate(counts.tolist()) if count >= min_passes]
    heapq.heapify(heap)
    zones = list[Disc]()
    while heap:
        _, i = heapq.heappop(heap)
        if not free[points.slick[i]]:
            continue
        near = _free_near(points, tree, free, points.xy[i], points.radius[i])
        now = len(np.unique(points.passes[near]))
        if now < min_passes:
            continue
        if heap and -now > heap[0][0]:
            heapq.heappush(heap, (-now, i))
            continue
        zone = _settled(points, tree, free, i, near, min_passes)
        free[zone.slicks] = False
        zones.append(zone)
        if free[points.slick[i]]:  # the zone moved away from it, and may leave enough around it
            heapq.heappush(heap, (-now, i))
    return zones


def joined(zones: Sequence[Disc], points: Field, passes: Ints) -> list[Disc]:
    """The zones with the slicks, of passes that did not see them, of which the other end lies in them.

    An origin is only the more likely end. Which places are zones, and where, is settled without these slicks.

    Args:
        zones: as found.
        points: (n, 4, 2) middle, ends and origin of all slicks.
        passes: (n) number of each slick's pass.
    """
    free = np.ones(len(points), bool)
    for zone in zones:
        free[zone.slicks] = False
    slick, which = np.nonzero(np.isfinite(points[:, 1:3, 0]) & free[:, None])
    xy = points[slick, which + 1]
    tree, result = cKDTree(xy), list[Disc]()
    for zone in zones:
        near = np.array(sorted(tree.query_ball_point(zone.centre, zone.radius)), np.int64)
        near = near[free[slick[near]] & ~np.isin(passes[slick[near]], zone.passes)]
        near = near[np.argsort(np.hypot(*(xy[near] - zone.centre).T), kind="stable")]
        near = near[np.unique(passes[slick[near]], return_index=True)[1]]
        more = slick[near]
        free[more] = False
        parts = [(zone.slicks, more), (zone.origins, xy[near]), (zone.passes, passes[more])]
        result.append(Disc(zone.centre, zone.radius, *(np.concatenate(pair) for pair in parts)))
    return result


def _settled(points: Points, tree: cKDTree, free: NDArray[np.bool_], i: int, near: Ints, min_passes: int) -> Disc:
    """The disc around a point, moved to the mean of its sightings while that loses none, and then to the median.

    It stays where it was last if the median has too few passes.
    """
    centre, radius = points.xy[i], float(points.radius[i])
    for _ in range(MOVES):
        nearest = _nearest_of(near, points, points.passes, centre)
        moved = points.xy[nearest].mean(axis=0)
        around = _free_near(points, tree, free, moved, radius)
        if len(np.unique(points.passes[around])) < len(nearest) or np.array_equal(around, near):
            break
        centre, near = moved, around
    # Some origins are put at the wrong end: they pull at a mean, and hardly at a median.
    median = np.median(points.xy[_nearest_of(near, points, points.passes, centre)], axis=0)
    around = _free_near(points, tree, free, median, radius)
    if len(np.unique(points.passes[around])) >= min_passes:
        centre, near = median, around
    nearest = _nearest_of(near, points, points.slick, centre)
    return Disc(centre, radius, points.slick[nearest], points.xy[nearest], points.passes[nearest])


def _nearest_of(near: Ints, points: Points, group: Ints, centre: Field) -> Ints:
    """Of some points, the one of each group (slick or pass) that is nearest to a centre."""
    order = near[np.argsort(np.hypot(*(points.xy[near] - centre).T), kind="stable")]
    return np.asarray(order[np.unique(group[order], return_index=True)[1]])


def _free_near(points: Points, tree: cKDTree, free: NDArray[np.bool_], centre: Field, radius: float) -> Ints:
    near = np.array(sorted(tree.query_ball_point(centre, radius)), np.int64)
    return near[free[points.slick[near]]]


def _passes_around(points: Points, tree: cKDTree) -> Ints:
    """Passes (m) that have a point within the radius of each point."""
    counts = np.zeros(len(points.xy), np.int64)
    if not len(counts):
        return counts
    near = np.asarray(tree.query_ball_point(points.xy, points.radius, return_length=True))
    passes = np.unique(points.passes)
    crowded = near > CROWD * len(passes)
    counts[crowded] = _passes_by_nearest(points, passes, np.flatnonzero(crowded))
    alone = np.flatnonzero(~crowded)
    pairs = np.cumsum(near[alone])
    for part in np.split(alone, np.flatnonzero(np.diff(pairs // CHUNK)) + 1):
        lists = tree.query_ball_point(points.xy[part], points.radius[part])
        lengths = np.fromiter(map(len, lists), np.int64, len(lists))
        owner = np.repeat(np.arange(len(lists)), lengths)
        every = points.passes[np.concatenate([*map(np.asarray, lists), np.zeros(0)]).astype(np.int64)]
        seen = np.unique(owner * (points.passes.max() + 1) + every)
        counts[part] = np.bincount(seen // (points.passes.max() + 1), minlength=len(lists))
    return counts


def _passes_by_nearest(points: Points, passes: Ints, at: Ints) -> Ints:
    """The same of some points (k), by the nearest point of each pass: in a crowd there are far more pairs than that."""
    counts = np.zeros(len(at), np.int64)
    if len(at):
        for one in passes:
            far = cKDTree(points.xy[points.passes == one]).query(points.xy[at])[0]
            counts += np.asarray(far) <= points.radius[at]
    return counts
