from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy import ndimage

from seepseg.objects.outlines import outlines


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
@given(arrays(np.int32, (7, 9), elements=st.sampled_from([0, 1, 2])), st.integers(0, 9))
def test_outlines_drawn_again_are_the_labels(labels: NDArray[np.int32], first_row: int) -> None:
    values, shapes = outlines(labels, first_row)
    moved = Affine.translation(0, first_row)
    drawn = rasterize(zip(shapes, values, strict=True), labels.shape, transform=moved) if len(shapes) else 0 * labels
    assert np.array_equal(drawn, labels)
    assert shapely.is_valid(shapes).all()
    assert len(shapes) == sum(ndimage.label(labels == value)[1] for value in (1, 2))
