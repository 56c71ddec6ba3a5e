"""U-Net of pre-activation residual blocks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from seepseg.models.blocks import residual_level


class PreActResUNet(nn.Module):
    """Max-pooling down, transposed convolutions up, pre-activation residual blocks at every level (arXiv 1603.05027).

    Args:
        bands: of the images.
        outputs: channels of the logits.
        channels: of each level, the finest first; the stride is 2^(levels − 1).
        blocks: residual blocks a level, on the way down and again on the way up.
        dropout: after each pooling and each joining.
    """

    def __init__(
        self, bands: int, outputs: int, channels: Sequence[int], blocks: int = 2, dropout: float = 0.0
    ) -> None:
        super().__init__()
        ups = [(below, width) for width, below in pairwise(channels)][::-1]
        self.down = nn.ModuleList(residual_level(a, b, blocks) for a, b in pairwise([bands, *channels]))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(below, width, 2, 2) for below, width in ups)
        self.up = nn.ModuleList(residual_level(2 * width, width, blocks) for _, width in ups)
        self.dropout = nn.Dropout(dropout)
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
