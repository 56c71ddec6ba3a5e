"""One network that looks at an image at several resolutions and trusts, at every pixel, the one that shows it best.

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

NORMS = nn.modules.batchnorm._NormBase, nn.GroupNorm


class Pyramid(nn.Module):
    """The logits of every scale, enlarged to full resolution, and their mean weighed by the trust that goes with them.

    Args:
        network: takes (N, C, H, W), puts out the trust and the logits (N, 1 + K, H, W).
        scales: what the sides are divided by, 1 first; images hold C channels for each.
    """

    def __init__(self, network: nn.Module, scales: Sequence[int]) -> None:
        super().__init__()
        self.scales = tuple(scales)
        self.networks = nn.ModuleList([network, *(_twin(network) for _ in scales[1:])])
        self.bias = nn.Parameter(torch.zeros(len(scales)))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, K, H, W) of images (N, S·C, H, W), H and W multiples of every scale."""
        seen = [
            _enlarged(network(avg_pool2d(planes, scale)), scale)
            for scale, network, planes in zip(
                self.scales, self.networks, images.chunk(len(self.scales), 1), strict=True
            )
        ]
        trust = torch.stack([one[:, :1] for one in seen]) + self.bias[:, None, None, None, None]
        logits = torch.stack([one[:, 1:] for one in seen])
        return (logits * torch.softmax(trust, 0)).sum(0)


def _twin(network: nn.Module) -> nn.Module:
    """The same network with norms of its own: their running statistics at one scale are not those of another."""
    twin = copy.deepcopy(network)
    for own, shared in zip(twin.modules(), network.modules(), strict=True):
        if not isinstance(own, NORMS):
            for name, parameter in shared.named_parameters(recurse=False):
                setattr(own, name, parameter)
    return twin


def _enlarged(logits: Tensor, scale: int) -> Tensor:
    return logits if scale == 1 else interpolate(logits, scale_factor=scale, mode="bilinear", align_corners=False)
