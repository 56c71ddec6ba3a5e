#!/usr/bin/env python
"""Parameters of every network at its default, and processor seconds of forward and backward on one core."""

from __future__ import annotations

import argparse
import time
from typing import get_args

import torch
from torch import nn

from seepseg.config import Config, ModelNode
from seepseg.models.build import build_model


def networks() -> list[type[ModelNode]]:
    """The nodes that `model.name` chooses among."""
    return list(get_args(Config.model_fields["model"].annotation))


def seconds(model: nn.Module, images: torch.Tensor, turns: int) -> float:
    """Minimum processor time of forward and backward in bf16; unlike wall time, other work hardly affects it."""
    times = []
    for _ in range(turns + 1):  # the first one is slower
        begin = time.process_time()
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(images)
        logits.float().square().mean().backward()
        times.append(time.process_time() - begin)
        model.zero_grad()
    return min(times[1:])


def main() -> None:
    """Parse, measure, print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--turns", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = torch.randn(options.batch, 1, options.size, options.size).to(memory_format=torch.channels_last)
    print("| network | parameters | seconds |\n|---|---|---|")
    for node in networks():
        model = build_model(node(), 1, 8).to(memory_format=torch.channels_last)
        count = sum(p.numel() for p in model.parameters())
        name = node.model_fields["name"].default
        print(f"| `{name}` | {count / 1e6:.1f} M | {seconds(model, images, options.turns):.2f} |", flush=True)


if __name__ == "__main__":
    main()
