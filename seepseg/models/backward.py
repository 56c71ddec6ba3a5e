"""Layers whose backward passes on the CPU, as torch has them, take a quarter of a training step or more."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812 - torch's convention


def with_quick_backward(module: nn.Module) -> None:
    """Put the layers of this file in the place of torch's, with the same weights and their names."""
    for child in module.children():
        if type(child) is nn.PReLU and child.num_parameters == 1:
            child.__class__ = PReLU
        elif type(child) is nn.ConvTranspose2d and child.bias is not None:
            child.__class__ = ConvTranspose2d
        elif type(child) is nn.Conv2d and 1 < child.groups == child.in_channels and _is_slow_in_bfloat16(child):
            child.__class__ = DepthwiseConv2d
        else:
            with_quick_backward(child)


class PReLU(nn.PReLU):
    """nn.PReLU of one slope: the backward pass in a sixth of the time."""

    def forward(self, input: Tensor) -> Tensor:
        """`input` where it is positive, the slope times `input` elsewhere."""
        # A compiler has a better one of its own.
        if not _trains_on_cpu(input) or torch.compiler.is_compiling():
            return super().forward(input)
        return _PReLU.apply(input, self.weight.to(input.dtype))  # type: ignore[no-any-return,no-untyped-call]


class ConvTranspose2d(nn.ConvTranspose2d):
    """nn.ConvTranspose2d: the gradient of the bias, which costs as much as the others together, as a plain sum."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """The transposed convolution of (N, C, H, W)."""
        if not _trains_on_cpu(input) or output_size is not None:
            return super().forward(input, output_size)
        format = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else input.dtype
        values = [x.to(format) for x in (input, self.weight, self.bias) if x is not None]
        place = (self.stride, self.padding, self.dilation, True, self.output_padding, self.groups)
        return _Convolution.apply(*values, place)  # type: ignore[no-any-return,no-untyped-call]


class DepthwiseConv2d(nn.Conv2d):
    """nn.Conv2d with a kernel for each channel: in float32 under autocast, where bfloat16 is slow."""

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of (N, C, H, W), in the format that autocast asks for."""
        lowered = torch.is_autocast_enabled("cpu") and self.weight.dtype == torch.float32
        if not _trains_on_cpu(input) or not lowered:
            return super().forward(input)
        with torch.autocast("cpu", enabled=False):
            out = super().forward(input.float())
        return out.to(torch.get_autocast_dtype("cpu"))


def _is_slow_in_bfloat16(conv: nn.Conv2d) -> bool:
    """Whether the backward pass of a convolution by channels takes some 4 to 30 times as long as in float32.

    Measured with oneDNN 3, AVX-512 and AMX, on maps of 7² to 56².
    """
    return conv.stride != (1, 1) or max(conv.kernel_size) > 3


class _PReLU(torch.autograd.Function):
    """The gradient of the slope is one sum; torch writes a tensor of it first, pixel by pixel."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(input, slope)
        return F.prelu(input, slope)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        input, slope = ctx.saved_tensors
        if grad.stride() != input.stride():
            # Half of a concatenation, or the gradient of a loss: reading two orders at once costs more than a copy.
            grad = torch.empty_like(input).copy_(grad)
        by_slope = (grad * input.clamp(max=0)).sum(dtype=torch.float32)
        return torch.ops.aten.leaky_relu_backward(grad, input, slope.item(), False), by_slope.to(slope.dtype).view(1)


class _Convolution(torch.autograd.Function):
    """A convolution whose backward pass leaves the gradient of the bias out, and sums it here."""

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, bias: Tensor, place: tuple[Any, ...]) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.place = place
        return torch.ops.aten.convolution(input, weight, bias, *place)  # type: ignore[no-any-return]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        input, weight = ctx.saved_tensors
        wanted = [ctx.needs_input_grad[0], True, False]
        by_input, by_weight, _ = torch.ops.aten.convolution_backward(grad, input, weight, None, *ctx.place, wanted)
        return by_input, by_weight, grad.sum((0, 2, 3)), None


def _trains_on_cpu(input: Tensor) -> bool:
    return input.device.type == "cpu" and torch.is_grad_enabled()
