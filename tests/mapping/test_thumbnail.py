from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seepseg.mapping import thumbnail
from seepseg.mapping.thumbnail import Thumbnail


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(5, 30))
def test_strips_of_any_height_give_the_same_picture(height: int, width: int, rows: int, side: int) -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(1, 9, (height, width))
    valid = rng.random((height, width)) < 0.9
    classes = np.where(rng.random((height, width)) < 0.1, rng.integers(1, 8, (height, width)), 0).astype(np.uint8)
    classes[~valid] = 255
    before, thumbnail.QUICKLOOK_SIDE = thumbnail.QUICKLOOK_SIDE, side
    try:
        small = Thumbnail(height, width)
    finally:
        thumbnail.QUICKLOOK_SIDE = before
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
