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


class Labels:
    """Where a target (N, H, W) of class indices holds what; worked out once for all terms of a loss.

    Foreground is sparse (some two percent of a tile), so what concerns it is gathered instead of multiplied out.

    Attributes:
        valid: 1 where a pixel counts and 0 where it is ignored, float32 (M, 1) for M = N·H·W; None where all count.
        count: number of valid pixels.
        rows, channels: the foreground pixels, and the foreground channel (class − 1) of each.
    """

    def __init__(self, target: Tensor) -> None:
        flat = target.reshape(-1)
        known = flat != IGNORE
        # Most batches ignore nothing; then a plain sum does, whose gradient costs no multiplication.
        self.valid = None if bool(known.all()) else known.float().unsqueeze(1)
        self.count = known.sum().float()
        self.rows = ((flat > 0) & known).nonzero().squeeze(1)
        self.channels = flat[self.rows] - 1

    def total(self, values: Tensor) -> Tensor:
        """Sum over valid pixels of values (N, C, H, W), per channel (C)."""
        pixels = _pixels(values)
        return (pixels if self.valid is None else pixels * self.valid).sum(0)

    def at_truth(self, values: Tensor) -> Tensor:
        """Sum of values (N, C, H, W) in channel c over the pixels whose truth is class c + 1, (C)."""
        picked = _pixels(values)[self.rows, self.channels]
        return values.new_zeros(values.shape[1]).index_add(0, self.channels, picked)

    def present(self, values: Tensor) -> Tensor:
        """Pixels of each class (C), for as many channels as `values` has."""
        return torch.bincount(self.channels, minlength=values.shape[1]).to(values.dtype)


def _pixels(values: Tensor) -> Tensor:
    """Values (N, C, H, W) as (M, C); no copy when they are channels-last."""
    return values.permute(0, 2, 3, 1).reshape(-1, values.shape[1])


def pixel_sums(likely: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Soft counts of foreground probabilities (N, C, H, W) against a target (N, H, W): tp, fp, fn, bce (C) and count.

    `bce` sums −log of the probability given to the truth over valid pixels, `count` is their number. Nothing is
    reduced over processes.
    """
    labels = Labels(target)
    tp, predicted, present = labels.at_truth(likely), labels.total(likely), labels.present(likely)
    against = torch.log1p(-likely.clamp(max=1 - 1e-7))
    bce = labels.at_truth(against - likely.clamp_min(1e-7).log()) - labels.total(against)
    return {"tp": tp, "fp": predicted - tp, "fn": present - tp, "bce": bce, "count": labels.count}


def region_sums(likely: Tensor, labels: Labels) -> tuple[Tensor, Tensor, Tensor]:
    """Soft true positives, false positives and false negatives (C) each, over the global batch."""
    sums = torch.stack([labels.at_truth(likely), labels.total(likely), labels.present(likely)])
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


def bce(logits: Tensor, labels: Labels) -> Tensor:
    """Binary cross-entropy per channel (C), mean over the valid pixels of the global batch.

    −log σ(x) = softplus(x) − x where the truth is 1, −log(1 − σ(x)) = softplus(x) elsewhere.
    """
    per_class = labels.total(F.softplus(logits)) - labels.at_truth(logits)
    sums = global_sum(torch.cat([per_class, labels.count.view(1)]))
    return sums[:-1] / sums[-1].clamp_min(1)


def ce(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Softmax cross-entropy, weighted mean over the valid pixels of the global batch; 0 where all are ignored.

    Args:
        weights: (K) weight of each class, background first.
    """
    per_pixel = F.cross_entropy(logits, target, weights, ignore_index=IGNORE, reduction="sum")
    seen = torch.bincount(target.reshape(-1), minlength=IGNORE + 1)[: len(weights)]
    total, count = global_sum(torch.stack([per_pixel, (seen * weights).sum()]))
    mean: Tensor = total / count.clamp_min(1e-6)
    return mean
