from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seepseg.config import UNetModel
from seepseg.models.build import build_model
from seepseg.models.fuse import fused
from seepseg.models.multiscale import MultiScale
from seepseg.training.ema import average_weights

SCALES = (1, 2, 4)


class Echo(nn.Module):
    """Puts out its two channels: attention, and one logit."""

    def forward(self, images: Tensor) -> Tensor:
        return images


def unet() -> nn.Module:
    torch.manual_seed(0)
    return build_model(UNetModel(channels=[4, 8, 16], head="two_head"), 3, 8, SCALES)


def test_logits_are_the_mean_over_scales_weighed_by_attention() -> None:
    images = torch.zeros(1, 4, 4, 4)
    images[:, 1], images[:, 3] = 2, 10
    # equal attention: (2 + 10) / 2
    network = MultiScale(Echo(), (1, 2))
    torch.testing.assert_close(network(images), torch.full((1, 1, 4, 4), 6.0))
    # attention ln 3 against 0: three parts of four
    images[:, 2] = torch.log(torch.tensor(3.0))
    torch.testing.assert_close(network(images), torch.full((1, 1, 4, 4), 8.0))
    # the bias takes it back
    with torch.no_grad():
        network.bias[0] = torch.log(torch.tensor(3.0))
    torch.testing.assert_close(network(images), torch.full((1, 1, 4, 4), 6.0))


def test_a_scale_is_shown_the_means_of_its_squares_and_enlarged_in_place() -> None:
    images = torch.zeros(1, 4, 8, 8)
    images[:, 3, 2:4, 4:6] = 9
    images[:, 2] = 100  # nothing but the half resolution is attended to
    found = MultiScale(Echo(), (1, 2))(images)[0, 0].detach()
    # bilinear between the centres of squares of two pixels: 9·¾² in the four of the square itself
    torch.testing.assert_close(found[2:4, 4:6], torch.full((2, 2), 9 * 0.75**2))
    assert float(found.sum()) == pytest.approx(9 * 4)
    assert found[5:].abs().max() < 1e-6 and found[:, :3].abs().max() < 1e-6


def test_scales_share_convolutions_and_have_norms_of_their_own() -> None:
    model = unet()
    alone = build_model(UNetModel(channels=[4, 8, 16], head="two_head"), 1, 9)

    def count(network: nn.Module) -> int:
        return sum(p.numel() for p in network.parameters())

    norms = sum(p.numel() for m in alone.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters())
    # what three of them add is the norms of two more, and a bias for each scale
    assert count(model) == count(alone) + 2 * norms + len(SCALES)


def test_training_keeps_them_shared_and_tells_their_statistics_apart() -> None:
    model = unet()
    optimiser = torch.optim.SGD(model.parameters(), 0.1)
    model(torch.randn(2, 3, 32, 32)).square().mean().backward()
    assert all(p.grad is not None for p in model.parameters())
    optimiser.step()
    first, *others = (dict(n.named_modules()) for n in model.network.networks)
    for other in others:
        for name, module in first.items():
            if isinstance(module, nn.BatchNorm2d):
                assert not torch.equal(module.running_mean, other[name].running_mean)
            elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                assert module.weight is other[name].weight


def test_weights_travel_through_a_state_dict_and_an_average() -> None:
    model = unet()
    average = average_weights(model, 0.5)
    average.update_parameters(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1
    average.update_parameters(model)
    # the second update keeps min(.5, 2 / 11) of the old: shared weights have moved once, by 9 / 11
    for old, new in zip(unet().parameters(), average.module.parameters(), strict=True):
        torch.testing.assert_close(new - old, torch.full_like(old, 9 / 11))
    other = build_model(UNetModel(channels=[4, 8, 16], head="two_head"), 3, 8, SCALES).eval()
    other.load_state_dict(model.state_dict())
    images = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(other(images), model.eval()(images))


@pytest.mark.parametrize("size", [(64, 64), (37, 53), (5, 3)])
def test_any_size_in_same_size_out_and_norms_fold_away(size: tuple[int, int]) -> None:
    model = unet().train()
    model(torch.randn(4, 3, 64, 64))
    lighter = fused(model.eval(), 3)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in lighter.modules())
    images = torch.randn(2, 3, *size)
    assert lighter(images).shape == (2, 8, *size)
    torch.testing.assert_close(lighter(images), model(images), atol=1e-4, rtol=1e-4)
