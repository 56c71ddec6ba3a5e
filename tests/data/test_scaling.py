from __future__ import annotations

import cv2
import numpy as np
import pytest

from seepseg.config import Scaling
from seepseg.data.scaling import (
    MeasuredScaling,
    group_limits,
    measure,
    measure_scaling,
    scale_doubts,
    surroundings,
    transform,
)
from seepseg.errors import DataError

VALID = np.ones((1, 4), bool)


def image(*values: float) -> np.ndarray:
    return np.array([[values]], np.float32)


def test_fixed_limits_map_linearly_and_clip() -> None:
    fitted = MeasuredScaling(
        Scaling(basis="fixed", range=(10, 30), standardise=False), ((10.0,), (30.0,)), (0.0,), (1.0,)
    )
    # (v − 10) / 20, clipped: 0 → 0, 10 → 0, 20 → .5, 40 → 1
    assert fitted.to_unit(image(0, 10, 20, 40), VALID).ravel().tolist() == [0, 0, 0.5, 1]


def test_standardising_uses_the_stored_mean_and_spread_and_leaves_invalid_pixels_zero() -> None:
    fitted = MeasuredScaling(Scaling(basis="fixed", range=(0, 1)), ((0.0,), (1.0,)), (0.25,), (0.5,))
    valid = np.array([[True, True, True, False]])
    # (v − .25) / .5: 0 → −.5, .25 → 0, 1 → 1.5; the invalid pixel is 0 whatever it holds
    assert fitted.standardise(image(0, 0.25, 1, 0.9), valid).ravel().tolist() == [-0.5, 0, 1.5, 0]


def test_dataset_limits_come_from_valid_pixels_only() -> None:
    raw = np.arange(101, dtype=np.uint16)[None, None]
    valid = np.ones((1, 101), bool)
    valid[0, 0] = False  # leaves 1 … 100: percentiles 0 and 100 are 1 and 100
    fitted = measure_scaling(Scaling(range=(0, 100)), [("a", raw, valid)], 1, {})
    assert fitted.limits == ((1.0,), (100.0,))
    # scaled values run evenly from 0 to 1, so their mean is one half
    assert fitted.mean == pytest.approx((0.5,))


def test_scene_limits_differ_by_group_and_a_tile_has_its_own() -> None:
    images = [("a", image(0, 1, 2, 4), VALID), ("b", image(0, 10, 20, 40), VALID)]
    config = Scaling(basis="scene", range=(0, 100))
    assert group_limits(config, images) == {"a": ((0.0,), (4.0,)), "b": ((0.0,), (40.0,))}
    fitted = measure_scaling(config, images, 2, group_limits(config, images))
    assert fitted.limits is None
    # both scenes scale to 0, .25, .5, 1: mean .4375
    assert fitted.mean == pytest.approx((0.4375,))
    # by limits of the whole scenes, of which these are a part: 0, .125, .25, .5 and 0, .25, .5, 1: mean .328125
    whole = {"a": ((0.0,), (8.0,)), "b": ((0.0,), (40.0,))}
    assert measure_scaling(config, images, 2, whole).mean == pytest.approx((0.328125,))
    tile = measure_scaling(Scaling(basis="tile", range=(0, 100)), images, 2, {})
    assert tile.to_unit(image(100, 200, 300, 500), VALID).ravel().tolist() == [0, 0.25, 0.5, 1]


def test_constant_and_empty_tiles_become_zero_and_not_nan() -> None:
    fitted = measure_scaling(Scaling(basis="tile"), [("a", image(1, 2, 3, 4), VALID)], 1, {})
    assert fitted.to_unit(image(7, 7, 7, 7), VALID).ravel().tolist() == [0, 0, 0, 0]
    assert fitted.to_unit(image(7, 7, 7, 7), ~VALID).ravel().tolist() == [0, 0, 0, 0]


def test_linear_backscatter_becomes_decibels() -> None:
    # 10·log10: 1 → 0, .1 → −10, 0 → clipped at 1e-8 → −80
    assert transform(np.array([1, 0.1, 0], np.float32), "linear").tolist() == pytest.approx([0, -10, -80], abs=1e-4)


def test_nan_is_never_passed_on() -> None:
    fitted = MeasuredScaling(Scaling(basis="fixed", range=(0, 1)), ((0.0,), (1.0,)), (0.0,), (1.0,))
    assert fitted.to_unit(image(np.nan, np.inf, 0.5, 1), VALID)[0, 0, 0] == 0


def test_no_valid_pixel_is_an_error() -> None:
    with pytest.raises(DataError, match="no valid pixel in the training tiles"):
        measure_scaling(Scaling(), [("a", image(0, 0, 0, 0), ~VALID)], 1, {})


def test_plain_form_restores_the_same_scaling() -> None:
    fitted = measure_scaling(Scaling(), [("a", image(1, 2, 3, 4), VALID)], 1, {})
    assert MeasuredScaling.from_plain(fitted.to_plain()) == fitted


def test_bands_are_measured_apart() -> None:
    pixels = np.array([[0, 1, 2], [10, 20, 30]], np.float32)
    assert measure([pixels], Scaling(range=(0, 100))) == ((0.0, 10.0), (2.0, 30.0))


def test_surroundings_are_the_mean_and_spread_of_the_valid_pixels_around() -> None:
    unit = np.array([[[0.0, 0.3, 0.6, 0.9, 0.5]]], np.float32)
    valid = np.array([[True, True, True, False, True]])
    mean, spread = surroundings(unit, valid, 3)
    # Squares of 3 on one row: {0, .3} {0, .3, .6} {.3, .6} {.6, .5} {.5}; the pixel .9 is invalid
    assert mean.ravel() == pytest.approx([0.15, 0.3, 0.45, 0.55, 0.5], abs=1e-6)
    # variances .0225, .06, .0225, .0025 and 0, which the least spread replaces
    assert spread.ravel() == pytest.approx([0.15, 0.06**0.5, 0.15, 0.05, 0.02], abs=1e-5)


@pytest.mark.parametrize("lost", [0, 1, 200, 600])
def test_surroundings_of_a_whole_tile_are_bit_for_bit_those_of_the_general_rule(lost: int) -> None:
    rng = np.random.default_rng(lost)
    unit = rng.uniform(0, 1, (2, 24, 25)).astype(np.float32)
    valid = np.ones(600, bool)
    valid[:lost] = False
    valid = valid.reshape(24, 25)

    def box(plane: np.ndarray) -> np.ndarray:
        return np.asarray(cv2.boxFilter(plane, cv2.CV_32F, (9, 9), normalize=False, borderType=cv2.BORDER_CONSTANT))

    count, planes = box(valid.astype(np.float32)), unit * valid
    total, squares = np.stack([box(p) for p in planes]), np.stack([box(p) for p in planes**2])
    mean = np.where(count > 0.5, total / np.maximum(count, 1), np.float32(0))
    variance = np.where(count > 0.5, squares / np.maximum(count, 1) - mean**2, np.float32(1))
    expected = mean, np.sqrt(np.maximum(variance, np.float32(0.02**2)))
    for _ in range(2):  # the count of a shape is kept
        for ours, theirs in zip(surroundings(unit, valid, 9), expected, strict=True):
            assert ours.dtype == np.float32
            assert np.array_equal(ours, theirs)


def test_local_input_does_not_change_with_gain_and_has_the_background_as_a_second_channel() -> None:
    fitted = MeasuredScaling(Scaling(basis="fixed", range=(0, 1), local=9), ((0.0,), (1.0,)), (0.4,), (0.1,))
    unit = np.random.default_rng(0).uniform(0.2, 0.4, (1, 40, 30)).astype(np.float32)
    valid = np.ones((40, 30), bool)
    valid[:5] = False
    planes = fitted.standardise(unit, valid)
    assert planes.shape == (2, 40, 30)
    assert not planes[:, :5].any()
    mean, spread = surroundings(unit, valid, 9)
    assert np.allclose(planes[0, 5:], ((unit - mean) / spread)[0, 5:])
    assert np.allclose(planes[1, 5:], ((mean - 0.4) / 0.1)[0, 5:])
    assert np.allclose(fitted.standardise(2 * unit, valid)[0], planes[0], atol=1e-4)


def test_an_even_local_window_is_refused() -> None:
    with pytest.raises(ValueError, match="65 for example"):
        Scaling(local=64)


BELOW = "100% of band {}, zeros apart, is below 0, as decibels are: set data.scaling.kind=db if it is"
ABOVE = "100% of band {}, zeros apart, is above 0, as linear backscatter is: set data.scaling.kind"
ZERO = "75% of pixels are exactly 0: set data.nodata=0 if they are a border without data"


@pytest.mark.parametrize(
    ("kind", "values", "says"),
    [
        ("linear", [-18.0, -22.0], [BELOW.format("vv")]),
        ("linear", [0.02, 0.0], []),  # noise that was taken off
        ("linear", [0.0, 0.0, 0.0, 0.02], [ZERO]),
        ("linear", [0.0, 0.0, 0.0, -18.0], [BELOW.format("vv"), ZERO]),
        ("linear", [0.0, 0.0, 0.0, 0.0], ["100%" + ZERO[3:]]),
        ("db", [0.02, 0.1], [ABOVE.format("vv")]),
        ("db", [0.0, 0.0, 0.0, 0.02], [ABOVE.format("vv"), ZERO]),
        ("db", [-18.0, 1.0], []),
        ("dn", [-18.0, 1.0], []),
        ("dn", [0.0, 0.0, 0.0, 7.0], []),
    ],
)
def test_a_scale_that_the_values_speak_against_is_doubted(kind: str, values: list[float], says: list[str]) -> None:
    raw = np.array([values, [35.0] * len(values)], np.float32)[:, None]
    image = ("a", raw, np.ones(raw.shape[1:], bool))
    # Degrees of incidence are on no such scale.
    assert scale_doubts(kind, ["vv", "incidence"], [image]) == says
    assert scale_doubts(kind, ["incidence"], [("a", raw[1:], image[2])]) == []
    assert scale_doubts(kind, ["vv", "incidence"], [("a", raw, ~image[2])]) == []


def test_a_band_without_a_name_may_be_the_incidence() -> None:
    valid = np.ones((1, 2), bool)
    first, second = np.array([-18.0, -22.0], np.float32), np.array([35.0, 36.0], np.float32)
    assert scale_doubts("db", ["1", "2"], [("a", np.array([[first], [second]]), valid)]) == []
    lines = scale_doubts("db", ["1", "2"], [("a", np.array([[second], [second]]), valid)])
    assert lines == [ABOVE.format(1), ABOVE.format(2)]
