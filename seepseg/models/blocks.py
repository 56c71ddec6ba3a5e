"""Pieces that several networks share; batch norm throughout, `build_model` puts in another where asked."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import interpolate

NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm)


def conv_norm(inputs: int, outputs: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU; height and width stay."""
    reach = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=reach, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def enlarged(x: Tensor, factor: int) -> Tensor:
    """A map (N, C, H, W) up-sampled to (N, C, factor·H, factor·W), bilinear."""
    return interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)


class ScSE(nn.Module):
    """Concurrent spatial and channel squeeze-excitation, the two added (arXiv 1803.02579, section 3).

    The channel gate looks at means over the whole map: what is far away changes it, a little.

    Args:
        channels: of the map.
        reduction: of the channel gate; 2 is the paper's choice.
    """

    def __init__(self, channels: int, reduction: int = 2) -> None:
        super().__init__()
        squeezed = max(1, channels // reduction)
        self.channel = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(squeezed, channels, 1),
            nn.Sigmoid(),
        )
        self.spatial = nn.Sequential(nn.Conv2d(channels, 1, 1), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """The gated map, of the same shape."""
        # x · channel gate + x · spatial gate, in one product
        gate: Tensor = self.channel(x.mean((2, 3), keepdim=True)) + self.spatial(x)
        return x * gate


class PreActivation(nn.Module):
    """A residual block whose shortcut nothing touches: x + conv(act(conv(act(x)))) (arXiv 1603.05027, figure 1b)."""

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


def residual_level(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    """One level of a U-Net: a convolution to the level's width, pre-activation blocks, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        *(PreActivation(outputs) for _ in range(blocks)),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
