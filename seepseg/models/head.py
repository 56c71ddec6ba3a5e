"""Heads: from the logits of a network to class probabilities, the same way everywhere."""

from __future__ import annotations

import torch
from torch import Tensor

from seepseg.config import Head


def out_channels(head: Head, n_classes: int) -> int:
    """Output channels of a network for K classes, background included: softmax K, sigmoid K − 1, binary 1."""
    return {"softmax": n_classes, "sigmoid": n_classes - 1, "binary": 1}[head]


def foreground_probabilities(logits: Tensor, head: Head) -> Tensor:
    """Probabilities (N, K − 1, H, W) of the foreground classes from float32 logits (N, C, H, W)."""
    return torch.softmax(logits, 1)[:, 1:] if head == "softmax" else torch.sigmoid(logits)


def probabilities(logits: Tensor, head: Head) -> Tensor:
    """Probabilities (N, K, H, W), background first.

    Sigmoid channels are independent, so they need not add up to one: background is 1 − the largest of them.
    """
    if head == "softmax":
        return torch.softmax(logits, 1)
    foreground = torch.sigmoid(logits)
    return torch.cat([1 - foreground.amax(1, keepdim=True), foreground], 1)
