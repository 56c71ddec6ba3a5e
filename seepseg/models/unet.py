"""The U-Net of most recipes: residual units, strided convolutions down, transposed ones up.

It is MONAI's UNet (Kerfoot et al. 2019) in two dimensions with batch norm: the same function of the same weights, under
the same names, started with the same random numbers. It is written out because importing MONAI takes two seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """Logits (N, `outputs`, H, W) of images (N, `inputs`, H, W); H and W are multiples of 2 ** (levels − 1).

    Args:
        inputs: bands.
        outputs: channels.
        channels: of each level, the finest first.
        units: convolutions of a residual unit; 0 for plain convolutions.
        dropout: probability.
    """

    def __init__(self, inputs: int, outputs: int, channels: Sequence[int], units: int, dropout: float) -> None:
        super().__init__()
        self.units, self.dropout = units, dropout
        self.model = self._level(inputs, outputs, channels, top=True)

    def forward(self, images: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.model(images)
        return logits

    def _level(self, inputs: int, outputs: int, channels: Sequence[int], top: bool = False) -> nn.Sequential:
        """A level and all below it."""
        own, below, *deeper = channels
        inner = self._level(own, own, channels[1:]) if deeper else self._block(own, below, 1)
        down = self._block(inputs, own, 2)
        up = _convolution(own + (own if deeper else below), outputs, 2, self.dropout, True, top and not self.units)
        if self.units:
            up = nn.Sequential(up, ResidualUnit(outputs, outputs, 1, 1, self.dropout, bare=top))
        return nn.Sequential(down, _Skip(inner), up)

    def _block(self, inputs: int, outputs: int, stride: int) -> nn.Module:
        if self.units:
            return ResidualUnit(inputs, outputs, stride, self.units, self.dropout)
        return _convolution(inputs, outputs, stride, self.dropout)


class ResidualUnit(nn.Module):
    """Convolutions and, added to their output, the input, convolved where its shape must change.

    With `bare`, nothing follows the last convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, units: int, dropout: float, bare: bool = False) -> None:
        super().__init__()
        self.conv = nn.Sequential()
        for unit in range(units):
            shape = (outputs, outputs, 1) if unit else (inputs, outputs, stride)
            self.conv.add_module(f"unit{unit}", _convolution(*shape, dropout, bare=bare and unit == units - 1))
        self.residual: nn.Module = nn.Identity()
        if stride > 1:
            self.residual = nn.Conv2d(inputs, outputs, 3, stride, 1)
        elif inputs != outputs:
            self.residual = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The map (N, outputs, H / stride, W / stride)."""
        shortcut: Tensor = self.residual(x)
        convolved: Tensor = self.conv(x)
        return convolved + shortcut


class _Skip(nn.Module):
    """The input's channels, then those that `submodule` makes of it."""

    def __init__(self, submodule: nn.Module) -> None:
        super().__init__()
        self.submodule = submodule

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.submodule(x)], 1)


def _convolution(
    inputs: int, outputs: int, stride: int, dropout: float, transposed: bool = False, bare: bool = False
) -> nn.Sequential:
    """A convolution, then batch norm, dropout and PReLU unless it is `bare`."""
    conv = (
        nn.ConvTranspose2d(inputs, outputs, 3, stride, 1, stride - 1)
        if transposed
        else nn.Conv2d(inputs, outputs, 3, stride, 1)
    )
    if bare:
        return nn.Sequential(OrderedDict(conv=conv))
    then = OrderedDict(N=nn.BatchNorm2d(outputs), D=nn.Dropout(dropout), A=nn.PReLU())
    return nn.Sequential(OrderedDict(conv=conv, adn=nn.Sequential(then)))
