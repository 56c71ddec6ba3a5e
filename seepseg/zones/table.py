"""The tables of zones and slicks: what is known of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.geo.frame import Field, Frame
from seepseg.metrics.rates import wilson
from seepseg.zones.cluster import Disc
from seepseg.zones.history import JUDGED

R68 = 1.5096
"""Radius that holds 68 % of a round two-dimensional normal distribution, in standard deviations along an axis."""
MEDIAN = np.sqrt(np.pi / 2)
"""Standard error of a median of normal numbers, in that of their mean."""


def zone_table(
    zones: Sequence[Disc],
    ids: NDArray[np.int64],
    frame: Frame,
    history: pd.DataFrame,
    slicks: pd.DataFrame,
    classes: Sequence[str],
) -> pd.DataFrame:
    """One row per zone, in their order; docs/howto-zones.md says what each column means.

    Args:
        zones: as found.
        ids: their numbers.
        frame: of their coordinates.
        history: rows of `history_of`, zones numbered as here.
        slicks: all slicks; `at` is the number of a slick's zone, −1 for none.
        classes: names of the foreground.
    """
    centres = np.array([zone.centre for zone in zones]).reshape(-1, 2)
    places = frame.lonlat(centres)
    of_zone = history.groupby("zone")
    every = range(len(zones))
    counted = history["seen"] & history["observed"]
    n_seen = counted.groupby(history["zone"]).sum().reindex(every, fill_value=0).to_numpy(np.int64)
    n_observed = of_zone["observed"].sum().reindex(every, fill_value=0).to_numpy(np.int64)
    n_unobserved = of_zone["seen"].sum().reindex(every, fill_value=0).to_numpy(np.int64) - n_seen
    lower, upper = wilson(n_seen, n_observed)
    times = history[history["seen"]].groupby("zone")["acquired"].agg(["min", "max"]).reindex(every)
    scatter = np.array([_scatter(zone) for zone in zones]).reshape(-1, 2)
    own = slicks[slicks["at"] >= 0].groupby("at")
    table = pd.DataFrame(
        {
            "zone": ids,
            "lon" if frame.crs else "column": places[:, 0],
            "lat" if frame.crs else "row": places[:, 1],
            "x": centres[:, 0],
            "y": centres[:, 1],
            "error_m": scatter[:, 0],
            "radius_m": [zone.radius for zone in zones],
            "n_seen": n_seen,
            "n_observed": n_observed,
            "recurrence": n_seen / np.where(n_observed, n_observed, np.nan),
            "lower": lower,
            "upper": upper,
            "n_seen_unobserved": n_unobserved,
            **{f"n_{column}": n for column, n in _judged(history, len(zones)).items()},
            "first_seen": times["min"].to_numpy(object),
            "last_seen": times["max"].to_numpy(object),
            "n_slicks": [len(zone.slicks) for zone in zones],
            "area_median_m2": own["area_m2"].median().reindex(every).to_numpy(),
            "area_max_m2": own["area_m2"].max().reindex(every).to_numpy(),
            "length_median_m": own["length_m"].median().reindex(every).to_numpy(),
            "length_max_m": own["length_m"].max().reindex(every).to_numpy(),
            "origin_offset_m": scatter[:, 1],
            **_drift(zones, slicks, frame),
        }
    )
    pixels = slicks[slicks["at"] >= 0].pivot_table("pixels", "at", "class_name", "sum").reindex(every)
    shares = pixels.div(pixels.sum(axis=1), axis=0).reindex(columns=list(classes)).fillna(0.0)
    return table.assign(**{f"share {name}": shares[name].to_numpy() for name in classes})


def _judged(history: pd.DataFrame, n: int) -> dict[str, NDArray[np.int64]]:
    """Of the passes that observed each zone (n), those on which wind, and the angle, were judged."""
    counts = history[history["observed"]].groupby("zone")[list(JUDGED.values())].sum()
    return {str(name): counts[name].reindex(range(n), fill_value=0).to_numpy(np.int64) for name in counts}


def _scatter(zone: Disc) -> tuple[float, float]:
    """Radius that holds the median position with 68 %, and mean distance of origins from it, in units of the frame."""
    offsets = zone.origins - zone.centre
    n = zone.n_passes
    error = MEDIAN * R68 * np.sqrt((offsets**2).sum() / 2 / len(offsets) / max(1, n - 1)) if n > 1 else np.nan
    return float(error), float(np.hypot(*offsets.T).mean())


def _drift(zones: Sequence[Disc], slicks: pd.DataFrame, frame: Frame) -> dict[str, Field]:
    """Mean way from a zone to the middle of its slicks: metres, degrees clockwise from the y axis of the frame."""
    middles = slicks[["x", "y"]].to_numpy(np.float64)
    means = [(middles[zone.slicks] - zone.centre).mean(axis=0) for zone in zones]
    x, y = np.array(means).reshape(-1, 2).T
    return {"drift_m": np.hypot(x, y), "drift_deg": np.degrees(np.arctan2(x, y if frame.crs else -y)) % 360}
