"""Sums over all training processes, through which gradients flow."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


class _AllSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        total = x.detach().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> Tensor:
        return _AllSum.forward(ctx, grads[0])


def global_sum(x: Tensor) -> Tensor:
    """The sum of x over all processes while training; x itself elsewhere.

    Every process then holds the loss of the global batch. DDP averages gradients over the processes and the backward
    pass here sums them, which together is the gradient of the global loss. Without gradients nothing is reduced:
    validation shards may differ in their number of batches, and a collective would wait for ever.
    """
    alone = not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1
    if alone or not torch.is_grad_enabled():
        return x
    return _AllSum.apply(x)  # type: ignore[no-any-return,no-untyped-call]
