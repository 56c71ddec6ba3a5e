from __future__ import annotations

import numpy as np
import pytest

from seepseg.scenes.align import Alignment, align, anchored


def test_shifts_are_found_among_other_points() -> None:
    rng = np.random.default_rng(1)
    fixed = rng.uniform(0, 3000, (12, 2))
    true = {"a": (0.0, 0.0), "b": (40.0, -7.0), "c": (-259.0, 4.0)}
    points = {
        name: np.concatenate([fixed - shift + rng.normal(0, 1, fixed.shape), rng.uniform(0, 3000, (15, 2))])
        for name, shift in true.items()
    }
    found = align(points | {"none": rng.uniform(0, 3000, (10, 2))}, 600)
    assert found.loose == ["none"]
    for name, shift in true.items():
        assert found.shifts[name] == pytest.approx(shift, abs=1.5)
        # Two normal errors of 1 pixel on each axis: 2 pixels in root mean square, by √2.
        assert 0.9 < found.accuracy[name] < 2
        assert found.points[name] >= 24


def test_few_points_tie_a_scene_that_lies_as_another_does() -> None:
    """Three coincidences are no proof of any of many shifts, but of one of three."""
    rng = np.random.default_rng(5)
    fixed = rng.uniform(0, 3000, (12, 2))
    shifts = {"a": (0.0, 0.0), "b": (40.0, -7.0), "c": (-259.0, 4.0)}
    points = {name: fixed - shift for name, shift in shifts.items()}
    few = np.concatenate([rng.uniform(0, 3000, (30, 2)), fixed[:3] - (-257.0, 3.0)])
    elsewhere = np.concatenate([rng.uniform(0, 3000, (30, 2)), fixed[:3] - (200.0, 150.0)])
    found = align(points | {"few": few, "elsewhere": elsewhere}, 600)
    assert found.loose == ["elsewhere"]
    assert found.shifts["few"] == pytest.approx((-257, 3), abs=1e-9)


def test_scenes_that_come_first_move_no_other() -> None:
    """b was at (-25, 0) of a; now z is the first, and all is moved by (10, 4) against before."""
    now = Alignment({"z": (0.0, 0.0), "a": (10.0, 4.0), "b": (-15.0, 4.0)}, {}, {}, [])
    found = anchored(now, {"a": (0.0, 0.0), "b": (-25.0, 0.0), "gone": (7.0, 7.0)})
    assert found.shifts == {"z": (-10.0, -4.0), "a": (0.0, 0.0), "b": (-25.0, 0.0)}
    assert anchored(now, {}).shifts == now.shifts
