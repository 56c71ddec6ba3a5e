"""Optimisers, and the learning rate as a function of the step."""

from __future__ import annotations

import math

import torch
from torch import nn

from seepseg.config import (
    ConstantSchedule,
    CosineSchedule,
    OneCycleSchedule,
    Optim,
    PlateauSchedule,
    PolySchedule,
    ScheduleNode,
    StepSchedule,
)


def build_optimizer(model: nn.Module, config: Optim) -> torch.optim.Optimizer:
    """The optimiser of a config; weight decay spares biases and norm weights (one-dimensional parameters)."""
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
            nesterov = config.nesterov and config.momentum > 0
            return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov)


def rate_factor(schedule: ScheduleNode, step: int, steps_per_epoch: int, epochs: int) -> float:
    """What the learning rate is multiplied with at a step (0-based): a pure function, so resuming needs no state.

    Warm-up rises linearly to 1 and is followed by the schedule over the remaining steps. The plateau schedule is
    constant here; `after_plateau` lowers the rate by what validation says.
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
            return schedule.factor ** (step // (schedule.every * steps_per_epoch))
        case CosineSchedule():
            return schedule.final + (1 - schedule.final) * _half_cosine(progress)
        case OneCycleSchedule():
            if progress < schedule.rise:
                return 1 - (1 - schedule.start) * _half_cosine(progress / schedule.rise)
            return _half_cosine((progress - schedule.rise) / (1 - schedule.rise))
        case PolySchedule():
            return float((1 - progress) ** schedule.power)
    raise AssertionError(f"no rate for {type(schedule).__name__}")


def after_plateau(schedule: PlateauSchedule, losses: list[float], lr: float) -> float:
    """The factor left by the validation losses of all epochs so far.

    Each time `patience` + 1 epochs in a row bring no new lowest loss, the rate falls by `factor`, down to `min_lr`.
    Computed anew from the losses, so that a resumed run cannot disagree with an undisturbed one.
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
