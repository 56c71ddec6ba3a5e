"""Each pass over each zone: whether it could have shown the zone, whether it did, and why not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.geo.frame import Field, Frame
from seepseg.passes.scenes import Pass
from seepseg.passes.view import INCIDENCE, NO_DATA, OBSERVED, OUTSIDE, REASONS, WIND, View
from seepseg.zones.cluster import Disc
from seepseg.zones.reader import Reader

SHARE = 0.5
"""Of a zone's disc, at least so much must be observed by a pass for it to count."""
RINGS = 3
"""Of samples around the middle of a disc, 6, 12 and 18."""

COLUMNS = {
    "zone": "int64",
    "pass": "int64",
    "seen": "bool",
    "observed": "bool",
    "share": "float64",
    "reason": "str",
}
JUDGED = {reason: f"{REASONS[reason]}_judged" for reason in (WIND, INCIDENCE)}
"""Columns that say whether a reason was judged, as what it rests on was known, on most of the sea that was shown."""
COLUMNS |= dict.fromkeys(JUDGED.values(), "bool")


def sample_cells(zones: Sequence[Disc], frame: Frame) -> NDArray[np.int64]:
    """Cells (n, 37, 2) of the grid, at even distances over the disc of each zone."""
    rings = [(k / (RINGS + 0.5), np.arange(6 * k) * np.pi / (3 * k)) for k in range(1, RINGS + 1)]
    unit = np.concatenate([[[0.0, 0.0]], *(r * np.stack([np.cos(a), np.sin(a)], axis=1) for r, a in rings)])
    xy = np.concatenate([zone.centre + zone.radius * unit for zone in zones]) if zones else np.empty((0, 2))
    return frame.cells(xy).reshape(len(zones), len(unit), 2)


def shares(view: View, cells: NDArray[np.int64]) -> Field:
    """Share of each disc (n) that a pass observed, of its cells (n, k, 2)."""
    return np.asarray((view.at(cells) == OBSERVED).mean(axis=1)) if len(cells) else np.empty(0)


def pass_rows(number: int, view: View, cells: NDArray[np.int64], seen: NDArray[np.bool_]) -> pd.DataFrame:
    """The rows of a pass: one for each zone that it covered.

    Args:
        number: of the pass.
        view: what it shows.
        cells: (n, k, 2) of the zones, as `sample_cells` gives them.
        seen: (n) zones of which it has a slick.
    """
    codes = view.at(cells)
    zone = np.flatnonzero((codes != OUTSIDE).any(axis=1) | seen)
    counts = np.stack([(codes[zone] == code).sum(axis=1) for code in range(len(REASONS))], axis=1)
    share = counts[:, OBSERVED] / codes.shape[1]
    observed = share >= SHARE
    others = np.delete(counts, OBSERVED, axis=1).argmax(axis=1)
    names = np.array([r for r in REASONS if r != REASONS[OBSERVED]])
    return pd.DataFrame(
        {
            "zone": zone,
            "pass": number,
            "seen": seen[zone],
            "observed": observed,
            "share": np.round(share, 3),
            "reason": np.where(observed, "", names[others]),
            **{column: _judged(view, cells[zone], reason) for reason, column in JUDGED.items()},
        }
    )


def _judged(view: View, cells: NDArray[np.int64], reason: int) -> NDArray[np.bool_]:
    """Whether a reason was judged on most of what a pass showed of each disc (n), of its cells (n, k, 2)."""
    codes = view.at(cells)
    sea = (codes != OUTSIDE) & (codes != NO_DATA)
    known = (sea & view.known_at(cells, reason)).sum(axis=1)
    return np.asarray((known > 0) & (2 * known >= sea.sum(axis=1)))


def history_of(passes: Sequence[Pass], zones: Sequence[Disc], reader: Reader) -> pd.DataFrame:
    """Each pass over each zone, zones by their place in the list; which slicks are whose, the zones say."""
    cells, sightings = sample_cells(zones, reader.frame), np.zeros((len(passes), len(zones)), bool)
    for number, zone in enumerate(zones):
        sightings[zone.passes, number] = True
    return in_order([pass_rows(i, reader.of_pass(one)[0], cells, sightings[i]) for i, one in enumerate(passes)], passes)


def in_order(parts: Sequence[pd.DataFrame], passes: Sequence[Pass]) -> pd.DataFrame:
    """All rows by zone, then in the order of passes, with the name, time and platform of each pass."""
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    rows = rows.reindex(columns=list(COLUMNS)).astype(COLUMNS).sort_values(["zone", "pass"], ignore_index=True)
    number = rows["pass"].to_numpy()
    for at, column in enumerate(("pass", "acquired", "platform")):
        values = [p.name if column == "pass" else getattr(p.identity, column) for p in passes]
        rows = rows.drop(columns="pass") if column == "pass" else rows
        rows.insert(1 + at, column, np.array(values, object)[number])
    return rows
