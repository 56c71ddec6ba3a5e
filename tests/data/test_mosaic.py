from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from seepseg.data.mosaic import assemble, clusters
from seepseg.objects import label_objects


def test_cells_that_touch_belong_together() -> None:
    # A grid of four columns:  0 . . 3
    #                          . 5 . .
    #                          8 . . .    0, 5 and 8 touch at corners; 3 stands alone, and 4 is not beside it.
    assert clusters([8, 3, 0, 5], 4) == [[0, 5, 8], [3]]
    assert clusters([3, 4], 4) == [[3], [4]]
    assert clusters([], 4) == []


@given(st.sets(st.integers(0, 19), min_size=1), st.integers(1, 6))
def test_clusters_are_components_of_the_grid(cells: set[int], columns: int) -> None:
    plane = np.zeros((20, columns), np.uint8)
    for cell in cells:
        plane[divmod(cell, columns)] = 1
    labels, count = label_objects(plane)
    found = clusters(cells, columns)
    assert sorted(cell for group in found for cell in group) == sorted(cells)
    assert len(found) == count == len({tuple({int(labels[divmod(c, columns)]) for c in g}) for g in found})


def test_planes_of_any_kind() -> None:
    plane = assemble({1: np.full((1, 2), 0.5, np.float32), 4: np.ones((1, 1), np.float32)}, 3, np.nan)
    assert plane.dtype == np.float32
    assert np.nan_to_num(plane, nan=-1).tolist() == [[0.5, 0.5], [1, -1]]
