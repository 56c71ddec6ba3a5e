from __future__ import annotations

import pytest
import torch
from torch import nn

from seepseg.config import parse
from seepseg.models.build import build_model
from seepseg.models.fuse import fused

NETWORKS = {
    "unet": {"channels": [8, 16, 32]},
    "basic_unet": {"features": [8, 8, 8, 8, 8, 8]},
    "attention_unet": {"channels": [8, 16, 32]},
    "segresnet": {"init_filters": 8},
    "resunet_scse": {"width": 0.125, "decoder": 8, "hypercolumn": True},
    "xception_resunet": {"width": 0.0625, "middle_blocks": 1, "decoder": 4},
    "preact_resunet": {"channels": [8, 16, 32]},
    "deeplabv3plus": {"width": 0.125, "decoder": 8},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_fused_network_computes_the_same(name: str) -> None:
    tree = {"data": {"source": "seep", "root": "x"}, "model": {"name": name, **NETWORKS[name]}}
    torch.manual_seed(0)
    model = build_model(parse(tree, "test").model, 2, 8)
    for _ in range(3):  # norms that are not the identity
        model(torch.randn(2, 2, 64, 64) + 1)
    model.eval()
    images = torch.randn(3, 2, 50, 71)
    with torch.inference_mode():
        torch.testing.assert_close(fused(model, 2)(images), model(images), rtol=1e-4, atol=1e-5)


def test_no_batch_norm_of_the_unet_is_left_and_the_original_is_untouched() -> None:
    tree = {"data": {"source": "seep", "root": "x"}, "model": {"name": "unet", "channels": [8, 16, 32]}}
    model = build_model(parse(tree, "test").model, 1, 8).eval()
    before = sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    assert before > 5
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused(model, 1).modules())
    assert sum(isinstance(m, nn.BatchNorm2d) for m in model.modules()) == before


def test_a_convolution_that_feeds_more_than_its_norm_is_left_alone() -> None:
    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)
            self.norm.running_mean = torch.tensor([1.0, 2.0, 3.0])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            return y + self.norm(y)  # type: ignore[no-any-return]

    model = Forked().eval()
    assert fused(model, 1) is model
