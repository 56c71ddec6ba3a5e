from __future__ import annotations

import numpy as np
import pytest

from seepseg.errors import DataError
from seepseg.passes.view import WIND, Judge
from seepseg.zones.judged import basis_of

JUDGE = Judge(WIND, "wind_m_s", 2, 10, "wind 2–10 m/s by w.csv", lambda scene, at: np.empty(0), str, "--wind w.csv")
KNOWN, UNKNOWN, EMPTY = (np.array([row]) for row in ([5, 1], [np.nan, 0], [np.nan, np.nan]))


def test_scenes_without_valid_sea_are_not_said_to_lack_wind() -> None:
    words = "valid pixels; incidence not known; wind 2–10 m/s by w.csv"
    assert basis_of([JUDGE], {"a": KNOWN, "b": EMPTY}) == (words, [])
    assert basis_of([JUDGE], {"b": EMPTY}) == ("valid pixels; incidence not known; wind not known", [])
    lines = ["wind is not known of 1 of 2 scenes, and not judged there"]
    assert basis_of([JUDGE], {"a": KNOWN, "b": EMPTY, "c": UNKNOWN}) == (f"{words} (known of 1 of 2 scenes)", lines)
    with pytest.raises(DataError, match="the wind is known of none of 1 scenes"):
        basis_of([JUDGE], {"b": EMPTY, "c": UNKNOWN})
