"""Scenes that show the same ground: how much of it they share, and whether it is one acquisition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from seepseg.config import Split
from seepseg.errors import DataError
from seepseg.geo.identity import Identity
from seepseg.geo.place import border, place_of
from seepseg.geo.polygons import Located

LEAST = 0.01
"""Frames of one pass touch; what they share below this share is their border."""
SAME, PASS = 60.0, 1800.0
"""Seconds between the beginnings of scenes of one acquisition, and of one pass, where ground is the same."""

MEANING = {
    "pass": "frames of one pass, so the same slicks are on both sides, and scores are too high",
    "dates": "other dates of a place, so scores say how well it is mapped on new dates, not how well new places are",
    "unknown": "when they were taken is not known (data.scenes), and scores are too high if it was at once",
}
"""What it means that two scenes on two sides share ground, the worst first."""


class Overlap(NamedTuple):
    """Two scenes, what share of the smaller both show, and `same` (one acquisition) or a key of `MEANING`."""

    one: str
    other: str
    share: float
    kind: str


def overlaps(scenes: Mapping[str, Located], identities: Mapping[str, Identity]) -> tuple[Overlap, ...]:
    """The pairs of scenes that share more than `LEAST` of the ground of one; those without a place share none."""
    names, outlines = list(scenes), [_outline(scene) for scene in scenes.values()]
    found = dict[tuple[int, int], float]()
    for pole in (1, -1):
        shapes = np.array([_footprint(outline, pole) for outline in outlines], object)
        pairs = shapely.STRtree(shapes).query(shapes)
        i, j = pairs[:, pairs[0] < pairs[1]]
        shared = shapely.area(shapely.intersection(shapes[i], shapes[j]))
        shares = shared / np.minimum(shapely.area(shapes[i]), shapely.area(shapes[j]))
        found |= {
            (a, b): share for a, b, share in zip(i.tolist(), j.tolist(), shares.tolist(), strict=True) if share > LEAST
        }
    return tuple(
        Overlap(names[i], names[j], share, _kind(identities[names[i]], identities[names[j]]))
        for (i, j), share in sorted(found.items())
    )


def judged(pairs: Iterable[Overlap], splits: pd.DataFrame, split: Split) -> list[str]:
    """Warnings, a line each, of scenes that share ground and are on two sides of a split by scenes or by a table.

    Args:
        splits: rows of tiles with their group and split, and, with folds, the fold.

    Raises:
        DataError: one acquisition is on two sides.
    """
    used = splits[splits["split"] != "unused"]
    column = "fold" if split.folds else "split"
    sides = {str(scene): set(of_scene) for scene, of_scene in used.groupby("group")[column]}
    apart = [p for p in pairs if len(sides.get(p.one, set()) | sides.get(p.other, set())) > 1]
    apart = apart if split.by in ("group", "file") else []
    for one, other, share, kind in apart:
        if kind == "same" and not split.allow_leak:
            what = f"{one} and {other} are one acquisition, {share:.0%} of which is on two sides of the split"
            fix = "leave one out, or use data.split.by=blocks (data.split.allow_leak=true, and no accuracy is claimed)"
            raise DataError(what, "data.split", fix)
    warnings = []
    for kind, meaning in MEANING.items():
        of_kind = sorted((pair for pair in apart if pair.kind == kind), key=lambda pair: -pair.share)
        if of_kind:
            (one, other, share, _), count = of_kind[0], len(of_kind)
            several = f"{count} pairs of scenes" if count > 1 else "two scenes"
            warnings.append(
                f"{several} on two sides of the split show the same ground ({one} and {other} {share:.0%} of it): "
                f"{meaning}; data.split.by=blocks keeps ground on one side"
            )
    return warnings


def _outline(scene: Located) -> NDArray[np.float64] | None:
    """Longitude and latitude of points (n, 2) around a scene; None where it has no place on the Earth."""
    to_lonlat = place_of(scene.georeference).to_lonlat
    points = to_lonlat(border(16) * [scene.width, scene.height]) if to_lonlat else np.full((1, 2), np.nan)
    return points if np.isfinite(points).all() else None


def _footprint(outline: NDArray[np.float64] | None, pole: int) -> shapely.Geometry | None:
    """An outline in the azimuthal equal-area plane around a pole (1 or -1); None where it is nearer to the other one.

    So neither a pole nor the antimeridian is a border. Both planes have what lies within 45° of the equator.
    """
    if outline is None or pole * outline[:, 1].mean() < -45:
        return None
    longitude, latitude = np.radians(outline).T
    radius = 2 * np.sin(np.pi / 4 - pole * latitude / 2)
    points = np.stack([radius * np.sin(longitude), radius * np.cos(longitude)], axis=1)
    shape = shapely.buffer(shapely.make_valid(shapely.Polygon(points)), 0)  # areas alone
    return shape if shape.area else None


def _kind(one: Identity, other: Identity) -> str:
    if one.product and one.product == other.product:
        return "same"
    if not (one.acquired and other.acquired):
        return "unknown"
    apart = abs((datetime.fromisoformat(one.acquired) - datetime.fromisoformat(other.acquired)).total_seconds())
    # A platform that is not known is no other one.
    if apart > PASS or (one.platform and other.platform and one.platform != other.platform):
        return "dates"
    return "same" if apart <= SAME else "pass"
