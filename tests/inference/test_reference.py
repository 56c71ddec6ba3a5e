from __future__ import annotations

import numpy as np
import pytest

from seepseg.data.catalog import Tile
from seepseg.inference.located import Centres
from seepseg.inference.reference import Frame, Spots, around, frame_of, sites_of
from seepseg.inference.scene_objects import View
from seepseg.io.image import Pixels
from seepseg.objects.sites import Floats

SIDE = 128
NAMES = tuple("abcdefg")
NOWHERE = np.full((7, 3), np.nan)


def spots(pixels: Floats, ground: Floats, metres: float = np.nan) -> Spots:
    """A true object of 100 pixels in each of seven scenes."""
    return Spots(np.array(NAMES), Centres(pixels, ground), np.full(7, 100), np.ones(7, bool), np.full(7, metres))


def test_scenes_of_one_frame_are_sites_and_others_are_not() -> None:
    points = {name: np.full((2, 2), float(i)) for i, name in enumerate(NAMES)}
    frame = Frame(points, dict.fromkeys("abcdef", (5.0, 0.0)))
    pixels = np.tile([[95.0, 50.0]], (7, 1))
    found = sites_of(spots(pixels, NOWHERE), np.array([1, 1, 1, 2, 2, 2, 2]), NAMES, 3, frame)
    found.check(3)
    assert found.names == tuple("abcdef")
    assert found.positions.tolist() == [[100.0, 50.0]] * 6
    assert found.points()["c"].tolist() == [[2.0, 2.0]] * 2
    near = around(found, spots(pixels, NOWHERE), frame)
    # Of the six objects, scene a sees two of class 1 and three of class 2; scene g is not tied.
    weight, usual = 10 * 5 + 5, np.array([20, 30]) / 50
    assert near[0, :2] == pytest.approx((np.array([20, 30]) + 5 * usual) / weight)
    assert np.isnan(near[6]).all()


def test_outlines_that_are_not_the_true_ones_are_no_sites() -> None:
    every = spots(np.zeros((7, 2)), NOWHERE)
    frame = Frame({name: np.zeros((0, 2)) for name in NAMES}, dict.fromkeys(NAMES, (0.0, 0.0)))
    some = every._replace(true=np.array([True] * 3 + [False] * 4))
    found = sites_of(some, np.ones(7, np.int64), NAMES, 3, frame)
    assert (found.names, found.owner.tolist()) == (NAMES, [0, 1, 2])


def test_a_georeference_goes_before_bright_points() -> None:
    ground = np.tile([[6e6, 0.0, 1e5]], (7, 1))
    ground[6] = np.nan
    placed = spots(np.zeros((7, 2)), ground, 20.0)._replace(metres=np.array([20.0] * 6 + [np.nan]))
    found = sites_of(placed, np.ones(7, np.int64), NAMES, 3, Frame({}, {"g": (0.0, 0.0)}))
    found.check(3)
    assert (found.names, found.unit) == (tuple("abcdef"), 20.0)
    assert found.positions[0].tolist() == [3e5, 0.0, 5e3]
    near = around(found, placed, Frame({}, {}))
    assert not np.isnan(near[:6]).any()
    assert np.isnan(near[6]).all()


def test_the_frame_is_of_all_parts_of_a_scene() -> None:
    """Scene b is in both folds, as with blocks of ground; three of its twelve points would tie neither half."""
    rng = np.random.default_rng(4)
    points = rng.integers(30, 2 * SIDE - 30, (12, 2))

    def image(scene: str) -> np.ndarray:
        raw = np.random.default_rng(ord(scene)).gamma(4, 1000, (2 * SIDE, 2 * SIDE))
        for row, column in points - {"a": (0, 0), "b": (3, -9)}[scene]:
            raw[row - 1 : row + 2, column - 1 : column + 2] = 60_000
        return raw

    def view(*tiles: str) -> View:
        def raw(name: str) -> Pixels:
            i, j = int(name[1]), int(name[2])
            part = image(name[0])[None, i * SIDE : (i + 1) * SIDE, j * SIDE : (j + 1) * SIDE]
            return Pixels(part, np.ones((SIDE, SIDE), bool))

        places = {n: Tile(n, None, group=n[0], cell=(int(n[1]), int(n[2]))) for n in tiles}  # type: ignore[arg-type]
        return View(places, lambda name: pytest.fail(name), raw, lambda name, xy: pytest.fail(name))

    frame = frame_of([view("a00", "a01", "a10", "a11", "b00", "b01"), view("b10", "b11")])
    assert frame.shifts["b"] == pytest.approx((-9, 3), abs=0.5)
    assert len(frame.points["b"]) >= 8
    assert frame_of([view("b10", "b11")]).shifts == {}
