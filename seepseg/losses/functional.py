"""Losses as pure functions of sums over the batch.

MONAI's and torch's losses check these in the tests and are not called here: under DDP the *sums* inside a Dice or
Tversky term must be added over all processes before they are divided, and masks hold ignored pixels.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's convention

from seepseg.classes import IGNORE

SMOOTH = 1e-5
"""Added to numerator and denominator of ratios, as in MONAI: a class absent in truth and prediction has Dice 1."""


class Labels:
    """The labels of a target (N, H, W) of class indices, computed once for all terms of a loss.

    Foreground is sparse (some two percent of a tile), so values there are gathered instead of multiplied by a mask.

    Attributes:
        valid: 1 where a pixel counts and 0 where it is ignored, float32 (N, 1, H, W); None where all count.
        count: number of valid pixels.
        pixels: tile, row and column of each of the F foreground pixels.
        channels: (F) foreground channel (class − 1) of each.
    """

    def __init__(self, target: Tensor) -> None:
        valid = target != IGNORE
        # Most batches ignore nothing: then a plain sum is enough, whose gradient costs no multiplication.
        self.valid = None if bool(valid.all()) else valid.float().unsqueeze(1)
        self.count = valid.sum().float()
        self.pixels = tile, row, column = ((target > 0) & valid).nonzero(as_tuple=True)
        self.channels = target[tile, row, column] - 1

    def total(self, values: Tensor) -> Tensor:
        """Sum over the valid pixels of values (N, C, H, W), per channel (C)."""
        return (values if self.valid is None else values * self.valid).sum((0, 2, 3))

    def pick(self, values: Tensor) -> Tensor:
        """Values (N, C, H, W) at the foreground pixels, from the channel of their class (F)."""
        tile, row, column = self.pixels
        return values[tile, self.channels, row, column]

    def per_class(self, picked: Tensor, channels: int) -> Tensor:
        """Sums (C) by class of values from `pick`."""
        return picked.new_zeros(channels).index_add(0, self.channels, picked)


def pixel_sums(probabilities: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Soft counts of foreground probabilities (N, C, H, W) against a target (N, H, W): tp, fp, fn, bce (C) and count.

    `bce` sums −log of the probability given to the truth over valid pixels (probabilities clamped to 1e-7 … 1 − 1e-7),
    `count` is their number. Sums are float64, since whole epochs are added up from them, and nothing is reduced over
    processes.
    """
    labels, channels = Labels(target), probabilities.shape[1]
    picked = labels.pick(probabilities).double()
    against = torch.log1p(-probabilities.clamp(max=1 - 1e-7))
    # log p is needed at the foreground alone, where it replaces log(1 − p).
    for_truth = labels.pick(against).double() - picked.clamp_min(1e-7).log()
    tp, present, bce = (labels.per_class(v, channels) for v in (picked, torch.ones_like(picked), for_truth))
    predicted, rest = (labels.total(v).double() for v in (probabilities, against))
    return {"tp": tp, "fp": predicted - tp, "fn": present - tp, "bce": bce - rest, "count": labels.count.double()}


def region_sums(probabilities: Tensor, labels: Labels) -> tuple[Tensor, Tensor, Tensor]:
    """Soft true positives, false positives and false negatives (C) each, over the global batch."""
    picked = labels.pick(probabilities)
    tp, present = (labels.per_class(v, probabilities.shape[1]) for v in (picked, torch.ones_like(picked)))
    sums = torch.stack([tp, labels.total(probabilities), present])
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
    truth = labels.per_class(labels.pick(logits), logits.shape[1])
    per_class = labels.total(F.softplus(logits)) - truth
    sums = global_sum(torch.cat([per_class, labels.count.view(1)]))
    return sums[:-1] / sums[-1].clamp_min(1)


def ce(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Softmax cross-entropy, weighted mean over the valid pixels of the global batch; 0 where all are ignored.

    Args:
        weights: (K) weight of each class, background first.
    """
    valid = target != IGNORE
    classes = target.masked_fill(~valid, 0)
    # Gathered by hand: F.cross_entropy on images refuses torch.use_deterministic_algorithms on a GPU, and is no faster.
    log_likelihood = F.log_softmax(logits, 1).gather(1, classes.unsqueeze(1)).squeeze(1)
    return _weighted_mean(-log_likelihood, weights[classes] * valid)


def class_ce(logits: Tensor, labels: Labels, weights: Tensor) -> Tensor:
    """Cross-entropy of the foreground class on foreground pixels alone, weighted mean over the global batch; else 0.

    Args:
        logits: (N, K − 1, H, W).
        weights: (K − 1) weight of each foreground class.
    """
    tile, row, column = labels.pixels
    log_likelihood = F.log_softmax(logits[tile, :, row, column], 1).gather(1, labels.channels.unsqueeze(1)).squeeze(1)
    return _weighted_mean(-log_likelihood, weights[labels.channels])


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Σ weights·values / Σ weights (scalar) over the pixels of the global batch; 0 where all weights are 0."""
    total, weight = global_sum(torch.stack([(weights * values).sum(), weights.sum()]))
    mean: Tensor = total / weight.clamp_min(1e-6)
    return mean


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
    pass here sums them: together, the gradient of the global loss. Without gradients nothing is reduced: validation
    shards may differ in their number of batches, and a collective would wait forever.
    """
    alone = not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1
    if alone or not torch.is_grad_enabled():
        return x
    return _AllSum.apply(x)  # type: ignore[no-any-return,no-untyped-call]
