from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from seepseg.config import LOSS_HEADS, DiceBceLoss, FocalTverskyLoss, Head, TwoHeadLoss, parse
from seepseg.errors import ConfigError
from seepseg.losses.build import build_loss
from seepseg.models.head import out_channels


def any_loss(name: str, head: str) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    tree = {
        "data": {"source": "seep", "root": "x", "classes": "seep" if head == "two_head" else "seep_binary"},
        "model": {"name": "unet", "head": head},
        "loss": name,
    }
    config = parse(tree, "test")
    k = len(config.data.class_table())
    loss = build_loss(config.loss, config.model.head, k)
    channels = out_channels(config.model.head, k)
    logits = torch.randn(2, channels, 8, 8, generator=torch.Generator().manual_seed(1))
    target = torch.randint(0, k, (2, 8, 8), generator=torch.Generator().manual_seed(2))
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


def test_two_head_by_hand() -> None:
    # Three pixels: background, class 2 of 2, ignored. First logits 0 and ln 3, so p = 1/2 and 3/4; at the second pixel
    # the classes are 1 : 4.
    logits = torch.tensor([[0.0, math.log(3), 9.0], [5.0, 0.0, 9.0], [-5.0, math.log(4), 9.0]]).view(1, 3, 1, 3)
    target = torch.tensor([[[0, 2, 255]]])
    terms = build_loss(TwoHeadLoss(class_weight=0.5), "two_head", 3)(logits, target)
    # BCE: mean of −ln(1 − 1/2) and −ln 3/4; what the background's class logits say does not matter.
    bce = (math.log(2) + math.log(4 / 3)) / 2
    # Dice: tp 3/4, fp 1/2, fn 1/4; 1 − 1.5 / (1.5 + .75)
    dice = 1 - 1.5 / 2.25
    class_ce = math.log(5 / 4)
    assert terms["bce"].item() == pytest.approx(bce)
    assert terms["dice"].item() == pytest.approx(dice, abs=1e-5)
    assert terms["class_ce"].item() == pytest.approx(class_ce)
    assert terms["loss"].item() == pytest.approx(bce + dice + 0.5 * class_ce, abs=1e-5)


def test_two_head_weighs_classes_in_the_cross_entropy_alone() -> None:
    logits = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([[[1] * 4, [2] * 4, [0] * 4, [0] * 4]])
    even, heavy, alone = (
        build_loss(TwoHeadLoss(class_weights=w), "two_head", 3)(logits, t)
        for w, t in ((None, target), ([3, 1], target), (None, target.masked_fill(target == 2, 255)))
    )
    assert (even["bce"], even["dice"]) == (heavy["bce"], heavy["dice"])
    # Four pixels of each class: (3 · class 1 + class 2) / 4, where the plain mean is (class 1 + class 2) / 2.
    first = alone["class_ce"].item()
    second = 2 * even["class_ce"].item() - first
    assert heavy["class_ce"].item() == pytest.approx((3 * first + second) / 4, rel=1e-5)


@pytest.mark.parametrize(
    ("model", "loss", "classes", "message"),
    [
        (
            "two_head",
            "dice_ce",
            "seep",
            "loss dice_ce does not go with model.head two_head: use head softmax, or loss dice or",
        ),
        (
            "softmax",
            "two_head",
            "seep",
            "loss two_head does not go with model.head softmax: use head two_head, or loss ce",
        ),
        ("two_head", "two_head", "seep_binary", "separates foreground classes, data.classes has one"),
    ],
)
def test_a_loss_and_a_head_that_do_not_go_together_are_refused(
    model: str, loss: str, classes: str, message: str
) -> None:
    tree = {
        "data": {"source": "seep", "root": "x", "classes": classes},
        "model": {"name": "unet", "head": model},
        "loss": loss,
    }
    with pytest.raises(ConfigError, match=message):
        parse(tree, "test")


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


def test_a_loss_is_built_by_its_name() -> None:
    logits, target = torch.randn(2, 3, 8, 8), torch.randint(0, 3, (2, 8, 8))
    by_name = build_loss("focal_tversky", "softmax", 3, gamma=2, class_weights=[1, 3])
    by_node = build_loss(FocalTverskyLoss(gamma=2, class_weights=[1, 3]), "softmax", 3)
    assert by_name(logits, target)["loss"] == by_node(logits, target)["loss"]
    changed = build_loss(FocalTverskyLoss(class_weights=[1, 3]), "softmax", 3, gamma=2)
    assert changed(logits, target)["loss"] == by_node(logits, target)["loss"]


@pytest.mark.parametrize(
    ("name", "head", "options", "text"),
    [
        ("dise_ce", "softmax", {}, r"loss: 'dise_ce' is not one of .* \(did you mean dice_ce\?\) in build_loss"),
        ("dice_ce", "softmax", {"ce_wieght": 1}, r"unknown key loss.ce_wieght \(did you mean ce_weight\?\)"),
        ("dice_ce", "softmax", {"ce_weight": -1}, "loss.ce_weight: input should be greater than 0"),
        ("dice_ce", "sigmoid", {}, "loss dice_ce does not go with model.head sigmoid: use head softmax"),
        ("dice_ce", "softmax", {"class_weights": [1]}, "class_weights has 1 numbers for 2 foreground classes"),
    ],
)
def test_a_loss_that_cannot_be_built_is_said(name: str, head: Head, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        build_loss(name, head, 3, **options)


@pytest.mark.parametrize(("loss", "head", "n_classes"), [("dice_ce", "softmax", 1), ("dice_bce", "binary", 3)])
def test_a_number_of_classes_that_the_head_cannot_have_is_refused(loss: str, head: Head, n_classes: int) -> None:
    with pytest.raises(ConfigError, match=f"n_classes is {n_classes}"):
        build_loss(loss, head, n_classes)
