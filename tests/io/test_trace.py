from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seepseg.io.trace import filled, outlines, raster_rows

MASKS = arrays(np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 1, 2]))


@pytest.mark.parametrize(("heights", "expected"), [(3, [3, 3, 1]), (7, [7]), (100, [7]), ([1, 4, 2], [1, 4, 2])])
def test_strips_are_the_raster_cut(tmp_path: Path, heights: int | list[int], expected: list[int]) -> None:
    pixels = np.arange(7 * 5, dtype=np.uint8).reshape(7, 5)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    strips = list(raster_rows(tmp_path / "a.tif", heights))
    assert [len(s) for s in strips] == expected
    assert np.array_equal(np.concatenate(strips), pixels)


def test_corners_touching_are_two_valid_polygons_of_one_label() -> None:
    found = list(outlines(np.array([[7, 0], [0, 7]], np.int32), first_row=10))
    assert sorted((label, shape.bounds) for label, shape in found) == [(7, (0, 10, 1, 11)), (7, (1, 11, 2, 12))]
    assert all(shape.is_valid for _, shape in found)


def test_a_hole_is_a_hole() -> None:
    ring = np.ones((3, 3), np.int32)
    ring[1, 1] = 0
    ((_, shape),) = outlines(ring, 0)
    assert (shape.area, len(shape.interiors)) == (8, 1)


@settings(max_examples=50)
@given(MASKS, st.integers(1, 5))
def test_what_is_outlined_is_filled_again(labels: np.ndarray, step: int) -> None:
    for label in (1, 2):
        pieces = [shape for found, shape in outlines(labels, 0) if found == label]
        assert all(shape.is_valid for shape in pieces)
        if pieces:
            mask, column, row = filled(shapely.union_all(pieces), step)
            inside = np.argwhere(labels == label)
            assert tuple(inside.min(0)) == (row, column)
            again = np.zeros_like(mask)
            again[tuple((inside - (row, column)).T // step)] = True
            assert np.array_equal(again, mask)


def test_cells_of_many_pixels_keep_thin_shapes_together() -> None:
    # 1 pixel high, 40 long, in cells of 8: 5 cells, though the line goes through no cell's centre
    mask, column, row = filled(shapely.box(3, 2, 43, 3), 8)
    assert (mask.shape, column, row) == ((1, 5), 3, 2)
    assert mask.all()
