from __future__ import annotations

import pytest
import torch
from torch import nn

from seepseg.training.ema import average_weights


def test_two_updates_by_hand() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(1.0)
    ema = average_weights(model, 0.99)
    ema.update_parameters(model)  # the first update copies
    with torch.no_grad():
        model.weight.fill_(2.0)
    ema.update_parameters(model)
    # one update before: keep (1 + 1) / (10 + 1) = 2/11 of 1 and take 9/11 of 2 → 20/11
    assert ema.module.weight.item() == pytest.approx(20 / 11)
    for _ in range(2000):
        ema.update_parameters(model)
    with torch.no_grad():
        model.weight.fill_(3.0)
    ema.update_parameters(model)
    # by now .99 of the old average stays: .99 · 2 + .01 · 3
    assert ema.module.weight.item() == pytest.approx(2.01, abs=1e-3)


def test_statistics_of_batch_norm_are_averaged_and_its_counter_copied() -> None:
    model = nn.BatchNorm2d(1)
    ema = average_weights(model, 0.9)
    ema.update_parameters(model)
    for value in (4.0, 8.0):
        assert model.running_mean is not None
        model.running_mean.fill_(value)
        assert model.num_batches_tracked is not None
        model.num_batches_tracked.fill_(int(value))
        ema.update_parameters(model)
    # 0 → 2/11 · 0 + 9/11 · 4 = 36/11 → 3/12 · 36/11 + 9/12 · 8
    assert ema.module.running_mean.item() == pytest.approx(0.25 * 36 / 11 + 6)
    assert ema.module.num_batches_tracked.item() == 8
