"""Optimisers, the learning rate as a function of the step, and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from seepseg.config import (
    ConstantSchedule,
    CosineSchedule,
    OneCycleSchedule,
    Optim,
    PlateauSchedule,
    ScheduleNode,
    StepSchedule,
)

Tensors = tuple[Tensor, ...] | list[Tensor]

RISE, START = 0.3, 0.04
"""One cycle: the share of the steps over which the rate rises, and where it starts, as in torch's own."""


def build_optimizer(model: nn.Module, config: Optim) -> torch.optim.Optimizer:
    """The optimiser of a config; no weight decay on biases and norm weights (one-dimensional parameters)."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    match config.name:
        case "adam":
            return torch.optim.Adam(groups, lr=config.lr)
        case "adamw":
            return torch.optim.AdamW(groups, lr=config.lr)
        case "sgd":
            return torch.optim.SGD(groups, lr=config.lr, momentum=0.9, nesterov=True)


def rate_factor(schedule: ScheduleNode, step: int, steps_per_epoch: int, epochs: int) -> float:
    """The factor of the learning rate at a step (from 0): a pure function, so resuming needs no state.

    Warm-up rises linearly to 1; the schedule begins at its end. The plateau schedule is constant here: `after_plateau`
    lowers the rate by the validation losses.
    """
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    total = max(1, epochs * steps_per_epoch - warmup)
    progress = min(1.0, (step - warmup) / total)
    match schedule:
        case ConstantSchedule() | PlateauSchedule():
            return 1.0
        case StepSchedule():
            return schedule.factor ** ((step - warmup) // (schedule.every * steps_per_epoch))
        case CosineSchedule():
            return _half_cosine(progress)
        case OneCycleSchedule():
            if progress < RISE:
                return 1 - (1 - START) * _half_cosine(progress / RISE)
            return _half_cosine((progress - RISE) / (1 - RISE))
    raise AssertionError(f"no rate for {type(schedule).__name__}")


def after_plateau(schedule: PlateauSchedule, losses: list[float], lr: float) -> float:
    """The factor of the learning rate after the validation losses of all epochs so far.

    Each time `patience` + 1 epochs in a row bring no new lowest loss, the rate falls by `factor`, down to `min_lr`.
    Computed from all losses each time, so that a resumed run agrees with an uninterrupted one.
    """
    factor, best, waited = 1.0, math.inf, 0
    for loss in losses:
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited > schedule.patience:
            factor, waited = max(factor * schedule.factor, schedule.min_lr / lr), 0
    return factor


def _half_cosine(progress: float) -> float:
    """From 1 at progress 0 to 0 at progress 1."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def average_weights(model: nn.Module, decay: float) -> AveragedModel:
    """A running average of the weights and buffers of a network.

    The n-th update keeps min(decay, (1 + n) / (10 + n)) of the old average, so that the first epochs do not average
    over random weights.
    """
    return AveragedModel(model, multi_avg_fn=_average(decay), use_buffers=True)


def _average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    @torch.no_grad()
    def average(averaged: Tensors, current: Tensors, n: Tensor | int) -> None:
        count = int(n)
        keep = min(decay, (1 + count) / (10 + count))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(averaged, current, 1 - keep)
        else:  # counters of batch norm
            for old, new in zip(averaged, current, strict=True):
                old.copy_(new)

    return average
