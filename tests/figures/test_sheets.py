from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seepseg.classes import SALT, ClassTable, SegClass
from seepseg.figures.sheets import QuickLook


def test_quicklook_is_thinned_and_keeps_small_findings(tmp_path: Path) -> None:
    raw, indices = np.full((90, 4001), 7), np.zeros((90, 4001), np.uint8)
    indices[30, 300] = 1
    small = QuickLook(90, 4001)
    small.add_image(0, raw, np.zeros(raw.shape, bool))
    small.add_classes(0, indices)
    small.save(tmp_path / "q.png", SALT)
    picture = np.asarray(Image.open(tmp_path / "q.png").convert("RGB"))
    # 4001 pixels need steps of 3: 1334 columns and 30 rows, and below them 36 rows of legend.
    assert picture.shape == (66, 1334, 3)
    # .75 of #56B4E9 = (86, 180, 233) on black: (64.5, 135, 174.75).
    assert picture[10, 100].tolist() == [64, 135, 175]
    assert np.count_nonzero(picture[:30].any(2)) == 1


@pytest.mark.parametrize("count", [1, 7, 100, 254])
def test_colours_of_few_and_of_many_classes(count: int, tmp_path: Path) -> None:
    table = ClassTable(tuple(SegClass(f"class {n}", (n,), f"#00{n:02x}ff") for n in range(1, count + 1)))
    # A dark half and a bright one, and the last class across both.
    small = QuickLook(2, 4)
    small.add_image(0, np.array([[1, 1, 9, 9]] * 2), np.ones((2, 4), bool))
    small.add_classes(0, np.array([[0] * 4, [count] * 4], np.uint8))
    small.save(tmp_path / "q.png", table)
    picture = np.asarray(Image.open(tmp_path / "q.png").convert("RGB")).astype(int)
    left = (picture.shape[1] - 4) // 2
    own = np.array([0, count, 255])
    assert picture[0, left : left + 4, 0].tolist() == [0, 0, 255, 255]
    # Three quarters of the class's colour and one of black or white; of very many classes, their own colours.
    dark, bright = (own, own) if count == 254 else (0.75 * own, 0.75 * own + 0.25 * 255)
    if count != 100:  # too many for two shades of each
        assert np.abs(picture[1, left + 3] - bright).max() <= 1
    assert np.abs(picture[1, left] - dark).max() <= 1
    assert (np.abs(picture[2:] - own).max(2) == 0).sum() == 13 * 7  # the last class's patch of the legend, inside


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(5, 30))
def test_strips_of_any_height_give_the_same_quick_look(height: int, width: int, rows: int, side: int) -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(1, 9, (height, width))
    valid = rng.random((height, width)) < 0.9
    classes = np.where(rng.random((height, width)) < 0.1, rng.integers(1, 8, (height, width)), 0).astype(np.uint8)
    classes[~valid] = 255
    small = QuickLook(height, width, side)
    for start in range(0, height, rows):
        part = slice(start, start + rows)
        small.add_image(start, raw[part], valid[part])
        small.add_classes(start, classes[part])
    k = small.step
    assert max(small.gray.shape) <= side
    assert np.array_equal(small.gray, raw[::k, ::k])
    assert np.array_equal(small.valid, valid[::k, ::k])
    found = np.where(classes == 255, 0, classes)
    expected = [[found[y : y + k, x : x + k].max() for x in range(0, width, k)] for y in range(0, height, k)]
    assert np.array_equal(small.classes, expected)
