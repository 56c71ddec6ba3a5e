"""ResNet encoders, with torchvision's names so that ImageNet files can be loaded, and the blocks of decoders."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d

from seepseg.config import Encoder


class ResNet(nn.Module):
    """The convolutional part of a ResNet (arXiv 1512.03385).

    Args:
        name: which one.
        bands: of the images.
        width: multiplies all numbers of channels.
        stem_stride: of what comes before the first stage: 4 as published (strided convolution and max-pooling), 2
            without the pooling, 1 without either. The weights are the same, the maps larger.

    Attributes:
        channels: of the five maps.
    """

    def __init__(self, name: Encoder, bands: int, width: float, stem_stride: int = 4) -> None:
        super().__init__()
        self.name, self.pools, deep = name, stem_stride == 4, name == "resnet50"
        widths = [int(c * width) for c in (64, 128, 256, 512)]
        self.channels = [widths[0], *(4 * w if deep else w for w in widths)]
        self.conv1 = nn.Conv2d(bands, widths[0], 7, 2 if stem_stride > 1 else 1, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(_Block(before, w, after, stride, deep), *(_Block(after, w, after, 1, deep) for _ in range(n)))
            for before, w, after, stride, n in zip(
                self.channels, widths, self.channels[1:], (1, 2, 2, 2), (2, 3, 5, 2), strict=False
            )
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> list[Tensor]:
        """The map of the stem, before pooling, and those of the four stages."""
        x = torch.relu_(self.bn1(self.conv1(images)))
        maps = [x]
        x = max_pool2d(x, 3, 2, 1) if self.pools else x
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps


class _Block(nn.Module):
    """Two convolutions, or a bottleneck of three where it is `deep`, and the input added, with torchvision's names."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int, deep: bool) -> None:
        super().__init__()
        downsample = _conv_norm(inputs, outputs, 1, stride) if stride > 1 or inputs != outputs else None
        if deep:
            self.conv1, self.bn1 = _conv_norm(inputs, width, 1)
            self.conv2, self.bn2 = _conv_norm(width, width, 3, stride)
            self.conv3, self.bn3 = _conv_norm(width, outputs, 1)
        else:
            self.conv1, self.bn1 = _conv_norm(inputs, width, 3, stride)
            self.conv2, self.bn2 = _conv_norm(width, outputs, 3)
        self.downsample, self.deep = downsample, deep

    def forward(self, x: Tensor) -> Tensor:
        """The map (N, outputs, H / stride, W / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn2(self.conv2(torch.relu_(self.bn1(self.conv1(x)))))
        if self.deep:
            x = self.bn3(self.conv3(torch.relu_(x)))
        x += shortcut
        return torch.relu_(x)


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


def dilate(stage: nn.Module) -> None:
    """Make a stage keep the size of its map, in place: stride 1, and dilation 2 after the strided convolution.

    Every second row and column of its output is what the stage gave before, so ImageNet weights stay valid.
    """
    for conv in [m for m in stage.modules() if isinstance(m, nn.Conv2d)]:
        if conv.stride == (2, 2):
            conv.stride = (1, 1)
        elif conv.kernel_size == (3, 3):
            conv.dilation = conv.padding = (2, 2)


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
