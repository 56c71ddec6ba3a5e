"""U-Net on an Xception, with a residual decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seepseg.config import XceptionResUNetModel
from seepseg.models.preact import residual_level
from seepseg.models.resnet import conv_norm


class Xception(nn.Module):
    """The convolutional part of Xception: entry, middle and exit flow (arXiv 1610.02357, figure 5).

    Its convolutions are padded, so that maps have exactly half the size of those before.

    Args:
        bands: of the images.
        width: multiplies all numbers of channels.
        middle_blocks: blocks of the middle flow; 8 in the paper.
    """

    def __init__(self, bands: int, width: float, middle_blocks: int) -> None:
        super().__init__()
        self.channels = [max(1, round(c * width)) for c in (128, 256, 728, 1024, 2048)]
        """Of the maps that `forward` gives."""
        first, second, wide, last, end = self.channels
        small, stem, late = (max(1, round(c * width)) for c in (32, 64, 1536))
        self.stem = nn.Sequential(
            nn.Conv2d(bands, small, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(small),
            nn.ReLU(inplace=True),
            conv_norm(small, stem),
        )
        self.entry = nn.ModuleList(
            [
                _Halving(stem, first, first, activate=False),
                _Halving(first, second, second),
                _Halving(second, wide, wide),
            ]
        )
        self.middle = nn.Sequential(*(_Middle(wide) for _ in range(middle_blocks)))
        self.exit = _Halving(wide, wide, last)
        self.end = nn.Sequential(
            *_separable(last, late), nn.ReLU(inplace=True), *_separable(late, end), nn.ReLU(inplace=True)
        )

    def forward(self, images: Tensor) -> list[Tensor]:
        """Maps at a half, a quarter … a thirty-second of the size: of each block before it pools, and of the end."""
        x = self.stem(images)
        maps: list[Tensor] = []
        for block in self.entry:
            full, x = block(x)
            maps.append(full)
        full, x = self.exit(self.middle(x))
        return [*maps, full, self.end(x)]


class XceptionResUNet(nn.Module):
    """Xception encoder; a transposed convolution and two pre-activation residual blocks per level up.

    Args:
        config: the sizes; channels of the decoder double with every level down.
        bands: of the images.
        outputs: channels of the logits.
    """

    def __init__(self, config: XceptionResUNetModel, bands: int, outputs: int) -> None:
        super().__init__()
        self.encoder = Xception(bands, config.width, config.middle_blocks)
        *skips, bottom = self.encoder.channels
        widths = [config.decoder * 2**i for i in range(len(skips), -1, -1)]
        self.bottom = residual_level(bottom, 2 * widths[0])
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths)
        self.up = nn.ModuleList(
            residual_level(w + skip, w) for w, skip in zip(widths, [*reversed(skips), 0], strict=True)
        )
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Conv2d(config.decoder, outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K', H, W) of images (N, C, H, W) with H and W multiples of 32."""
        *skips, x = self.encoder(images)
        x = self.bottom(x)
        for enlarge, level in zip(self.enlarge, self.up, strict=True):
            x = enlarge(x)
            x = level(self.dropout(torch.cat([x, skips.pop()], 1)) if skips else x)
        logits: Tensor = self.head(x)
        return logits


def _separable(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """A 3×3 convolution of each channel, one across channels, batch norm."""
    return (
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
    )


class _Halving(nn.Module):
    """Two separable convolutions, max-pooling, and a strided shortcut around them."""

    def __init__(self, inputs: int, middle: int, outputs: int, activate: bool = True) -> None:
        super().__init__()
        self.body = nn.Sequential(
            # Not in place: the shortcut and the decoder read the block's input.
            nn.ReLU() if activate else nn.Identity(),
            *_separable(inputs, middle),
            nn.ReLU(inplace=True),
            *_separable(middle, outputs),
        )
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride=2, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The map before pooling, and the block's output at half the size."""
        full: Tensor = self.body(x)
        return full, self.pool(full) + self.shortcut(x)


class _Middle(nn.Module):
    """Three separable convolutions and the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*(p for _ in range(3) for p in (nn.ReLU(), *_separable(channels, channels))))

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.body(x)
        return x + residual
