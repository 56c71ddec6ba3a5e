"""Which discs hold more sightings than slicks that lie anywhere would give them: the zones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from seepseg.zones.cluster import Disc, Points
from seepseg.zones.coverage import Coverage
from seepseg.zones.frame import Field, Frame
from seepseg.zones.rates import by_chance, false_share

ROUNDS = 3
"""Times that zones are chosen; each time, what is left over says anew how many slicks lie anywhere."""
RING = (2.0, 6.0)
"""Radii of a zone between which slicks around it are counted."""


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
    zones = np.zeros(len(found), bool)
    for _ in range(ROUNDS):
        left = ~np.isin(
            points.slick,
            np.concatenate([np.zeros(0, np.int64), *(d.slicks for d, z in zip(found, zones, strict=True) if z)]),
        )
        density = np.maximum(_around(centres, radius, observed, points.xy[left]), left.sum() / max(exposure, 1.0))
        per_pass = 1 - np.exp(-density * np.pi * radius**2)
        share = false_share(by_chance(seen, observed, per_pass), tests)
        before, zones = zones, share <= most
        if (before == zones).all():
            break
    return per_pass * observed, share


def _around(centres: Field, radius: Field, observed: NDArray[np.int64], xy: Field) -> Field:
    """Points per area and pass (n) in a ring around each centre."""
    tree = cKDTree(xy)
    inner, outer = (tree.query_ball_point(centres, radius * times, return_length=True) for times in RING)
    area = np.pi * radius**2 * (RING[1] ** 2 - RING[0] ** 2)
    return np.asarray((outer - inner) / (area * observed))
