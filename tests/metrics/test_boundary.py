from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from seepseg.metrics.boundary import SurfaceCounts, surface_counts

MAPS = hnp.arrays(np.uint8, (10, 11), elements=st.sampled_from([0, 0, 0, 1, 2, 255]))
INNER = hnp.arrays(np.uint8, (10, 11), elements=st.sampled_from([0, 0, 1, 1, 2]))


def square(start: int, side: int, class_index: int = 1) -> np.ndarray:
    out = np.zeros((30, 30), np.uint8)
    out[start : start + side, start : start + side] = class_index
    return out


def test_shifted_square_by_hand() -> None:
    """A 10 × 10 square has an outline of 36 pixels. Moved two pixels to the right, its upper and lower rows lie on the
    old ones but for two pixels each, its sides two away."""
    truth = square(5, 10)
    counts = surface_counts(truth, np.roll(truth, 2, 1), 2, tolerances=(0, 1, 2))
    assert counts.total.tolist() == [72, 72]
    # Distance 0: of each side's 20 pixels in the upper and lower row 16 coincide. At 1, one more at each end: 20 − 2.
    # What is left at 1: 8 pixels of the far side and its corners two away; at 2 all are near.
    assert counts.near[:, 1].tolist() == [32, 40, 72]
    assert counts.surface_dice()[2] == [1, 1]


def test_absent_classes() -> None:
    counts = surface_counts(square(5, 10, 1), square(5, 10, 2), 4)
    # Foreground agrees; class 1 is only true, class 2 only predicted, class 3 absent.
    assert counts.surface_dice() == [[1, 0, 0, None]] * 3
    assert SurfaceCounts.empty(2).surface_dice() == [[None, None]] * 3


def test_the_cut_through_an_object_is_no_outline() -> None:
    truth = np.zeros((8, 12), np.uint8)
    truth[:, :4] = 1  # touches three borders: only its right side, 8 pixels, is an outline
    assert surface_counts(truth, np.zeros_like(truth), 2).total.tolist() == [8, 8]
    truth[:, 4:6] = 255  # what lies beside it is not known
    assert surface_counts(truth, np.zeros_like(truth), 2).total.tolist() == [0, 0]
    assert surface_counts(np.ones((4, 4), np.uint8), np.ones((4, 4), np.uint8), 2).surface_dice()[0] == [None, None]


def test_tiles_add_up() -> None:
    one = surface_counts(square(5, 10), square(6, 10), 3)
    two = surface_counts(square(3, 4, 2), square(9, 3, 2), 3)
    both = SurfaceCounts.empty(3) + one + two
    assert both.near.tolist() == (one.near + two.near).tolist()
    assert both.total.tolist() == [one.total[0] + two.total[0], one.total[1], two.total[2]]
    with pytest.raises(ValueError, match="differ"):
        _ = one + SurfaceCounts.empty(3, (1.0,))
    with pytest.raises(ValueError, match="differ in shape"):
        surface_counts(square(5, 10), np.zeros((3, 3), np.uint8), 2)


@pytest.mark.filterwarnings("ignore:the (ground truth|prediction) of class:UserWarning")
@pytest.mark.filterwarnings("ignore:monai.metrics.utils get_mask_edges:FutureWarning")
@settings(max_examples=30)
@given(INNER, INNER, st.sampled_from([(1.0, 2.0, 3.0), (0.5, 1.5, 4.3)]))
def test_monai_agrees_away_from_borders(truth: np.ndarray, prediction: np.ndarray, tolerances: tuple) -> None:
    from monai.metrics import compute_surface_dice

    truth, prediction = np.pad(truth, 1), np.pad(prediction, 1)
    ours = surface_counts(truth, prediction, 3, tolerances).surface_dice()

    def hot(x: np.ndarray) -> torch.Tensor:
        """Background, foreground of any class, class 1, class 2."""
        return torch.from_numpy(np.stack([x == 0, x > 0, x == 1, x == 2]))[None].float()

    for tolerance, row in zip(tolerances, ours, strict=True):
        theirs = compute_surface_dice(hot(prediction), hot(truth), [tolerance] * 3)[0].tolist()
        # The class present on one side only is 0 in both, the one absent on both is None here and nan there.
        assert [np.nan if v is None else v for v in row] == pytest.approx(theirs, abs=1e-6, nan_ok=True)


@settings(max_examples=60)
@given(MAPS, MAPS)
def test_distance_transforms_agree(truth: np.ndarray, prediction: np.ndarray) -> None:
    counts = surface_counts(truth, prediction, 3)
    known = (truth < 255) & (prediction < 255)
    for c in (1, 2):
        sides = [(x == c) & known for x in (truth, prediction)]
        cross = ndimage.generate_binary_structure(2, 1)
        lines = [s & ndimage.binary_dilation(known & ~s, cross) for s in sides]
        assert counts.total[c] == lines[0].sum() + lines[1].sum()
        for i, tolerance in enumerate((1, 2, 3)):
            near = sum(
                (a & (ndimage.distance_transform_edt(~b) <= tolerance)).sum() if b.any() else 0
                for a, b in (lines, lines[::-1])
            )
            assert counts.near[i, c] == near


@settings(max_examples=60)
@given(MAPS, MAPS)
def test_what_holds_for_any_two_maps(truth: np.ndarray, prediction: np.ndarray) -> None:
    counts = surface_counts(truth, prediction, 3)
    assert (np.diff(counts.near, axis=0) >= 0).all()
    assert (counts.near <= counts.total).all()
    back = surface_counts(prediction, truth, 3)
    turned = surface_counts(np.rot90(truth), np.rot90(prediction), 3)
    for other in (back, turned):
        assert np.array_equal(counts.near, other.near)
        assert np.array_equal(counts.total, other.total)
    assert all(v in (None, 1) for v in surface_counts(truth, truth, 3).surface_dice()[0])
