from __future__ import annotations

import math
from typing import get_args

import pytest
import torch

from seepseg.config import Head
from seepseg.metrics.calibration import apply_temperature
from seepseg.models.head import foreground_probabilities, out_channels, probabilities


def test_channels_of_each_head() -> None:
    assert [out_channels(h, 8) for h in ("softmax", "sigmoid", "two_head")] == [8, 7, 8]
    assert out_channels("binary", 2) == 1


@pytest.mark.parametrize("head", get_args(Head))
def test_every_head_gives_k_probabilities_that_a_temperature_keeps_in_order(head: Head) -> None:
    k = 2 if head == "binary" else 4
    logits = torch.randn(2, out_channels(head, k), 5, 7, generator=torch.Generator().manual_seed(0))
    found = probabilities(logits, head)
    assert found.shape == (2, k, 5, 7)
    torch.testing.assert_close(found[:, 1:], foreground_probabilities(logits, head))
    assert torch.equal(apply_temperature(found, 2.0, head).argmax(1), found.argmax(1))


def test_probabilities_by_hand() -> None:
    logits = torch.tensor([0.0, math.log(3)]).view(1, 2, 1, 1)
    # softmax: 1 : 3; sigmoid: 1/2 and 3/4, background 1 − 3/4
    assert probabilities(logits, "softmax").flatten().tolist() == pytest.approx([0.25, 0.75])
    assert probabilities(logits, "sigmoid").flatten().tolist() == pytest.approx([0.25, 0.5, 0.75])
    assert probabilities(logits[:, 1:], "binary").flatten().tolist() == pytest.approx([0.25, 0.75])


def test_two_head_by_hand() -> None:
    # foreground or not: σ(ln 3) = 3/4; which of two classes: 1 : 4
    logits = torch.tensor([math.log(3), 0.0, math.log(4)]).view(1, 3, 1, 1)
    expected = [0.25, 0.75 * 0.2, 0.75 * 0.8]
    assert probabilities(logits, "two_head").flatten().tolist() == pytest.approx(expected)
    assert foreground_probabilities(logits, "two_head").flatten().tolist() == pytest.approx(expected[1:])


def test_two_head_adds_up_to_one_and_keeps_a_tiny_background() -> None:
    logits = 5 * torch.randn(2, 8, 5, 7, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(probabilities(logits, "two_head").sum(1), torch.ones(2, 5, 7))
    # 1 − σ(30) is 0 in float32, σ(−30) is not.
    sure = torch.tensor([30.0, 0.0, 0.0]).view(1, 3, 1, 1)
    assert probabilities(sure, "two_head")[0, 0].item() == pytest.approx(math.exp(-30), rel=1e-4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_softmax_is_torchs_also_for_large_logits(layout: torch.memory_format) -> None:
    logits = 200 * torch.randn(2, 8, 5, 7).contiguous(memory_format=layout)
    assert torch.allclose(probabilities(logits, "softmax"), torch.softmax(logits, 1), atol=1e-6)
    foreground = foreground_probabilities(logits, "softmax")
    assert torch.allclose(foreground, probabilities(logits, "softmax")[:, 1:], atol=1e-6)
