from __future__ import annotations

import numpy as np

from seepseg.objects import label_objects, remove_small


def test_corners_join_and_classes_do_not_part() -> None:
    indices = np.array([[1, 0, 0, 3], [0, 2, 0, 0], [0, 0, 0, 255]], np.uint8)
    labels, count = label_objects(indices)
    # 1 and 2 touch at a corner: one object; 3 stands alone; 255 is none
    assert count == 2
    assert labels[0, 0] == labels[1, 1] != labels[0, 3]
    assert labels[2, 3] == 0


def test_small_objects_become_background_and_nothing_else_changes() -> None:
    indices = np.array([[1, 0, 0, 3], [0, 2, 0, 0], [0, 0, 0, 255]], np.uint8)
    assert remove_small(indices, 2).tolist() == [[1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 255]]
    assert remove_small(indices, 1).tolist() == indices.tolist()
