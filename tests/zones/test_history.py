from __future__ import annotations

import numpy as np
import pytest

from seepseg.geo.frame import Frame
from seepseg.geo.identity import Identity
from seepseg.passes.scenes import Pass, Scene
from seepseg.passes.view import INCIDENCE, NO_DATA, OBSERVED, OUTSIDE, WIND, View, bit
from seepseg.zones.cluster import Disc
from seepseg.zones.history import in_order, pass_rows, sample_cells, shares

FRAME = Frame(None, 1.0)


def disc(x: float, y: float) -> Disc:
    return Disc(np.array([x, y]), 7.0, np.array([0]), np.array([[x, y]]), np.array([0]))


def view(codes: np.ndarray) -> View:
    return View(0, 0, codes.astype(np.uint8), np.zeros(codes.shape, bool), np.zeros(codes.shape, np.uint8))


def test_samples_lie_evenly_over_the_disc() -> None:
    (cells,) = sample_cells([disc(50.5, 20.5)], FRAME)
    # Row and column; the mean is the middle, and the farthest lie 3 / 3.5 of the radius, 6 cells, away.
    assert cells.mean(axis=0).tolist() == pytest.approx([20, 50], abs=0.2)
    assert np.abs(cells - [20, 50]).max() == 6
    assert sample_cells([], FRAME).shape == (0, 37, 2)


def test_half_of_a_disc_must_be_observed() -> None:
    codes = np.full((100, 100), OBSERVED)
    codes[:, 50:] = NO_DATA
    zones = [disc(20.5, 50.5), disc(48.5, 50.5), disc(53.5, 50.5), disc(104.5, 50.5), disc(300, 300)]
    rows = pass_rows(4, view(codes), sample_cells(zones, FRAME), np.array([True, False, True, False, False]))
    assert rows["zone"].tolist() == [0, 1, 2, 3]
    assert rows["observed"].tolist() == [True, True, False, False]
    assert rows["seen"].tolist() == [True, False, True, False]
    assert rows["reason"].tolist() == ["", "", "no data", "outside"]
    assert rows["share"][0] == 1
    assert set(rows["pass"]) == {4}


def test_a_pass_shows_a_part_of_a_disc() -> None:
    codes = np.full((100, 100), NO_DATA)
    codes[:, :50] = OBSERVED
    # West of the middle column lie 3 of 6, 5 of 12 and 9 of 18 samples; the middle and the axis are not.
    assert shares(view(codes), sample_cells([disc(50.5, 50.5), disc(20, 50)], FRAME)) == pytest.approx([17 / 37, 1])


def test_what_was_judged_is_said_where_it_was_known_on_most_of_the_sea() -> None:
    codes = np.full((100, 100), OBSERVED)
    codes[:, 50:] = NO_DATA
    one = view(codes)
    one.known[:, :40] |= bit(WIND)
    one.known[:60] |= bit(INCIDENCE)
    # All, a part (the three outermost samples, of 37) and none of the sea lies where the wind is known.
    zones = [disc(20.5, 50.5), disc(45.5, 50.5), disc(60.5, 50.5), disc(20.5, 80.5)]
    rows = pass_rows(0, one, sample_cells(zones, FRAME), np.zeros(4, bool))
    assert rows["wind_judged"].tolist() == [True, False, False, True]
    assert rows["incidence_judged"].tolist() == [True, True, False, False]


def test_a_sighting_beyond_the_view_is_kept() -> None:
    rows = pass_rows(0, view(np.full((10, 10), OUTSIDE)), sample_cells([disc(50, 50)], FRAME), np.array([True]))
    assert rows[["seen", "observed", "reason"]].to_numpy().tolist() == [[True, False, "outside"]]


def test_rows_are_by_zone_then_pass_with_times() -> None:
    passes = [
        Pass(name, (Scene(name, None, None, Identity(acquired=when)),))  # type: ignore[arg-type]
        for name, when in (("p", "2024-01-01T00:00:00.000Z"), ("q", None))
    ]
    cells = sample_cells([disc(5, 5), disc(5, 5)], FRAME)
    parts = [pass_rows(i, view(np.full((12, 12), OBSERVED)), cells, np.zeros(2, bool)) for i in (1, 0)]
    history = in_order(parts, passes)
    assert history["zone"].tolist() == [0, 0, 1, 1]
    assert history["pass"].tolist() == ["p", "q", "p", "q"]
    assert history["acquired"].fillna("").tolist()[:2] == ["2024-01-01T00:00:00.000Z", ""]
