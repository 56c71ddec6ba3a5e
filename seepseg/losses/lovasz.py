"""Lovász losses: the Jaccard loss, which is defined on sets of wrong pixels, extended to errors of any size.

Berman, Triki and Blaschko, arXiv 1705.08790. Sort the errors m of a class, the largest first; with S_i the set of the
first i pixels and J(S) = 1 − |truth without S| / |truth ∪ S| the Jaccard loss where the pixels S are wrong, the loss is
Σ_i m_i · (J(S_i) − J(S_{i−1})). Almost everywhere the order of pixels does not change with the errors, so the
differences are plain weights of a sum, and no gradient flows through the sort.

Shapes: errors (…, P), where P pixels are sorted together: those of a tile in the hinge, of the batch in softmax.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's convention

from seepseg.classes import IGNORE
from seepseg.losses.functional import global_sum


def lovasz_hinge(logits: Tensor, target: Tensor, *, elu: bool) -> Tensor:
    """Lovász hinge of foreground logits (N, 1, H, W) against a target (N, H, W): mean over tiles, a scalar.

    The error of a pixel is its hinge loss max(0, 1 ∓ logit). The loss of a tile without foreground is its largest
    error; a tile that is wholly ignored is left out of the mean.

    Args:
        elu: elu(e) + 1 for max(e, 0), which also has a gradient at pixels beyond the margin.
    """
    valid, foreground = (target != IGNORE).flatten(1), (target > 0).flatten(1)
    truth = valid & foreground
    logits = logits.flatten(1)
    # Filled at once: the gradient of a NaN is NaN, even where it is multiplied by 0.
    errors = (1 - torch.where(truth, logits, -logits)).masked_fill(~valid, 0)
    weights = lovasz_weights(errors.masked_fill(~valid, -torch.inf), truth) * valid
    losses = (weights * (F.elu(errors) + 1 if elu else F.relu(errors))).sum(-1)
    total, count = global_sum(torch.stack([losses.sum(), valid.any(1).sum().to(losses)]))
    mean: Tensor = total / count.clamp_min(1)
    return mean


def lovasz_softmax(probabilities: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Lovász softmax of probabilities (N, K, H, W) against a target (N, H, W), over the global batch, a scalar.

    The error of a pixel is 1 − p of a class where it is that class and p elsewhere. Weighted mean over the foreground
    classes that have a true pixel; 0 where none has.

    Args:
        weights: (K − 1) of the foreground classes.
    """
    probabilities, target = probabilities[:, 1:].transpose(0, 1).flatten(1), target.flatten()
    valid = target != IGNORE
    truth = target == torch.arange(1, len(probabilities) + 1, device=target.device).unsqueeze(1)
    errors = torch.where(truth, 1 - probabilities, probabilities).masked_fill(~valid, 0)
    steps, present = _batch_weights(errors.masked_fill(~valid, -torch.inf), truth)
    losses, counted = global_sum((steps * valid * errors).sum(-1)), weights * present
    mean: Tensor = (losses * counted).sum() / counted.sum().clamp_min(1e-6)
    return mean


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
    # Where nothing is true, the first wrong pixel makes the whole loss.
    steps[..., :1] = torch.where(total == 0, torch.ones_like(steps[..., :1]), steps[..., :1])
    return torch.zeros_like(steps).scatter(-1, order, steps)


def _batch_weights(errors: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """`lovasz_weights` of this process's pixels (C, P) among those of all, and where a class is true anywhere (C)."""
    shared = torch.is_grad_enabled() and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    if not shared:
        return lovasz_weights(errors, truth), truth.any(-1)
    pixels = errors.shape[-1]
    most = torch.tensor(pixels, device=errors.device)
    dist.all_reduce(most, dist.ReduceOp.MAX)
    # Collectives need equal shapes; padding counts as ignored.
    fill = (0, int(most) - pixels)
    errors = _gathered(F.pad(errors.detach(), fill, value=-torch.inf))
    truth = _gathered(F.pad(truth.byte(), fill)).bool()
    begin = dist.get_rank() * int(most)
    return lovasz_weights(errors, truth)[..., begin : begin + pixels], truth.any(-1)


def _gathered(x: Tensor) -> Tensor:
    parts = [torch.empty_like(x) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, x.contiguous())
    return torch.cat(parts, -1)
