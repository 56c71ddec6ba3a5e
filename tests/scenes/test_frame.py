from __future__ import annotations

import numpy as np
import pytest

from seepseg.io.image import Pixels
from seepseg.scenes.frame import scene_points, scene_shifts
from seepseg.scenes.mosaic import Cell

TILE = 128


def cut(image: np.ndarray, cells: list[Cell]) -> dict[Cell, Pixels]:
    """The tiles of a scene by cell."""
    parts = {(i, j): image[None, i * TILE : (i + 1) * TILE, j * TILE : (j + 1) * TILE] for i, j in cells}
    return {cell: Pixels(raw, np.ones(raw.shape[1:], bool)) for cell, raw in parts.items()}


def sea(points: list[tuple[int, int]], shift: tuple[int, int], seed: int) -> np.ndarray:
    """Speckle with bright points at rows and columns of the frame, as a scene shows them that is shifted so."""
    image = np.random.default_rng(seed).gamma(4, 1000, (6 * TILE, 6 * TILE))
    for row, column in points:
        y, x = row - shift[0], column - shift[1]
        image[y - 1 : y + 2, x - 1 : x + 2] = 60_000
    return image


def test_points_are_counted_from_the_first_cell_of_the_grid() -> None:
    tiles = cut(sea([(300, 420)], (0, 0), 0), [(2, 3), (2, 4)])
    assert scene_points(tiles)[0].tolist() == [420.5, 300.5]  # column and row of the middle of the pixel


def test_scenes_are_tied_by_points_that_stay() -> None:
    rng = np.random.default_rng(4)
    fixed = [(int(r), int(c)) for r, c in rng.integers(150, 620, (14, 2))]
    every = [(i, j) for i in range(6) for j in range(6)]
    shifts = {"a": (0, 0), "b": (4, -60), "c": (-3, 25)}
    seas = {name: sea(fixed, shift, seed) for seed, (name, shift) in enumerate(shifts.items())}
    seas["none"] = sea([], (0, 0), 9)
    found = scene_shifts({name: lambda name=name: cut(seas[name], every) for name in seas})
    assert found["none"] is None
    assert {name: found[name] for name in shifts} == {name: pytest.approx(s, abs=1) for name, s in shifts.items()}


def test_two_scenes_without_common_points_are_not_tied() -> None:
    cells = [(0, 0), (0, 1)]
    assert scene_shifts({n: lambda n=n: cut(sea([], (0, 0), int(n)), cells) for n in "12"}) == {"1": None, "2": None}
