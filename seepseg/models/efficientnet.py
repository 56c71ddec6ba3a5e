"""EfficientNet-Lite0 encoder, with the names of its PyTorch files so that ImageNet weights can be loaded."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

_STAGES = (
    # blocks, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM = 32
CHANNELS = {16: [16, 24, 40, 112], 32: [16, 24, 40, 112, 320]}
"""Of the maps that the encoder gives, by its stride."""


class EfficientNetLite(nn.Module):
    """The convolutional part of TensorFlow's EfficientNet-Lite0.

    It is EfficientNet-B0 (arXiv 1905.11946, table 1) without squeeze-excitation and with ReLU6 for Swish.

    Args:
        bands: of the images.
        stride: 32 for all blocks, 16 for the eleven before the last stride.
    """

    def __init__(self, bands: int, stride: int) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(bands, _STEM, 3, 2, bias=False)
        self._bn0 = _norm(_STEM)
        self._blocks = nn.ModuleList(_blocks(stride))
        self.whole = stride == 32
        self.act, self.margin = nn.ReLU6(inplace=True), _margin(3)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The last maps of each size, (N, `CHANNELS`, H / 2, W / 2) and so on, of images (N, C, H, W).

        H and W are multiples of the stride.
        """
        x = self.act(self._bn0(self._conv_stem(self.margin(images))))
        maps = []
        for block in self._blocks:
            if block.shrinks:
                maps.append(x)
            x = block(x)
        return [*maps, x]


def _blocks(stride: int) -> Iterator[nn.Module]:
    inputs = _STEM
    for count, kernel, step, expansion, outputs in _STAGES[: 7 if stride == 32 else 5]:
        for i in range(count):
            yield _Block(inputs, outputs, kernel, 1 if i else step, expansion)
            inputs = outputs


class _Block(nn.Module):
    """Inverted bottleneck (arXiv 1801.04381): wider, a convolution of each channel, narrower; added where it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expands, self.shrinks, self.adds = expansion > 1, stride > 1, stride == 1 and inputs == outputs
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, middle, 1, bias=False)
            self._bn0 = _norm(middle)
        same = 0 if self.shrinks else kernel // 2
        self._depthwise_conv = nn.Conv2d(middle, middle, kernel, stride, same, groups=middle, bias=False)
        self._bn1 = _norm(middle)
        self._project_conv = nn.Conv2d(middle, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)
        self.act = nn.ReLU6(inplace=True)
        self.margin = _margin(kernel) if self.shrinks else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        x = self.act(self._bn0(self._expand_conv(images))) if self.expands else images
        x = self.act(self._bn1(self._depthwise_conv(self.margin(x))))
        out: Tensor = self._bn2(self._project_conv(x))
        return out + images if self.adds else out


def _margin(kernel: int) -> nn.Module:
    """The zeros around a convolution of stride 2 as TensorFlow puts them: one more at the bottom and right."""
    before = (kernel - 2) // 2
    return nn.ZeroPad2d((before, kernel - 2 - before) * 2)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
