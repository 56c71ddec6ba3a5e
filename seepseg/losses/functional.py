"""Losses as pure functions of sums over the batch.

MONAI's and torch's losses are oracles in the tests and not called here: under DDP the *sums* inside a Dice or Tversky
term must be added over all processes before they are divided, and masks carry ignored pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's convention

from seepseg.classes import IGNORE
from seepseg.losses.reduce import global_sum

SMOOTH = 1e-5
"""Added to numerator and denominator of ratios, as in MONAI: a class absent on both sides has Dice 1."""


def one_hot(target: Tensor, channels: int) -> Tensor:
    """Foreground of a target (N, H, W) as float32 (N, C, H, W) for classes 1 … C; ignored pixels are 0."""
    classes = torch.arange(1, channels + 1, device=target.device).view(1, -1, 1, 1)
    return (target.unsqueeze(1) == classes).float()


def pixel_sums(likely: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Soft counts of foreground probabilities (N, C, H, W) against a target (N, H, W): tp, fp, fn, bce (C) and count.

    `bce` sums −log of the probability given to the truth over valid pixels, `count` is their number. Nothing is
    reduced over processes.
    """
    valid = (target != IGNORE).unsqueeze(1)
    truth = one_hot(target, likely.shape[1])
    seen = likely.float() * valid
    tp = (seen * truth).sum((0, 2, 3))
    # The probability given to the truth; 1 on ignored pixels, whose log is 0.
    given = torch.where(truth.bool(), seen, 1 - seen).clamp_min(1e-7)
    return {"tp": tp, "fp": seen.sum((0, 2, 3)) - tp, "fn": truth.sum((0, 2, 3)) - tp,
            "bce": -given.log().sum((0, 2, 3)), "count": valid.sum().float()}


def region_sums(likely: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Soft true positives, false positives and false negatives (C) each, over the global batch."""
    valid = (target != IGNORE).unsqueeze(1)
    truth = one_hot(target, likely.shape[1])
    seen = likely * valid
    sums = torch.stack([(seen * truth).sum((0, 2, 3)), seen.sum((0, 2, 3)), truth.sum((0, 2, 3))])
    tp, predicted, present = global_sum(sums)
    return tp, predicted - tp, present - tp


def dice(tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
    """Soft Dice per class (C): 2 tp / (2 tp + fp + fn)."""
    return (2 * tp + SMOOTH) / (2 * tp + fp + fn + SMOOTH)


def tversky_index(tp: Tensor, fp: Tensor, fn: Tensor, fp_weight: float, fn_weight: float) -> Tensor:
    """Tversky index per class (C): tp / (tp + fp_weight·fp + fn_weight·fn) (arXiv 1706.05721)."""
    return (tp + SMOOTH) / (tp + fp_weight * fp + fn_weight * fn + SMOOTH)


def focal_tversky(index: Tensor, gamma: float) -> Tensor:
    """(1 − TI)^(1/gamma) per class (C) (arXiv 1810.07842); the clamp keeps the gradient finite at TI = 1."""
    return (1 - index).clamp_min(1e-6).pow(1 / gamma)


def bce(logits: Tensor, target: Tensor) -> Tensor:
    """Binary cross-entropy per channel (C), mean over the valid pixels of the global batch."""
    valid = (target != IGNORE).unsqueeze(1)
    truth = one_hot(target, logits.shape[1])
    per_pixel = F.binary_cross_entropy_with_logits(logits, truth, reduction="none") * valid
    sums = global_sum(torch.cat([per_pixel.sum((0, 2, 3)), valid.sum().float().view(1)]))
    return sums[:-1] / sums[-1].clamp_min(1)


def ce(logits: Tensor, target: Tensor, weights: Tensor | None = None) -> Tensor:
    """Softmax cross-entropy, weighted mean over the valid pixels of the global batch; 0 where all are ignored."""
    per_pixel = F.cross_entropy(logits, target, weights, ignore_index=IGNORE, reduction="none")
    valid = target != IGNORE
    counted = valid.float() if weights is None else weights[target.where(valid, target.new_zeros(()))] * valid
    total, count = global_sum(torch.stack([per_pixel.sum(), counted.sum()]))
    return total / count.clamp_min(1e-6)
