#!/usr/bin/env python
"""Parameters of every network at its default, and processor seconds on one core of a training step and of prediction.

Prediction runs as torch has the network, fused in plain torch, and fused with oneDNN as seepseg's predictor has it on a
CPU, each in turn; the last column is what fusing takes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import get_args

import torch
from torch import Tensor, nn

from seepseg.config import Config, ModelNode
from seepseg.inference.predictor import place
from seepseg.machine.device import keep_freed_memory
from seepseg.models.build import build_model
from seepseg.models.fuse import fused


def networks() -> list[type[ModelNode]]:
    """The nodes that `model.name` chooses among."""
    return list(get_args(Config.model_fields["model"].annotation))


def seconds(works: list[Callable[[], object]], turns: int) -> list[float]:
    """Minimum processor time of each, in turn; unlike wall time, other work hardly affects it."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(turns + 1):
        for work, taken in zip(works, times, strict=True):
            begin = time.process_time()
            work()
            taken.append(time.process_time() - begin)
    return [min(taken[1:]) for taken in times]  # the first one is slower


def train(model: nn.Module, images: Tensor, dtype: torch.dtype) -> None:
    """Forward and backward."""
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        logits = model(images)
    logits.float().square().mean().backward()
    model.zero_grad()


def predict(model: nn.Module, images: Tensor, dtype: torch.dtype) -> Tensor:
    """Logits."""
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        logits: Tensor = model(images)
    return logits


def main() -> None:
    """Parse, measure, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="some networks only")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--fp32", action="store_true", help="instead of bfloat16")
    options = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    dtype = torch.float32 if options.fp32 else torch.bfloat16
    cpu = torch.device("cpu")
    images = torch.randn(options.batch, 1, options.size, options.size).to(memory_format=torch.channels_last)
    print("| network | parameters | step | prediction | fused, torch | fused, oneDNN | first ÷ last | fusing |")
    print("|---|---|---|---|---|---|---|---|")
    for node in networks():
        name = node.model_fields["name"].default
        if options.names and name not in options.names:
            continue
        model = place(build_model(node(), 1, 8), cpu)
        count = sum(p.numel() for p in model.parameters())
        (step,) = seconds([partial(train, model, images, dtype)], options.turns)
        model.eval()
        (making,) = seconds([partial(fused, model, 1, dtype)], 3)
        ways = [model, place(fused(model, 1), cpu), fused(model, 1, dtype)]
        taken = seconds([partial(predict, m, images, dtype) for m in ways], options.turns)
        cells = [f"{count / 1e6:.1f} M", *(f"{s:.3f}" for s in (step, *taken))]
        cells += [f"{taken[0] / taken[-1]:.2f}", f"{making:.2f}"]
        print(f"| `{name}` |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
