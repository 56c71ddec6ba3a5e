from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seepseg.inference.blend import PROFILES, weights
from seepseg.inference.windows import grid


@given(st.sampled_from(sorted(PROFILES)), st.integers(1, 700), st.integers(16, 300), st.floats(0, 0.89))
def test_the_weights_of_a_pixel_add_up_to_one(kind: str, size: int, window: int, overlap: float) -> None:
    plan = grid(size, 1, window, overlap)
    total = np.zeros(size)
    for first, weight in zip(plan.rows, weights(kind, plan.rows, plan.height, size, overlap), strict=True):
        total[first : first + plan.height] += weight
    assert np.allclose(total, 1, atol=1e-5)


def test_the_centre_says_more_than_the_rim() -> None:
    # Windows at 0 and 192 share the pixels 192 … 255; in the middle of them, at 223.5, both weigh the same
    for kind in ("hann", "gaussian"):
        left, right = weights(kind, (0, 192), 256, 448, 0.25)
        assert left[192] > 0.98
        assert left[223] == pytest.approx(right[32], abs=1e-6)
        assert right[0] < 0.02
    left, right = weights("crop", (0, 192), 256, 448, 0.25)
    # A halo of 32 pixels is thrown away: the seam lies at 224
    assert (left[223], left[224]) == pytest.approx((0.999, 0.001), abs=1e-3)
