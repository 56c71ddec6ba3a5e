from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from seepseg.geo.frame import Frame
from seepseg.zones.cluster import Disc
from seepseg.zones.table import zone_table


def test_columns_by_hand() -> None:
    origins = np.array([[0.0, 3.0], [0.0, -3.0], [4.0, 0.0], [-4.0, 0.0]])
    zone = Disc(np.zeros(2), 5.0, np.arange(4), origins, np.arange(4))
    history = pd.DataFrame(
        {
            "zone": [0] * 6, "acquired": ["2024-03", "2024-01", None, "2024-02", "2024-05", "2024-06"],
            "seen": [True, True, True, True, False, False], "observed": [True, True, True, False, True, False],
            "wind_judged": [True, False, True, True, False, False], "incidence_judged": [False] * 6,
        }
    )  # fmt: skip
    slicks = pd.DataFrame(
        {
            "at": [0, 0, 0, 0, -1], "area_m2": [1.0, 2.0, 4.0, 8.0, 99.0], "length_m": [1.0, 2.0, 3.0, 4.0, 99.0],
            "pixels": [10, 20, 30, 40, 99], "class_name": ["a", "a", "b", "a", "c"],
            "x": [2.0, 4.0, 6.0, 8.0, 0.0], "y": [0.0] * 5,
        }
    )  # fmt: skip
    (row,) = zone_table([zone], np.array([7]), Frame(None, 1.0), history, slicks, ["a", "b", "c"]).to_dict("records")
    assert (row["zone"], row["n_seen"], row["n_observed"], row["n_seen_unobserved"]) == (7, 3, 4, 1)
    assert row["recurrence"] == 0.75
    # The fourth pass knew the wind, and did not observe.
    assert (row["n_wind_judged"], row["n_incidence_judged"]) == (2, 0)
    assert (row["first_seen"], row["last_seen"]) == ("2024-01", "2024-03")
    assert (row["area_median_m2"], row["area_max_m2"], row["length_median_m"]) == (3, 8, 2.5)
    # Origins are 3, 3, 4 and 4 away.
    assert row["origin_offset_m"] == 3.5
    # Squares 9 + 9 + 16 + 16 = 50, by two axes, four of them and three degrees of freedom: √(50 / 2 / 4 / 3) = 1.4434;
    # a median's error is √(π/2) = 1.2533 times that, and 68 % lie within 1.5096 of it: 2.731.
    assert row["error_m"] == pytest.approx(2.731, abs=1e-3)
    # Middles at 2, 4, 6, 8 along x: 5 on average, which is 90° clockwise from the y axis.
    assert (row["drift_m"], row["drift_deg"]) == (5, 90)
    assert [row[f"share {name}"] for name in "abc"] == pytest.approx([0.7, 0.3, 0])


def test_no_zones_are_no_rows_with_all_columns() -> None:
    history = pd.DataFrame({"zone": pd.Series(dtype=int), "acquired": [], "seen": pd.Series(dtype=bool)})
    for name in ("observed", "wind_judged", "incidence_judged"):
        history[name] = pd.Series(dtype=bool)
    slicks = pd.DataFrame({"at": [-1], "area_m2": [1.0], "length_m": [1.0], "pixels": [1], "class_name": ["a"]})
    table = zone_table([], np.empty(0, np.int64), Frame(None, 1.0), history, slicks.assign(x=0.0, y=0.0), ["a"])
    assert len(table) == 0
    assert {"zone", "recurrence", "share a"} <= set(table.columns)
