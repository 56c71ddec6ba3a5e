"""The loss of a config: a thin module over the pure functions."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn

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
)
from seepseg.losses import functional as f
from seepseg.losses.lovasz import lovasz_hinge, lovasz_softmax
from seepseg.models.head import foreground_probabilities


class _Inputs:
    """One batch as the terms take it; what several terms share is worked out once."""

    def __init__(self, logits: Tensor, target: Tensor, head: Head) -> None:
        self.logits, self.target, self.head = logits, target, head

    @cached_property
    def labels(self) -> f.Labels:
        return f.Labels(self.target)

    @cached_property
    def sums(self) -> tuple[Tensor, Tensor, Tensor]:
        return f.region_sums(foreground_probabilities(self.logits, self.head), self.labels)


class Loss(nn.Module):
    """A weighted sum of named terms, in float32 whatever the autocast.

    Args:
        head: how logits become probabilities.
        terms: name of a term → its weight.
        class_weights: (C) weights of the foreground classes in every mean over classes.
        tversky: weights and exponent of the term focal_tversky.
        lovasz: options of the Lovász terms.
    """

    class_weights: Tensor

    def __init__(
        self,
        head: Head,
        terms: dict[str, float],
        class_weights: Tensor,
        tversky: FocalTverskyLoss | None = None,
        lovasz: LovaszHingeLoss | LovaszSoftmaxLoss | None = None,
    ) -> None:
        super().__init__()
        self.head, self.terms, self.tversky, self.lovasz = head, terms, tversky, lovasz
        self.register_buffer("class_weights", class_weights)

    def forward(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """`loss` and each term of logits (N, C, H, W) against class indices (N, H, W), 255 = ignore."""
        with torch.autocast(logits.device.type, enabled=False):
            inputs = _Inputs(logits.float(), target, self.head)
            terms = {name: self._term(name, inputs) for name in self.terms}
            total = torch.stack([self.terms[name] * value for name, value in terms.items()]).sum()
        return {"loss": total} | terms

    def _term(self, name: str, x: _Inputs) -> Tensor:
        match name:
            case "bce":
                return self._mean(f.bce(x.logits, x.labels))
            case "ce":
                # Background has weight 1.
                return f.ce(x.logits, x.target, torch.cat([self.class_weights.new_ones(1), self.class_weights]))
            case "dice":
                return self._mean(1 - f.dice(*x.sums))
            case "focal_tversky":
                assert self.tversky
                index = f.tversky_index(*x.sums, self.tversky.fp_weight, self.tversky.fn_weight)
                return self._mean(f.focal_tversky(index, self.tversky.gamma))
            case "lovasz_hinge":
                assert isinstance(self.lovasz, LovaszHingeLoss)
                o = self.lovasz
                return lovasz_hinge(x.logits, x.target, elu=o.elu, symmetric=o.symmetric, per_image=o.per_image)
            case "lovasz_softmax":
                assert isinstance(self.lovasz, LovaszSoftmaxLoss)
                return lovasz_softmax(
                    torch.softmax(x.logits, 1),
                    x.target,
                    self.class_weights,
                    background=self.lovasz.background,
                    present_only=self.lovasz.classes == "present",
                    per_image=self.lovasz.per_image,
                )
        raise AssertionError(f"no term {name}")

    def _mean(self, per_class: Tensor) -> Tensor:
        """Weighted mean over the foreground classes."""
        return (per_class * self.class_weights).sum() / self.class_weights.sum()


def build_loss(config: LossNode, head: Head, n_classes: int) -> Loss:
    """The loss of a config for K classes, background included."""
    weights = torch.tensor(config.class_weights or [1.0] * (n_classes - 1))
    match config:
        case BceLoss() | CeLoss() | DiceLoss():
            return Loss(head, {config.name: 1.0}, weights)
        case DiceBceLoss():
            return Loss(head, {"bce": config.bce_weight, "dice": 1.0}, weights)
        case DiceCeLoss():
            return Loss(head, {"ce": config.ce_weight, "dice": 1.0}, weights)
        case FocalTverskyLoss():
            return Loss(head, {"focal_tversky": 1.0}, weights, config)
        case LovaszHingeLoss() | LovaszSoftmaxLoss():
            return Loss(head, {config.name: 1.0}, weights, lovasz=config)
    raise AssertionError(f"no loss for {type(config).__name__}")
