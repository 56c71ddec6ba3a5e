from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seepseg.config import Head, Predict
from seepseg.inference.decode import background_bound, calibrated, decode, most_probable, uncertainty
from seepseg.models.head import out_channels, probabilities
from seepseg.runs.fit import Fit

LIKELY = torch.tensor([[0.5, 0.3, 0.2], [0.45, 0.3, 0.25], [0.2, 0.1, 0.7]]).T.reshape(1, 3, 1, 3)
VALID = torch.ones(1, 1, 3, dtype=torch.bool)


def test_the_most_probable_class_wins_without_a_threshold() -> None:
    assert decode(LIKELY, VALID, Predict()).tolist() == [[[0, 0, 2]]]


def test_a_threshold_asks_foreground_first_and_class_then() -> None:
    # 1 − P(background): .5, .55, .8; the most probable foreground classes are 1, 1, 2
    assert decode(LIKELY, VALID, Predict(threshold=0.55)).tolist() == [[[0, 1, 2]]]
    assert decode(LIKELY, VALID, Predict(threshold=0.5)).tolist() == [[[1, 1, 2]]]


def test_invalid_pixels_are_255_and_small_objects_go() -> None:
    valid = torch.tensor([[[True, True, False]]])
    assert decode(LIKELY, valid, Predict(threshold=0.5)).tolist() == [[[1, 1, 255]]]
    assert decode(LIKELY, VALID, Predict(threshold=0.55, min_pixels=2)).tolist() == [[[0, 1, 2]]]
    assert decode(LIKELY, VALID, Predict(threshold=0.55, min_pixels=3)).tolist() == [[[0, 0, 0]]]


def fit(head: Head = "softmax", temperature: float = 1.0, offsets: tuple[float, ...] = ()) -> Fit:
    return Fit(head, temperature, 0.5, offsets, 0, "val", ())


def test_the_temperature_comes_before_the_threshold() -> None:
    # P(background) .45; at T = 1/2 the squares .2025 .09 .0625 of sum .355: .570. 1 − P(background) falls from .55 to
    # .43; of the first pixel (.25 .09 .04 of .38) from .5 to .342, of the third (.04 .01 .49 of .54) it rises to .926.
    assert decode(LIKELY, VALID, Predict(threshold=0.5), fit(temperature=0.5)).tolist() == [[[0, 0, 2]]]
    assert decode(LIKELY, VALID, Predict(threshold=0.42), fit(temperature=0.5)).tolist() == [[[0, 1, 2]]]
    # Without a threshold a temperature changes nothing.
    assert decode(LIKELY, VALID, Predict(), fit(temperature=0.5)).tolist() == [[[0, 0, 2]]]


def test_independent_channels_are_each_scaled_on_their_own() -> None:
    # .8 at T = 2: √.8 / (√.8 + √.2) = 2/3.
    channels = torch.tensor([0.2, 0.8, 0.8]).reshape(1, 3, 1, 1)
    valid = torch.ones(1, 1, 1, dtype=torch.bool)
    sigmoid = fit(head="sigmoid", temperature=2.0)
    assert decode(channels, valid, Predict(threshold=0.66), sigmoid).item() == 1
    assert decode(channels, valid, Predict(threshold=0.67), sigmoid).item() == 0


def test_classes_are_compared_before_the_temperature_rounds_them() -> None:
    # At T = .05 both channels are 1 in float32; the second is the more probable one.
    channels = torch.tensor([0.01, 0.98, 0.99]).reshape(1, 3, 1, 1)
    sharp = fit(head="sigmoid", temperature=0.05)
    assert calibrated(channels, sharp)[0, 1:, 0, 0].tolist() == [1, 1]
    assert decode(channels, torch.ones(1, 1, 1, dtype=torch.bool), Predict(threshold=0.5), sharp).item() == 2


def test_offsets_choose_among_foreground_classes_only() -> None:
    # Second pixel: .30 against .25 · e^.25 = .321. Where there is no foreground nothing changes.
    shifted = fit(offsets=(0.0, 0.25))
    assert decode(LIKELY, VALID, Predict(threshold=0.55), shifted).tolist() == [[[0, 2, 2]]]
    assert decode(LIKELY, VALID, Predict(threshold=0.55), fit(offsets=(0.0, 0.15))).tolist() == [[[0, 1, 2]]]


def test_uncertainty_is_entropy_over_its_largest_value() -> None:
    p = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [1, 0, 0], [0.5, 0.5, 0], [0, 0, 0]]).T.reshape(1, 3, 1, 4)
    # log 2 / log 3 = .6309
    assert uncertainty(p)[0, 0].tolist() == pytest.approx([1, 0, 0.6309, 0], abs=1e-4)
    # Independent channels .1 .9 .8 are taken as .056 .5 .444: entropy .868 of log 3 = 1.0986.
    assert uncertainty(torch.tensor([0.1, 0.9, 0.8]).reshape(3, 1, 1), 0).item() == pytest.approx(0.790, abs=1e-3)


HEADS: tuple[Head, ...] = ("softmax", "two_head", "sigmoid", "binary")


@given(
    st.integers(0, 10_000),
    st.sampled_from(HEADS),
    st.integers(2, 8),
    st.none() | st.sampled_from([0.0, 1.0]) | st.floats(0.001, 0.999),
    st.none() | st.floats(0.05, 20),
)
def test_what_is_background_for_certain_never_becomes_foreground(
    seed: int, head: Head, n_classes: int, threshold: float | None, temperature: float | None
) -> None:
    n_classes = 2 if head == "binary" else n_classes
    rng = np.random.default_rng(seed)
    spread = rng.choice([0.1, 1, 10])
    logits = torch.from_numpy(rng.normal(0, spread, (1, out_channels(head, n_classes), 20, 20)).astype(np.float32))
    fit = None if temperature is None or threshold is None else Fit(head, temperature, threshold, (), 0, "val", ())
    bound = background_bound(head, n_classes, threshold, fit)
    planes = probabilities(logits, head)
    classes = most_probable(planes, threshold, fit)
    margin = logits[:, bound.first : bound.last].amax(1) - bound.relative * logits[:, 0]
    assert not classes[margin <= bound.margin].any()
    assert not classes[planes[:, 0] > bound.background].any()
