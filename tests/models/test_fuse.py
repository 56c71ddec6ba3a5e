from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from seepseg.config import parse
from seepseg.models.build import build_model
from seepseg.models.fuse import fused

NETWORKS = {
    "unet": {"channels": [8, 16, 32]},
    "basic_unet": {"features": [8, 8, 8, 8, 8, 8]},
    "attention_unet": {"channels": [8, 16, 32]},
    "segresnet": {"init_filters": 8},
    "resunet_scse": {"width": 0.25, "decoder": 8},
    "effunet_scse": {"decoder": 8, "finest": 4},
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

onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")


def network(name: str) -> nn.Module:
    tree = {"data": {"source": "seep", "root": "x"}, "model": {"name": name, **NETWORKS[name]}}
    torch.manual_seed(0)
    model = build_model(parse(tree, "test").model, 2, 8)
    for _ in range(3):  # norms that are not the identity
        model(torch.randn(2, 2, 64, 64) + 1)
    return model.eval()


def count(model: nn.Module, *kinds: type[nn.Module]) -> int:
    return sum(isinstance(m, kinds) for m in model.modules())


def logits(model: nn.Module, images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        return model(images)  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_fused_network_computes_the_same_with_no_norm_behind_a_convolution(name: str) -> None:
    model = network(name)
    lighter = fused(model, 2)
    images = torch.randn(3, 2, 50, 71)
    torch.testing.assert_close(logits(lighter, images), logits(model, images), rtol=1e-4, atol=1e-5)
    assert count(lighter, nn.BatchNorm2d) == LEFT.get(name, 0) < count(model, nn.BatchNorm2d)


@onednn
@pytest.mark.parametrize("name", NETWORKS)
def test_with_onednn_neither_norms_nor_convolutions_are_left_and_float32_agrees(name: str) -> None:
    model = network(name)
    lighter = fused(model, 2, torch.float32)
    images = torch.randn(3, 2, 50, 71)
    expected = logits(model, images)
    torch.testing.assert_close(logits(lighter, images), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    # The head of the only network that cannot be traced as a whole stays plain.
    left = count(lighter, nn.BatchNorm2d, nn.PReLU, nn.ReLU6, nn.Conv2d, nn.ConvTranspose2d)
    assert left == (name == "basic_unet")


@onednn
@pytest.mark.parametrize("name", NETWORKS)
def test_in_bfloat16_it_is_as_near_to_float32_as_autocast_is(name: str) -> None:
    model = network(name)
    lighter = fused(model, 2, torch.bfloat16)
    images = torch.randn(3, 2, 64, 96)
    expected = logits(model, images)
    autocast, own = (logits(m, images, torch.bfloat16) for m in (model, lighter))

    def error(found: Tensor) -> float:
        return float((found - expected).square().mean().sqrt() / expected.std())

    assert own.dtype == torch.bfloat16
    assert own.permute(0, 2, 3, 1).is_contiguous()
    assert error(own) < 1.25 * error(autocast) < 0.05
    assert torch.equal(own, logits(lighter, images.bfloat16(), torch.bfloat16))


def test_the_original_is_untouched() -> None:
    model = network("unet")
    weights = {k: v.clone() for k, v in model.state_dict().items()}
    fused(model, 2, torch.float32)
    after = model.state_dict()
    assert after.keys() == weights.keys()
    assert all(torch.equal(after[k], v) for k, v in weights.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_threads_that_share_it_get_the_same_bytes_as_one_alone(dtype: torch.dtype) -> None:
    lighter = fused(network("unet"), 2, dtype)
    images = [torch.randn(1 + i % 2, 2, 64, 64 + 32 * (i % 3)) for i in range(12)]
    alone = [logits(lighter, image, dtype) for image in images]
    together: dict[int, Tensor] = {}

    def work(first: int) -> None:
        together.update({i: logits(lighter, images[i], dtype) for i in range(first, len(images), 3)})

    threads = [threading.Thread(target=work, args=(first,)) for first in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(alone[i], together[i]) for i in range(len(images)))


def test_without_onednn_it_is_plain_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    model = network("unet")
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    lighter = fused(model, 2, torch.bfloat16)
    assert count(lighter, nn.Conv2d) > 0 == count(lighter, nn.BatchNorm2d, nn.PReLU)
    images = torch.randn(1, 2, 64, 64)
    torch.testing.assert_close(logits(lighter, images), logits(model, images), rtol=1e-4, atol=1e-5)


class Forked(nn.Module):
    """A convolution that feeds more than its norm, behind one that does not."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))
        self.conv, self.norm = nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)
        self.norm.running_mean = torch.tensor([1.0, 2.0, 3.0])

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(self.plain(x))
        return y + self.norm(y)  # type: ignore[no-any-return]


class Shared(nn.Module):
    """A norm with two callers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Conv2d(1, 3, 3), nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)
        self.norm.running_mean = torch.tensor([1.0, 2.0, 3.0])

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.first(x)) + self.norm(self.second(x))  # type: ignore[no-any-return]


class Branching(nn.Module):
    """Parts that can be traced in a whole that cannot."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Sequential(nn.Conv2d(1, 1, 3), nn.BatchNorm2d(1), nn.ReLU()) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.parts[0](x) if x.mean() > 9 else self.parts[1](x) * 2  # type: ignore[no-any-return]


class Overwriting(nn.Module):
    """An input that is read by a convolution, then changed in place, then added."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.first = nn.Conv2d(1, 3, 3), nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.start(x)
        return self.first(x) + torch.relu_(x)  # type: ignore[no-any-return]


class Slopes(nn.Module):
    """What only looks as if it could be fused: several slopes, a sum of a map with itself, one that broadcasts."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.slopes, self.wide = nn.Conv2d(1, 3, 3), nn.PReLU(3), nn.Conv2d(3, 1, 1)
        self.slopes.weight = nn.Parameter(torch.tensor([0.1, 0.2, 0.3]))

    def forward(self, x: Tensor) -> Tensor:
        x = self.slopes(self.conv(x))
        y = self.wide(x)
        return torch.add(y + y, self.wide(x), alpha=2) + 1 + (self.wide(x) + x)


@pytest.mark.parametrize("dtype", [None, torch.float32], ids=str)
@pytest.mark.parametrize("kind", [Forked, Shared, Branching, Overwriting, Slopes])
def test_odd_networks_compute_the_same(kind: type[nn.Module], dtype: torch.dtype | None) -> None:
    torch.manual_seed(0)
    model = kind().eval()
    images = torch.randn(2, 1, 40, 40)
    lighter = fused(model, 1, dtype)
    torch.testing.assert_close(logits(lighter, images), logits(model, images), rtol=1e-4, atol=1e-5)


def test_norms_fold_where_nothing_else_reads_what_is_between() -> None:
    kept = {kind: count(fused(kind().eval(), 1), nn.BatchNorm2d) for kind in (Forked, Shared, Branching)}
    assert kept == {Forked: 1, Shared: 0, Branching: 0}
