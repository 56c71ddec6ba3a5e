from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from seepseg.config import (
    ConstantSchedule,
    CosineSchedule,
    OneCycleSchedule,
    Optim,
    PlateauSchedule,
    ScheduleNode,
    StepSchedule,
)
from seepseg.training.optim import after_plateau, average_weights, build_optimizer, rate_factor


@pytest.mark.parametrize(
    ("schedule", "step", "factor"),
    [
        # ten steps an epoch, ten epochs: a hundred steps
        (ConstantSchedule(), 57, 1.0),
        (PlateauSchedule(), 57, 1.0),
        (StepSchedule(every=3, factor=0.1), 29, 1.0),
        (StepSchedule(every=3, factor=0.1), 30, 0.1),
        (StepSchedule(every=3, factor=0.1), 60, 0.01),
        (CosineSchedule(), 0, 1.0),
        (CosineSchedule(), 50, 0.5),
        (CosineSchedule(), 100, 0.0),
        (OneCycleSchedule(), 0, 0.04),
        (OneCycleSchedule(), 15, 0.52),  # half way up: (.04 + 1) / 2
        (OneCycleSchedule(), 30, 1.0),
        (OneCycleSchedule(), 65, 0.5),  # half way down
        # a warm-up of two epochs: 20 steps up in 21sts, then the schedule over the other 80
        (CosineSchedule(warmup_epochs=2), 0, 1 / 21),
        (CosineSchedule(warmup_epochs=2), 19, 20 / 21),
        (CosineSchedule(warmup_epochs=2), 60, 0.5),
        # three whole epochs after the warm-up, not two
        (StepSchedule(every=3, factor=0.1, warmup_epochs=2), 49, 1.0),
        (StepSchedule(every=3, factor=0.1, warmup_epochs=2), 50, 0.1),
    ],
)
def test_rates_by_hand(schedule: ScheduleNode, step: int, factor: float) -> None:
    assert rate_factor(schedule, step, 10, 10) == pytest.approx(factor)


def test_the_plateau_lowers_the_rate_after_patience_and_not_below_its_floor() -> None:
    schedule = PlateauSchedule(patience=1, factor=0.1, min_lr=5e-4)
    assert after_plateau(schedule, [3, 2, 2], 0.1) == 1.0  # one epoch without a lower loss is within patience
    assert after_plateau(schedule, [3, 2, 2, 2], 0.1) == pytest.approx(0.1)
    assert after_plateau(schedule, [3, 2, 2, 2, 1, 1], 0.1) == pytest.approx(0.1)
    # twice more: .01, then .001 is below the floor of 5e-4 / .1 = .005
    assert after_plateau(schedule, [3, 2, 2, 2, 2, 2, 2, 2], 0.1) == pytest.approx(0.005)
    assert after_plateau(schedule, [], 0.1) == 1.0
    assert math.isfinite(after_plateau(schedule, [math.inf] * 9, 0.1))


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW),
                                            ("sgd", torch.optim.SGD)])  # fmt: skip
def test_weight_decay_spares_biases_and_norms(name: str, kind: type) -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    optimizer = build_optimizer(model, Optim.model_validate({"name": name, "weight_decay": 0.1}))
    assert type(optimizer) is kind
    decayed, spared = optimizer.param_groups
    assert (decayed["weight_decay"], len(decayed["params"])) == (0.1, 1)
    assert (spared["weight_decay"], len(spared["params"])) == (0.0, 3)


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
