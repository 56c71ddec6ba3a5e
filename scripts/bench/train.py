#!/usr/bin/env python
"""Tiles a second of the training loop against bare forward, backward and step with the same loss.

The loop is what `seepseg train` runs: sampling, reading, augmentation, checks, clipping, averaging and scoring. The
bare side holds one batch in memory. Both take turns, so that other work on the machine slows them alike.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

import torch

from seepseg.config import load
from seepseg.data.loader import Batch
from seepseg.machine.device import choose_device, set_threads
from seepseg.synthetic import write_seep
from seepseg.training.find_lr import endless
from seepseg.training.prepare import prepare
from seepseg.training.run import assemble
from seepseg.training.state import Trainer
from seepseg.training.step import placed, train_step


def bare_step(trainer: Trainer, batch: Batch) -> None:
    """Forward, backward and step, and nothing else."""
    image, mask = batch.image, batch.mask
    with torch.autocast(trainer.device.type, trainer.dtype, enabled=trainer.dtype is not None):
        logits = trainer.model(image)
    loss = trainer.loss(logits.float(), mask)["loss"]
    trainer.optimizer.zero_grad(set_to_none=True)
    trainer.scaler.scale(loss).backward()
    trainer.scaler.step(trainer.optimizer)
    trainer.scaler.update()


def wait(device: torch.device) -> None:
    """Let a GPU finish what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", type=Path, default=Path("configs/seep_multiclass.yaml"))
    parser.add_argument("-s", "--set", action="append", default=[], metavar="KEY=VALUE", help="override of the config")
    parser.add_argument("--steps", type=int, default=10, help="steps of each side in a turn (default 10)")
    parser.add_argument("--turns", type=int, default=5, help="turns measured, after one that is not (default 5)")
    parser.add_argument("--scenes", type=int, default=4, help="scenes of 16 tiles to generate (default 4)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        write_seep(Path(name), scenes=options.scenes, grid=(4, 4), tile=256, seed=0)
        split = "data.split={by: group, val_fraction: 0.25}"
        config = load(options.config, [f"data.root={name}", split, *options.set])
        device = choose_device(config.runtime.device)
        set_threads(config.runtime)
        data = prepare(config, None)
        ours, bare = assemble(config, data, device), assemble(config, data, device)
        ours.data.train.preload()
        batches = endless(ours)
        fixed = next(batches)
        fixed.image, fixed.mask = placed(bare, fixed)
        bare.model.train()
        size = config.train.batch_size
        number = bare.dtype or torch.float32
        print(f"{device}, {torch.get_num_threads()} threads, batch {size}, {number}, {len(data.train)} tiles")
        rates: list[tuple[float, float]] = []
        for turn in range(options.turns + 1):
            wait(device)
            begin = time.perf_counter()
            for batch in islice(batches, options.steps):
                train_step(ours, batch)
            wait(device)
            middle = time.perf_counter()
            for _ in range(options.steps):
                bare_step(bare, fixed)
            wait(device)
            end = time.perf_counter()
            if turn:
                rates.append((options.steps * size / (middle - begin), options.steps * size / (end - middle)))
                print(f"turn {turn}: loop {rates[-1][0]:.2f} tiles/s, bare {rates[-1][1]:.2f} tiles/s", flush=True)
    loop, plain = (statistics.median(r[i] for r in rates) for i in (0, 1))
    ratio = statistics.median(a / b for a, b in rates)
    print(f"medians: loop {loop:.2f} tiles/s, bare {plain:.2f} tiles/s, ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
