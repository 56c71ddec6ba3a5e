"""Each pass over each zone: whether it could have shown the zone, whether it did, and why not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.zones.cluster import Disc
from seepseg.zones.frame import Frame
from seepseg.zones.scenes import Pass
from seepseg.zones.view import OBSERVED, OUTSIDE, REASONS, View

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


def sample_cells(zones: Sequence[Disc], frame: Frame) -> NDArray[np.int64]:
    """Cells (n, 37, 2) of the grid, at even distances over the disc of each zone."""
    rings = [(k / (RINGS + 0.5), np.arange(6 * k) * np.pi / (3 * k)) for k in range(1, RINGS + 1)]
    unit = np.concatenate([[[0.0, 0.0]], *(r * np.stack([np.cos(a), np.sin(a)], axis=1) for r, a in rings)])
    xy = np.concatenate([zone.centre + zone.radius * unit for zone in zones]) if zones else np.empty((0, 2))
    return frame.cells(xy).reshape(len(zones), len(unit), 2)


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
        }
    )


def history_of(parts: Sequence[pd.DataFrame], passes: Sequence[Pass]) -> pd.DataFrame:
    """All rows by zone, then in the order of passes, with the name, time and platform of each pass."""
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    rows = rows.reindex(columns=list(COLUMNS)).astype(COLUMNS).sort_values(["zone", "pass"], ignore_index=True)
    number = rows["pass"].to_numpy()
    for at, column in enumerate(("pass", "acquired", "platform")):
        values = [p.name if column == "pass" else getattr(p.identity, column) for p in passes]
        rows = rows.drop(columns="pass") if column == "pass" else rows
        rows.insert(1 + at, column, np.array(values, object)[number])
    return rows
