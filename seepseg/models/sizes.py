"""Images of any size through a network that takes some sizes only; logits have the image's own size."""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from seepseg.config import NetworkInput


class AnySize(nn.Module):
    """A network that takes images of any size: they are brought to a size it can take, and the logits back.

    Without a config, images are padded up to the stride at the bottom and right. With one they are resized, or framed
    on all sides, as `NetworkInput` says, and padded up to the stride where that size is no multiple of it.

    Args:
        network: takes (N, C, H, W) with H and W multiples of `stride`.
        stride: product of all its down-samplings.
        config: the size of its input; None for the image's own.
    """

    def __init__(self, network: nn.Module, stride: int, config: NetworkInput | None) -> None:
        super().__init__()
        self.network, self.stride = network, stride
        sizes = config.size if config else []
        framed = config is not None and config.mode == "pad"
        self.resizes, self.frame = (sizes[:-1], sizes[-1]) if framed else (sizes, 0)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K', H, W) of images (N, C, H, W)."""
        own = images.shape[2:]
        for size in self.resizes:
            images = resized(images, (size, size))
        height, width = images.shape[2:]
        (top, down), (left, right) = (self._margins(size) for size in (height, width))
        logits = cast(Tensor, self.network(padded(images, (top, down, left, right))))
        return resized(logits[:, :, top : top + height, left : left + width], (own[0], own[1]))

    def _margins(self, size: int) -> tuple[int, int]:
        """Pixels to add before and after."""
        # Two cells at the bottom: batch norm cannot train on a single value per channel.
        cells = max(2, math.ceil(max(size, self.frame) / self.stride))
        missing = cells * self.stride - size
        before = missing // 2 if self.frame else 0
        return before, missing - before


def resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images (N, C, *size), float32, by bilinear interpolation; those that have the size already are unchanged.

    Where they shrink, every pixel contributes (antialiasing): a grid of single pixels would leave most logits without a
    gradient.
    """
    own = (images.shape[2], images.shape[3])
    if own == size:
        return images
    shrinks = size[0] < own[0] or size[1] < own[1]
    return interpolate(images.float(), size, mode="bilinear", align_corners=False, antialias=shrinks)


def padded(images: Tensor, margins: tuple[int, int, int, int]) -> Tensor:
    """Images (N, C, H + top + bottom, W + left + right), reflected at their borders (the border pixel once).

    Args:
        images: (N, C, H, W).
        margins: pixels to add at (top, bottom, left, right), each any number; a reflection wider than the image is
            reflected again.
    """
    top, bottom, left, right = margins
    if not any(margins):
        return images
    # torch reflects by less than the image's size only.
    rows = _reflected(images.shape[2], top, bottom, images.device)
    cols = _reflected(images.shape[3], left, right, images.device)
    return images[:, :, rows][:, :, :, cols]


def _reflected(size: int, before: int, after: int, device: torch.device) -> Tensor:
    """The index of the pixel, of `size`, at each place of before + size + after."""
    period = max(2 * (size - 1), 1)
    place = torch.arange(-before, size + after, device=device).remainder(period)
    return torch.minimum(place, period - place)
