"""Run lengths as the TGS salt competition writes them: "start length start length …", from 1, down the columns."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from seepseg.errors import DataError

_FIX = "fix the run lengths: pairs of start and length, from 1, down the columns"


def encode(mask: NDArray[np.bool_]) -> str:
    """Runs of a mask (H, W), in order and as long as can be; "" where it is empty."""
    flat = np.concatenate(([0], mask.astype(bool).ravel(order="F").view(np.int8), [0]))
    edges = np.flatnonzero(np.diff(flat)) + 1
    edges[1::2] -= edges[::2]  # ends become lengths
    return " ".join(map(str, edges.tolist()))


def decode(text: str, shape: tuple[int, int], where: str) -> NDArray[np.bool_]:
    """Mask (H, W) of run lengths; a blank text is an empty mask.

    Args:
        text: pairs of start (from 1) and length, down the columns.
        shape: height and width.
        where: the row or file, for errors.

    Raises:
        DataError: not digits, an odd count, a start or length of 0, a run past the end, unsorted or overlapping runs.
    """
    if not re.fullmatch(r"[0-9\s]*", text, re.ASCII):
        raise DataError("run lengths are not all digits", where, _FIX)
    tokens = text.split()
    if len(tokens) % 2:
        raise DataError(f"{len(tokens)} run lengths, an odd count", where, _FIX)
    size = shape[0] * shape[1]
    tokens = [t.lstrip("0") or "0" for t in tokens]  # Python refuses thousands of digits, be they 0
    longest = max(map(len, tokens), default=0)
    if longest > 18:  # would not fit an int64
        raise DataError(f"a run length of {longest} digits is past the end ({size} pixels)", where, _FIX)
    starts, lengths = np.array(tokens, dtype=np.int64).reshape(-1, 2).T
    ends = starts + lengths
    for what, bad in (
        ("starts at 0", starts == 0),
        ("is 0 long", lengths == 0),
        (f"ends past the last of {size} pixels", ends - 1 > size),
        ("starts before the one in front of it (unsorted)", np.diff(starts, prepend=0) < 0),
        ("overlaps the one in front of it", starts < np.concatenate(([0], ends))[:-1]),
    ):
        if bad.any():
            i = int(bad.argmax())
            raise DataError(f'run "{starts[i]} {lengths[i]}" {what}', where, _FIX)
    steps = np.zeros(size + 1, np.int8)
    steps[starts - 1] += 1
    steps[ends - 1] -= 1  # its own line: where runs touch, both changes count
    return steps[:-1].cumsum(dtype=np.int8).astype(bool).reshape(shape, order="F")
