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
    state = State(None, 9, [(4, 0.0, 0.0), (7, 12.0, 0.0)], [], {}, [])
    # 5 is 5 from zone 4 and 7 from zone 7; −4 is 4 from zone 4 and goes first; 100 is new, and 9 was the last number.
    assert numbered([disc(5), disc(-4), disc(100)], state).tolist() == [7, 4, 10]
    assert numbered([disc(5), disc(-4)], None).tolist() == [1, 2]
    assert numbered([], state).tolist() == []
    assert numbered([disc(5)], State(None, 9, [], [], {}, [])).tolist() == [10]


def test_a_zone_that_was_gone_takes_no_number_from_one_that_is_there() -> None:
    state = State(None, 9, [(4, 0.0, 0.0)], [(7, 8.0, 0.0), (8, 60.0, 0.0)], {}, [])
    # 6 is 2 from 7, which was gone, and 6 from 4.
    assert numbered([disc(6)], state).tolist() == [4]
    # 4 goes to 2, the nearest; 7 and 8 come back; 98 is near none.
    assert numbered([disc(9), disc(2), disc(55), disc(98)], state).tolist() == [7, 4, 8, 10]
    assert numbered([disc(9)], State(None, 9, [], state.gone, {}, [])).tolist() == [7]


def test_what_the_last_run_did_not_have() -> None:
    state = State(None, 5, [(1, 0.0, 0.0), (2, 50.0, 0.0)], [(5, 90.0, 0.0)], {}, ["a"])
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
    # 5 was gone: what comes back is new to whom the last run told of 1 and 2, and is not seen again.
    table, short = news(zones.replace({"zone": {3: 5}}), slicks.replace({"zone": {3: 5}}), ["a", "b"], state)
    assert (short["new_zones"], short["seen_again"]) == ([5], {"1": ["q"]})
    assert table.loc[table["what"] == "zone", "zone"].tolist() == [5]


def test_the_state_is_read_back_or_said_to_be_damaged(tmp_path: Path) -> None:
    assert read_state(tmp_path) is None
    origin = Origin("a", None, (5, 6), "/out/a_class.tif")
    state = State(laea(0, 0), 3, [(1, 2.5, -3.0)], [(3, 0.5, 1.0)], {"a": origin}, ["a"])
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    # As an earlier version left it: scenes get their names anew, and none of the zones is known to be gone.
    old = {"crs": None, "cell": 500.0, "last": 3, "zones": [[1, 2.5, -3.0]], "scenes": ["a"]}
    (tmp_path / "state.json").write_text(json.dumps(old))
    assert read_state(tmp_path) == State(None, 3, [(1, 2.5, -3.0)], [], {}, ["a"])


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
        '{"gone": [[1, 1, 0]]}',
        '{"gone": [[2, 1, 0], [2, 2, 0]]}',
        '{"gone": [[4, 1, 0]]}',
        '{"gone": [[2, NaN, 0]]}',
        '{"gone": {"2": [1, 0]}}',
        '{"gone": null}',
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
