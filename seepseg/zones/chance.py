"""Which discs hold more sightings than slicks that lie anywhere would give them: the zones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from seepseg.geo.frame import Field
from seepseg.metrics.rates import by_chance, false_share
from seepseg.zones.cluster import Disc, Points

ROUNDS = 3
"""Times that zones are chosen; each time, what is left over says anew how many slicks lie anywhere."""
REACH = 6.0
"""Radii around a zone within which slicks are counted, its own disc left out."""
SECTORS = 8
"""Directions (a line has one, not two) in which they are counted; two neighbours together, as lanes are narrow."""


def chance_of(found: Sequence[Disc], points: Points, observed: Field, area: float, most: float) -> tuple[Field, Field]:
    """The sightings that chance would give each disc (n), and the share of false zones among those at least as sure.

    Slicks that belong to no zone lie anywhere: per pass and area as in all that was observed, or as around the disc,
    where that is more. The more of a disc a pass showed, the more of them it could show there.

    Args:
        found: discs.
        points: what they are of.
        observed: passes (n) that showed each disc; one that showed a part of it counts as that part.
        area: in which slicks could have been seen, the sum over all passes.
        most: share of false zones up to which a disc is a zone.
    """
    centres = np.array([disc.centre for disc in found]).reshape(-1, 2)
    radius, seen = np.array([disc.radius for disc in found]), np.array([disc.n_passes for disc in found], np.int64)
    observed = np.maximum(observed, seen)
    trials, tests = np.ceil(observed).astype(np.int64), len(np.unique(points.slick))
    weights = _weights(points)
    owner = np.full(int(points.slick.max(initial=-1)) + 1, -1)
    for number, disc in enumerate(found):
        owner[disc.slicks] = number
    of, zones = owner[points.slick], np.zeros(len(found), bool)
    for _ in range(ROUNDS):
        left = ~np.append(zones, False)[of]
        around = _around(centres, radius, points.xy[left], weights[left]) / observed
        density = np.maximum(around, weights[left].sum() / max(area, 1.0))
        per_pass = 1 - np.exp(-density * np.pi * radius**2 * observed / trials)
        share = false_share(by_chance(seen, trials, per_pass), tests)
        before, zones = zones, share <= most
        if (before == zones).all():
            break
    return per_pass * trials, share


def _weights(points: Points) -> Field:
    """How many slicks each point (m) counts for.

    A slick without an origin has three points, and still is one sighting of a disc that holds several of them. Together
    they count for the area in which such a disc has its centre, in discs: one where they coincide, three far apart.
    """
    _, first, of, count = np.unique(points.slick, return_index=True, return_inverse=True, return_counts=True)
    away = np.hypot(*(points.xy - points.xy[first[of]]).T)  # the middle comes first
    q = np.minimum(away / (2 * points.radius), 1)
    shared = 2 / np.pi * (np.arccos(q) - q * np.sqrt(1 - q**2))  # of two discs
    covered = count + 1 - np.bincount(of, shared, len(count))
    return np.asarray((covered / count)[of])


def _around(centres: Field, radius: Field, xy: Field, weights: Field) -> Field:
    """Slicks per area (n) around each centre, along the line through it on which most lie: as along a shipping lane."""
    tree, most = cKDTree(xy), np.zeros(len(centres))
    for number, (centre, size) in enumerate(zip(centres, radius, strict=True)):
        near = np.array(tree.query_ball_point(centre, REACH * size), np.int64)
        near = near[np.hypot(*(xy[near] - centre).T) > size]
        x, y = (xy[near] - centre).T
        sector = np.floor(np.arctan2(y, x) % np.pi / np.pi * SECTORS).astype(np.int64) % SECTORS
        counts = np.bincount(sector, weights[near], SECTORS)
        most[number] = (counts + np.roll(counts, 1)).max()
    return np.asarray(most / (np.pi * radius**2 * (REACH**2 - 1) * 2 / SECTORS))
