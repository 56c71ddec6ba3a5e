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
    "resunet_scse": {"width": 0.25, "decoder": 8},
    "xception_resunet": {"width": 0.25, "middle_blocks": 1, "decoder": 4},
    "preact_resunet": {"channels": [8, 16, 32]},
    "deeplabv3plus": {"width": 0.25, "decoder": 8},
}


LEFT = {
    # Norms behind a sum: in SegResNet the first of each of 12 blocks (1 + 2 + 2 + 4 down, 3 up) and that of the head.
    "segresnet": 13,
    # A bottom of two blocks and five levels of two: the first norm of each block and the last of each level.
    "xception_resunet": 6 * 2 + 6,
    # Three levels down, two up.
    "preact_resunet": 5 * 2 + 5,
}
"""Batch norms that no convolution feeds alone; 0 elsewhere."""


def norms(model: nn.Module) -> int:
    return sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_fused_network_computes_the_same_with_no_norm_behind_a_convolution(name: str) -> None:
    tree = {"data": {"source": "seep", "root": "x"}, "model": {"name": name, **NETWORKS[name]}}
    torch.manual_seed(0)
    model = build_model(parse(tree, "test").model, 2, 8)
    for _ in range(3):  # norms that are not the identity
        model(torch.randn(2, 2, 64, 64) + 1)
    model.eval()
    lighter = fused(model, 2)
    images = torch.randn(3, 2, 50, 71)
    with torch.inference_mode():
        torch.testing.assert_close(lighter(images), model(images), rtol=1e-4, atol=1e-5)
    assert norms(lighter) == LEFT.get(name, 0) < norms(model)


def test_the_original_is_untouched() -> None:
    tree = {"data": {"source": "seep", "root": "x"}, "model": {"name": "unet", "channels": [8, 16, 32]}}
    model = build_model(parse(tree, "test").model, 1, 8).eval()
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    fused(model, 1)
    after = model.state_dict()
    assert after.keys() == weights.keys()
    assert all(torch.equal(after[k], v) for k, v in weights.items())


def test_a_convolution_that_feeds_more_than_its_norm_is_left_alone_and_others_are_not() -> None:
    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plain = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))
            self.conv, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)
            self.norm.running_mean = torch.tensor([1.0, 2.0, 3.0])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(self.plain(x))
            return y + self.norm(y)  # type: ignore[no-any-return]

    lighter = fused(Forked().eval(), 1)
    assert {n for n, m in lighter.named_modules() if isinstance(m, nn.BatchNorm2d)} == {"norm"}


def test_a_norm_with_several_callers_is_left_alone() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.norm = nn.Conv2d(1, 3, 3), nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.first(x)) + self.norm(self.second(x))  # type: ignore[no-any-return]

    assert norms(fused(Shared().eval(), 1)) == 1
