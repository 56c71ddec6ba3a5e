from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from seepseg.inference.decode import Bound
from seepseg.inference.ring import add, add_by_torch, find, find_by_torch, put, rows_of, take


def test_windows_lie_where_their_rows_and_columns_are_modulo_the_height() -> None:
    ring = torch.zeros(4, 5, 2)
    window = torch.ones(3, 2, 2)
    window[..., 1] = 10
    add(ring, 6, 1, window, torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.5]))
    # rows 6, 7, 8 of the scene are rows 2, 3, 0 of the ring
    expected = torch.zeros(4, 5)
    expected[2, 1:3] = torch.tensor([1.0, 0.5])
    expected[3, 1:3] = torch.tensor([2.0, 1.0])
    expected[0, 1:3] = torch.tensor([3.0, 1.5])
    assert torch.equal(ring[..., 0], expected)
    assert torch.equal(ring[..., 1], 10 * expected)


def test_taken_rows_leave_zeros_and_go_back_where_they_were() -> None:
    ring = torch.arange(12.0).view(4, 3, 1)
    rows = take(ring, 7, 9)
    assert rows[:, :, 0].tolist() == [[9, 10, 11], [0, 1, 2]]
    assert rows_of(ring, 7, 9).sum() == 0
    put(ring, 7, rows)
    assert torch.equal(ring, torch.arange(12.0).view(4, 3, 1))


def test_pixels_over_the_bound_are_found_in_their_order_with_their_logits() -> None:
    ring = torch.tensor([[[0.0, 1.0], [2.0, 1.0], [0.0, 5.0]], [[9.0, 9.0], [0.0, torch.nan], [7.0, 8.0]]])
    valid = torch.tensor([[True, True, False], [True, True, True]])
    where, logits = find(ring.clone(), 0, valid, Bound(1, 2, relative=True, margin=0, background=0.5))
    # of six, one is invalid, 1 − 2 is below 0, 9 − 9 is not above it; what is no number is found, so that it is seen
    assert where.tolist() == [0, 4, 5]
    assert logits[[0, 2]].tolist() == [[0, 1], [7, 8]]


@given(st.integers(0, 10_000), st.integers(1, 6), st.sampled_from(["both", "first", "all"]), st.floats(-1, 1, width=32))
def test_the_compiled_loops_do_what_torch_does(seed: int, channels: int, kind: str, margin: float) -> None:
    rng = np.random.default_rng(seed)
    height, width, h, w = rng.integers(1, 9, 4)
    height, width = height + h, width + w
    start, column, n = (int(rng.integers(0, top)) for top in (30, width - w + 1, height + 1))
    first, last = (1, channels) if kind == "both" and channels > 1 else (0, 1 if kind == "first" else channels)
    bound = Bound(first, last, kind == "both", margin, 0.5)
    rings = [torch.from_numpy(rng.normal(0, 1, (height, width, channels)).astype(np.float32)) for _ in range(1)]
    rings.append(rings[0].clone())
    window, down, across = (
        torch.from_numpy(rng.normal(0, 1, s).astype(np.float32)) for s in ((h, w, channels), (h,), (w,))
    )
    add(rings[0], start, column, window, down, across)
    add_by_torch(rings[1], start, column, window, down, across)
    assert torch.equal(rings[0], rings[1])
    rings[0].view(-1)[rng.integers(0, rings[0].numel())] = torch.nan
    rings[1] = rings[0].clone()
    valid = torch.from_numpy(rng.random((n, width)) < 0.8)
    mine, theirs = find(rings[0], start, valid, bound), find_by_torch(rings[1], start, valid, bound)
    assert torch.equal(mine.where, theirs.where)
    assert torch.equal(mine.logits.nan_to_num(99), theirs.logits.nan_to_num(99))
    assert torch.equal(rings[0].nan_to_num(99), rings[1].nan_to_num(99))
