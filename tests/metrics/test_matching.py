from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from seepseg.metrics.matching import TruthObjects, steps_along
from seepseg.objects.components import label_objects

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12))
MAPS = hnp.arrays(np.uint8, (8, 9), elements=st.sampled_from([0, 0, 1, 2]))
EIGHT = np.ones((3, 3), bool)


def lengths(mask: np.ndarray) -> list[int]:
    return TruthObjects(mask.astype(np.uint8)).lengths.tolist()


@pytest.mark.parametrize(
    ("shape", "length"),
    [((1, 1), 1), ((2, 2), 2), ((1, 30), 30), ((30, 2), 30), ((7, 30), 30), ((20, 20), 20)],
)
def test_length_of_bars_and_blocks(shape: tuple[int, int], length: int) -> None:
    mask = np.zeros((40, 40), bool)
    mask[2 : 2 + shape[0], 3 : 3 + shape[1]] = True
    assert lengths(mask) == [length]


def test_length_follows_bends() -> None:
    mask = np.zeros((20, 20), bool)
    mask[2, 2:18] = mask[2:18, 17] = mask[17, 2:18] = True
    # Three sides of 16 pixels that share two corners: 46 pixels, and each corner is cut by one diagonal step.
    assert lengths(mask) == [44]
    assert lengths(np.eye(9, dtype=bool)) == [9]


@settings(max_examples=100)
@given(MASKS)
def test_steps_are_shortest_ways_inside_the_object(mask: np.ndarray) -> None:
    labels, count = label_objects(mask.astype(np.uint8))
    steps = np.full(mask.shape, -1)
    steps[labels > 0] = steps_along(labels)
    for i in range(1, count + 1):
        inside = labels == i
        start = inside & (steps == 0)
        assert start.sum() == 1
        for step in range(int(steps[inside].max()) + 1):
            # One dilation a step, that never leaves the object.
            assert np.array_equal(inside & (steps <= step), start)
            start = ndimage.binary_dilation(start, EIGHT, mask=inside)


def found(truth: np.ndarray, prediction: np.ndarray) -> list[list[bool]]:
    labels, _ = label_objects(prediction)
    known = TruthObjects(truth)
    return known.found_by(labels.ravel()[known.pixels], np.bincount(labels.ravel()))[0].tolist()


def bar(start: int, stop: int, row: int = 2, height: int = 1) -> np.ndarray:
    out = np.zeros((12, 60), np.uint8)
    out[row : row + height, start:stop] = 1
    return out


@pytest.mark.parametrize(
    ("prediction", "wanted"),
    [
        (bar(10, 30), [True, True, True]),
        (bar(10, 20), [True, True, True]),  # IoU 10/20
        (bar(10, 19), [True, False, True]),  # IoU 9/20
        (bar(10, 15), [True, False, True]),  # IoU 5/20
        (bar(10, 14), [False, False, True]),  # IoU 4/20
        (bar(10, 12), [False, False, True]),  # 2 of 20 lengths
        (bar(10, 11), [False, False, False]),  # 1 of 20
        (bar(10, 30, row=3), [False, False, False]),  # beside it, not on it
        (bar(10, 14) + bar(15, 19) + bar(20, 24), [False, False, True]),  # three pieces of 4/20, none enough alone
        (bar(0, 60), [True, False, True]),  # IoU 20/60
        (bar(0, 60, height=2), [False, False, True]),  # IoU 20/120
    ],
)
def test_thresholds_on_a_thin_slick(prediction: np.ndarray, wanted: list[bool]) -> None:
    assert [row[0] for row in found(bar(10, 30), prediction)] == wanted


def test_covering_one_edge_covers_the_length() -> None:
    assert [row[0] for row in found(bar(10, 40, height=5), bar(10, 40, row=6))] == [False, False, True]


def test_a_pixel_does_not_touch_a_blob() -> None:
    """A block of 12 is 12 long: one pixel is less than a tenth of that, two steps are more."""
    truth = bar(10, 22, row=0, height=12)
    assert [row[0] for row in found(truth, bar(21, 23, row=11))] == [False, False, False]
    assert [row[0] for row in found(truth, bar(15, 17, row=1))] == [False, False, True]


@settings(max_examples=100)
@given(MAPS, MAPS)
def test_a_loop_over_all_pairs_agrees(truth: np.ndarray, prediction: np.ndarray) -> None:
    (t, n), (p, m) = label_objects(truth), label_objects(prediction)
    best = [
        max(((t == i) & (p == j)).sum() / ((t == i) | (p == j)).sum() for j in range(1, m + 1)) if m else 0
        for i in range(1, n + 1)
    ]
    rows = found(truth, prediction)
    assert rows[0] == [b >= 0.25 for b in best]
    assert rows[1] == [b >= 0.5 for b in best]
    # What is found at .5 is found at .25; what no pixel covers is not touched.
    assert all(b > 0 for b, touched in zip(best, rows[2], strict=True) if touched)
