from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy import ndimage

from seepseg.objects.outlines import mosaic, outlines

MASKS = arrays(np.int32, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.sampled_from([0, 1, 2]))


def test_corners_touching_are_two_valid_polygons_of_one_label() -> None:
    labels, shapes = outlines(np.array([[7, 0], [0, 7]]), first_row=10)
    assert labels.tolist() == [7, 7]
    assert sorted(shape.bounds for shape in shapes) == [(0, 10, 1, 11), (1, 11, 2, 12)]


def test_a_hole_is_a_hole() -> None:
    ring = np.ones((3, 3), np.int32)
    ring[1, 1] = 0
    _, (shape,) = outlines(ring, 0)
    assert (shape.area, len(shape.interiors)) == (8, 1)


def test_a_patch_that_touches_itself_at_a_corner_has_a_hole_there() -> None:
    # the pixel at the lower left is missing, so the hole and the outside meet at (1, 2)
    shapes = dict(zip(*outlines(np.array([[1, 1, 1], [1, 2, 1], [0, 1, 1]]), 0), strict=True))
    ring, inner = shapes[1], shapes[2]
    assert (ring.area, len(ring.interiors), inner.area) == (7, 1, 1)
    assert ring.is_valid


def test_without_labels_there_is_nothing() -> None:
    assert [len(part) for part in outlines(np.zeros((3, 4), np.int32), 0)] == [0, 0]


@settings(max_examples=100)
@given(MASKS, st.integers(0, 9))
def test_outlines_drawn_again_are_the_labels(labels: np.ndarray, first_row: int) -> None:
    values, shapes = outlines(labels, first_row)
    moved = Affine.translation(0, first_row)
    drawn = rasterize(zip(shapes, values, strict=True), labels.shape, transform=moved) if len(shapes) else 0 * labels
    assert np.array_equal(drawn, labels)
    assert shapely.is_valid(shapes).all()
    assert len(shapes) == sum(ndimage.label(labels == value)[1] for value in (1, 2))


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
