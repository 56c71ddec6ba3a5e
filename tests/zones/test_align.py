from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from seepseg.errors import ConfigError
from seepseg.zones.align import Alignment, align, align_images, anchored, bright_points


def test_bright_points_stand_out_of_speckle() -> None:
    rng = np.random.default_rng(0)
    image = rng.gamma(4, 1000, (200, 300))
    image[49:52, 79:82], image[119:122, 209:212] = 60_000, 40_000
    valid = np.ones(image.shape, bool)
    # Middles of the pixels (50, 80) and (120, 210), as column and row.
    assert bright_points(image, valid)[:2].tolist() == [[80.5, 50.5], [210.5, 120.5]]
    valid[:, 75:] = False
    assert [80.5, 50.5] not in bright_points(image, valid).tolist()


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
    # What three scenes have, and nothing else, is there to stay.
    assert len(found.fixed) == len(fixed)
    assert np.abs(np.sort(found.fixed, axis=0) - np.sort(fixed, axis=0)).max() < 3


def test_scenes_that_come_first_move_no_other() -> None:
    """b was at (-25, 0) of a; now z is the first, and all is moved by (10, 4) against before."""
    now = Alignment({"z": (0.0, 0.0), "a": (10.0, 4.0), "b": (-15.0, 4.0)}, {}, {}, [], np.array([[11.0, 5.0]]))
    found = anchored(now, {"a": (0.0, 0.0), "b": (-25.0, 0.0), "gone": (7.0, 7.0)})
    assert found.shifts == {"z": (-10.0, -4.0), "a": (0.0, 0.0), "b": (-25.0, 0.0)}
    assert found.fixed.tolist() == [[1.0, 1.0]]
    assert anchored(now, {}).shifts == now.shifts


def test_images_are_tied_by_name(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    places = rng.integers(60, 340, (10, 2))
    for name, step in (("a", 0), ("b", 25)):
        image = rng.gamma(4, 1000, (400, 400)).astype(np.uint16)
        for row, column in places:
            image[row - 1 : row + 2, column - 1 + step : column + 2 + step] = 60_000
        tifffile.imwrite(tmp_path / f"{name}.tif", image)
    found = align_images(tmp_path, ["a", "b", "c"])
    assert found.shifts["b"] == pytest.approx((-25, 0), abs=0.5)
    assert found.loose == ["c"]
    with pytest.raises(ConfigError, match="holds no image of a scene"):
        align_images(tmp_path, ["x"])
