"""From one run to the next: zones keep their numbers, and what is new is listed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import FiniteFloat, NonNegativeInt, PositiveInt, TypeAdapter, ValidationError
from pyproj import CRS
from pyproj.exceptions import CRSError
from scipy.spatial import cKDTree

from seepseg.errors import DataError
from seepseg.geo.frame import Field
from seepseg.io.atomic import write_text
from seepseg.io.documents import parse_json
from seepseg.passes.scenes import Origin
from seepseg.zones.cluster import Disc

STATE = "state.json"


@dataclass(frozen=True)
class State:
    """What a run leaves for the next one.

    Attributes:
        crs: of the frame.
        last: the highest number that a zone has had.
        zones: number, x, y of the zones of the last run.
        gone: the same of those that it lacked and an earlier run had, where each was last.
        names: every scene that was ever here, by its name.
        scenes: names of those of the last run.
    """

    crs: str | None
    last: NonNegativeInt
    zones: list[tuple[PositiveInt, FiniteFloat, FiniteFloat]]
    gone: list[tuple[PositiveInt, FiniteFloat, FiniteFloat]]
    names: dict[str, Origin]
    scenes: list[str]


def read_state(out: Path) -> State | None:
    """What the last run left; None before the first.

    Raises:
        DataError: it is damaged.
    """
    path = out / STATE
    if not path.is_file():
        return None
    try:
        # Earlier versions kept no names, and those that were gone among the zones.
        state = TypeAdapter(State).validate_python({"gone": [], "names": {}} | parse_json(path.read_bytes()))
        if state.crs is not None:
            CRS(state.crs)
        numbers = [number for number, _, _ in [*state.zones, *state.gone]]
        if len(set(numbers)) < len(numbers) or max(numbers, default=0) > state.last:
            raise ValueError
    except (ValueError, TypeError, CRSError, ValidationError):
        raise DataError("is damaged", path, "remove it: zones then get new numbers") from None
    return state


def write_state(out: Path, state: State) -> None:
    """Write what the next run needs."""
    write_text(out / STATE, json.dumps(asdict(state), indent=1) + "\n")


def numbered(zones: Sequence[Disc], state: State | None) -> NDArray[np.int64]:
    """Numbers (n) of zones: that of an earlier zone within the radius, the nearest pairs first; else new ones.

    Zones of the last run come before those that were gone: else what is there could lose its number, and what was said
    of it, to what is not.
    """
    ids = np.zeros(len(zones), np.int64)
    for earlier in (state.zones, state.gone) if state else ():
        _number(ids, zones, np.array(earlier, np.float64).reshape(-1, 3))
    new = ids == 0
    ids[new] = (state.last if state else 0) + 1 + np.arange(new.sum())
    return ids


def _number(ids: NDArray[np.int64], zones: Sequence[Disc], earlier: Field) -> None:
    """Fill in the numbers (n) that are 0 by those of earlier zones (k, 3), each of which gives its own once."""
    tree = cKDTree(earlier[:, 1:])
    pairs = [
        (float(np.hypot(*(earlier[j, 1:] - zone.centre))), i, j)
        for i, zone in enumerate(zones)
        for j in tree.query_ball_point(zone.centre, zone.radius)
    ]
    taken = set[int]()
    for _, i, j in sorted(pairs):
        if not ids[i] and j not in taken:
            ids[i] = int(earlier[j, 0])
            taken.add(j)


def news(
    zones: pd.DataFrame, slicks: pd.DataFrame, scenes: Sequence[str], state: State | None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Zones and slicks that the last run did not have: a table, and the short form for scripts.

    A zone that was gone and comes back is new under its old number.

    Args:
        zones: rows of `zone_table`.
        slicks: with the columns `scene`, `pass`, `acquired`, `zone`, x and y.
        scenes: names of all scenes.
        state: what the last run left; before the first, everything is new.
    """
    known = set(state.scenes) if state else set[str]()
    old = {int(zone[0]) for zone in state.zones} if state else set[int]()
    fresh = slicks[~slicks["scene"].isin(known)]
    born = zones[~zones["zone"].isin(old)]
    area = "area_m2" if "area_m2" in slicks else "area_px"
    columns = ["zone", "scene", "pass", "acquired", "class_name", area, "x", "y"]
    parts = [born.assign(what="zone"), fresh.assign(what="slick")]
    table = pd.concat([part.reindex(columns=["what", *columns]).astype(object) for part in parts], ignore_index=True)
    again = fresh[fresh["zone"].isin(old)].groupby("zone")["pass"].unique()
    short = {
        "first_run": state is None,
        "new_scenes": sorted(set(scenes) - known),
        "new_zones": born["zone"].astype(int).tolist(),
        "seen_again": {str(zone): sorted(passes) for zone, passes in again.items()},
        "new_slicks": len(fresh),
    }
    return table, short
