from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seepseg.objects.mosaic import mosaic
from seepseg.objects.outlines import outlines

MASKS = arrays(np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 1, 2]))


@settings(max_examples=50)
@given(st.lists(MASKS.filter(lambda m: (m == 1).any()), min_size=1, max_size=3), st.integers(1, 5))
def test_what_is_outlined_is_drawn_again(masks: list[np.ndarray], step: int) -> None:
    shapes = [shapely.union_all(outlines(np.asarray(mask == 1, np.int32), 0)[1]) for mask in masks]
    drawn = mosaic(np.array(shapes, object), np.full(len(shapes), step))
    expected = np.zeros_like(drawn.mask)
    for mask, left, corner in zip(masks, drawn.left, drawn.corner, strict=True):
        inside = np.argwhere(mask == 1)
        assert inside.min(axis=0).tolist() == corner[::-1].tolist()
        expected[tuple(((inside - corner[::-1]) // step + (1, left)).T)] = True
    assert np.array_equal(drawn.mask, expected)
    # an empty frame, and empty columns between
    assert not drawn.mask[[0, -1]].any()
    assert not drawn.mask[:, [0, -1]].any()
    assert not drawn.mask[:, drawn.left - 1].any()


def test_cells_of_many_pixels_keep_thin_shapes_together() -> None:
    # 1 pixel high, 40 long, in cells of 8: 5 cells, though the line goes through no cell's centre
    drawn = mosaic(np.array([shapely.box(3, 2, 43, 3)]), np.array([8]))
    assert drawn.mask[1, 1:6].all()
    assert drawn.mask.sum() == 5
    # the middle of the first cell of eight pixels, which begins at (3, 2)
    assert drawn.to_pixels(np.array([[[1.5, 1.5]]])).tolist() == [[[7, 6]]]


@pytest.mark.parametrize(("column", "owner"), [(1, 0), (4, 0), (6, 1), (7, 1)])
def test_columns_belong_to_shapes(column: int, owner: int) -> None:
    # the first has columns 1–4 and an empty one, the second begins in column 6
    drawn = mosaic(np.array([shapely.box(9, 9, 13, 11), shapely.box(0, 0, 2, 1)]), np.array([1, 1]))
    assert drawn.owner(np.array([column])).tolist() == [owner]
