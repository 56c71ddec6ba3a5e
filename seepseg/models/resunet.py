"""U-Net on a ResNet-34, with squeeze-excitation in the decoder: the salt competition's workhorse."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seepseg.models.blocks import ScSE, conv_norm, enlarged
from seepseg.models.resnet import resnet_channels, resnet_encoder, resnet_features


class ResUNetScSE(nn.Module):
    """ResNet-34 encoder; a decoder of up-sampling, two 3×3 convolutions with batch norm, and scSE a level.

    Args:
        bands: of the images.
        outputs: channels of the logits.
        stem_stride: 4, 2 or 1; the network's stride is eight times that.
        width: multiplies the channels of the encoder.
        decoder: channels that every level of the decoder puts out.
        hypercolumn: classify the maps of all levels, up-sampled to full size, instead of the last alone
            (arXiv 1411.5752).
        dropout: before the last convolution.
    """

    def __init__(
        self,
        bands: int,
        outputs: int,
        stem_stride: int = 4,
        width: float = 1.0,
        decoder: int = 64,
        hypercolumn: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = resnet_encoder("resnet34", bands, width, stem_stride)
        stem, *skips, bottom = resnet_channels("resnet34", width)
        skips = [*reversed(skips), *{4: [stem, 0], 2: [0], 1: []}[stem_stride]]
        inputs = [bottom, *[decoder] * (len(skips) - 1)]
        self.decoder = nn.ModuleList(_Level(i, skip, decoder) for i, skip in zip(inputs, skips, strict=True))
        self.mix = conv_norm(decoder * len(skips), decoder) if hypercolumn else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv2d(decoder, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K', H, W) of images (N, C, H, W) with H and W multiples of the stride."""
        stem, *skips, x = resnet_features(self.encoder, images)
        # Only where the stem pools is its map larger than that of the first stage.
        skips = skips if self.encoder.no_max_pool else [stem, *skips]
        levels: list[Tensor] = []
        for level in self.decoder:
            x = level(x, skips.pop() if skips else None)
            levels.append(x)
        if self.mix is not None:
            height = x.shape[2]
            x = self.mix(torch.cat([enlarged(m, height // m.shape[2]) for m in levels[:-1]] + [x], 1))
        logits: Tensor = self.head(self.dropout(x))
        return logits


class _Level(nn.Module):
    """Up-sampling by two, the encoder's map beside it, two convolutions, scSE."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        middle = skip or max(1, outputs // 2)
        self.body = nn.Sequential(conv_norm(inputs + skip, middle), conv_norm(middle, outputs), ScSE(outputs))

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        x = enlarged(x, 2)
        out: Tensor = self.body(x if skip is None else torch.cat([x, skip], 1))
        return out
