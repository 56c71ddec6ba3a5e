"""Networks rewritten to predict: the same function with fewer passes over memory."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

SUMS = (operator.add, operator.iadd, torch.add)
RELUS = (torch.relu, torch.relu_, functional.relu, functional.relu_)
Activation = tuple[float, float]
"""Its slope below zero, and the value where it ends above, which only goes with slope 0: ReLU6 is (0, 6)."""
NONE, RELU = (1.0, math.inf), (0.0, math.inf)
PASSING = nn.Identity | nn.Dropout | nn.Dropout2d
"""What changes nothing in eval mode."""


@torch.no_grad()
def fused(model: nn.Module, channels: int, dtype: torch.dtype | None = None) -> nn.Module:
    """A copy of a network in eval mode whose norms, activations and sums are part of the convolutions they follow.

    The largest modules that torch.fx can trace are rewritten, where outputs for one small image agree to rounding (1e-6
    of their size in float32); others stay as they are. The copy has no state: threads may call it at the same time.

    Args:
        model: takes (N, `channels`, H, W).
        channels: of its input.
        dtype: the format of the convolutions, which are oneDNN's fused operations for this CPU, the same that torch's
            compiler uses, if they are there and agree. They convert their input to it, under autocast or not. None for
            plain torch, for any device.
    """
    probe = torch.randn(1, channels, 64, 64, generator=torch.Generator().manual_seed(0))
    expected = model(probe)
    whole = nn.Sequential(copy.deepcopy(model))

    def agrees(tolerance: float = 1e-4) -> bool:
        return float((whole(probe) - expected).abs().max()) <= tolerance * float(expected.abs().max())

    _rewrite(whole, "0", agrees, dtype is not None)
    if dtype is not None:
        steps, packed = [m for m in whole.modules() if isinstance(m, _Step)], False
        # Another CPU or another torch may not have the operations.
        with suppress(AttributeError, RuntimeError), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            for step in steps:
                step.pack(dtype)
            packed = agrees(1e-4 if dtype == torch.float32 else 0.05)
        for step in steps:
            step.settle(packed)
    return whole[0]


class _Step(nn.Module):
    """A convolution, then a sum with another map, then an activation.

    Args:
        conv: with the norm that follows it already part of it.
    """

    def __init__(self, conv: nn.Conv2d | nn.ConvTranspose2d) -> None:
        super().__init__()
        self.conv, self.act = conv, NONE
        self.packed: Callable[..., Tensor] | None = None

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """The map after all three."""
        if self.packed is not None:
            return self.packed(x, other)
        out: Tensor = self.conv(x)
        if other is not None:
            assert out.shape == other.shape  # oneDNN does not broadcast
            out = out + other
        slope, top = self.act
        if top < math.inf:
            return functional.hardtanh(out, 0.0, top, inplace=True)
        return out if slope == 1 else functional.leaky_relu(out, slope, inplace=True)

    def pack(self, dtype: torch.dtype) -> None:
        """Take oneDNN's operation from here on."""
        conv, ops = self.conv, torch.ops.mkldnn
        weight, bias = conv.weight.to(dtype), None if conv.bias is None else conv.bias.to(dtype)
        shape: tuple[Any, ...] = (conv.padding, conv.stride, conv.dilation, conv.groups)
        single, reorder = ops._convolution_pointwise, ops._reorder_convolution_weight
        if isinstance(conv, nn.ConvTranspose2d):
            shape = (conv.padding, conv.output_padding, *shape[1:])
            single, reorder = ops._convolution_transpose_pointwise, ops._reorder_convolution_transpose_weight
        pairs = _leaves_half_a_vector(conv)
        if pairs:
            # Two neighbours of a row at once, of the same memory and value, in full vectors: w1·x[i] in column 2i and
            # w2·x[i] + w0·x[i + 1] in column 2i + 1.
            ahead, same, behind = weight.unbind(3)
            weight = torch.stack([torch.cat([0 * ahead, ahead], 1), torch.cat([same, behind], 1)], 3)
            shape = ((1, 1), (1, 1), (2, 1), (1, 1), 1)
            bias = None if bias is None else bias.repeat(2)
        # The best layout of a full 1×1 convolution depends on the size of the map, and a wrong one is slow.
        if conv.kernel_size != (1, 1) or conv.groups > 1:
            weight = reorder(weight, *shape, (8, conv.in_channels, 64, 64))
        slope, top = self.act
        after: tuple[Any, ...] = ("leaky_relu", [slope], "")
        if top < math.inf:
            after = ("hardtanh", [0.0, top], "")
        elif slope in (0, 1):
            after = ("relu" if slope == 0 else "none", [], "")
        after_sum: tuple[Any, ...] = ("add", None, "relu" if self.act == RELU else None, [], None)

        def packed(x: Tensor, other: Tensor | None) -> Tensor:
            x = x.to(dtype)
            out: Tensor
            if other is None:
                out = single(x, weight, bias, *shape, *after)
            else:
                out = ops._convolution_pointwise.binary(x, other.to(dtype), weight, bias, *shape, *after_sum)
            if pairs:
                single_pixels = (len(out), out.shape[2], 2 * out.shape[3], -1)
                out = out.permute(0, 2, 3, 1).reshape(single_pixels).permute(0, 3, 1, 2)
            return out

        self.packed = packed

    def settle(self, packed: bool) -> None:
        """Keep one of the two ways only."""
        if packed:
            del self.conv
        else:
            self.packed = None


def _leaves_half_a_vector(conv: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Whether it doubles the size, 3×3, to so few channels that half of each of the CPU's vectors would be empty."""
    vector = 16 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 8
    return (
        isinstance(conv, nn.ConvTranspose2d)
        and (conv.kernel_size, conv.stride, conv.padding, conv.output_padding) == ((3, 3), (2, 2), (1, 1), (1, 1))
        and (conv.groups, conv.dilation) == (1, (1, 1))
        and conv.out_channels <= vector // 2
    )


def _rewrite(parent: nn.Module, name: str, agrees: Callable[[], bool], norms: bool) -> None:
    """Replace a child of a module, or else what can be replaced of its own children."""
    original = parent.get_submodule(name)
    if not any(original.children()):
        return
    with suppress(Exception):  # a network may do anything that cannot be traced
        setattr(parent, name, _chained(fx.GraphModule(original, _Tracer().trace(original)), norms))
        if agrees():
            return
    setattr(parent, name, original)
    for child, _ in original.named_children():
        _rewrite(original, child, agrees, norms)


class _Tracer(fx.Tracer):
    """Takes whatever has no children as one operation; fx itself looks into layers that are not torch's own."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one operation."""
        return not any(m.children()) or super().is_leaf_module(m, module_qualified_name)


def _chained(traced: fx.GraphModule, norms: bool) -> fx.GraphModule:
    """A graph whose convolutions are steps that do what follows them too, where nothing else reads what is between.

    With `norms`, batch norms that follow no convolution are steps as well.
    """
    graph, modules = traced.graph, dict(traced.named_modules())

    def module(node: object) -> nn.Module | None:
        return modules.get(str(node.target)) if isinstance(node, fx.Node) and node.op == "call_module" else None

    def reader(node: fx.Node) -> fx.Node | None:
        return next(iter(node.users)) if len(node.users) == 1 else None

    def activation(node: fx.Node | None) -> Activation:
        if node is not None and node.op == "call_function" and node.target in RELUS:
            return RELU
        match module(node):
            case nn.ReLU():
                return RELU
            case nn.ReLU6():
                return 0.0, 6.0
            case nn.PReLU(num_parameters=1) as prelu:
                return float(prelu.weight), math.inf
            case nn.LeakyReLU(negative_slope=below):
                return below, math.inf
        return NONE

    def drop(node: fx.Node | None, stands_for: Any) -> None:
        assert node is not None
        node.replace_all_uses_with(stands_for)
        graph.erase_node(node)

    for node in graph.nodes:
        if isinstance(module(node), PASSING):
            drop(node, node.args[0])
    for node in graph.nodes:
        conv, norm = module(node), module(reader(node))
        if isinstance(conv, nn.Conv2d | nn.ConvTranspose2d) and conv.padding_mode == "zeros":
            if isinstance(norm, nn.BatchNorm2d):
                conv = fuse_conv_bn_eval(conv, norm, isinstance(conv, nn.ConvTranspose2d))
                drop(reader(node), node)
        elif isinstance(conv, nn.BatchNorm2d) and norms:
            same = nn.Conv2d(conv.num_features, conv.num_features, 1, groups=conv.num_features, bias=False).eval()
            nn.init.ones_(same.weight)
            conv = fuse_conv_bn_eval(same, conv)
        else:
            continue
        node.target = f"step_{node.name}"
        modules[node.target] = step = _Step(conv)
        traced.add_submodule(node.target, step)
        step.act = activation(reader(node))
        if step.act != NONE:
            drop(reader(node), node)
    order = list(graph.nodes)
    for node in order:
        if node.target not in SUMS or len(node.all_input_nodes) != 2 or node.kwargs:
            continue
        first, last = sorted(node.args, key=order.index)
        # Rather the later one, which waits for less.
        for term, other in ((last, first), (first, last)):
            before = module(term)
            if not isinstance(before, _Step) or isinstance(before.conv, nn.ConvTranspose2d):
                continue
            if before.act == NONE and len(term.users) == 1:
                node.prepend(term)
                term.args = (*term.args, other)
                drop(node, term)
                if activation(reader(term)) == RELU:
                    before.act = RELU
                    drop(reader(term), term)
                break
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced
