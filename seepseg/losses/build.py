"""The loss of a config: a thin module over the pure functions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from seepseg.classes import IGNORE
from seepseg.config import (
    BceLoss,
    CeLoss,
    DiceBceLoss,
    DiceCeLoss,
    DiceLoss,
    FocalTverskyLoss,
    Head,
    LossNode,
    LovaszHingeLoss,
    LovaszSoftmaxLoss,
    TwoHeadLoss,
    parse_node,
    wrong_head,
)
from seepseg.errors import ConfigError
from seepseg.losses import functional as f
from seepseg.losses.lovasz import lovasz_hinge, lovasz_softmax
from seepseg.models.head import foreground_probabilities


class _Batch:
    """One batch as the terms of a loss read it; what several of them share is computed once.

    Args:
        logits: (N, C, H, W) float32.
        target: (N, H, W) class indices, 255 = ignore.
        head: how logits become probabilities.
        weights: (K − 1) of the foreground classes.
    """

    def __init__(self, logits: Tensor, target: Tensor, head: Head, weights: Tensor) -> None:
        self.logits, self.target, self.head, self.weights = logits, target, head, weights

    @cached_property
    def labels(self) -> f.Labels:
        return f.Labels(self.target)

    @cached_property
    def sums(self) -> tuple[Tensor, Tensor, Tensor]:
        return f.region_sums(foreground_probabilities(self.logits, self.head), self.labels)

    @cached_property
    def outline(self) -> _Batch:
        """The first output of two_head: foreground or not."""
        merged = torch.where(self.target == IGNORE, IGNORE, self.target.clamp(max=1))
        return _Batch(self.logits[:, :1], merged, "binary", self.weights.new_ones(1))

    def mean(self, per_class: Tensor) -> Tensor:
        """Weighted mean over the foreground classes."""
        return (per_class * self.weights).sum() / self.weights.sum()


Term = Callable[[_Batch], Tensor]


class Loss(nn.Module):
    """A weighted sum of named terms, in float32 whatever the autocast.

    Args:
        head: how logits become probabilities.
        class_weights: (K − 1) weights of the foreground classes in every mean over classes.
        terms: name of a term → its weight, and the term itself.
    """

    class_weights: Tensor

    def __init__(self, head: Head, class_weights: Tensor, terms: dict[str, tuple[float, Term]]) -> None:
        super().__init__()
        self.head, self.terms = head, terms
        self.register_buffer("class_weights", class_weights)

    def forward(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """`loss` and each term of logits (N, C, H, W) against class indices (N, H, W), 255 = ignore."""
        with torch.autocast(logits.device.type, enabled=False):
            batch = _Batch(logits.float(), target, self.head, self.class_weights)
            values = {name: term(batch) for name, (_, term) in self.terms.items()}
            total = torch.stack([weight * values[name] for name, (weight, _) in self.terms.items()]).sum()
        return {"loss": total} | values


def build_loss(loss: LossNode | str, head: Head, n_classes: int, **options: Any) -> Loss:
    """A loss for K classes, background included, for logits (N, C, H, W) and class indices (N, H, W), 255 = ignore.

    The module returns a dictionary: "loss", and the terms that it is made of.

    Examples:
        >>> import torch, seepseg
        >>> loss = seepseg.losses.build_loss("dice_ce", head="softmax", n_classes=3, ce_weight=0.5)
        >>> logits = torch.zeros(2, 3, 8, 8, requires_grad=True)
        >>> target = torch.randint(0, 3, (2, 8, 8))
        >>> terms = loss(logits, target)
        >>> sorted(terms), round(terms["ce"].item(), 4)  # −log ⅓
        (['ce', 'dice', 'loss'], 1.0986)
        >>> terms["loss"].backward()

    Args:
        loss: its name, or a node of a config; `docs/metrics.md` says which loss goes with which head.
        head: how logits become probabilities: "softmax" (C = K), "sigmoid" (K − 1), "binary" (1), "two_head" (K).
        n_classes: K.
        options: keys of the loss, as in a config: `gamma`, `fp_weight`, `class_weights` …

    Raises:
        ConfigError: there is no such loss or key, or the loss does not go with the head.
    """
    tree = {"name": loss} if isinstance(loss, str) else loss.model_dump()
    config: LossNode = parse_node("loss", tree | options, "build_loss")
    if reason := wrong_head(tree["name"], head):
        raise ConfigError(reason, "build_loss")
    if n_classes < 2 or (head == "binary" and n_classes > 2):
        fix = "give 2" if head == "binary" else "give 2 or more"
        raise ConfigError(f"n_classes is {n_classes}, background included, with head {head}", "build_loss", fix)
    if config.class_weights and len(config.class_weights) != n_classes - 1:
        what = f"class_weights has {len(config.class_weights)} numbers for {n_classes - 1} foreground classes"
        raise ConfigError(what, "build_loss", "give one for each")
    weights = torch.tensor(config.class_weights or [1.0] * (n_classes - 1))
    return Loss(head, weights, _terms(config))


def _terms(config: LossNode) -> dict[str, tuple[float, Term]]:
    """Name, weight and function of each term."""
    match config:
        case BceLoss():
            return {"bce": (1.0, _bce)}
        case CeLoss():
            return {"ce": (1.0, _ce)}
        case DiceLoss():
            return {"dice": (1.0, _dice)}
        case DiceBceLoss():
            return {"bce": (config.bce_weight, _bce), "dice": (1.0, _dice)}
        case DiceCeLoss():
            return {"ce": (config.ce_weight, _ce), "dice": (1.0, _dice)}
        case FocalTverskyLoss():
            return {"focal_tversky": (1.0, lambda x: _focal_tversky(x, config))}
        case LovaszHingeLoss():
            return {"lovasz_hinge": (1.0, lambda x: lovasz_hinge(x.logits, x.target, elu=config.elu))}
        case LovaszSoftmaxLoss():
            return {"lovasz_softmax": (1.0, lambda x: lovasz_softmax(torch.softmax(x.logits, 1), x.target, x.weights))}
        case TwoHeadLoss():
            return {
                "bce": (1.0, lambda x: _bce(x.outline)),
                "dice": (1.0, lambda x: _dice(x.outline)),
                "class_ce": (config.class_weight, lambda x: f.class_ce(x.logits[:, 1:], x.labels, x.weights)),
            }
    raise AssertionError(f"no loss for {type(config).__name__}")


def _bce(x: _Batch) -> Tensor:
    return x.mean(f.bce(x.logits, x.labels))


def _ce(x: _Batch) -> Tensor:
    # Background has weight 1.
    return f.ce(x.logits, x.target, torch.cat([x.weights.new_ones(1), x.weights]))


def _dice(x: _Batch) -> Tensor:
    return x.mean(1 - f.dice(*x.sums))


def _focal_tversky(x: _Batch, config: FocalTverskyLoss) -> Tensor:
    return x.mean(f.focal_tversky(f.tversky_index(*x.sums, config.fp_weight, config.fn_weight), config.gamma))
