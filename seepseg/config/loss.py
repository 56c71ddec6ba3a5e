"""The config of losses, and which head each goes with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from seepseg.config.network import Head
from seepseg.config.node import Named, Node, Positive


class LossNode(Node):
    """What every loss has in common."""

    class_weights: list[Positive] | None = None
    """A weight for each foreground class; by default all are equal."""


class BceLoss(LossNode):
    """Binary cross-entropy on sigmoid channels."""

    name: Literal["bce"] = "bce"
    """Which loss."""


class CeLoss(LossNode):
    """Softmax cross-entropy, background included."""

    name: Literal["ce"] = "ce"
    """Which loss."""


class DiceLoss(LossNode):
    """Soft Dice over the batch, mean over foreground classes."""

    name: Literal["dice"] = "dice"
    """Which loss."""


class DiceBceLoss(LossNode):
    """`bce_weight` · BCE + Dice on sigmoid channels."""

    name: Literal["dice_bce"] = "dice_bce"
    """Which loss."""
    bce_weight: Positive = 1.0
    """Weight of BCE; that of Dice is 1."""


class DiceCeLoss(LossNode):
    """`ce_weight` · cross-entropy + Dice on softmax probabilities."""

    name: Literal["dice_ce"] = "dice_ce"
    """Which loss."""
    ce_weight: Positive = 1.0
    """Weight of cross-entropy; that of Dice is 1."""


class FocalTverskyLoss(LossNode):
    """Mean over classes of (1 − TI)^(1/gamma) (arXiv 1810.07842)."""

    name: Literal["focal_tversky"] = "focal_tversky"
    """Which loss."""
    fp_weight: Positive = 0.3
    """Weight of false positives."""
    fn_weight: Positive = 0.7
    """Weight of false negatives; above `fp_weight`, recall counts more than precision."""
    gamma: Positive = 4 / 3
    """Focus: the exponent is 1 / gamma, so above 1 classes that are nearly learned count more."""


class LovaszHingeLoss(LossNode):
    """Lovász extension of the Jaccard loss over hinge errors, mean over tiles (arXiv 1705.08790)."""

    name: Literal["lovasz_hinge"] = "lovasz_hinge"
    """Which loss."""
    elu: bool = False
    """Takes elu(error) + 1 for max(error, 0), so that pixels on the right side of the margin still learn."""


class LovaszSoftmaxLoss(LossNode):
    """Lovász extension of the Jaccard loss over softmax errors in the batch (arXiv 1705.08790).

    Mean over the foreground classes that the truth of the batch holds.
    """

    name: Literal["lovasz_softmax"] = "lovasz_softmax"
    """Which loss."""


class TwoHeadLoss(LossNode):
    """BCE + Dice of foreground against background + `class_weight` · cross-entropy of the class on foreground pixels.

    `class_weights` weigh the classes in that cross-entropy alone.
    """

    name: Literal["two_head"] = "two_head"
    """Which loss."""
    class_weight: Positive = 1.0
    """Weight of the classes' cross-entropy; those of BCE and Dice are 1."""


Loss = Annotated[
    BceLoss
    | CeLoss
    | DiceLoss
    | DiceBceLoss
    | DiceCeLoss
    | FocalTverskyLoss
    | LovaszHingeLoss
    | LovaszSoftmaxLoss
    | TwoHeadLoss,
    Field(discriminator="name"),
    Named,
]

LOSS_HEADS: dict[str, tuple[Head, ...]] = {
    "bce": ("sigmoid", "binary"),
    "ce": ("softmax",),
    "dice": ("softmax", "sigmoid", "binary", "two_head"),
    "dice_bce": ("sigmoid", "binary"),
    "dice_ce": ("softmax",),
    "focal_tversky": ("softmax", "sigmoid", "binary", "two_head"),
    "lovasz_hinge": ("binary",),
    "lovasz_softmax": ("softmax",),
    "two_head": ("two_head",),
}
"""Which loss goes with which head; docs/metrics.md explains the table."""


def wrong_head(loss: str, head: Head) -> str | None:
    """Why a loss and a head do not go together, and which do; None where they do."""
    heads, losses = LOSS_HEADS[loss], [name for name, heads in LOSS_HEADS.items() if head in heads]
    if head in heads:
        return None
    return (
        f"loss {loss} does not go with model.head {head}: use head {' or '.join(heads)}, or loss {' or '.join(losses)}"
    )
