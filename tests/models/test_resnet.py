from __future__ import annotations

import pytest
import torch
from monai.networks.nets.resnet import ResNet as MonaiResNet

from seepseg.config import Encoder
from seepseg.models.resnet import ResNet


@pytest.mark.parametrize(("name", "block"), [("resnet34", "basic"), ("resnet50", "bottleneck")])
@pytest.mark.parametrize("stem_stride", [1, 2, 4])
def test_it_is_monais_with_torchvisions_names(name: Encoder, block: str, stem_stride: int) -> None:
    torch.manual_seed(0)
    ours = ResNet(name, 2, 0.25, stem_stride)
    torch.manual_seed(0)
    theirs = MonaiResNet(
        block, [3, 4, 6, 3], [64, 128, 256, 512], spatial_dims=2, n_input_channels=2, widen_factor=0.25,
        conv1_t_stride=min(stem_stride, 2), no_max_pool=stem_stride < 4, feed_forward=False, bias_downsample=False,
    )  # fmt: skip
    state, expected = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], expected[name]) for name in state)
    maps = []
    theirs.avgpool.register_forward_pre_hook(lambda module, inputs: maps.append(inputs[0]))
    images = torch.randn(2, 2, 64, 96)
    theirs(images)
    assert torch.equal(ours(images)[-1], maps[0])
