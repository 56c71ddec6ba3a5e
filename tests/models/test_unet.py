from __future__ import annotations

import pytest
import torch
from monai.networks.nets.unet import UNet as MonaiUNet

from seepseg.models.unet import UNet


@pytest.mark.parametrize("units", [0, 1, 2])
@pytest.mark.parametrize("channels", [(4, 8), (4, 6, 8, 8)])
def test_it_is_monais(channels: tuple[int, ...], units: int) -> None:
    torch.manual_seed(0)
    ours = UNet(2, 3, channels, units, 0.2)
    torch.manual_seed(0)
    strides = (2,) * (len(channels) - 1)
    theirs = MonaiUNet(2, 2, 3, channels, strides, num_res_units=units, norm="batch", dropout=0.2)
    state, expected = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], expected[name]) for name in state)
    images = torch.randn(2, 2, 32, 16)
    for seed in (1, 2):  # batch norm and dropout in training, the running means after it
        torch.manual_seed(seed)
        logits = ours(images)
        torch.manual_seed(seed)
        assert torch.equal(logits, theirs(images))
    assert torch.equal(ours.eval()(images), theirs.eval()(images))
