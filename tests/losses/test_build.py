from __future__ import annotations

import pytest
import torch

from seepseg.config import LOSS_HEADS, DiceBceLoss, FocalTverskyLoss, parse
from seepseg.losses.build import build_loss


def any_loss(name: str, head: str) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    tree = {
        "data": {"source": "seep", "root": "x", "classes": "seep_binary"},
        "model": {"name": "unet", "head": head},
        "loss": name,
    }
    loss = build_loss(parse(tree, "test").loss, parse(tree, "test").model.head, 2)
    logits = torch.randn(2, 2 if head == "softmax" else 1, 8, 8, generator=torch.Generator().manual_seed(1))
    target = torch.randint(0, 2, (2, 8, 8), generator=torch.Generator().manual_seed(2))
    return loss, logits, target


PAIRS = [(name, head) for name, heads in LOSS_HEADS.items() for head in heads]


@pytest.mark.parametrize(("name", "head"), PAIRS)
def test_every_loss_falls_along_its_gradient(name: str, head: str) -> None:
    loss, logits, target = any_loss(name, head)
    logits.requires_grad_()
    before = loss(logits, target)["loss"]
    before.backward()
    assert logits.grad is not None
    after = loss(logits - 0.1 * logits.grad / logits.grad.norm(), target)["loss"]
    assert after < before


@pytest.mark.parametrize(("name", "head"), PAIRS)
def test_what_stands_on_ignored_pixels_does_not_matter(name: str, head: str) -> None:
    loss, logits, target = any_loss(name, head)
    target[:, :3] = 255
    other = logits.clone()
    other[:, :, :3] = 7.0
    assert loss(logits, target)["loss"].item() == pytest.approx(loss(other, target)["loss"].item(), abs=1e-6)


def test_terms_add_up_by_their_weights() -> None:
    loss = build_loss(DiceBceLoss(bce_weight=0.5), "sigmoid", 3)
    logits = torch.randn(1, 2, 4, 4)
    terms = loss(logits, torch.randint(0, 3, (1, 4, 4)))
    assert terms["loss"].item() == pytest.approx(0.5 * terms["bce"].item() + terms["dice"].item(), rel=1e-6)


def test_class_weights_weigh_the_mean_over_classes() -> None:
    logits = torch.tensor([[[[4.0]], [[-4.0]]]])
    target = torch.tensor([[[1]]])
    even = build_loss(DiceBceLoss(), "sigmoid", 3)(logits, target)["dice"]
    first = build_loss(DiceBceLoss(class_weights=[3, 1]), "sigmoid", 3)(logits, target)["dice"]
    # s = σ(4) = .98201. Class 1: Dice 2s / (1 + s); class 2 is absent, its p = 1 − s: Dice about 0.
    one, two = 1 - 2 * 0.98201 / 1.98201, 1 - 1e-5 / (0.01799 + 1e-5)
    assert even.item() == pytest.approx((one + two) / 2, abs=1e-4)
    assert first.item() == pytest.approx((3 * one + two) / 4, abs=1e-4)


def test_false_positives_and_false_negatives_weigh_as_named() -> None:
    """A prediction with one pixel too many is cheaper than one too few when fn_weight is the larger."""
    loss = build_loss(FocalTverskyLoss(fp_weight=0.3, fn_weight=0.7), "binary", 2)
    target = torch.tensor([[[1, 1, 0, 0]]])
    too_many, too_few = (20 * torch.tensor([[[v]]]) for v in ([1.0, 1, 1, -1], [1.0, -1, -1, -1]))
    assert loss(too_many, target)["loss"] < loss(too_few, target)["loss"]


def test_half_precision_logits_are_computed_in_float32() -> None:
    loss, logits, target = any_loss("dice_ce", "softmax")
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(logits.bfloat16(), target)["loss"]
    assert value.dtype == torch.float32
