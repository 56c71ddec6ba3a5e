from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seepseg.errors import DataError
from seepseg.geo.frame import laea
from seepseg.passes.scenes import Origin
from seepseg.zones.cluster import Disc
from seepseg.zones.since import State, news, numbered, read_state, write_state


def disc(x: float) -> Disc:
    return Disc(np.array([x, 0.0]), 10.0, np.array([0]), np.array([[x, 0.0]]), np.array([0]))


def test_the_nearest_earlier_zone_gives_its_number() -> None:
    state = State(None, 9, [(4, 0.0, 0.0), (7, 12.0, 0.0)], {}, [])
    # 5 is 5 from zone 4 and 7 from zone 7; −4 is 4 from zone 4 and goes first; 100 is new, and 9 was the last number.
    assert numbered([disc(5), disc(-4), disc(100)], state).tolist() == [7, 4, 10]
    assert numbered([disc(5), disc(-4)], None).tolist() == [1, 2]
    assert numbered([], state).tolist() == []
    assert numbered([disc(5)], State(None, 9, [], {}, [])).tolist() == [10]


def test_what_the_last_run_did_not_have() -> None:
    state = State(None, 2, [(1, 0.0, 0.0), (2, 50.0, 0.0)], {}, ["a"])
    zones = pd.DataFrame({"zone": [1, 3], "x": [0.0, 80.0], "y": [0.0, 0.0]})
    slicks = pd.DataFrame(
        {
            "scene": ["a", "b", "b", "b"], "pass": ["p", "q", "q", "q"], "acquired": ["s", "t", "t", "t"],
            "zone": pd.array([1, 1, 3, None], "Int64"), "x": [0.0] * 4, "y": [0.0] * 4, "area_m2": [1.0] * 4,
        }
    )  # fmt: skip
    table, short = news(zones, slicks, ["a", "b", "c"], state)
    assert table["what"].tolist() == ["zone", "slick", "slick", "slick"]
    assert table["zone"].tolist()[:3] == [3, 1, 3]
    assert short == {
        "first_run": False, "new_scenes": ["b", "c"], "new_zones": [3], "seen_again": {"1": ["q"]}, "new_slicks": 3,
    }  # fmt: skip
    assert news(zones, slicks, ["a", "b"], None)[1]["new_zones"] == [1, 3]


def test_the_state_is_read_back_or_said_to_be_damaged(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    state = State(laea(0, 0), 3, [(1, 2.5, -3.0)], {"a": Origin("a", None, (5, 6), "/out/a_class.tif")}, ["a"])
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    # As the first release left it: scenes get their names anew.
    old = {"crs": None, "cell": 500.0, "last": 3, "zones": [[1, 2.5, -3.0]], "scenes": ["a"]}
    (tmp_path / "state.json").write_text(json.dumps(old))
    assert read_state(tmp_path) == State(None, 3, [(1, 2.5, -3.0)], {}, ["a"])


@pytest.mark.parametrize(
    "damage",
    [
        '{"crs": ',
        "[]",
        '{"crs": "no map"}',
        '{"last": "three"}',
        '{"last": 0}',
        '{"zones": [[1, 2.5]]}',
        '{"zones": [[1, NaN, 0]]}',
        '{"zones": [[1, 1e999, 0]]}',
        '{"zones": [[0, 1, 0]]}',
        '{"zones": [[1, 1, 0], [1, 2, 0]]}',
        '{"scenes": [1]}',
        '{"names": {"a": ["a"]}}',
    ],
)
def test_a_damaged_state_is_one_line(tmp_path: Path, damage: str) -> None:
    whole = {"crs": None, "last": 3, "zones": [[1, 2.5, -3.0]], "names": {}, "scenes": ["a"]}
    text = json.dumps(whole | json.loads(damage)) if damage.endswith("}") else damage
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(DataError, match="is damaged"):
        read_state(tmp_path)
