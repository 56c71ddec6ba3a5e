"""The config of losses, and which head each goes with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from seepseg.config.network import Head
from seepseg.config.node import Named, Node, Positive


class LossNode(Node):
    """What every loss has in common: weights of the foreground classes (null: all equal)."""

    class_weights: list[Positive] | None = None


class BceLoss(LossNode):
    """Binary cross-entropy on sigmoid channels."""

    name: Literal["bce"] = "bce"


class CeLoss(LossNode):
    """Softmax cross-entropy, background included."""

    name: Literal["ce"] = "ce"


class DiceLoss(LossNode):
    """Soft Dice over the batch, mean over foreground classes."""

    name: Literal["dice"] = "dice"


class DiceBceLoss(LossNode):
    """`bce_weight` · BCE + Dice on sigmoid channels."""

    name: Literal["dice_bce"] = "dice_bce"
    bce_weight: Positive = 1.0


class DiceCeLoss(LossNode):
    """`ce_weight` · cross-entropy + Dice on softmax probabilities."""

    name: Literal["dice_ce"] = "dice_ce"
    ce_weight: Positive = 1.0


class FocalTverskyLoss(LossNode):
    """Mean over classes of (1 − TI)^(1/gamma) (arXiv 1810.07842)."""

    name: Literal["focal_tversky"] = "focal_tversky"
    fp_weight: Positive = 0.3
    fn_weight: Positive = 0.7
    gamma: Positive = 4 / 3


class LovaszHingeLoss(LossNode):
    """Lovász extension of the Jaccard loss over hinge errors (arXiv 1705.08790).

    Mean over tiles. `elu` takes elu(error) + 1 for max(error, 0), so that pixels on the right side of the margin still
    have a gradient.
    """

    name: Literal["lovasz_hinge"] = "lovasz_hinge"
    elu: bool = False


class LovaszSoftmaxLoss(LossNode):
    """Lovász extension of the Jaccard loss over softmax errors in the batch (arXiv 1705.08790).

    Mean over the foreground classes that the truth of the batch holds.
    """

    name: Literal["lovasz_softmax"] = "lovasz_softmax"


class TwoHeadLoss(LossNode):
    """BCE + Dice of foreground against background + `class_weight` · cross-entropy of the class on foreground pixels.

    `class_weights` weigh the classes in that cross-entropy alone.
    """

    name: Literal["two_head"] = "two_head"
    class_weight: Positive = 1.0


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
