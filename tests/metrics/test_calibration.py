from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from seepseg.config import Head
from seepseg.metrics.calibration import (
    PixelSample,
    Reliability,
    apply_temperature,
    fit_temperature,
    foreground,
    negative_log_likelihood,
    reliability,
    sample_pixels,
    top_label,
)
from seepseg.models.head import probabilities as head_probabilities

CONFIDENCES = hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(0, 1, width=32))


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def test_histogram_by_hand() -> None:
    confidence = np.array([0.1, 0.3, 0.75, 1.0, 0.5])
    correct = np.array([False, True, True, False, True])
    histogram = reliability(confidence, correct, bins=4)
    # bins from 0, ¼, ½, ¾: a border belongs to the bin above it, and 1 to the last
    assert histogram.pixels.tolist() == [1, 1, 1, 2]
    assert histogram.correct.tolist() == [0, 1, 1, 1]
    curve = histogram.curve()
    assert curve[3] == (pytest.approx(0.875), 0.5, 2)
    # |0 − .1| + |1 − .3| + |1 − .5| + |1 − 1.75| = 2.05 over 5 pixels
    assert histogram.expected_error() == pytest.approx(0.41, abs=1e-7)
    assert Reliability.empty().expected_error() is None
    assert Reliability.empty().curve() == []


@settings(max_examples=60)
@given(CONFIDENCES, st.integers(0, 60), st.integers(0, 2**32))
def test_any_split_adds_up_to_the_same_bits(confidence: np.ndarray, cut: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    correct, order = rng.random(len(confidence)) < confidence, rng.permutation(len(confidence))
    whole = reliability(confidence, correct)
    first, second = order[:cut], order[cut:]
    parts = reliability(confidence[first], correct[first]) + reliability(confidence[second], correct[second])
    assert [parts.pixels.tolist(), parts.confidence.tolist(), parts.correct.tolist()] == [
        whole.pixels.tolist(), whole.confidence.tolist(), whole.correct.tolist(),
    ]  # fmt: skip
    assert parts.expected_error() == whole.expected_error()
    # The plain definition in floating point.
    bins = np.minimum((np.rint(confidence * 2.0**24) / 2**24 * 15).astype(int), 14)
    wanted = sum(abs(correct[bins == b].sum() - confidence[bins == b].sum()) for b in range(15)) / len(confidence)
    assert whole.expected_error() == pytest.approx(wanted, abs=1e-6)


def test_what_is_binned() -> None:
    p = np.array([[[0.7, 0.2, 0.1]], [[0.2, 0.5, 0.3]], [[0.1, 0.3, 0.6]]])
    truth = np.array([[0, 2, 255]], np.uint8)
    confidence, correct = top_label(p, truth)
    assert (confidence.tolist(), correct.tolist()) == ([0.7, 0.5], [True, False])
    confidence, correct = foreground(p, truth)
    assert (confidence.tolist(), correct.tolist()) == (pytest.approx([0.3, 0.8]), [False, True])


def test_rounding_just_outside_0_and_1_does_no_harm() -> None:
    histogram = reliability(np.array([-1e-7, 1 + 1e-7]), np.array([False, True]), bins=2)
    assert histogram.pixels.tolist() == [1, 1]
    assert np.isfinite(apply_temperature(np.array([[-1e-7, 1 + 1e-7]]), 2.0, "sigmoid")).all()


@settings(max_examples=60)
@given(hnp.arrays(np.float64, (5, 4), elements=st.floats(-8, 8)), st.floats(0.2, 5))
def test_on_probabilities_is_the_same_as_on_logits(logits: np.ndarray, temperature: float) -> None:
    t = torch.from_numpy(logits)[:, :, None, None]
    for head, channels in (("softmax", t), ("sigmoid", t), ("binary", t[:, :1])):
        before = head_probabilities(channels, head)
        wanted = head_probabilities(channels / temperature, head)
        scaled = apply_temperature(before, temperature, head)
        assert torch.allclose(scaled, wanted, atol=1e-9)
        assert np.allclose(apply_temperature(before.numpy(), temperature, head), wanted, atol=1e-9)


def test_a_temperature_of_one_changes_no_bit_and_none_changes_the_most_probable_class() -> None:
    p = head_probabilities(torch.randn(2, 5, 9, 9, generator=torch.Generator().manual_seed(0)) * 4, "sigmoid")
    assert apply_temperature(p, 1.0, "sigmoid") is p
    for head in ("sigmoid", "softmax"):
        for temperature in (0.4, 3.0):
            scaled = apply_temperature(p, temperature, head)
            assert scaled.dtype == p.dtype
            # The most probable before is still not beaten; rounding may let others draw level.
            assert torch.equal(scaled.gather(1, p.argmax(1, keepdim=True)), scaled.amax(1, keepdim=True))


@pytest.mark.parametrize("true_temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(true_temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (20_000, 4))
    labels = (softmax(logits / true_temperature).cumsum(1) < rng.random((20_000, 1))).sum(1).astype(np.uint8)
    p = softmax(logits)
    found = fit_temperature(p, labels, "softmax")
    assert found == pytest.approx(true_temperature, rel=0.05)
    # No other temperature is better, and the histogram says so too.
    for other in (0.9, 1.1):
        assert negative_log_likelihood(p, labels, found, "softmax") < negative_log_likelihood(
            p, labels, found * other, "softmax"
        )
    if true_temperature != 1:
        errors = [
            reliability(q.max(1), q.argmax(1) == labels).expected_error()
            for q in (p, apply_temperature(p, found, "softmax"))
        ]
        assert errors[1] < errors[0] / 3


@pytest.mark.parametrize("head", ["sigmoid", "binary"])
def test_independent_channels(head: str) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 4, (20_000, 1))
    labels = (rng.random((20_000, 1)) < 1 / (1 + np.exp(-logits / 2))).astype(np.uint8)[:, 0]
    p = head_probabilities(torch.from_numpy(logits)[:, :, None, None], head)[:, :, 0, 0].numpy()
    # One channel is the same question under both heads.
    assert fit_temperature(p, labels, head) == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("head", ["binary", "two_head"])
def test_small_probabilities_count_in_full_and_the_rounded_background_does_not(head: Head) -> None:
    # A label that was given 1e-20 costs 46 = 20 ln 10, one that was given a rounded 0 as background 16.1 = 7 ln 10.
    p = np.array([[1, 1e-20], [0, 1]])
    labels = np.array([1, 0], np.uint8)
    assert negative_log_likelihood(p, labels, 1, head) == pytest.approx((20 + 7) * np.log(10) / 2, abs=1e-6)


def test_likelihood_by_hand() -> None:
    p = np.array([[0.5, 0.25, 0.25], [0.1, 0.2, 0.7]])
    labels = np.array([0, 2], np.uint8)
    assert negative_log_likelihood(p, labels, 1, "softmax") == pytest.approx(-(np.log(0.5) + np.log(0.7)) / 2)
    # Channels 1 and 2 on their own: (1 − .25)², then (1 − .2) · .7
    wanted = -(np.log(0.75**2) + np.log(0.8 * 0.7)) / 2
    assert negative_log_likelihood(p, labels, 1, "sigmoid") == pytest.approx(wanted)
    # At T = ½ probabilities are squared and divided by their sum: .25/.375 and .49/.54
    assert negative_log_likelihood(p, labels, 0.5, "softmax") == pytest.approx(
        -(np.log(0.25 / 0.375) + np.log(0.49 / 0.54)) / 2
    )


def test_edges_of_fitting() -> None:
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, np.uint8), "softmax") == 1
    sure = np.array([[0.0, 1.0], [1.0, 0.0]] * 50)
    right = np.array([1, 0] * 50, np.uint8)
    assert 0.05 <= fit_temperature(sure, right, "softmax") <= 20
    wrong = fit_temperature(sure, 1 - right, "binary")
    assert wrong == pytest.approx(20, rel=0.01)


def test_a_sample_does_not_depend_on_order_or_sharding() -> None:
    rng = np.random.default_rng(2)
    tiles = {
        f"t{i}": (rng.random((3, 8, 8), np.float32), rng.integers(0, 3, (8, 8)).astype(np.uint8)) for i in range(6)
    }
    tiles["t3"][1][:4] = 255
    samples = {name: sample_pixels(p, t, name, room=50) for name, (p, t) in tiles.items()}
    assert (samples["t3"].labels < 255).all()
    assert len(samples["t3"].labels) == 32

    def total(names: list[str]) -> PixelSample:
        return sum((samples[n] for n in names), PixelSample.empty(3, room=50))

    one = total(sorted(tiles))
    two = total(["t5", "t0"]) + total(["t4", "t2", "t3", "t1"])
    assert len(one.labels) == 50
    assert np.array_equal(one.probabilities, two.probabilities)
    assert np.array_equal(one.labels, two.labels)
    # Every row is a pixel of a tile with its own label.
    flat = {tuple(p[:, y, x].tolist()): t[y, x] for p, t in tiles.values() for y in range(8) for x in range(8)}
    assert all(flat[tuple(p.tolist())] == label for p, label in zip(one.probabilities, one.labels, strict=True))
    # Another seed, another sample; all tiles take part about equally.
    assert not np.array_equal(sample_pixels(*tiles["t0"], "other", room=50).labels, samples["t0"].labels)
