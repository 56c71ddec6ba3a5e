"""U-Net of pre-activation residual blocks."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from seepseg.config import PreActResUNetModel


class PreActResUNet(nn.Module):
    """Max-pooling down, transposed convolutions up, pre-activation residual blocks at every level (arXiv 1603.05027).

    Args:
        config: `channels` of each level, the finest first; the stride is 2^(levels − 1).
        bands: of the images.
        outputs: channels of the logits.
    """

    def __init__(self, config: PreActResUNetModel, bands: int, outputs: int) -> None:
        super().__init__()
        channels = config.channels
        ups = [(below, width) for width, below in pairwise(channels)][::-1]
        self.down = nn.ModuleList(residual_level(a, b) for a, b in pairwise([bands, *channels]))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(below, width, 2, 2) for below, width in ups)
        self.up = nn.ModuleList(residual_level(2 * width, width) for _, width in ups)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Conv2d(channels[0], outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K', H, W) of images (N, C, H, W) with H and W multiples of the stride."""
        x = self.down[0](images)
        skips: list[Tensor] = []
        for level in self.down[1:]:
            skips.append(x)
            x = level(self.dropout(max_pool2d(x, 2)))
        for enlarge, level in zip(self.enlarge, self.up, strict=True):
            x = level(self.dropout(torch.cat([enlarge(x), skips.pop()], 1)))
        logits: Tensor = self.head(x)
        return logits


class PreActivation(nn.Module):
    """A residual block with an identity shortcut: x + conv(act(conv(act(x)))) (arXiv 1603.05027, figure 1b)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*(part for _ in range(2) for part in _activated_conv(channels)))

    def forward(self, x: Tensor) -> Tensor:
        """The map after the block, of the same shape."""
        residual: Tensor = self.body(x)
        return x + residual


def _activated_conv(channels: int) -> tuple[nn.Module, ...]:
    return (
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, channels, 3, padding=1, bias=False),
    )


def residual_level(inputs: int, outputs: int) -> nn.Sequential:
    """One level of a U-Net: a convolution to the level's width, two pre-activation blocks, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        PreActivation(outputs),
        PreActivation(outputs),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
