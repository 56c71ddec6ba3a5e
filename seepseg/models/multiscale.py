"""One network that looks at an image at several resolutions and attends, at every pixel, to the one that shows it best.

After hierarchical multi-scale attention (arXiv 2005.10821), with all scales in training and in prediction. They share
their convolutions: at a quarter of the resolution a wide slick looks as narrow ones do, of which there are many more to
learn from.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from seepseg.models.blocks import NORMS


class MultiScale(nn.Module):
    """The logits of every scale, enlarged to full resolution, and their mean weighed by attention over the scales.

    Args:
        network: takes (N, C, H, W), puts out attention and logits (N, 1 + K', H, W).
        scales: what the sides are divided by, 1 first; images hold C channels for each.
    """

    def __init__(self, network: nn.Module, scales: Sequence[int]) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.networks = nn.ModuleList([network, *(_sharing(network) for _ in scales[1:])])
        self.bias = nn.Parameter(torch.zeros(len(scales)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K', H, W) of images (N, S·C, H, W), H and W multiples of every scale."""
        planes = images.chunk(len(self.scales), 1)
        seen = [
            _enlarged(network(avg_pool2d(plane, scale)), scale)
            for scale, network, plane in zip(self.scales, self.networks, planes, strict=True)
        ]
        attention = torch.stack([one[:, :1] for one in seen]) + self.bias[:, None, None, None, None]
        logits = torch.stack([one[:, 1:] for one in seen])
        return (logits * torch.softmax(attention, 0)).sum(0)


def _sharing(network: nn.Module) -> nn.Module:
    """A copy that shares all weights but those of its norms: their running statistics differ from scale to scale."""
    other = copy.deepcopy(network)
    for own, shared in zip(other.modules(), network.modules(), strict=True):
        if not isinstance(own, NORMS):
            for name, parameter in shared.named_parameters(recurse=False):
                setattr(own, name, parameter)
    return other


def _enlarged(logits: Tensor, scale: int) -> Tensor:
    return logits if scale == 1 else interpolate(logits, scale_factor=scale, mode="bilinear", align_corners=False)
