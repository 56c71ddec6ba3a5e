"""ResNet encoders, with torchvision's names so that ImageNet files can be loaded, and the blocks of decoders."""

from __future__ import annotations

from monai.networks.nets.resnet import ResNet, ResNetBlock, ResNetBottleneck
from torch import Tensor, nn
from torch.nn.functional import interpolate

from seepseg.config import Encoder

_BLOCKS: dict[Encoder, type[ResNetBlock] | type[ResNetBottleneck]] = {
    "resnet34": ResNetBlock,
    "resnet50": ResNetBottleneck,
}
_WIDTHS = [64, 128, 256, 512]


def resnet_encoder(name: Encoder, bands: int, width: float, stem_stride: int = 4) -> ResNet:
    """The convolutional part of a ResNet (arXiv 1512.03385).

    Args:
        bands: of the images.
        width: multiplies all numbers of channels.
        stem_stride: of what comes before the first stage: 4 as published (strided convolution and max-pooling), 2
            without the pooling, 1 without either. The weights are the same, the maps larger.
    """
    return ResNet(
        _BLOCKS[name],
        [3, 4, 6, 3],
        _WIDTHS,
        spatial_dims=2,
        n_input_channels=bands,
        conv1_t_stride=2 if stem_stride > 1 else 1,
        no_max_pool=stem_stride < 4,
        widen_factor=width,
        feed_forward=False,
        # torchvision's shortcuts have none
        bias_downsample=False,
    )


def resnet_channels(name: Encoder, width: float) -> list[int]:
    """Channels of the five maps that `resnet_features` gives."""
    widths = [int(c * width) for c in _WIDTHS]
    return [widths[0], *(_BLOCKS[name].expansion * c for c in widths)]


def resnet_features(encoder: ResNet, images: Tensor) -> list[Tensor]:
    """The map of the stem, before pooling, and those of the four stages."""
    x = encoder.act(encoder.bn1(encoder.conv1(images)))
    maps = [x]
    if not encoder.no_max_pool:
        x = encoder.maxpool(x)
    for stage in (encoder.layer1, encoder.layer2, encoder.layer3, encoder.layer4):
        x = stage(x)
        maps.append(x)
    return maps


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
