from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seepseg.inference.windows import Grid, grid, starts, weights


def test_the_last_window_is_moved_back_to_the_border() -> None:
    # 600 pixels, windows of 256, stride 192: 0, 192, and 384 would end at 640, so the last starts at 600 − 256 = 344
    assert starts(600, 256, 192) == (0, 192, 344)
    assert starts(256, 256, 192) == (0,)
    assert starts(257, 256, 192) == (0, 1)
    assert starts(10, 256, 192) == (0,)


@given(st.integers(1, 700), st.integers(1, 700), st.integers(16, 300), st.floats(0, 0.89))
def test_windows_cover_the_scene_and_stay_inside(height: int, width: int, window: int, overlap: float) -> None:
    plan = grid(height, width, window, overlap)
    for firsts, side, size in ((plan.rows, plan.height, height), (plan.columns, plan.width, width)):
        assert list(firsts) == sorted(set(firsts))
        assert {p for f in firsts for p in range(f, f + side)} == set(range(size))


@given(st.integers(1, 700), st.integers(16, 300), st.floats(0, 0.89))
def test_the_weights_of_a_pixel_add_up_to_one(size: int, window: int, overlap: float) -> None:
    plan = grid(size, 1, window, overlap)
    total = np.zeros(size)
    for first, weight in zip(plan.rows, weights(plan.rows, plan.height, size, overlap), strict=True):
        total[first : first + plan.height] += weight
    assert np.allclose(total, 1, atol=1e-5)


def test_the_centre_says_more_than_the_rim() -> None:
    # Windows at 0 and 192 share the pixels 192 … 255; in the middle of them, at 223.5, both weigh the same
    left, right = weights((0, 192), 256, 448, 0.25)
    assert left[192] > 0.98
    assert left[223] == pytest.approx(right[32], abs=1e-6)
    assert right[0] < 0.02


def test_a_grid_of_windows() -> None:
    # An overlap of a quarter is a stride of 192; a scene of 40 columns is one window wide.
    assert grid(600, 40, 256, 0.25) == Grid((0, 192, 344), (0,), 256, 40)


def test_weights_worked_by_hand() -> None:
    # Windows of 4 that share 2: the cosine rises over 2 pixels, to sin²(π/8) and sin²(3π/8), which add up to 1.
    low, high = np.sin(np.pi / 8) ** 2, np.sin(3 * np.pi / 8) ** 2
    left, right = weights((0, 2), 4, 6, 0.5)
    assert left == pytest.approx([1, 1, high, low])
    assert right == pytest.approx([low, high, 1, 1])
    # Windows of 6 whose rims are 2 wide, the last moved back to share 3: 1, high, low of the first meet low, high, 1.
    left, right = weights((0, 3), 6, 9, 1 / 3)
    assert left == pytest.approx([1, 1, 1, 1 / (1 + low), 0.5, low / (1 + low)])
    assert right == pytest.approx([low / (1 + low), 0.5, 1 / (1 + low), 1, 1, 1])
    # Without overlap the rim is half a pixel's rise, which shows where the last window is moved back.
    left, right = weights((0, 2), 4, 6, 0)
    assert left == pytest.approx([1, 1, 2 / 3, 1 / 3])
    assert right == pytest.approx([1 / 3, 2 / 3, 1, 1])
