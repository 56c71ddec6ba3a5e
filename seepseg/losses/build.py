"""The loss of a config: thin modules over the pure functions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from seepseg.config import BceLoss, CeLoss, DiceBceLoss, DiceCeLoss, DiceLoss, FocalTverskyLoss, Head, LossNode
from seepseg.losses import functional as f
from seepseg.models.head import foreground_probabilities

Terms = Callable[["Loss", Tensor, Tensor], dict[str, tuple[float, Tensor]]]
"""(loss, logits, target) → name of a term → its weight and value."""


class Loss(nn.Module):
    """A weighted sum of named terms, in float32 whatever the autocast.

    Args:
        head: how logits become probabilities.
        terms: the terms.
        class_weights: (C) weights of the foreground classes in every mean over classes.
    """

    class_weights: Tensor

    def __init__(self, head: Head, terms: Terms, class_weights: Tensor) -> None:
        super().__init__()
        self.head, self.terms = head, terms
        self.register_buffer("class_weights", class_weights)

    def forward(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """`loss` and each term of logits (N, C, H, W) against class indices (N, H, W), 255 = ignore."""
        with torch.autocast(logits.device.type, enabled=False):
            terms = self.terms(self, logits.float(), target)
        total = sum((weight * value for weight, value in terms.values()), start=logits.new_zeros((), dtype=torch.float32))
        return {"loss": total} | {name: value for name, (_, value) in terms.items()}

    def mean(self, per_class: Tensor) -> Tensor:
        """Weighted mean over the foreground classes."""
        return (per_class * self.class_weights).sum() / self.class_weights.sum()

    def bce(self, logits: Tensor, target: Tensor) -> Tensor:
        """Binary cross-entropy."""
        return self.mean(f.bce(logits, f.Labels(target)))

    def ce(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy; background has weight 1."""
        return f.ce(logits, target, torch.cat([self.class_weights.new_ones(1), self.class_weights]))

    def dice(self, logits: Tensor, target: Tensor) -> Tensor:
        """1 − soft Dice."""
        return self.mean(1 - f.dice(*f.region_sums(foreground_probabilities(logits, self.head), f.Labels(target))))

    def focal_tversky(self, logits: Tensor, target: Tensor, config: FocalTverskyLoss) -> Tensor:
        """Focal Tversky."""
        sums = f.region_sums(foreground_probabilities(logits, self.head), f.Labels(target))
        return self.mean(f.focal_tversky(f.tversky_index(*sums, config.fp_weight, config.fn_weight), config.gamma))


def build_loss(config: LossNode, head: Head, n_classes: int) -> Loss:
    """The loss of a config for K classes, background included."""
    weights = torch.tensor(config.class_weights or [1.0] * (n_classes - 1))
    terms: Terms
    match config:
        case BceLoss():
            terms = lambda loss, x, y: {"bce": (1.0, loss.bce(x, y))}  # noqa: E731 - a table of one-liners
        case CeLoss():
            terms = lambda loss, x, y: {"ce": (1.0, loss.ce(x, y))}  # noqa: E731
        case DiceLoss():
            terms = lambda loss, x, y: {"dice": (1.0, loss.dice(x, y))}  # noqa: E731
        case DiceBceLoss():
            terms = lambda loss, x, y: {"bce": (config.bce_weight, loss.bce(x, y)),  # noqa: E731
                                        "dice": (1.0, loss.dice(x, y))}
        case DiceCeLoss():
            terms = lambda loss, x, y: {"ce": (config.ce_weight, loss.ce(x, y)), "dice": (1.0, loss.dice(x, y))}  # noqa: E731
        case FocalTverskyLoss():
            terms = lambda loss, x, y: {"focal_tversky": (1.0, loss.focal_tversky(x, y, config))}  # noqa: E731
        case _:
            raise AssertionError(f"no loss for {type(config).__name__}")
    return Loss(head, terms, weights)
