"""Networks: MONAI's and ours, for any number of bands and any image size."""

from __future__ import annotations

from typing import Any

from monai.networks.nets.attentionunet import AttentionUnet
from monai.networks.nets.basic_unet import BasicUNet
from monai.networks.nets.segresnet import SegResNet
from monai.networks.nets.unet import UNet
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
    parse_node,
)
from seepseg.models.backward import with_quick_backward
from seepseg.models.deeplab import DeepLabV3Plus
from seepseg.models.encoder_weights import start_encoder
from seepseg.models.head import out_channels
from seepseg.models.preact import PreActResUNet
from seepseg.models.resunet import EfficientUNetScSE, ResUNetScSE
from seepseg.models.sizes import AnySize
from seepseg.models.xception import XceptionResUNet

NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm)


def build_model(model: ModelNode | str, in_channels: int, n_classes: int, **options: Any) -> nn.Module:
    """A network from images (N, `in_channels`, H, W) of any size to logits (N, C, H, W), freshly initialised.

    Examples:
        >>> import torch, seepseg
        >>> model = seepseg.models.build_model("unet", in_channels=1, n_classes=3, channels=[8, 16, 32])
        >>> logits = model(torch.zeros(2, 1, 101, 75))
        >>> tuple(logits.shape)
        (2, 3, 101, 75)
        >>> tuple(seepseg.models.probabilities(logits, "softmax").shape)
        (2, 3, 101, 75)

    Args:
        model: its name, or a node of a config; `docs/models.md` describes the networks.
        in_channels: bands of an image.
        n_classes: K, background included; C depends on the head.
        options: keys of the network, as in a config: `head` ("softmax" unless given), `norm`, `channels` …; its
            encoder is filled from `encoder_weights` where they are given here.

    Raises:
        ConfigError: there is no such network or key, or no file of encoder weights.
        CheckpointError: the encoder weights are not those of this encoder.
    """
    tree = {"name": model} if isinstance(model, str) else model.model_dump()
    config: ModelNode = parse_node("model", tree | options, "build_model")
    network, stride = _network(config, in_channels, out_channels(config.head, n_classes))
    # MONAI's AttentionUnet has instance norms that no argument changes; they let one NaN spread over a window.
    _replace_norms(network, config.norm)
    with_quick_backward(network)
    if "encoder_weights" in options:  # those of a node are for the start of its training
        start_encoder(network, config)
    return AnySize(network, stride, config.input)


def _network(config: ModelNode, bands: int, channels: int) -> tuple[nn.Module, int]:
    """The network and its stride."""
    match config:
        case UNetModel():
            levels = len(config.channels) - 1
            return UNet(
                2,
                bands,
                channels,
                config.channels,
                (2,) * levels,
                num_res_units=config.num_res_units,
                norm="batch",
                dropout=config.dropout,
            ), 2**levels
        case BasicUNetModel():
            return BasicUNet(2, bands, channels, config.features, norm="batch", dropout=config.dropout), 16
        case AttentionUNetModel():
            levels = len(config.channels) - 1
            return AttentionUnet(2, bands, channels, config.channels, (2,) * levels, dropout=config.dropout), 2**levels
        case SegResNetModel():
            return SegResNet(
                2,
                config.init_filters,
                bands,
                channels,
                config.dropout or None,
                norm="batch",
                blocks_down=tuple(config.blocks_down),
                blocks_up=tuple(config.blocks_up),
            ), 2 ** (len(config.blocks_down) - 1)
        case ResUNetScSEModel():
            return ResUNetScSE(config, bands, channels), 8 * config.stem_stride
        case EfficientUNetScSEModel():
            return EfficientUNetScSE(config, bands, channels), config.stride
        case XceptionResUNetModel():
            return XceptionResUNet(config, bands, channels), 32
        case PreActResUNetModel():
            return PreActResUNet(config, bands, channels), 2 ** (len(config.channels) - 1)
        case DeepLabV3PlusModel():
            return DeepLabV3Plus(config, bands, channels), 16
    raise AssertionError(f"no network for {type(config).__name__}")


def _replace_norms(module: nn.Module, norm: str) -> None:
    for name, child in module.named_children():
        if norm == "batch" and isinstance(child, nn.BatchNorm2d):
            continue  # with its own epsilon, which ImageNet weights expect
        if isinstance(child, NORMS):
            width = child.num_channels if isinstance(child, nn.GroupNorm) else child.num_features
            setattr(module, name, _norm(norm, width))
        else:
            _replace_norms(child, norm)


def _norm(norm: str, width: int) -> nn.Module:
    match norm:
        case "batch":
            return nn.BatchNorm2d(width)
        case "instance":
            return nn.InstanceNorm2d(width, affine=True)
        case _:
            return nn.GroupNorm(max(g for g in range(1, 9) if width % g == 0), width)
