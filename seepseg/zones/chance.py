"""Which discs hold more sightings than slicks that lie anywhere would give them: the zones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from seepseg.metrics.rates import by_chance, false_share
from seepseg.zones.cluster import Disc, Points
from seepseg.zones.coverage import Coverage
from seepseg.zones.frame import Field, Frame

ROUNDS = 3
"""Times that zones are chosen; each time, what is left over says anew how many slicks lie anywhere."""
REACH = 6.0
"""Radii around a zone within which slicks are counted, its own disc left out."""
SECTORS = 8
"""Directions (a line has one, not two) in which they are counted; two neighbours together, as lanes are narrow."""


def chance_of(
    found: Sequence[Disc], points: Points, coverage: Coverage, frame: Frame, most: float
) -> tuple[Field, Field]:
    """The sightings that chance would give each disc (n), and the share of false zones among those at least as sure.

    Slicks that belong to no zone lie anywhere: per pass and area as in all that was observed, or as around the disc,
    where that is more.

    Args:
        found: discs.
        points: what they are of.
        coverage: how often each cell was observed.
        frame: of the coverage.
        most: share of false zones up to which a disc is a zone.
    """
    centres = np.array([disc.centre for disc in found]).reshape(-1, 2)
    radius, seen = np.array([disc.radius for disc in found]), np.array([disc.n_passes for disc in found])
    observed = np.maximum(coverage.observed_at(frame.cells(centres)), seen)
    tests, exposure = len(np.unique(points.slick)), float(coverage.observed.sum(dtype=np.int64)) * frame.cell**2
    owner = np.full(int(points.slick.max(initial=-1)) + 1, -1)
    for number, disc in enumerate(found):
        owner[disc.slicks] = number
    of, zones = owner[points.slick], np.zeros(len(found), bool)
    for _ in range(ROUNDS):
        left = ~np.append(zones, False)[of]
        around = _around(centres, radius, points.xy[left]) / observed
        density = np.maximum(around, left.sum() / max(exposure, 1.0))
        per_pass = 1 - np.exp(-density * np.pi * radius**2)
        share = false_share(by_chance(seen, observed, per_pass), tests)
        before, zones = zones, share <= most
        if (before == zones).all():
            break
    return per_pass * observed, share


def _around(centres: Field, radius: Field, xy: Field) -> Field:
    """Points per area (n) around each centre, along the line through it on which most lie: as along a shipping lane."""
    tree, most = cKDTree(xy), np.zeros(len(centres))
    for number, (centre, size) in enumerate(zip(centres, radius, strict=True)):
        offsets = xy[tree.query_ball_point(centre, REACH * size)] - centre
        x, y = offsets[np.hypot(*offsets.T) > size].T
        sector = np.floor(np.arctan2(y, x) % np.pi / np.pi * SECTORS).astype(np.int64) % SECTORS
        counts = np.bincount(sector, minlength=SECTORS)
        most[number] = (counts + np.roll(counts, 1)).max()
    return np.asarray(most / (np.pi * radius**2 * (REACH**2 - 1) * 2 / SECTORS))
