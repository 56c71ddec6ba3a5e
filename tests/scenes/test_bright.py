from __future__ import annotations

from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest
import tifffile

from seepseg.errors import DataError
from seepseg.scenes.bright import bright_points, image_of, image_points, recurring


def test_bright_points_stand_out_of_speckle() -> None:
    rng = np.random.default_rng(0)
    image = rng.gamma(4, 1000, (200, 300))
    image[49:52, 79:82], image[119:122, 209:212] = 60_000, 40_000
    valid = np.ones(image.shape, bool)
    # Middles of the pixels (50, 80) and (120, 210), as column and row.
    assert bright_points(image, valid)[:2].tolist() == [[80.5, 50.5], [210.5, 120.5]]
    valid[:, 75:] = False
    assert [80.5, 50.5] not in bright_points(image, valid).tolist()


def test_an_image_in_strips_has_the_points_of_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    image = rng.gamma(4, 1000, (900, 300)).astype(np.uint16)
    for row in range(30, 900, 60):  # some of them at the seams of strips of 256 rows
        image[row - 1 : row + 2, 149:152] = 60_000
    image[:, :40] = 0
    tifffile.imwrite(tmp_path / "a.tif", image)
    monkeypatch.setattr("seepseg.scenes.bright.AT_ONCE", 1)
    found = image_points(tmp_path / "a.tif", (900, 300))
    assert sorted(found.tolist()) == sorted(bright_points(image, image > 0).tolist())
    assert {(150.5, row + 0.5) for row in range(30, 900, 60)} <= {(x, y) for x, y in found.tolist()}
    with pytest.raises(DataError, match="has 900 × 300 pixels, and the map of its scene 300 × 900"):
        image_points(tmp_path / "a.tif", (300, 900))


def test_decibels_have_bright_points_too(tmp_path: Path) -> None:
    image = np.random.default_rng(3).normal(-20, 1, (200, 200)).astype(np.float32)
    image[99:102, 49:52] = 5
    image[:, 150:] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", image)
    found = image_points(tmp_path / "a.tif", (200, 200))
    assert found[0].tolist() == [50.5, 100.5] and found[:, 0].max() < 150


def test_an_image_is_found_by_the_name_of_its_scene(tmp_path: Path) -> None:
    (tmp_path / "S1A_X.SAFE").mkdir()
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "a.tiff").touch()
    assert image_of(tmp_path, "S1A_X") == tmp_path / "S1A_X.SAFE"
    assert image_of(tmp_path, "below/a") == tmp_path / "below" / "a.tiff"
    assert image_of(tmp_path, "below") is None
    assert image_of(tmp_path, "9" * 300) is None
    (tmp_path / (folder := normalize("NFC", "Süd"))).mkdir()
    (image := tmp_path / folder / f"{normalize('NFD', 'Öl')}.tif").touch()
    for form in ("NFC", "NFD"):
        assert image_of(tmp_path, normalize(form, "Süd/Öl")) == image


def test_points_that_come_back() -> None:
    one, other, third = np.array([[0.0, 0], [50, 50]]), np.array([[3.0, 0], [3, 1]]), np.array([[0.0, 3], [51, 50]])
    places, sets = recurring([one, other, third], 6, 3)
    # The medians of 0, 3, 3, 0 and of 0, 0, 1, 3; two points of one set count once, and (50, 50) is of two sets only.
    assert (places.tolist(), sets.tolist()) == ([[1.5, 0.5]], [3])
    assert recurring([np.empty((0, 2))] * 3, 6, 3)[0].shape == (0, 2)
