"""Averaged weights: an exponential moving average that starts short."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def average_weights(model: nn.Module, decay: float) -> AveragedModel:
    """A running average of the weights and buffers of a network.

    The n-th update keeps min(decay, (1 + n) / (10 + n)) of the old average, so that the first epochs are not those of
    random weights.
    """
    return AveragedModel(model, multi_avg_fn=_average(decay), use_buffers=True)


Tensors = tuple[Tensor, ...] | list[Tensor]


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
