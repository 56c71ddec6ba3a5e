"""DeepLabv3+ and DeepLabv3 on a ResNet."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from seepseg.config import DeepLabV3PlusModel
from seepseg.models.resnet import conv_norm, dilate, enlarged, resnet_channels, resnet_encoder, resnet_features

LOW_LEVEL = 48
"""Channels that the first stage's map is reduced to before it joins (arXiv 1802.02611, table 1)."""

RATES = (6, 12, 18)
"""Dilations of the pyramid's 3×3 convolutions."""


class DeepLabV3Plus(nn.Module):
    """ResNet of output stride 16, atrous spatial pyramid pooling, a decoder at a quarter of the size.

    Args:
        config: the sizes; without `low_level`, whose map of the first stage joins (arXiv 1802.02611), it is DeepLabv3
            (arXiv 1706.05587).
        bands: of the images.
        outputs: channels of the logits.
    """

    def __init__(self, config: DeepLabV3PlusModel, bands: int, outputs: int) -> None:
        super().__init__()
        decoder = config.decoder
        self.encoder = resnet_encoder(config.encoder, bands, config.width)
        dilate(self.encoder.layer4)
        _, first, *_, last = resnet_channels(config.encoder, config.width)
        self.pyramid = _Pyramid(last, decoder)
        self.dropout = nn.Dropout(config.dropout)
        self.low = conv_norm(first, LOW_LEVEL, 1) if config.low_level else None
        joined = [conv_norm(decoder + LOW_LEVEL, decoder)] if config.low_level else []
        self.refine = nn.Sequential(*joined, conv_norm(decoder, decoder))
        self.head = nn.Conv2d(decoder, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K', H, W) of images (N, C, H, W) with H and W multiples of 16."""
        _, first, *_, last = resnet_features(self.encoder, images)
        x = self.dropout(self.pyramid(last))
        if self.low is not None:
            x = torch.cat([enlarged(x, 4), self.low(first)], 1)
        logits = self.head(self.refine(x))
        return interpolate(logits, size=images.shape[2:], mode="bilinear", align_corners=False)


class _Pyramid(nn.Module):
    """A 1×1 convolution, dilated 3×3 convolutions and image pooling in parallel, joined by a 1×1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [conv_norm(inputs, outputs, 1), *(conv_norm(inputs, outputs, 3, rate) for rate in RATES)]
        )
        self.pool = ImagePooling(inputs, outputs)
        self.project = conv_norm((len(RATES) + 2) * outputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = [branch(x) for branch in self.branches]
        out: Tensor = self.project(torch.cat([*maps, self.pool(x)], 1))
        return out


class ImagePooling(nn.Module):
    """Features of the whole map, at every pixel: 1×1 convolution, batch norm, mean over the map, ReLU.

    The papers take the mean first. A mean passes through convolution and batch norm unchanged, so in evaluation both
    orders are one function (up to rounding); but batch norm cannot train on a single value per channel, which is what
    the mean of a batch of one leaves. With `norm: instance` the mean is the norm's bias and this branch a constant.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, `outputs`, H, W) of a map (N, `inputs`, H, W)."""
        pooled = torch.relu(self.features(x).mean((2, 3), keepdim=True))
        return pooled.expand(-1, -1, x.shape[2], x.shape[3])
