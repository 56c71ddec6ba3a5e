"""The salt networks: published sizes, pieces by hand, and a step of training."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from seepseg.config import (
    DeepLabV3PlusModel,
    EfficientUNetScSEModel,
    Encoder,
    ModelNode,
    PreActResUNetModel,
    ResUNetScSEModel,
    XceptionResUNetModel,
)
from seepseg.models.build import build_model
from seepseg.models.deeplab import DeepLabV3Plus, ImagePooling
from seepseg.models.efficientnet import CHANNELS, EfficientNetLite
from seepseg.models.preact import PreActivation, PreActResUNet
from seepseg.models.resnet import dilate, resnet_channels, resnet_encoder, resnet_features
from seepseg.models.resunet import ResUNetScSE, ScSE
from seepseg.models.xception import Xception

TINY: list[ModelNode] = [
    ResUNetScSEModel(width=0.25, decoder=8),
    ResUNetScSEModel(width=0.25, decoder=8, stem_stride=2),
    ResUNetScSEModel(width=0.25, decoder=8, stem_stride=1),
    ResUNetScSEModel(width=0.25, decoder=8, stem_stride=1, finest=4),
    EfficientUNetScSEModel(decoder=8),
    EfficientUNetScSEModel(decoder=8, stride=16, finest=4),
    XceptionResUNetModel(width=0.25, middle_blocks=1, decoder=4),
    PreActResUNetModel(channels=[4, 8, 16]),
    DeepLabV3PlusModel(encoder="resnet34", width=0.25, decoder=8),
    DeepLabV3PlusModel(width=0.25, decoder=8, low_level=False),
]


def named(config: ModelNode) -> str:
    return f"{config.name}{getattr(config, 'stem_stride', '')}"  # type: ignore[attr-defined]


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("name", "published", "classifier"), [
    # torchvision's counts, less the classifier for 1000 classes
    ("resnet34", 21_797_672, 512 * 1000 + 1000),
    ("resnet50", 25_557_032, 2048 * 1000 + 1000),
])  # fmt: skip
def test_resnets_have_the_published_size(name: Encoder, published: int, classifier: int) -> None:
    assert parameters(resnet_encoder(name, 3, 1.0)) == published - classifier


def test_efficientnet_has_the_published_size() -> None:
    # The count of TensorFlow's EfficientNet-Lite0, less 1×1 convolution, batch norm and classifier of its head
    head = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert parameters(EfficientNetLite(3, 32)) == 4_652_008 - head


@pytest.mark.parametrize("stride", CHANNELS)
def test_efficientnet_gives_the_last_map_of_each_size(stride: int) -> None:
    maps = EfficientNetLite(1, stride).eval()(torch.zeros(1, 1, 64, 96))
    assert [m.shape[1] for m in maps] == CHANNELS[stride]
    assert [(64 // m.shape[2], 96 // m.shape[3]) for m in maps] == [(2**i, 2**i) for i in range(1, len(maps) + 1)]
    assert 64 // maps[-1].shape[2] == stride


def test_xception_has_the_published_size() -> None:
    # Keras's count of trainable parameters, less the classifier
    assert parameters(Xception(3, 1.0, 8)) == 22_855_952 - (2048 * 1000 + 1000)


def test_deeplabv3_has_the_published_size() -> None:
    # torchvision's deeplabv3_resnet50 for 21 classes, less its auxiliary head: a 3×3 convolution 1024 → 256 with batch
    # norm and a 1×1 convolution 256 → 21
    auxiliary = 9 * 1024 * 256 + 2 * 256 + 256 * 21 + 21
    assert parameters(DeepLabV3Plus(DeepLabV3PlusModel(low_level=False), 3, 21)) == 42_004_074 - auxiliary


def test_deeplabv3plus_adds_a_decoder() -> None:
    # low level 256 → 48 and its norm, and a 3×3 convolution 304 → 256 with norm
    added = 256 * 48 + 2 * 48 + 9 * 304 * 256 + 2 * 256
    plus, without = (DeepLabV3Plus(DeepLabV3PlusModel(low_level=low), 3, 21) for low in (True, False))
    assert parameters(plus) - parameters(without) == added


def test_the_finest_level_by_hand() -> None:
    # 3×3 convolution 8 → 4 and norm, 4 → 4 and norm; gates: 4 → 2 → 4 and 4 → 1, with biases
    thin = 9 * 8 * 4 + 2 * 4 + 9 * 4 * 4 + 2 * 4 + (4 * 2 + 2) + (2 * 4 + 4) + (4 + 1)
    network = ResUNetScSE(ResUNetScSEModel(width=0.25, decoder=8, stem_stride=2, finest=4), 1, 1)
    assert parameters(network.decoder[-1]) == thin
    # The maps at the full size have 4 channels, never 8.
    sizes: list[torch.Size] = []
    for module in network.decoder[-1].modules():
        module.register_forward_hook(lambda _m, _i, out: sizes.append(out.shape))
    assert network.eval()(torch.zeros(1, 1, 32, 32)).shape == (1, 1, 32, 32)
    assert {shape[1] for shape in sizes if shape[2] == 32} == {4, 1}


def test_a_small_preact_unet_by_hand() -> None:
    def level(inputs: int, width: int) -> int:
        # convolution; two blocks of two (norm, convolution); norm
        return 9 * inputs * width + 2 * 2 * (2 * width + 9 * width * width) + 2 * width

    up = 4 * 8 * 4 + 4  # transposed 2×2, with bias
    head = 4 + 1
    expected = level(1, 4) + level(4, 8) + up + level(8, 4) + head
    assert parameters(PreActResUNet(PreActResUNetModel(channels=[4, 8]), 1, 1)) == expected


@pytest.mark.parametrize("size", [64, 101])
@pytest.mark.parametrize("config", TINY, ids=named)
def test_a_step_of_training_reaches_every_weight(config: ModelNode, size: int) -> None:
    torch.manual_seed(0)
    model = build_model(config.model_copy(update={"head": "binary"}), 2, 2)
    logits = model(torch.randn(2, 2, size, size))
    assert logits.shape == (2, 1, size, size)
    logits.square().mean().backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name


@pytest.mark.parametrize("norm", ["batch", "instance", "group"])
@pytest.mark.parametrize("config", TINY, ids=named)
def test_a_batch_of_one_tiny_tile_trains_and_predicts(config: ModelNode, norm: str) -> None:
    model = build_model(config.model_copy(update={"norm": norm}), 1, 2)
    model.train()(torch.randn(1, 1, 5, 5)).sum().backward()
    assert model.eval()(torch.randn(1, 1, 5, 5)).shape == (1, 2, 5, 5)


@pytest.mark.parametrize("stem_stride", [1, 2, 4])
def test_maps_of_a_resnet(stem_stride: int) -> None:
    encoder = resnet_encoder("resnet50", 1, 1 / 16, stem_stride).eval()
    maps = resnet_features(encoder, torch.zeros(1, 1, 64, 64))
    # 64 / 16 channels in the stem, four times 4, 8, 16 and 32 in the stages
    assert [m.shape[1] for m in maps] == [4, 16, 32, 64, 128] == resnet_channels("resnet50", 1 / 16)
    first = 64 // stem_stride
    assert [m.shape[2] for m in maps] == [min(64, 2 * first) if stem_stride == 4 else first] + [
        first // 2**i for i in range(4)
    ]


@pytest.mark.parametrize("name", ["resnet34", "resnet50"])
def test_a_dilated_stage_computes_the_same_at_every_second_pixel(name: Encoder) -> None:
    torch.manual_seed(0)
    encoder = resnet_encoder(name, 1, 1 / 8)
    image = torch.randn(2, 1, 96, 96)
    encoder.train()
    resnet_features(encoder, image)  # statistics that are not 0 and 1
    encoder.eval()
    with torch.no_grad():
        strided = resnet_features(encoder, image)[-1]
        dilate(encoder.layer4)
        dilated = resnet_features(encoder, image)[-1]
    assert (strided.shape[-1], dilated.shape[-1]) == (3, 6)
    torch.testing.assert_close(dilated[..., ::2, ::2], strided, rtol=1e-5, atol=1e-5)


def test_image_pooling_is_that_of_the_paper_in_evaluation() -> None:
    torch.manual_seed(0)
    pooling = ImagePooling(6, 4)
    for _ in range(3):
        pooling(torch.randn(2, 6, 5, 5) + 1)
    pooling.eval()
    x = torch.randn(2, 6, 5, 5)
    expected = torch.relu(pooling.features(x.mean((2, 3), keepdim=True)))
    torch.testing.assert_close(pooling(x), expected.expand(-1, -1, 5, 5))


def test_image_pooling_trains_on_one_pixel_of_one_image_of_a_pair() -> None:
    """With maps of 1×1 batch norm still needs two values; `AnySize` sees to it that maps are 2×2."""
    out = ImagePooling(3, 2).train()(torch.randn(1, 3, 2, 2))
    assert out.isfinite().all()


def test_scse_by_hand() -> None:
    gate = ScSE(2)
    with torch.no_grad():
        for weight in gate.parameters():
            weight.zero_()
    x = torch.randn(1, 2, 3, 3)
    # All weights 0: both gates are σ(0) = 1/2, and 1/2 + 1/2 leaves the map as it is.
    torch.testing.assert_close(gate(x), x)
    spatial = gate.spatial[0]
    with torch.no_grad():
        spatial.weight.copy_(torch.tensor([1.0, -1.0]).view(1, 2, 1, 1))
    torch.testing.assert_close(gate(x), x * (0.5 + torch.sigmoid(x[:, :1] - x[:, 1:])))


def test_a_pre_activation_block_keeps_its_shortcut_clean() -> None:
    block = PreActivation(3)
    with torch.no_grad():
        for weight in block.parameters():
            weight.zero_()
    x = torch.randn(2, 3, 4, 4) - 1
    # Zero convolutions leave the identity, negative values too: no ReLU stands behind the sum.
    assert torch.equal(block(x), x)


def test_xception_maps_halve() -> None:
    encoder = Xception(2, 1 / 16, middle_blocks=1)
    maps = encoder(torch.zeros(2, 2, 64, 64))
    # 128, 256, 728, 1024 and 2048 over 16; 728 / 16 = 45.5, rounded to even
    assert [m.shape[1] for m in maps] == [8, 16, 46, 64, 128]
    assert [m.shape[2] for m in maps] == [32, 16, 8, 4, 2]
