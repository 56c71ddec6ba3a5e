from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from seepseg.config import (
    DeepLabV3PlusModel,
    EfficientUNetScSEModel,
    Encoder,
    ModelNode,
    ResUNetScSEModel,
    UNetModel,
)
from seepseg.errors import CheckpointError, ConfigError
from seepseg.models.build import build_model
from seepseg.models.efficientnet import EfficientNetLite
from seepseg.models.encoder_weights import _fold, load_encoder_weights, start_encoder
from seepseg.models.packaged import weights_file
from seepseg.models.resnet import resnet_channels, resnet_encoder, resnet_features

ENCODERS: dict[int, Encoder] = {34: "resnet34", 50: "resnet50"}
CONFIGS: dict[int, ModelNode] = {34: ResUNetScSEModel(decoder=8), 50: DeepLabV3PlusModel(decoder=8)}


def torchvision_shapes(depth: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of torchvision's resnet34 and resnet50, written down from the architecture."""
    expansion = 4 if depth == 50 else 1
    shapes: dict[str, tuple[int, ...]] = {}

    def conv_and_norm(conv: str, norm: str, *shape: int) -> None:
        shapes[f"{conv}.weight"] = shape
        shapes.update({f"{norm}.{n}": shape[:1] for n in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{norm}.num_batches_tracked"] = ()

    conv_and_norm("conv1", "bn1", 64, 3, 7, 7)
    inputs = 64
    for stage, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)], 1):
        outputs = width * expansion
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            if depth == 50:
                kernels = [(width, inputs, 1, 1), (width, width, 3, 3), (outputs, width, 1, 1)]
            else:
                kernels = [(width, inputs, 3, 3), (width, width, 3, 3)]
            for i, kernel in enumerate(kernels, 1):
                conv_and_norm(f"{name}.conv{i}", f"{name}.bn{i}", *kernel)
            if inputs != outputs or (block == 0 and stage > 1):
                conv_and_norm(f"{name}.downsample.0", f"{name}.downsample.1", outputs, inputs, 1, 1)
            inputs = outputs
    return shapes | {"fc.weight": (1000, inputs), "fc.bias": (1000,)}


def state(depth: int) -> dict[str, torch.Tensor]:
    """Every tensor holds one value of its own; expanded, so that the file stays small."""
    shapes = torchvision_shapes(depth)
    return {name: torch.tensor(float(i)).expand(shape) for i, (name, shape) in enumerate(shapes.items(), 1)}


def saved(path: Path, tree: Any) -> Path:
    torch.save(tree, path)
    return path


def network(depth: int = 34, bands: int = 3) -> nn.Module:
    return build_model(CONFIGS[depth], bands, 2)


@pytest.mark.parametrize(("depth", "tensors"), [(34, 216), (50, 318)])
def test_every_tensor_of_the_encoder_is_filled(tmp_path: Path, depth: int, tensors: int) -> None:
    # 1 + 32 + 3 convolutions, or 1 + 48 + 4; each has one tensor and a batch norm of five: 36 · 6, 53 · 6
    expected = state(depth)
    model = network(depth)
    report = load_encoder_weights(model, saved(tmp_path / "w.pth", expected))
    assert len(report.matched) == tensors
    assert (report.missing, report.unexpected, report.folded) == ((), ("fc.weight", "fc.bias"), ())
    own = model.network.encoder.state_dict()
    assert own.keys() == expected.keys() - {"fc.weight", "fc.bias"}
    assert all(torch.equal(own[name], expected[name].to(own[name].dtype)) for name in own)
    assert str(report) == (
        f"encoder weights {tmp_path / 'w.pth'}: {tensors} of {tensors} tensors filled; not used: fc.weight, fc.bias"
    )


def torchvision_features(weights: dict[str, torch.Tensor], depth: int, x: torch.Tensor) -> list[torch.Tensor]:
    """The five maps of torchvision's ResNet, as its forward pass is: of a bottleneck, the 3×3 has the stride."""

    def conv_norm(conv: str, norm: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        kernel = weights[f"{conv}.weight"]
        x = functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        mean, var, scale, shift = (
            weights[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, var, scale, shift, training=False, eps=1e-5)

    x = conv_norm("conv1", "bn1", x, 2).relu()
    maps = [x]
    x = functional.max_pool2d(x, 3, 2, 1)
    convs, strided = (3, 2) if depth == 50 else (2, 1)
    for stage, blocks in enumerate([3, 4, 6, 3], 1):
        for block in range(blocks):
            name, stride = f"layer{stage}.{block}", 2 if block == 0 and stage > 1 else 1
            inner = x
            for i in range(1, convs + 1):
                inner = conv_norm(f"{name}.conv{i}", f"{name}.bn{i}", inner, stride if i == strided else 1)
                inner = inner.relu() if i < convs else inner
            if f"{name}.downsample.0.weight" in weights:
                x = conv_norm(f"{name}.downsample.0", f"{name}.downsample.1", x, stride)
            x = (inner + x).relu()
        maps.append(x)
    return maps


@pytest.mark.parametrize("depth", [34, 50])
def test_the_encoder_computes_what_torchvision_computes(tmp_path: Path, depth: int) -> None:
    random = torch.Generator().manual_seed(depth)
    weights = {
        name: torch.rand(shape, generator=random) + 0.5
        if name.endswith("running_var")
        else torch.randn(shape, generator=random) / max(1, math.prod(shape[1:])) ** 0.5
        for name, shape in torchvision_shapes(depth).items()
    }
    model = network(depth).eval()
    load_encoder_weights(model, saved(tmp_path / "w.pth", weights))
    image = torch.randn(1, 3, 64, 64, generator=random)
    encoder = resnet_encoder(ENCODERS[depth], 3, 1.0).eval()
    encoder.load_state_dict(model.network.encoder.state_dict())
    with torch.inference_mode():
        ours, theirs = resnet_features(encoder, image), torchvision_features(weights, depth, image)
    assert [m.shape[1] for m in theirs] == resnet_channels(ENCODERS[depth], 1.0)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert theirs[-1].std() > 0.01


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_alike_bands_get_the_response_of_rgb(tmp_path: Path, bands: int) -> None:
    weights = state(34)
    weights["conv1.weight"] = torch.randn(64, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    model = network(bands=bands)
    report = load_encoder_weights(model, saved(tmp_path / "w.pth", weights))
    assert report.folded == (() if bands == 3 else ("conv1.weight",))
    grey = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    ours = model.network.encoder.conv1(grey.expand(-1, bands, -1, -1))
    rgb = torch.conv2d(grey.expand(-1, 3, -1, -1), weights["conv1.weight"], stride=2, padding=3)
    torch.testing.assert_close(ours, rgb, rtol=1e-5, atol=1e-5)


def test_one_band_gets_the_sum() -> None:
    stem = torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1, 1)
    assert _fold(stem, 1).flatten().tolist() == [9]
    assert _fold(stem, 2).flatten().tolist() == [4.5, 4.5]
    assert _fold(stem, 3) is stem


def test_counters_of_batch_norm_may_be_missing(tmp_path: Path) -> None:
    """torchvision's first files are older than the counters."""
    old = {k: v for k, v in state(34).items() if "num_batches" not in k}
    report = load_encoder_weights(network(), saved(tmp_path / "w.pth", old))
    # 36 batch norms
    assert (len(report.matched), len(report.missing)) == (180, 36)
    assert "180 of 216 tensors filled; not in the file: 36 counters of batch norm" in str(report)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layer2.0.conv1.weight": (64, 64, 3, 3)}, "(64, 64, 3, 3) in the file and (128, 64, 3, 3) in the encoder"),
        ({"conv1.weight": (64, 4, 7, 7)}, "(64, 4, 7, 7) in the file and (64, 1, 7, 7) in the encoder"),
        ({"conv1.weight": (64, 3, 3, 3)}, "(64, 3, 3, 3) in the file and (64, 1, 7, 7) in the encoder"),
        ({"layer4.2.conv2.weight": None}, "first layer4.2.conv2.weight: the encoder has it, the file not"),
        ({"layer3.6.conv1.weight": (256, 256, 3, 3)}, "first layer3.6.conv1.weight: the file has it, the encoder not"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(
    tmp_path: Path, change: dict[str, tuple[int, ...] | None], message: str
) -> None:
    tree = state(34)
    for name, shape in change.items():
        tree.pop(name, None)
        if shape:
            tree[name] = torch.zeros(shape)
    model = network(bands=1)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_encoder_weights(model, saved(tmp_path / "w.pth", tree))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_another_depth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="first layer1.0.conv3.weight: the encoder has it.*of resnet50"):
        load_encoder_weights(network(50), saved(tmp_path / "w.pth", state(34)))
    with pytest.raises(CheckpointError, match="first layer1.0.conv3.weight: the file has it.*of resnet34"):
        load_encoder_weights(network(34), saved(tmp_path / "w.pth", state(50)))


def test_torchs_older_file_format_is_read(tmp_path: Path) -> None:
    torch.save(state(34), tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert len(load_encoder_weights(network(), tmp_path / "w.pth").matched) == 216


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("ran"),)


def test_a_file_that_would_run_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for path in (saved(Path("a.pth"), {"conv1.weight": Payload()}), Path("b.pth")):
        if not path.exists():
            path.write_bytes(pickle.dumps(Payload(), protocol=2))
        with pytest.raises(CheckpointError, match="not a state dict") as caught:
            load_encoder_weights(network(), path)
        assert "weights_only" not in str(caught.value)
    assert not Path("ran").exists()


@pytest.mark.parametrize("tree", [[1, 2], {"state_dict": {"conv1.weight": torch.zeros(2)}}, {1: torch.zeros(2)}])
def test_a_tree_that_is_no_state_dict_is_refused(tmp_path: Path, tree: Any) -> None:
    with pytest.raises(CheckpointError, match="not a state dict"):
        load_encoder_weights(network(), saved(tmp_path / "w.pth", tree))


@pytest.mark.parametrize("content", [b"", b"weights", b"PK\x03\x04 cut short"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a state dict"):
        load_encoder_weights(network(), path)


def test_no_file_is_a_mistake_in_the_config(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pth", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read") as caught:
            load_encoder_weights(network(), path)
        assert "model.encoder_weights" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_network_without_such_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no encoder"):
        load_encoder_weights(build_model(UNetModel(channels=[4, 8]), 1, 2), tmp_path / "w.pth")


def test_start_encoder_reads_what_the_config_names(tmp_path: Path) -> None:
    path = saved(tmp_path / "w.pth", state(34))
    config = ResUNetScSEModel(decoder=8, encoder_weights=path)
    report = start_encoder(build_model(config, 1, 2), config)
    assert report is not None
    assert len(report.matched) == 216
    assert start_encoder(network(), CONFIGS[34]) is None
    assert start_encoder(network(), UNetModel()) is None


def test_building_a_network_does_not_touch_the_file() -> None:
    """Prediction builds the network of a checkpoint whose weights file may be gone."""
    build_model(ResUNetScSEModel(decoder=8, encoder_weights=Path("gone.pth")), 1, 2)


def tensorflow_features(weights: dict[str, torch.Tensor], x: torch.Tensor) -> list[torch.Tensor]:
    """The last map of each size of EfficientNet-Lite0, written down from the paper, padded as in TensorFlow."""

    def conv_norm(conv: str, norm: str, x: torch.Tensor, stride: int = 1, grouped: bool = False) -> torch.Tensor:
        kernel = weights[f"{conv}.weight"]
        margins = []
        for size in (x.shape[3], x.shape[2]):
            whole = max((math.ceil(size / stride) - 1) * stride + kernel.shape[-1] - size, 0)
            margins += [whole // 2, whole - whole // 2]
        x = functional.conv2d(functional.pad(x, margins), kernel, stride=stride, groups=x.shape[1] if grouped else 1)
        mean, var, scale, shift = (
            weights[f"{norm}.{name}"] for name in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(x, mean, var, scale, shift, training=False, eps=1e-3)

    def act(x: torch.Tensor) -> torch.Tensor:
        return x.clamp(0, 6)

    x, maps = act(conv_norm("_conv_stem", "_bn0", x, 2)), []
    strides = {1: 2, 3: 2, 5: 2, 11: 2}
    for block in range(16):
        name, inner = f"_blocks.{block}", x
        if block in strides:
            maps.append(x)
        if block:
            inner = act(conv_norm(f"{name}._expand_conv", f"{name}._bn0", inner))
        inner = act(conv_norm(f"{name}._depthwise_conv", f"{name}._bn1", inner, strides.get(block, 1), grouped=True))
        inner = conv_norm(f"{name}._project_conv", f"{name}._bn2", inner)
        x = inner + x if inner.shape == x.shape else inner
    return [*maps, x]


def packaged() -> dict[str, torch.Tensor]:
    """The tensors of the package that carries them."""
    path = weights_file(EfficientUNetScSEModel(encoder_weights="imagenet"))
    assert path is not None
    return dict(torch.load(path, weights_only=True))


def test_efficientnet_with_the_weights_of_its_package_is_padded_as_tensorflow_pads() -> None:
    config = EfficientUNetScSEModel(decoder=8, encoder_weights="imagenet")
    model = build_model(config, 3, 2).eval()
    report = start_encoder(model, config)
    # A stem, 16 blocks of two convolutions and 15 that widen: 48, each with a batch norm of five.
    assert report is not None and len(report.matched) == 48 * 6
    assert str(report).endswith("288 of 288 tensors filled; not used: 8")
    image = torch.randn(1, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    encoder = next(m for m in model.modules() if isinstance(m, EfficientNetLite))
    with torch.inference_mode():
        ours, theirs = encoder(image), tensorflow_features(packaged(), image)
    for ours_at, theirs_at in zip(ours, theirs, strict=True):
        torch.testing.assert_close(ours_at, theirs_at, rtol=1e-4, atol=1e-4)


def test_of_a_shorter_efficientnet_the_blocks_it_leaves_out_are_not_missed(tmp_path: Path) -> None:
    weights = packaged()
    config = EfficientUNetScSEModel(decoder=8, stride=16)
    report = load_encoder_weights(build_model(config, 1, 2), saved(tmp_path / "w.pth", weights))
    # Eleven blocks: 1 + 2 · 11 + 10 convolutions; left out are 5 · 18 tensors, and 8 of the head.
    assert (len(report.matched), len(report.unexpected), report.folded) == (33 * 6, 5 * 18 + 8, ("_conv_stem.weight",))
    weights["_blocks.16._bn1.bias"] = torch.zeros(3)
    with pytest.raises(CheckpointError, match=r"first _blocks.16._bn1.bias: the file has it.*EfficientNet-Lite0"):
        load_encoder_weights(build_model(config, 1, 2), saved(tmp_path / "w.pth", weights))
