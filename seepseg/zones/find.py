"""From slicks and what passes showed of the sea to zones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seepseg.geo.depth import radii
from seepseg.geo.frame import Field, Frame
from seepseg.passes.scenes import Pass
from seepseg.passes.view import OBSERVED
from seepseg.review.edits import NO_SEEP
from seepseg.zones.chance import chance_of
from seepseg.zones.cluster import Disc, candidates, discs, joined
from seepseg.zones.coverage import Coverage, coverage_of
from seepseg.zones.history import sample_cells, shares
from seepseg.zones.options import Options
from seepseg.zones.reader import Reader, Slicks


@dataclass(frozen=True)
class Found:
    """Zones, and what passes showed.

    Attributes:
        zones: as `discs` orders them.
        by_chance: (n) sightings that slicks lying anywhere would give each.
        false_share: (n) share of false ones among those at least as sure.
        coverage: how often each cell was observed.
        areas: that each pass observed, square metres (pixels).
        outlines: borders (k, 2) of the scenes of each pass.
    """

    zones: list[Disc]
    by_chance: Field
    false_share: Field
    coverage: Coverage
    areas: list[float]
    outlines: list[list[Field]]


def find_zones(passes: Sequence[Pass], slicks: Slicks, reader: Reader, options: Options) -> Found:
    """The discs in which slicks of more passes begin than chance would put there."""
    frame = reader.frame
    points = _telling(slicks)
    starts = candidates(points, slicks.passes, _radius(slicks, frame, options))
    found = discs(starts, options.min_passes)
    cells, observed = sample_cells(found, frame), np.zeros(len(found))
    coverage, areas, outlines = coverage_of(slicks.windows, frame), list[float](), list[list[Field]]()
    for one in passes:
        view, borders = reader.of_pass(one)
        coverage.add(view)
        observed += shares(view, cells)
        areas.append(float(np.count_nonzero(view.codes == OBSERVED)) * frame.cell**2)
        outlines.append(borders)
    expected, false = chance_of(found, starts, observed, sum(areas), options.false_share)
    keep = false <= options.false_share
    zones = joined([zone for zone, kept in zip(found, keep, strict=True) if kept], points, slicks.passes)
    return Found(zones, expected[keep], false[keep], coverage, areas, outlines)


def _telling(slicks: Slicks) -> Field:
    """The points (n, 4, 2) of slicks that tell something; others are nowhere, and make no zone."""
    tells = (slicks.table["reason"] == "") & ~slicks.table["verdict"].isin(NO_SEEP)
    return np.where(tells.to_numpy()[:, None, None], slicks.points, np.nan)


def _radius(slicks: Slicks, frame: Frame, options: Options) -> Field:
    """Of a zone where each slick (n) lies."""
    if options.bathymetry:
        return radii(options.bathymetry, frame, slicks.points[:, 0], options.radius)
    return np.full(len(slicks.points), options.radius)
