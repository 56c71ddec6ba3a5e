from __future__ import annotations

import math

import pytest
import torch

from seepseg.models.head import foreground_probabilities, out_channels, probabilities


def test_channels_of_each_head() -> None:
    assert [out_channels(h, 8) for h in ("softmax", "sigmoid")] == [8, 7]
    assert out_channels("binary", 2) == 1


def test_probabilities_by_hand() -> None:
    logits = torch.tensor([0.0, math.log(3)]).view(1, 2, 1, 1)
    # softmax: 1 : 3; sigmoid: 1/2 and 3/4, background 1 − 3/4
    assert probabilities(logits, "softmax").flatten().tolist() == pytest.approx([0.25, 0.75])
    assert probabilities(logits, "sigmoid").flatten().tolist() == pytest.approx([0.25, 0.5, 0.75])
    assert probabilities(logits[:, 1:], "binary").flatten().tolist() == pytest.approx([0.25, 0.75])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_softmax_is_torchs_also_for_large_logits(layout: torch.memory_format) -> None:
    logits = 200 * torch.randn(2, 8, 5, 7).contiguous(memory_format=layout)
    assert torch.allclose(probabilities(logits, "softmax"), torch.softmax(logits, 1), atol=1e-6)
    foreground = foreground_probabilities(logits, "softmax")
    assert torch.allclose(foreground, probabilities(logits, "softmax")[:, 1:], atol=1e-6)
