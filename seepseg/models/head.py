"""Heads: from the logits of a network to class probabilities, the same way everywhere."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from seepseg.config import Head


def out_channels(head: Head, n_classes: int) -> int:
    """Output channels of a network for K classes, background included.

    softmax K, sigmoid K − 1, binary 1, two_head 1 + (K − 1): foreground or not first, then which class.
    """
    return {"softmax": n_classes, "sigmoid": n_classes - 1, "binary": 1, "two_head": n_classes}[head]


def foreground_probabilities(logits: Tensor, head: Head) -> Tensor:
    """Probabilities (N, K − 1, H, W) of the foreground classes from float32 logits (N, C, H, W)."""
    match head:
        case "softmax":
            return torch.softmax(logits, 1)[:, 1:]
        case "two_head":
            return torch.sigmoid(logits[:, :1]) * torch.softmax(logits[:, 1:], 1)
        case "sigmoid" | "binary":
            return torch.sigmoid(logits)


@torch.no_grad()
def probabilities(logits: Tensor, head: Head) -> Tensor:
    """Probabilities (N, K, H, W), background first; without gradients.

    softmax: of K logits. two_head: with p = σ(first logit) and q the softmax of the others, background is 1 − p and
    class c is p·q_c. sigmoid and binary: channels are independent and need not add up to one; background is 1 − the
    largest of them.
    """
    return with_softmax(logits, head, _softmax)


def with_softmax(logits: Tensor, head: Head, softmax: Callable[[Tensor], Tensor]) -> Tensor:
    """`probabilities` by another softmax over channels, for graphs that cannot choose by the values they hold."""
    match head:
        case "softmax":
            return softmax(logits)
        case "two_head":
            foreground = logits[:, :1]
            # σ(−x) keeps the digits that 1 − σ(x) rounds off.
            return torch.cat([torch.sigmoid(-foreground), torch.sigmoid(foreground) * softmax(logits[:, 1:])], 1)
        case "sigmoid" | "binary":
            channels = torch.sigmoid(logits)
            return torch.cat([1 - channels.amax(1, keepdim=True), channels], 1)


def _softmax(logits: Tensor) -> Tensor:
    """As torch.softmax over channels, which is up to three times as slow on a CPU where memory is channels-last."""
    if not logits.numel():
        return logits
    raised = logits.exp()
    total = raised.sum(1, keepdim=True)
    low, high = torch.aminmax(total)
    # Only extreme logits need the largest one subtracted first, and finding it is half of the work.
    if not (low > 1e-30 and high < 1e30):
        raised = (logits - logits.amax(1, keepdim=True)).exp_()
        total = raised.sum(1, keepdim=True)
    return raised.div_(total)
