"""What is known to lie near zones and slicks, in their tables and in nearby.csv."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from seepseg.geo.frame import Field, Frame
from seepseg.geo.nearby import Nearby, first_of, nearest
from seepseg.io.atomic import write_text
from seepseg.io.table import csv_text
from seepseg.zones.cluster import Disc

NEARBY = "nearby.csv"


def with_nearest(
    near: Nearby,
    out: Path,
    frame: Frame,
    found: Sequence[Disc],
    tables: tuple[pd.DataFrame, pd.DataFrame],
    at: NDArray[np.int64],
    points: Field,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Zones and slicks with the columns near_…; OUT/nearby.csv has the nearest of each file.

    A slick lies at its origin, else from end to end; in a zone at the point that is taken for its origin.

    Args:
        near: what is known.
        out: folder for the table.
        frame: of the places.
        found: the zones, as found.
        tables: zones and slicks.
        at: zone (n) of each slick, −1 for none.
        points: (n, 4, 2) middle, ends and origin of each.
    """
    zones, slicks = tables
    ways = points[:, [1, 0, 2]]
    origin = np.isfinite(points[:, 3, 0])
    ways[origin] = points[origin, None, 3]
    ways = np.where(np.isfinite(ways), ways, slicks[["x", "y"]].to_numpy(np.float64)[:, None])
    for zone in found:
        ways[zone.slicks] = zone.origins[:, None]
    n = len(zones)
    places = np.concatenate([shapely.points(zones[["x", "y"]].to_numpy(np.float64)), shapely.linestrings(ways)])
    acquired = slicks["acquired"].to_numpy(object)
    times = pd.Series(np.append(acquired[at >= 0], acquired), np.append(at[at >= 0], n + np.arange(len(slicks))))
    rows = nearest(near, places, times, lambda lonlat: frame.from_lonlat(lonlat, ""), frame.lonlat)
    named = [zones[["zone"]].assign(what="zone"), slicks.assign(zone=zones["zone"].reindex(at).array, what="slick")]
    columns = ["what", "zone", "scene", "pass", "object", "class"]
    whole = dict.fromkeys(("zone", "object", "class"), "Int64")
    names = pd.concat([one.reindex(columns=columns).astype(object) for one in named], ignore_index=True).astype(whole)
    table = rows.join(names, "place")[[*columns, *rows.columns[1:]]]
    write_text(out / NEARBY, csv_text(table))
    return zones.join(first_of(rows, range(n))), slicks.join(first_of(rows, range(n, n + len(slicks))))
