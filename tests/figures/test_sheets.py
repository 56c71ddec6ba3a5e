from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seepseg.classes import SALT
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
