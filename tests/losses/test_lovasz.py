from __future__ import annotations

import math
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seepseg.losses.lovasz import lovasz_hinge, lovasz_softmax, lovasz_weights

# Four pixels, the first two true. Errors 1 ∓ logit: −1, 1.5, 1.25, .25; so the order is b, c, d, a.
#   wrong so far   intersection   union   J     step
#   b (true)            1           2     1/2   1/2
#   b c                 1           3     2/3   1/6
#   b c d               1           4     3/4   1/12
#   b c d a (true)      0           4     1     1/4
LOGITS = torch.tensor([2.0, -0.5, 0.25, -0.75]).view(1, 1, 2, 2)
TARGET = torch.tensor([1, 1, 0, 0]).view(1, 2, 2)
HINGE = 1.5 / 2 + 1.25 / 6 + 0.25 / 12
ELU = 2.5 / 2 + 2.25 / 6 + 1.25 / 12 + math.exp(-1) / 4
"""elu(e) + 1 is e + 1 above 0 and exp(e) below."""


def test_weights_by_hand() -> None:
    weights = lovasz_weights(torch.tensor([-1.0, 1.5, 1.25, 0.25]), torch.tensor([True, True, False, False]))
    assert weights.tolist() == pytest.approx([1 / 4, 1 / 2, 1 / 6, 1 / 12])


def test_hinge_by_hand() -> None:
    assert lovasz_hinge(LOGITS, TARGET, elu=False).item() == pytest.approx(HINGE)
    assert lovasz_hinge(LOGITS, TARGET, elu=True).item() == pytest.approx(ELU)


def test_softmax_by_hand() -> None:
    # Foreground p .8 .4 .3, truth 1 0 1: errors .2 .4 .7.
    # Third (true): 1 of 2, J 1/2; second: 1 of 3, J 2/3; first: J 1.
    foreground = 0.7 / 2 + 0.4 / 6 + 0.2 / 3
    p = torch.tensor([0.8, 0.4, 0.3])
    likely, target = torch.stack([1 - p, p]).view(1, 2, 1, 3), torch.tensor([[[1, 0, 1]]])
    assert lovasz_softmax(likely, target, torch.ones(1)).item() == pytest.approx(foreground)


def test_a_class_without_a_true_pixel_is_left_out() -> None:
    likely = torch.tensor([[0.5, 0.4], [0.3, 0.5], [0.2, 0.1]]).view(1, 3, 1, 2)
    target = torch.tensor([[[0, 1]]])
    # Class 1 is the second pixel, errors .3 .5: second (true), J 1. Class 2 is nowhere.
    assert lovasz_softmax(likely, target, torch.tensor([2.0, 3.0])).item() == pytest.approx(0.5)
    assert lovasz_softmax(likely, torch.zeros_like(target), torch.ones(2)).item() == 0


def test_class_weights_weigh_the_mean() -> None:
    likely = torch.tensor([[0.0, 0.0], [0.7, 0.4], [0.3, 0.6]]).view(1, 3, 1, 2)
    # Truth 1 2: errors .3 .4 in both classes. Class 1: second (false) 1/2, then first: .4/2 + .3/2; class 2: .4 · 1.
    loss = lovasz_softmax(likely, torch.tensor([[[1, 2]]]), torch.tensor([3.0, 1.0]))
    assert loss.item() == pytest.approx((3 * 0.35 + 0.4) / 4)


def test_a_tile_without_foreground_is_judged_by_its_largest_error() -> None:
    logits = torch.tensor([-3.0, 0.5, -0.5, 0.0]).view(1, 1, 2, 2)
    assert lovasz_hinge(logits, torch.zeros(1, 2, 2, dtype=torch.long), elu=False).item() == pytest.approx(1.5)


def jaccard(wrong: set[int], truth: set[int]) -> float:
    return 1 - len(truth - wrong) / len(truth | wrong) if truth | wrong else 0.0


pixels = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30)


@given(pixels)
def test_where_errors_are_zero_or_one_it_is_the_jaccard_loss(pairs: list[tuple[bool, bool]]) -> None:
    wrong, true = (torch.tensor(v) for v in zip(*pairs, strict=True))
    errors = wrong.float()
    expected = jaccard(set(wrong.nonzero().flatten().tolist()), set(true.nonzero().flatten().tolist()))
    assert (lovasz_weights(errors, true) * errors).sum().item() == pytest.approx(expected, abs=1e-6)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 25), st.floats(0, 1))
def test_the_definition_agrees(seed: int, count: int, share: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    errors = torch.randn(count, generator=generator)
    true = torch.rand(count, generator=generator) < share
    order = sorted(range(count), key=lambda i: -errors[i].item())
    truth = {i for i in range(count) if true[i]}
    levels = [jaccard(set(order[:n]), truth) for n in range(count + 1)]
    expected = sum(errors[i].item() * (levels[n + 1] - levels[n]) for n, i in enumerate(order))
    assert (lovasz_weights(errors, true) * errors).sum().item() == pytest.approx(expected, abs=1e-5)


def largest_over_all_orders(costs: list[float], truth: set[int]) -> float:
    """The Lovász extension without sorting: the Jaccard loss is submodular, so no order of the pixels gives more."""
    found = []
    for order in permutations(range(len(costs))):
        levels = [jaccard(set(order[:n]), truth) for n in range(len(order) + 1)]
        found.append(sum(costs[i] * (levels[n + 1] - levels[n]) for n, i in enumerate(order)))
    return max(found)


def mean(values: list[float], weights: list[float]) -> float:
    return sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights) if sum(weights) else 0.0


# Two tiles of a few pixels with equal errors among them, and some ignored.
tiles = st.integers(1, 3).flatmap(
    lambda n: st.lists(
        st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.sampled_from([0, 1, 2, 255])),
        min_size=2 * n,
        max_size=2 * n,
    )
)


@settings(max_examples=40)
@given(tiles, st.booleans())
def test_hinge_is_the_largest_over_all_orders(pixels: list[tuple[int, int, int]], elu: bool) -> None:
    logit = [first / 2 for first, _, _ in pixels]
    target = torch.tensor([0 if t == 2 else t for _, _, t in pixels])
    cost = [1 - x if t else 1 + x for x, t in zip(logit, target.tolist(), strict=True)]
    cost = [(math.exp(e) if e < 0 else e + 1) if elu else max(e, 0) for e in cost]
    expected = []
    for tile in range(2):
        own = [i for i in range(len(pixels)) if i // (len(pixels) // 2) == tile and target[i] != 255]
        truth = {n for n, i in enumerate(own) if target[i] == 1}
        expected += [largest_over_all_orders([cost[i] for i in own], truth)] if own else []
    ours = lovasz_hinge(torch.tensor(logit).view(2, 1, 1, -1), target.view(2, 1, -1), elu=elu)
    assert ours.item() == pytest.approx(mean(expected, [1] * len(expected)), abs=1e-5)


@settings(max_examples=40)
@given(tiles)
def test_softmax_is_the_largest_over_all_orders(pixels: list[tuple[int, int, int]]) -> None:
    likely = torch.tensor([[0.0, a, b] for a, b, _ in pixels]).softmax(1)
    target = torch.tensor([t for _, _, t in pixels])
    batch = [i for i in range(len(pixels)) if target[i] != 255]
    losses, counted = [], []
    for c in (1, 2):
        truth = {n for n, i in enumerate(batch) if target[i] == c}
        errors = [(1 - likely[i, c] if target[i] == c else likely[i, c]).item() for i in batch]
        losses.append(largest_over_all_orders(errors, truth))
        counted.append([1.0, 2.0, 0.5][c] if truth else 0.0)
    ours = lovasz_softmax(likely.view(2, 1, -1, 3).permute(0, 3, 1, 2), target.view(2, 1, -1), torch.tensor([2.0, 0.5]))
    assert ours.item() == pytest.approx(mean(losses, counted), abs=1e-5)


def test_finite_differences_agree_on_the_gradient() -> None:
    logits, target = example(4)
    target[0, 0] = 255
    logits = logits.double().requires_grad_()
    one = logits[:, :1].detach().requires_grad_()
    for elu in (False, True):
        assert torch.autograd.gradcheck(lambda x, elu=elu: lovasz_hinge(x, target, elu=elu), one)
    assert torch.autograd.gradcheck(lambda x: lovasz_softmax(x.softmax(1), target, torch.ones(3).double()), logits)


def test_steps_add_up_to_one_over_a_million_pixels() -> None:
    """Differences of float32 fractions would each be wrong by some percent here."""
    generator = torch.Generator().manual_seed(0)
    errors, true = torch.rand(10**6, generator=generator), torch.rand(10**6, generator=generator) < 0.5
    weights = lovasz_weights(errors, true)
    # The last union is that of all pixels: the smallest error, if true, weighs 1e-6.
    last = int(errors.masked_fill(~true, 2).argmin())
    below = int((errors < errors[last]).sum())
    assert weights.double().sum().item() == pytest.approx(1, abs=1e-6)
    assert weights[last].item() == pytest.approx(1 / (10**6 - below), rel=1e-6)


def example(classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 1 if classes == 2 else classes, 6, 6, generator=generator)
    return logits, torch.randint(0, classes, (3, 6, 6), generator=generator)


@pytest.mark.parametrize("elu", [False, True])
def test_ignored_pixels_are_as_if_cut_off(elu: bool) -> None:
    logits, target = example(2)
    target[:, :, 4:] = 255
    spoilt = logits.clone()
    spoilt[..., 4:] = math.nan
    spoilt.requires_grad_()
    loss = lovasz_hinge(spoilt, target, elu=elu)
    loss.backward()
    assert spoilt.grad is not None
    assert (spoilt.grad[..., 4:] == 0).all()
    assert spoilt.grad.isfinite().all()
    assert loss.item() == pytest.approx(lovasz_hinge(logits[..., :4], target[..., :4], elu=elu).item(), rel=1e-6)


def test_ignored_pixels_are_as_if_cut_off_in_softmax() -> None:
    logits, target = example(4)
    target[:, :, 4:] = 255
    likely = logits.softmax(1)
    likely[..., 4:] = math.nan
    likely.requires_grad_()
    loss = lovasz_softmax(likely, target, torch.ones(3))
    loss.backward()
    kept = lovasz_softmax(likely[..., :4], target[..., :4], torch.ones(3))
    assert likely.grad is not None
    assert (likely.grad[..., 4:] == 0).all()
    assert loss.item() == pytest.approx(kept.item(), rel=1e-6)


def test_every_pixel_ignored_gives_zero_and_no_gradient() -> None:
    logits, target = example(2)
    logits.requires_grad_()
    target = torch.full_like(target, 255)
    likely = torch.cat([-logits, logits], 1).softmax(1)
    hinge, softmax = lovasz_hinge(logits, target, elu=True), lovasz_softmax(likely, target, torch.ones(1))
    (hinge + softmax).backward()
    assert [hinge.item(), softmax.item()] == [0, 0]
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_the_hinge_is_the_mean_over_tiles_that_have_a_pixel() -> None:
    logits, target = example(2)
    target[1] = 255
    alone = [lovasz_hinge(logits[i : i + 1], target[i : i + 1], elu=False).item() for i in (0, 2)]
    assert lovasz_hinge(logits, target, elu=False).item() == pytest.approx(sum(alone) / 2, rel=1e-6)


def test_softmax_judges_the_batch_as_one_tile() -> None:
    logits, target = example(4)
    likely = logits.softmax(1)
    as_one = lovasz_softmax(likely.transpose(0, 1).reshape(1, 4, 18, 6), target.view(1, 18, 6), torch.ones(3))
    assert lovasz_softmax(likely, target, torch.ones(3)).item() == pytest.approx(as_one.item(), rel=1e-6)


def test_beyond_the_margin_only_elu_pulls() -> None:
    logits = torch.tensor([2.0, 2.0, -2.0, -2.0]).view(1, 1, 2, 2).requires_grad_()
    lovasz_hinge(logits, TARGET, elu=False).backward()
    assert logits.grad is not None
    assert (logits.grad == 0).all()
    lovasz_hinge(logits, TARGET, elu=True).backward()
    assert (logits.grad.view(-1)[:2] < 0).all()
