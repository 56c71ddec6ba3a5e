from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import nn

from seepseg.config import (
    AttentionUNetModel,
    BasicUNetModel,
    DeepLabV3PlusModel,
    EfficientUNetScSEModel,
    ModelNode,
    PreActResUNetModel,
    ResUNetScSEModel,
    SegResNetModel,
    UNetModel,
    XceptionResUNetModel,
    parse,
)
from seepseg.errors import ConfigError
from seepseg.models.build import build_model

LOCAL: list[ModelNode] = [
    UNetModel(channels=[8, 16, 32]),
    BasicUNetModel(features=[8, 8, 8, 16, 16, 8]),
    AttentionUNetModel(channels=[8, 16, 32]),
    SegResNetModel(init_filters=8, blocks_down=[1, 1, 1], blocks_up=[1, 1]),
    PreActResUNetModel(channels=[8, 16, 32]),
]
SMALL: list[ModelNode] = [
    *LOCAL,
    XceptionResUNetModel(width=0.25, middle_blocks=1, decoder=4),
    # Both take means over the whole window.
    ResUNetScSEModel(width=0.25, decoder=8),
    ResUNetScSEModel(width=0.25, decoder=8, finest=4),
    EfficientUNetScSEModel(decoder=8, finest=4),
    DeepLabV3PlusModel(width=0.25, decoder=8),
]
NORMS = {"batch": nn.BatchNorm2d, "instance": nn.InstanceNorm2d, "group": nn.GroupNorm}


def named(config: ModelNode) -> str:
    return type(config).__name__


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("config", SMALL, ids=named)
def test_only_the_norm_that_was_asked_for_is_in_the_network(config: ModelNode, norm: str) -> None:
    model = build_model(config.model_copy(update={"norm": norm}), 1, 8)
    found = {type(m) for m in model.modules() if isinstance(m, tuple(NORMS.values()))}
    assert found == {NORMS[norm]}


@pytest.mark.parametrize("config", SMALL, ids=named)
@pytest.mark.parametrize("size", [(1, 1), (7, 7), (16, 16), (101, 101), (33, 64)])
def test_any_size_in_same_size_out(config: ModelNode, size: tuple[int, int]) -> None:
    model = build_model(config.model_copy(update={"head": "sigmoid"}), 2, 8)
    assert model.eval()(torch.zeros(1, 2, *size)).shape == (1, 7, *size)
    assert model.train()(torch.zeros(2, 2, *size)).shape == (2, 7, *size)


def test_padding_does_not_touch_a_size_that_fits() -> None:
    model = build_model(SMALL[0], 1, 2).eval()
    image = torch.randn(1, 1, 32, 32)
    assert torch.equal(model(image), model.network(image))


@pytest.mark.parametrize("config", LOCAL, ids=named)
def test_with_batch_norm_a_far_pixel_changes_nothing(config: ModelNode) -> None:
    torch.manual_seed(0)
    model = build_model(config, 1, 2).eval()
    clean = torch.randn(1, 1, 256, 256)
    spoilt = clean.clone()
    spoilt[0, 0, 250, 250] = 1e6
    with torch.no_grad():
        before, after = model(clean), model(spoilt)
    assert torch.equal(before[..., :64, :64], after[..., :64, :64])
    assert not torch.equal(before, after)


@pytest.mark.parametrize("config", LOCAL, ids=named)
def test_with_batch_norm_a_nan_stays_within_its_reach(config: ModelNode) -> None:
    """Instance and group norm would turn the whole window into NaN."""
    model = build_model(config, 1, 2).eval()
    image = torch.zeros(1, 1, 256, 256)
    image[0, 0, 250, 250] = math.nan
    with torch.no_grad():
        logits = model(image)
    assert logits.isnan().any()
    assert logits[..., :64, :64].isfinite().all()


def test_group_norm_takes_the_most_groups_up_to_eight() -> None:
    # 12 channels: 6 is the largest divisor up to 8; 16 channels: 8; 7 channels: 7
    model = build_model(UNetModel(channels=[12, 16, 7], norm="group"), 1, 2)
    groups = {(m.num_channels, m.num_groups) for m in model.modules() if isinstance(m, nn.GroupNorm)}
    assert {(12, 6), (16, 8), (7, 7)} <= groups


@pytest.mark.parametrize("config", SMALL, ids=named)
def test_dropout_reaches_the_network(config: ModelNode) -> None:
    rates = {
        m.p
        for m in build_model(config.model_copy(update={"dropout": 0.25}), 1, 2).modules()
        if isinstance(m, nn.Dropout | nn.Dropout2d) and m.p
    }
    assert rates == {0.25}


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = (torch.manual_seed(3) and build_model(SMALL[0], 1, 2) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


@pytest.mark.parametrize(
    ("model", "key"),
    [
        ({"name": "attention_unet", "channels": [1, 2]}, "model.channels.0"),
        ({"name": "basic_unet", "features": [2, 2, 1, 2, 2, 2]}, "model.features.2"),
    ],
)
def test_widths_that_a_network_halves_are_at_least_two(model: dict[str, object], key: str) -> None:
    tree = {"data": {"source": "seep", "root": "x"}, "model": model}
    with pytest.raises(ConfigError, match=rf"{key}: input should be greater than or equal to 2, not 1"):
        parse(tree, "test")


@pytest.mark.parametrize("key", [{"width": 0.5}, {"norm": "group"}])
def test_published_weights_go_with_the_published_encoder(key: dict[str, object]) -> None:
    model = {"name": "resunet_scse", "encoder_weights": "w.pth", **key}
    with pytest.raises(ConfigError, match="published encoder alone: leave (width 1|norm batch)"):
        parse({"data": {"source": "seep", "root": "x"}, "model": model}, "test")


def test_a_network_is_built_by_its_name() -> None:
    torch.manual_seed(0)
    by_name = build_model("unet", 2, 3, channels=[4, 8], head="sigmoid").state_dict()
    torch.manual_seed(0)
    by_node = build_model(UNetModel(channels=[4, 8], head="sigmoid"), 2, 3).state_dict()
    assert by_name.keys() == by_node.keys()
    assert all(torch.equal(by_name[key], by_node[key]) for key in by_name)
    with pytest.raises(ConfigError, match=r"unknown key model.chanels \(did you mean channels\?\) in build_model"):
        build_model("unet", 1, 2, chanels=[4, 8])


def test_encoder_weights_that_are_asked_for_are_read(tmp_path: Path) -> None:
    gone = tmp_path / "gone.pth"
    with pytest.raises(ConfigError, match=r"gone\.pth"):
        build_model("deeplabv3plus", 1, 3, encoder_weights=str(gone))
