from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seepseg.objects.components import StripLabels, elect, label_objects, log_sums, remove_small

MAP = np.array(
    [
        [1, 0, 0, 0, 3],
        [0, 1, 0, 0, 3],
        [0, 0, 2, 0, 0],
        [255, 0, 0, 0, 0],
        [4, 0, 0, 0, 5],
    ],
    np.uint8,
)

MAPS = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.sampled_from([0, 1, 2, 255])
)


def test_objects_touch_at_corners_whatever_their_class() -> None:
    labels, count = label_objects(MAP)
    # The diagonal 1, 1, 2 is one object; the two 3s, the 4 and the 5 are three more; 255 is no object.
    assert count == 4
    assert labels.dtype == np.int32
    assert len({labels[0, 0], labels[1, 1], labels[2, 2]}) == 1
    assert labels[0, 4] == labels[1, 4]
    assert len({labels[0, 0], labels[0, 4], labels[4, 0], labels[4, 4]}) == 4
    assert ((labels > 0) == ((MAP > 0) & (MAP < 255))).all()


def test_no_foreground_is_no_object() -> None:
    labels, count = label_objects(np.array([[0, 255]], np.uint8))
    assert (labels.tolist(), count) == ([[0, 0]], 0)


def test_small_objects_become_background() -> None:
    # Sizes: diagonal 3, the 3s 2, the 4 and the 5 one each.
    kept = {n: set(np.unique(remove_small(MAP, n)).tolist()) for n in (0, 1, 2, 3, 4)}
    assert kept == {
        0: {0, 1, 2, 3, 4, 5, 255},
        1: {0, 1, 2, 3, 4, 5, 255},
        2: {0, 1, 2, 3, 255},
        3: {0, 1, 2, 255},
        4: {0, 255},
    }


def test_what_is_kept_stays_as_it_is() -> None:
    before = MAP.copy()
    cleaned = remove_small(MAP, 3)
    assert cleaned.dtype == np.uint8
    assert np.array_equal(MAP, before)
    assert np.array_equal(cleaned == 255, MAP == 255)
    assert cleaned[2, 2] == 2


@settings(max_examples=50)
@given(MAPS, st.integers(0, 9))
def test_after_removal_no_small_object_is_left(indices: np.ndarray, least: int) -> None:
    cleaned = remove_small(indices, least)
    labels, count = label_objects(cleaned)
    assert all((labels == i).sum() >= least for i in range(1, count + 1))
    # Nothing but foreground changed, and only into background.
    changed = cleaned != indices
    assert (cleaned[changed] == 0).all()
    assert not (changed & (indices == 255)).any()
    assert np.array_equal(remove_small(cleaned, least), cleaned)


@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 12))
def test_strips_number_objects_as_the_whole_does(seed: int, height: int, strip: int) -> None:
    rng = np.random.default_rng(seed)
    indices = np.where(rng.random((height, 25)) < 0.35, rng.integers(1, 8, (height, 25)), 0).astype(np.uint8)
    labels = StripLabels()
    parts = [labels.add(indices[start : start + strip]) for start in range(0, height, strip)]
    got = labels.numbers()[np.concatenate(parts)]
    whole, count = label_objects(indices)
    assert got.max() == count
    # ndimage numbers objects in the order of their first pixels too
    assert np.array_equal(got, whole)


def test_arms_that_meet_in_the_last_row_are_one_object() -> None:
    comb = np.zeros((6, 9), np.uint8)
    comb[:, ::2] = np.arange(1, 6)
    comb[5] = 1
    labels = StripLabels()
    parts = [labels.add(row[None]) for row in comb]
    # five arms, provisionally five numbers a row
    assert np.concatenate(parts).max() == 5 * 5 + 1
    assert np.array_equal(labels.numbers()[np.concatenate(parts)], comb > 0)


def test_no_data_parts_objects() -> None:
    labels = StripLabels()
    parts = [labels.add(np.array([[value]], np.uint8)) for value in (1, 255, 2, 2)]
    assert labels.numbers()[np.concatenate(parts)].ravel().tolist() == [1, 0, 2, 2]


def test_the_class_of_an_object_is_the_most_probable_over_all_its_pixels() -> None:
    # Two pixels say class 1 by .5 to .4, one says class 2 by .9 to .01: log(.5·.5·.01) = -5.99 < log(.4·.4·.9) = -1.94
    probabilities = np.array([[[0.1, 0.5, 0.4], [0.1, 0.5, 0.4], [0.09, 0.01, 0.9], [1, 0, 0]]], np.float32)
    sums = log_sums(np.array([[1, 1, 1, 0]]), probabilities, 2)
    assert sums[1, 1:].tolist() == pytest.approx([np.log(0.0025), np.log(0.144)], rel=1e-6)
    assert sums[0].tolist() == [0, 0, 0]
    assert elect(sums[1:]).tolist() == [2]
