from __future__ import annotations

import math

import pytest
import torch
from monai.losses.dice import DiceLoss
from monai.losses.tversky import TverskyLoss
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from seepseg.losses import functional as f


def example(channels: int = 3, ignored: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, channels, 8, 8, generator=generator, dtype=torch.float32)
    target = torch.randint(0, channels + 1, (2, 8, 8), generator=generator)
    if ignored:
        target[0, :4] = 255
    return logits, target


def hot(target: torch.Tensor, channels: int = 3) -> torch.Tensor:
    return (target.unsqueeze(1) == torch.arange(1, channels + 1).view(1, -1, 1, 1)).float()


def test_region_sums_by_hand() -> None:
    likely = torch.tensor([[[[0.9, 0.2, 0.5, 0.7]]]])
    target = torch.tensor([[[1, 0, 255, 1]]])
    tp, fp, fn = f.region_sums(likely, f.Labels(target))
    # tp = .9 + .7; fp = .2; fn = .1 + .3; the third pixel is ignored
    assert tp.item() == pytest.approx(1.6)
    assert fp.item() == pytest.approx(0.2)
    assert fn.item() == pytest.approx(0.4)
    # Dice = 3.2 / (3.2 + .2 + .4)
    assert f.dice(tp, fp, fn).item() == pytest.approx(3.2 / 3.8, rel=1e-5)
    # TI with fp .3, fn .7 = 1.6 / (1.6 + .06 + .28); exponent 1 / (4/3) = .75
    index = f.tversky_index(tp, fp, fn, 0.3, 0.7)
    assert index.item() == pytest.approx(1.6 / 1.94, rel=1e-5)
    assert f.focal_tversky(index, 4 / 3).item() == pytest.approx((0.34 / 1.94) ** 0.75, rel=1e-4)


def test_pixel_sums_by_hand() -> None:
    likely = torch.tensor([[[[0.9, 0.2, 0.5]]]])
    sums = f.pixel_sums(likely, torch.tensor([[[1, 0, 255]]]))
    assert sums["tp"].item() == pytest.approx(0.9)
    assert sums["fp"].item() == pytest.approx(0.2)
    assert sums["fn"].item() == pytest.approx(0.1)
    # −ln .9 − ln (1 − .2)
    assert sums["bce"].item() == pytest.approx(-math.log(0.9) - math.log(0.8), rel=1e-5)
    assert sums["count"].item() == 2


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_pixel_sums_are_the_parts_of_the_losses(layout: torch.memory_format, ignored: bool) -> None:
    logits, target = example(ignored=ignored)
    logits = logits.contiguous(memory_format=layout)
    sums = f.pixel_sums(torch.sigmoid(logits), target)
    labels = f.Labels(target)
    assert {v.dtype for v in sums.values()} == {torch.float64}
    for name, value in zip(("tp", "fp", "fn"), f.region_sums(torch.sigmoid(logits), labels), strict=True):
        assert torch.allclose(sums[name].float(), value, rtol=1e-5)
    assert torch.allclose((sums["bce"] / sums["count"]).float(), f.bce(logits, labels), rtol=1e-5)


def test_certain_and_wrong_has_a_finite_bce() -> None:
    sums = f.pixel_sums(torch.tensor([[[[0.0, 1.0]]]]), torch.tensor([[[1, 0]]]))
    # clamped to 1e-7 and 1 − 1e-7 (in float32 1 − 1.19e-7): −ln 1e-7 − ln 1.19e-7
    assert sums["bce"].item() == pytest.approx(-math.log(1e-7) - math.log(2**-23), rel=1e-5)
    assert sums["tp"].item() == 0


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_torch_agrees_on_bce(layout: torch.memory_format) -> None:
    logits, target = example()
    ours = f.bce(logits.contiguous(memory_format=layout), f.Labels(target))
    theirs = binary_cross_entropy_with_logits(logits, hot(target), reduction="none").mean((0, 2, 3))
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_ignored_pixels_have_neither_loss_nor_gradient() -> None:
    logits, target = example(ignored=True)
    logits.requires_grad_()
    f.bce(logits, f.Labels(target)).sum().backward()
    assert logits.grad is not None
    assert (logits.grad[0, :, :4] == 0).all()
    kept = torch.cat([logits[0:1, :, 4:].flatten(2), logits[1:2].flatten(2)], 2)
    truth = torch.cat([target[0:1, 4:].flatten(1), target[1:2].flatten(1)], 1)
    theirs = binary_cross_entropy_with_logits(kept, (truth.unsqueeze(1) == torch.arange(1, 4).view(1, 3, 1)).float())
    assert f.bce(logits, f.Labels(target)).mean().item() == pytest.approx(theirs.item(), abs=1e-6)


def test_torch_agrees_on_weighted_cross_entropy_with_ignored_pixels() -> None:
    logits, target = example(channels=4, ignored=True)
    target = torch.where(target == 4, 3, target)
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0])
    theirs = cross_entropy(logits, target, weights, ignore_index=255)
    assert f.ce(logits, target, weights).item() == pytest.approx(theirs.item(), rel=1e-5)


def test_cross_entropy_of_the_class_asks_foreground_pixels_alone() -> None:
    logits, target = example(ignored=True)
    weights = torch.tensor([2.0, 0.5, 3.0])
    logits.requires_grad_()
    ours = f.class_ce(logits, f.Labels(target), weights)
    # Torch's, with background ignored too.
    classes = torch.where((target == 0) | (target == 255), 255, target - 1)
    assert ours.item() == pytest.approx(cross_entropy(logits, classes, weights, ignore_index=255).item(), rel=1e-5)
    ours.backward()
    assert logits.grad is not None
    assert (logits.grad.abs().sum(1) > 0).equal(classes != 255)


def test_every_pixel_ignored_gives_zero_and_no_nan() -> None:
    logits, target = example()
    target = torch.full_like(target, 255)
    assert f.ce(logits, target, torch.ones(3)).item() == 0
    assert f.class_ce(logits, f.Labels(target), torch.ones(3)).item() == 0
    assert f.bce(logits, f.Labels(target)).tolist() == [0, 0, 0]
    assert f.dice(*f.region_sums(torch.sigmoid(logits), f.Labels(target))).tolist() == [1, 1, 1]


def test_monai_agrees_on_dice_and_tversky_over_the_batch() -> None:
    logits, target = example()
    likely, truth = torch.sigmoid(logits), hot(target)
    sums = f.region_sums(likely, f.Labels(target))
    assert (1 - f.dice(*sums)).mean().item() == pytest.approx(DiceLoss(batch=True)(likely, truth).item(), abs=1e-6)
    theirs = TverskyLoss(alpha=0.3, beta=0.7, batch=True)(likely, truth).item()
    assert (1 - f.tversky_index(*sums, 0.3, 0.7)).mean().item() == pytest.approx(theirs, abs=1e-6)


def test_focal_tversky_has_a_finite_gradient_at_a_perfect_prediction() -> None:
    index = torch.ones(1, requires_grad=True)
    f.focal_tversky(index, 4 / 3).sum().backward()
    assert index.grad is not None
    assert torch.isfinite(index.grad).all()
