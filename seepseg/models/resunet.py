"""U-Nets on an encoder that classifies, with squeeze-excitation in the decoder, as many in the salt competition had."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seepseg.config import EfficientUNetScSEModel, ResUNetScSEModel
from seepseg.models.efficientnet import CHANNELS, EfficientNetLite
from seepseg.models.resnet import conv_norm, enlarged, resnet_channels, resnet_encoder, resnet_features


class _ScSEUNet(nn.Module):
    """A decoder of up-sampling, two 3×3 convolutions with batch norm, and scSE per level.

    Args:
        config: the sizes of the decoder.
        channels: of the encoder's maps, the finest first; 0 for one that is not there, where the level goes without.
        outputs: channels of the logits.
    """

    def __init__(self, config: ResUNetScSEModel | EfficientUNetScSEModel, channels: list[int], outputs: int) -> None:
        super().__init__()
        *skips, bottom = channels
        inputs = [bottom, *[config.decoder] * (len(skips) - 1)]
        levels: list[nn.Module] = [
            _Level(i, skip, config.decoder) for i, skip in zip(inputs, reversed(skips), strict=True)
        ]
        if config.finest:
            levels[-1] = _Finest(inputs[-1], skips[0], config.finest)
        self.decoder = nn.ModuleList(levels)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Conv2d(config.finest or config.decoder, outputs, 1)

    def decoded(self, maps: list[Tensor]) -> Tensor:
        """Logits (N, K', H, W) of the encoder's maps, the finest first."""
        *skips, x = maps
        for level in self.decoder:
            x = level(x, skips.pop() if skips else None)
        logits: Tensor = self.head(self.dropout(x))
        return logits


class ResUNetScSE(_ScSEUNet):
    """ResNet-34 encoder; the network's stride is eight times `stem_stride`.

    Args:
        config: the sizes.
        bands: of the images.
        outputs: channels of the logits.
    """

    def __init__(self, config: ResUNetScSEModel, bands: int, outputs: int) -> None:
        stem, *stages = resnet_channels("resnet34", config.width)
        super().__init__(config, [*{4: [0, stem], 2: [0], 1: []}[config.stem_stride], *stages], outputs)
        self.encoder = resnet_encoder("resnet34", bands, config.width, config.stem_stride)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K', H, W) of images (N, C, H, W) with H and W multiples of the stride."""
        stem, *stages = resnet_features(self.encoder, images)
        # Only where the stem pools is its map larger than that of the first stage.
        return self.decoded(stages if self.encoder.no_max_pool else [stem, *stages])


class EfficientUNetScSE(_ScSEUNet):
    """EfficientNet-Lite0 encoder of the config's stride; the arguments are those of `ResUNetScSE`."""

    def __init__(self, config: EfficientUNetScSEModel, bands: int, outputs: int) -> None:
        super().__init__(config, [0, *CHANNELS[config.stride]], outputs)
        self.encoder = EfficientNetLite(bands, config.stride)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K', H, W) of images (N, C, H, W) with H and W multiples of the stride."""
        return self.decoded(self.encoder(images))


class _Level(nn.Module):
    """Up-sampling by two, concatenation with the encoder's map, two convolutions, scSE."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        middle = skip or max(1, outputs // 2)
        self.body = nn.Sequential(conv_norm(inputs + skip, middle), conv_norm(middle, outputs), ScSE(outputs))

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        x = enlarged(x, 2)
        out: Tensor = self.body(x if skip is None else torch.cat([x, skip], 1))
        return out


class _Finest(nn.Module):
    """A convolution at half the size, up-sampling, concatenation, one at the full size, scSE: few maps are large."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.before = conv_norm(inputs, outputs)
        self.after = nn.Sequential(conv_norm(outputs + skip, outputs), ScSE(outputs))

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        x = enlarged(self.before(x), 2)
        out: Tensor = self.after(x if skip is None else torch.cat([x, skip], 1))
        return out


class ScSE(nn.Module):
    """Concurrent spatial and channel squeeze-excitation, the two added (arXiv 1803.02579, section 3).

    The channel gate uses means over the whole map, so distant pixels change it a little.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = max(1, channels // 2)
        self.channel = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, channels, 1),
            nn.Sigmoid(),
        )
        self.spatial = nn.Sequential(nn.Conv2d(channels, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """The gated map, of the same shape."""
        # A sum of the gates, which have no common layout in memory, would make a product that takes six times as long.
        return torch.addcmul(x * self.channel(x.mean((2, 3), keepdim=True)), x, self.spatial(x))
