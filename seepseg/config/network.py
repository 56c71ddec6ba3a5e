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

    `size` is one number or a chain: an image is resized (bilinear) to every size but the last, and `mode` says how it
    gets to the last, by a frame of reflected pixels or by resizing: `{mode: pad, size: [202, 256]}` doubles a salt tile
    and frames it. A frame never cuts, so that larger images keep their size. Resizing makes squares, whatever shape an
    image had: for tiles of one size, not for scenes.
    """

    mode: Literal["pad", "resize"] = "pad"
    size: Annotated[
        list[Annotated[int, Field(ge=8, le=4096)]], Field(min_length=1, max_length=3), BeforeValidator(_chain)
    ]


class ModelNode(Node):
    """What every network has in common; without `input`, images are padded to its stride."""

    head: Head = "softmax"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    norm: Literal["batch", "instance", "group"] = "batch"
    input: NetworkInput | None = None


class UNetModel(ModelNode):
    """MONAI UNet: strided convolutions, residual units (Kerfoot et al. 2019)."""

    name: Literal["unet"] = "unet"
    channels: Annotated[list[Count], Field(min_length=2)] = [16, 32, 64, 128, 256]
    num_res_units: Annotated[int, Field(ge=0)] = 2


class BasicUNetModel(ModelNode):
    """MONAI BasicUNet: two convolutions per level, max-pooling (Falk et al. 2019)."""

    name: Literal["basic_unet"] = "basic_unet"
    features: Annotated[list[PairCount], Field(min_length=6, max_length=6)] = [32, 32, 64, 128, 256, 32]


class AttentionUNetModel(ModelNode):
    """MONAI AttentionUnet: gates on the skip connections (arXiv 1804.03999)."""

    name: Literal["attention_unet"] = "attention_unet"
    channels: Annotated[list[PairCount], Field(min_length=2)] = [16, 32, 64, 128, 256]


class SegResNetModel(ModelNode):
    """MONAI SegResNet: residual encoder, additive skips (arXiv 1810.11654, without the autoencoder branch)."""

    name: Literal["segresnet"] = "segresnet"
    init_filters: Count = 16
    blocks_down: Annotated[list[Count], Field(min_length=2)] = [1, 2, 2, 4]
    blocks_up: Annotated[list[Count], Field(min_length=1)] = [1, 1, 1]

    @model_validator(mode="after")
    def _levels(self) -> SegResNetModel:
        if len(self.blocks_up) != len(self.blocks_down) - 1:
            raise ValueError("blocks_up needs one number less than blocks_down")
        return self


class PretrainedModel(ModelNode):
    """What networks on a ResNet have in common.

    `encoder_weights` is a local file with ImageNet weights as torchvision has them; it is read once, when a training
    starts. `width` multiplies the channels of the encoder.
    """

    width: Width = 1.0
    encoder_weights: Path | None = None

    @model_validator(mode="after")
    def _as_published(self) -> PretrainedModel:
        if self.encoder_weights and (self.width != 1 or self.norm != "batch"):
            raise ValueError("encoder_weights are for the published encoder alone: leave width 1 and norm batch")
        return self


class ResUNetScSEModel(PretrainedModel):
    """U-Net on a ResNet-34 with squeeze-excitation in the decoder (arXiv 1803.02579).

    `stem_stride` 2 leaves out the stem's pooling and 1 its stride too, so that small tiles keep their resolution.
    """

    name: Literal["resunet_scse"] = "resunet_scse"
    stem_stride: Literal[1, 2, 4] = 4
    decoder: Count = 64


class XceptionResUNetModel(ModelNode):
    """U-Net on an Xception (arXiv 1610.02357) with a decoder of residual blocks."""

    name: Literal["xception_resunet"] = "xception_resunet"
    width: Width = 1.0
    middle_blocks: Annotated[int, Field(ge=0)] = 8
    decoder: Count = 16


class PreActResUNetModel(ModelNode):
    """U-Net of pre-activation residual blocks (arXiv 1603.05027), two per level down and two up."""

    name: Literal["preact_resunet"] = "preact_resunet"
    channels: Annotated[list[Count], Field(min_length=2)] = [16, 32, 64, 128, 256]


class DeepLabV3PlusModel(PretrainedModel):
    """Atrous spatial pyramid on a ResNet of output stride 16 (arXiv 1802.02611).

    `low_level: false` gives DeepLabv3 (arXiv 1706.05587).
    """

    name: Literal["deeplabv3plus"] = "deeplabv3plus"
    encoder: Encoder = "resnet50"
    decoder: Count = 256
    low_level: bool = True


Model = Annotated[
    UNetModel
    | BasicUNetModel
    | AttentionUNetModel
    | SegResNetModel
    | ResUNetScSEModel
    | XceptionResUNetModel
    | PreActResUNetModel
    | DeepLabV3PlusModel,
    Field(discriminator="name"),
    Named,
]
