"""The config of networks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from seepseg.config.node import Count, Named, Node

Head = Literal["softmax", "sigmoid", "binary", "two_head"]
Encoder = Literal["resnet34", "resnet50"]

PairCount = Annotated[int, Field(ge=2)]
"""A width that MONAI halves somewhere."""
Width = Annotated[float, Field(ge=0.25, le=4)]
"""A factor of an encoder's channels.

With fewer than a quarter of them, torch 2.13 on the CPU writes past its memory in the backward pass of channels-last
1×1 convolutions of stride 2.
"""


def _chain(value: object) -> object:
    """Let `size: 128` stand for `size: [128]`."""
    return value if isinstance(value, list) else [value]


class NetworkInput(Node):
    """The size of a network's input, whatever the tile's; logits have the tile's own size, and masks are unchanged.

    `{mode: pad, size: [202, 256]}` doubles a salt tile and frames it. A frame never cuts, so that larger images keep
    their size. Resizing makes squares, whatever shape an image had: for tiles of one size, not for scenes.
    """

    mode: Literal["pad", "resize"] = "pad"
    """How an image gets to the last size: by a frame of reflected pixels, or by resizing."""
    size: Annotated[
        list[Annotated[int, Field(ge=8, le=4096)]], Field(min_length=1, max_length=3), BeforeValidator(_chain)
    ]
    """One size in pixels, or a chain: the image is resized to each but the last (bilinear)."""


class ModelNode(Node):
    """What every network has in common."""

    head: Head = "softmax"
    """What the logits mean."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability of dropout in training."""
    norm: Literal["batch", "instance", "group"] = "batch"
    """Normalisation; with `instance` and `group`, the output depends on the whole window."""
    input: NetworkInput | None = None
    """Size of the network's input; by default images are padded to its stride."""


class UNetModel(ModelNode):
    """MONAI UNet: strided convolutions, residual units (Kerfoot et al. 2019)."""

    name: Literal["unet"] = "unet"
    """Which network."""
    channels: Annotated[list[Count], Field(min_length=2)] = [16, 32, 64, 128, 256]
    """Channels of each level, the finest first."""
    num_res_units: Annotated[int, Field(ge=0)] = 2
    """Convolutions of a residual unit; 0 for plain ones."""


class BasicUNetModel(ModelNode):
    """MONAI BasicUNet: two convolutions per level, max-pooling (Falk et al. 2019)."""

    name: Literal["basic_unet"] = "basic_unet"
    """Which network."""
    features: Annotated[list[PairCount], Field(min_length=6, max_length=6)] = [32, 32, 64, 128, 256, 32]
    """Channels of the five levels, the finest first, then of the last layer."""


class AttentionUNetModel(ModelNode):
    """MONAI AttentionUnet: gates on the skip connections (arXiv 1804.03999)."""

    name: Literal["attention_unet"] = "attention_unet"
    """Which network."""
    channels: Annotated[list[PairCount], Field(min_length=2)] = [16, 32, 64, 128, 256]
    """Channels of each level, the finest first."""


class SegResNetModel(ModelNode):
    """MONAI SegResNet: residual encoder, additive skips (arXiv 1810.11654, without the autoencoder branch)."""

    name: Literal["segresnet"] = "segresnet"
    """Which network."""
    init_filters: Count = 16
    """Channels of the finest level; each next one has twice as many."""
    blocks_down: Annotated[list[Count], Field(min_length=2)] = [1, 2, 2, 4]
    """Residual blocks of each level on the way down."""
    blocks_up: Annotated[list[Count], Field(min_length=1)] = [1, 1, 1]
    """Residual blocks of each level on the way up."""

    @model_validator(mode="after")
    def _levels(self) -> SegResNetModel:
        if len(self.blocks_up) != len(self.blocks_down) - 1:
            raise ValueError("blocks_up needs one number less than blocks_down")
        return self


class PretrainedModel(ModelNode):
    """What networks whose encoder can start from ImageNet weights have in common."""

    encoder_weights: Literal["imagenet"] | Path | None = None
    """ImageNet weights, read once, when a training starts: a local file, or those of an installed package."""

    @model_validator(mode="after")
    def _as_published(self) -> PretrainedModel:
        if self.encoder_weights and self.norm != "batch":
            raise ValueError("encoder_weights are for the published encoder alone: leave norm batch")
        if self.encoder_weights == Path("imagenet"):  # config.yaml would say the package
            raise ValueError("encoder_weights: a file of this name has to be given with its folder")
        return self


class ResNetModel(PretrainedModel):
    """What networks on a ResNet have in common."""

    width: Width = 1.0
    """Factor of the encoder's channels."""

    @model_validator(mode="after")
    def _from_a_file(self) -> ResNetModel:
        if self.encoder_weights == "imagenet":
            raise ValueError("no package has weights of ResNets: give encoder_weights a file of torchvision's")
        if self.encoder_weights and self.width != 1:
            raise ValueError("encoder_weights are for the published encoder alone: leave width 1")
        return self


class ScSEDecoder(Node):
    """A decoder with squeeze-excitation (arXiv 1803.02579)."""

    decoder: Count = 64
    """Channels of each level of the decoder."""
    finest: Count | None = None
    """Channels of its last level, which works before it enlarges; null: as `decoder`, which takes half of a step."""


class ResUNetScSEModel(ResNetModel, ScSEDecoder):
    """U-Net on a ResNet-34 with squeeze-excitation in the decoder (arXiv 1803.02579)."""

    name: Literal["resunet_scse"] = "resunet_scse"
    """Which network."""
    stem_stride: Literal[1, 2, 4] = 4
    """2 leaves out the stem's pooling, 1 its stride too, so that small tiles keep their resolution."""


class EfficientUNetScSEModel(PretrainedModel, ScSEDecoder):
    """U-Net on an EfficientNet-Lite0 (arXiv 1905.11946), with the decoder of `resunet_scse`."""

    name: Literal["effunet_scse"] = "effunet_scse"
    """Which network."""
    stride: Literal[16, 32] = 32
    """16 leaves out the encoder's last five blocks, so that small tiles keep their resolution."""


class XceptionResUNetModel(ModelNode):
    """U-Net on an Xception (arXiv 1610.02357) with a decoder of residual blocks."""

    name: Literal["xception_resunet"] = "xception_resunet"
    """Which network."""
    width: Width = 1.0
    """Factor of the encoder's channels."""
    middle_blocks: Annotated[int, Field(ge=0)] = 8
    """Blocks of the middle flow."""
    decoder: Count = 16
    """Channels of the finest level of the decoder; each next one has twice as many."""


class PreActResUNetModel(ModelNode):
    """U-Net of pre-activation residual blocks (arXiv 1603.05027), two per level down and two up."""

    name: Literal["preact_resunet"] = "preact_resunet"
    """Which network."""
    channels: Annotated[list[Count], Field(min_length=2)] = [16, 32, 64, 128, 256]
    """Channels of each level, the finest first."""


class DeepLabV3PlusModel(ResNetModel):
    """Atrous spatial pyramid on a ResNet of output stride 16 (arXiv 1802.02611)."""

    name: Literal["deeplabv3plus"] = "deeplabv3plus"
    """Which network."""
    encoder: Encoder = "resnet50"
    """The ResNet below the pyramid."""
    decoder: Count = 256
    """Channels of the pyramid and the decoder."""
    low_level: bool = True
    """Adds fine features of the encoder; false gives DeepLabv3 (arXiv 1706.05587)."""


Model = Annotated[
    UNetModel
    | BasicUNetModel
    | AttentionUNetModel
    | SegResNetModel
    | ResUNetScSEModel
    | EfficientUNetScSEModel
    | XceptionResUNetModel
    | PreActResUNetModel
    | DeepLabV3PlusModel,
    Field(discriminator="name"),
    Named,
]
