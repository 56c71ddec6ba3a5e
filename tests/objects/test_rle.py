"""Run lengths: hand-worked, round trips, and every way to be wrong."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from seepseg.errors import DataError
from seepseg.objects.rle import decode, encode

# 3 rows, 2 columns. Down the columns, from 1:   1 4    salt at 2, 3 and 4 is one run "2 3": it goes on in the next
#                                                2 5    column. Salt at 6 is "6 1".
#                                                3 6
MASK = np.array([[0, 1], [1, 0], [1, 1]], bool)
TEXT = "2 3 6 1"


def test_hand_worked() -> None:
    assert encode(MASK) == TEXT
    assert (decode(TEXT, (3, 2), "a") == MASK).all()


@pytest.mark.parametrize("text", ["", " \n"])
def test_blank_is_empty(text: str) -> None:
    mask = decode(text, (3, 2), "a")
    assert mask.shape == (3, 2)
    assert mask.dtype == bool
    assert not mask.any()
    assert encode(mask) == ""


def test_runs_that_touch_are_fine() -> None:
    assert (decode("2 1 3 2 6 1", (3, 2), "a") == MASK).all()


@settings(max_examples=60)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.booleans()))
def test_round_trip(mask: NDArray[Any]) -> None:
    assert (decode(encode(mask), mask.shape, "a") == mask).all()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("2 3 6", "3 run lengths, an odd count"),
        ("0 1", 'run "0 1" starts at 0'),
        ("1 0", 'run "1 0" is 0 long'),
        ("6 2", 'run "6 2" ends past the last of 6 pixels'),
        ("7 1", 'run "7 1" ends past the last of 6 pixels'),
        ("1 3 3 1", 'run "3 1" overlaps the one in front of it'),
        ("4 1 2 1", 'run "2 1" starts before the one in front of it (unsorted)'),
        ("2 2 2 1", 'run "2 1" overlaps the one in front of it'),
        ("1 -1", "run lengths are not all digits"),
        ("1 1.0", "run lengths are not all digits"),
        ("nan", "run lengths are not all digits"),
        ("١ ١", "run lengths are not all digits"),
        ("1 99999999999999999999", "a run length of 20 digits is past the end (6 pixels)"),
        ("1 " + "9" * 18, f'run "1 {10**18 - 1}" ends past the last of 6 pixels'),
        ("1 " + "9" * 19, "a run length of 19 digits is past the end (6 pixels)"),
        ("1 " + "9" * 5000, "a run length of 5000 digits is past the end (6 pixels)"),
        ("1 " + "0" * 5000 + "9", 'run "1 9" ends past the last of 6 pixels'),
    ],
)
def test_faults(text: str, what: str) -> None:
    with pytest.raises(DataError) as caught:
        decode(text, (3, 2), "tile a of train.csv")
    assert str(caught.value) == (
        f"{what} in tile a of train.csv: fix the run lengths: pairs of start and length, from 1, down the columns"
    )
    assert caught.value.exit_code == 3


def test_full_mask_ends_at_the_last_pixel() -> None:
    assert decode("1 6", (3, 2), "a").all()
    assert encode(np.ones((3, 2), bool)) == "1 6"
