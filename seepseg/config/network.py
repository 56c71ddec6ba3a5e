"""The config of networks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from seepseg.config.node import Count, Named, Node

Head = Literal["softmax", "sigmoid", "binary"]


class ModelNode(Node):
    """What every network has in common."""

    head: Head = "softmax"
    init: Literal["default", "he"] = "default"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    norm: Literal["batch", "instance", "group"] = "batch"


class UNetModel(ModelNode):
    """MONAI UNet: strided convolutions, residual units (Kerfoot et al. 2019)."""

    name: Literal["unet"] = "unet"
    channels: Annotated[list[Count], Field(min_length=2)] = [16, 32, 64, 128, 256]
    num_res_units: Annotated[int, Field(ge=0)] = 2


class BasicUNetModel(ModelNode):
    """MONAI BasicUNet: two convolutions a level, max-pooling (Falk et al. 2019)."""

    name: Literal["basic_unet"] = "basic_unet"
    features: Annotated[list[Count], Field(min_length=6, max_length=6)] = [32, 32, 64, 128, 256, 32]


class AttentionUNetModel(ModelNode):
    """MONAI AttentionUnet: gates on the skip connections (arXiv 1804.03999)."""

    name: Literal["attention_unet"] = "attention_unet"
    channels: Annotated[list[Count], Field(min_length=2)] = [16, 32, 64, 128, 256]


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


Model = Annotated[UNetModel | BasicUNetModel | AttentionUNetModel | SegResNetModel, Field(discriminator="name"), Named]
