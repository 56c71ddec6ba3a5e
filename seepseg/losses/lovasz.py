"""Lovász losses: the Jaccard loss, which is defined on sets of wrong pixels, extended to errors of any size.

Berman, Triki and Blaschko, arXiv 1705.08790. Sort the errors m of a class, the largest first; with S_i the set of the
first i pixels and J(S) = 1 − |truth without S| / |truth ∪ S| the Jaccard loss where the pixels S are wrong, the loss is
Σ_i m_i · (J(S_i) − J(S_{i−1})). Almost everywhere the order of pixels does not change with the errors, so the
differences are plain weights of a sum, and no gradient flows through the sort.

Shapes: errors are in rows (G, C, P), where P pixels are judged together: a tile each (G = N), or the batch (G = 1).
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's convention

from seepseg.classes import IGNORE
from seepseg.losses.reduce import global_sum


def lovasz_hinge(
    logits: Tensor, target: Tensor, *, elu: bool = False, symmetric: bool = False, per_image: bool = True
) -> Tensor:
    """Lovász hinge of foreground logits (N, 1, H, W) against a target (N, H, W), a scalar.

    The error of a pixel is its hinge loss max(0, 1 ∓ logit). A tile without foreground is judged by its largest error,
    one that is wholly ignored by none.

    Args:
        elu: elu(e) + 1 for max(0, e), which also pulls on pixels beyond the margin.
        symmetric: the mean with the same loss for background.
        per_image: the mean over tiles that have a pixel to judge; otherwise one loss of the global batch.
    """
    known = (target != IGNORE).unsqueeze(1)
    truth = known & (target > 0).unsqueeze(1)
    # Filled before anything is made of them: the gradient of a NaN is one, even where it is multiplied by 0.
    errors = (1 - torch.where(truth, logits, -logits)).masked_fill(~known, 0)
    sides = [truth, known & ~truth] if symmetric else [truth]
    losses = [
        _extension(errors, side, known, per_image, F.elu(errors) + 1 if elu else F.relu(errors)) for side in sides
    ]
    return _mean_over_rows(torch.stack([loss.squeeze(1) for loss, _ in losses]).mean(0), known, per_image)


def lovasz_softmax(
    likely: Tensor,
    target: Tensor,
    weights: Tensor,
    *,
    background: bool = False,
    present_only: bool = True,
    per_image: bool = False,
) -> Tensor:
    """Lovász softmax of probabilities (N, K, H, W) against a target (N, H, W): weighted mean over classes, a scalar.

    The error of a pixel is 1 − p of a class where it is that class and p elsewhere.

    Args:
        weights: (K − 1) of the foreground classes.
        background: count it as a class, of weight 1.
        present_only: leave out classes without a true pixel; otherwise such a class is judged by its largest error.
        per_image: the mean over tiles that have a pixel to judge; otherwise one loss of the global batch.
    """
    first = 0 if background else 1
    weights = torch.cat([weights.new_ones(1 - first), weights])
    classes = torch.arange(first, likely.shape[1], device=target.device)
    likely = likely[:, first:]
    known = (target != IGNORE).unsqueeze(1)
    truth = target.unsqueeze(1) == classes.view(1, -1, 1, 1)
    errors = torch.where(truth, 1 - likely, likely).masked_fill(~known, 0)
    losses, present = _extension(errors, truth, known, per_image, errors)
    counted = weights * present if present_only else weights.expand_as(losses)
    per_row = (losses * counted).sum(1) / counted.sum(1).clamp_min(1e-6)
    return _mean_over_rows(per_row, known, per_image)


def lovasz_weights(errors: Tensor, truth: Tensor) -> Tensor:
    """J(S_i) − J(S_{i−1}) of each pixel, in the place of the pixel; float32 (…, P), without gradients.

    Both differences have a closed form, exact where subtracting two nearly equal fractions is not: a true pixel takes
    one from the intersection, 1 / union; another adds one to the union u, intersection / (u · (u + 1)).

    Args:
        errors: (…, P); −inf puts a pixel last, where it has no influence on the others.
        truth: bool (…, P).
    """
    order = errors.detach().sort(dim=-1, descending=True, stable=True).indices
    hit = truth.gather(-1, order).long()
    total = hit.sum(-1, keepdim=True)
    # Whole numbers: exact at any size, and a float cumsum has no deterministic form on a GPU.
    intersection, union = total - hit.cumsum(-1), total + (1 - hit).cumsum(-1)
    added = intersection / (union * (union - 1)).clamp_min(1)
    steps = torch.where(hit.bool(), 1 / union.clamp_min(1), added)
    # Where nothing is true the first wrong pixel makes the whole loss.
    steps[..., :1] = torch.where(total == 0, torch.ones_like(steps[..., :1]), steps[..., :1])
    return torch.zeros_like(steps).scatter(-1, order, steps)


def _extension(errors: Tensor, truth: Tensor, known: Tensor, per_image: bool, cost: Tensor) -> tuple[Tensor, Tensor]:
    """Losses (G, C) of errors (N, C, H, W), and where a class has a true pixel (G, C).

    Args:
        errors: give the order of pixels; finite on ignored ones.
        known: bool (N, 1, H, W).
        cost: what is summed up with the weights of that order, (N, C, H, W).
    """
    known = known.expand_as(errors)
    ranked = _rows(errors.detach().masked_fill(~known, -torch.inf), per_image)
    true = _rows(truth, per_image)
    # Tiles know all their pixels; a batch that several processes share must be sorted as one.
    shared = not per_image and torch.is_grad_enabled() and dist.is_available() and dist.is_initialized()
    with torch.no_grad():
        if shared and dist.get_world_size() > 1:
            weights, present = _shared_weights(ranked, true)
        else:
            weights, present = lovasz_weights(ranked, true), true.any(-1)
        weights = weights * _rows(known, per_image)
    losses = (weights * _rows(cost, per_image)).sum(-1)
    return losses if per_image else global_sum(losses), present


def _shared_weights(ranked: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """`lovasz_weights` of this process's pixels among those of all processes, and where a class is true anywhere."""
    pixels = torch.tensor([ranked.shape[-1]], device=ranked.device)
    most = pixels.clone()
    dist.all_reduce(most, dist.ReduceOp.MAX)
    # Collectives want equal shapes; what fills up counts as ignored.
    fill = (0, int(most) - int(pixels))
    errors = _gathered(F.pad(ranked, fill, value=-torch.inf))
    true = _gathered(F.pad(truth.byte(), fill)).bool()
    begin = dist.get_rank() * int(most)
    return lovasz_weights(errors, true)[..., begin : begin + int(pixels)], true.any(-1)


def _gathered(x: Tensor) -> Tensor:
    parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts, -1)


def _rows(x: Tensor, per_image: bool) -> Tensor:
    """(N, C, H, W) as (N, C, H·W), or as (1, C, N·H·W) where the batch is judged as one."""
    return x.flatten(2) if per_image else x.transpose(0, 1).flatten(1).unsqueeze(0)


def _mean_over_rows(losses: Tensor, known: Tensor, per_image: bool) -> Tensor:
    """The mean (scalar) of losses (G) over the tiles of the global batch that have a pixel to judge."""
    if not per_image:
        return losses.squeeze(0)
    counted = known.flatten(1).any(1).float()
    total, count = global_sum(torch.stack([(losses * counted).sum(), counted.sum()]))
    mean: Tensor = total / count.clamp_min(1)
    return mean
