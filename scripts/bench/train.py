#!/usr/bin/env python
"""Speed of the training loop against the bare step, a MONAI tutorial loop and a plain loop that reads with PIL.

    python scripts/bench/train.py [--rounds 5] [--steps 6] [-s runtime.compile=on]

All train one network on the same tiles, with one batch size, number format, number of threads, setting of malloc, and
the same flips and quarter turns; each in a process of its own, which starts, runs once unmeasured and then waits for
its turns. `seepseg train` samples, reads, augments, checks, clips, averages and scores. The bare side does forward,
backward and step on one batch in memory. MONAI's loop is that of its tutorials: CacheDataset, dictionary transforms,
DataLoader, DiceCELoss. The plain loop opens image and mask with PIL in each step. Both have MONAI's network as it is,
and neither averages nor scores. Scaling is by fixed limits, as no other loop has local scaling.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scene import race, spread
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from seepseg.config import Config, load
from seepseg.machine.device import autocast_dtype, choose_device, set_threads
from seepseg.synthetic import write_seep
from seepseg.training.find_lr import endless
from seepseg.training.prepare import TrainingData, prepare
from seepseg.training.run import assemble
from seepseg.training.step import placed, train_step

CONTENDERS = {
    "seepseg": "seepseg train",
    "bare": "bare step",
    "monai": "MONAI tutorial loop",
    "pil": "plain loop, PIL",
}
RATIOS = (("bare", "0.93"), ("monai", "1.5"), ("pil", "2"))
"""Whose time, over that of seepseg, and the least it should be."""

BRIGHTEST = 20000
Pair = tuple[Path, Path]


class Tiles(Dataset[tuple[Tensor, Tensor]]):
    """Image and mask opened with PIL each time, scaled, flipped and turned at random."""

    def __init__(self, pairs: list[Pair]) -> None:
        self.pairs, self.random = pairs, np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        from PIL import Image

        image, mask = (np.array(Image.open(path)) for path in self.pairs[index])
        planes = np.stack([image.astype(np.float32) / BRIGHTEST, mask.astype(np.float32)])
        for axis in (1, 2):
            if self.random.random() < 0.5:
                planes = np.flip(planes, axis)
        planes = np.ascontiguousarray(np.rot90(planes, self.random.integers(4), (1, 2)))
        return torch.from_numpy(planes[:1]), torch.from_numpy(planes[1].astype(np.int64))


def pil_loader(pairs: list[Pair], size: int) -> DataLoader[Any]:
    """Batches of the plain loop."""
    return DataLoader(Tiles(pairs), batch_size=size, shuffle=True, drop_last=True)


def monai_loader(pairs: list[Pair], size: int) -> DataLoader[Any]:
    """Batches of MONAI's tutorials: what is not random is cached."""
    from monai import transforms as t
    from monai.data.dataset import CacheDataset

    keys, tiles = ["image", "label"], [{"image": str(i), "label": str(m)} for i, m in pairs]
    steps = t.Compose([
        t.LoadImaged(keys, reader="PILReader"),
        t.EnsureChannelFirstd(keys),
        t.ScaleIntensityRanged("image", 0, BRIGHTEST, 0, 1, clip=True),
        t.RandFlipd(keys, prob=0.5, spatial_axis=0),
        t.RandFlipd(keys, prob=0.5, spatial_axis=1),
        t.RandRotate90d(keys, prob=0.75),
    ])  # fmt: skip
    dataset: Any = CacheDataset(tiles, steps, cache_rate=1.0, num_workers=0, progress=False)
    return DataLoader(dataset, batch_size=size, shuffle=True, drop_last=True)


def theirs(kind: str, config: Config, data: TrainingData) -> Iterator[None]:
    """A loop of somebody else's; each item is a step."""
    from monai.losses.dice import DiceCELoss
    from monai.networks.nets.unet import UNet

    channels = config.model.channels
    net = UNet(2, 1, len(data.classes), channels, (2,) * (len(channels) - 1), num_res_units=2, norm="BATCH")
    pairs = [(tile.image, tile.mask) for tile in data.train.catalog.tiles]
    loader = (monai_loader if kind == "monai" else pil_loader)(pairs, config.train.batch_size)
    criterion = DiceCELoss(to_onehot_y=True, softmax=True, include_background=False)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3)
    dtype = autocast_dtype(config.runtime.amp, torch.device("cpu"))
    while True:
        for batch in loader:
            image, mask = (batch["image"], batch["label"]) if kind == "monai" else (batch[0], batch[1][:, None])
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype, enabled=dtype is not None):
                logits = net(image)
            loss = criterion(logits.float(), mask)
            loss.backward()
            optimizer.step()
            loss.item()
            yield


def ours(kind: str, config: Config, data: TrainingData) -> Iterator[None]:
    """seepseg's loop, or its bare step; each item is a step."""
    trainer = assemble(config, data, choose_device(config.runtime.device))
    trainer.data.train.preload()
    batches = endless(trainer)
    if kind == "seepseg":
        for batch in batches:
            yield train_step(trainer, batch)
    batch = next(batches)
    image, mask = placed(trainer, batch)
    trainer.model.train()
    while True:
        with torch.autocast(trainer.device.type, trainer.dtype, enabled=trainer.dtype is not None):
            logits = trainer.parallel(image)
        loss = trainer.loss(logits.float(), mask)["loss"]
        trainer.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        trainer.optimizer.step()
        yield


def serve(kind: str, config: Config, steps: int) -> None:
    """Train for some steps, then once per line of standard input; print seconds, and CPU seconds, of each."""
    set_threads(config.runtime)
    data = prepare(config, None)
    loop = (ours if kind in ("seepseg", "bare") else theirs)(kind, config, data)
    next(loop)
    while True:
        begin, spent = time.perf_counter(), time.process_time()
        for _ in islice(loop, steps):
            pass
        print(time.perf_counter() - begin, time.process_time() - spent, flush=True)
        if not sys.stdin.readline():
            break


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=Path("configs/seep_multiclass.yaml"))
    parser.add_argument("-s", "--set", action="append", default=[], metavar="KEY=VALUE", help="override of the config")
    parser.add_argument("--steps", type=int, default=6, help="steps of each in a round (default 6)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    threads = f"runtime.threads={given.threads}"
    split = "data.split={by: group, val_fraction: 0.25}"
    scaling = f"data.scaling={{kind: dn, basis: fixed, range: [0, {BRIGHTEST}]}}"
    if given.contender:
        config = load(given.config, [f"data.root={given.data}", split, scaling, threads, *given.set])
        serve(given.contender, config, given.steps)
        return
    with tempfile.TemporaryDirectory() as name:
        write_seep(Path(name), scenes=4, grid=(4, 4), tile=256, seed=0)
        config = load(given.config, [f"data.root={name}", split, scaling, threads, *given.set])
        passed = ["--data", name, "--config", str(given.config), "--steps", str(given.steps)]
        passed += ["--threads", str(given.threads), *(word for item in given.set for word in ("-s", item))]
        taken = race([[__file__, "--contender", kind, *passed] for kind in CONTENDERS], given.rounds)
    times = dict(zip(CONTENDERS, taken, strict=True))
    size = config.train.batch_size
    mode = f"{given.threads} threads, {autocast_dtype(config.runtime.amp, torch.device('cpu'))}"
    print(f"{given.config.stem}, batch {size}, {mode}, compile {config.runtime.compile}, {given.rounds} rounds\n")
    print("| | tiles/s (rounds) | CPU ms per step |\n|---|---|---|")
    for kind, label in CONTENDERS.items():
        rates = [given.steps * size / wall for wall, _ in times[kind]]
        cpu = 1000 * statistics.median(cpu for _, cpu in times[kind]) / given.steps
        print(f"| {label} | {spread(rates)} | {cpu:.0f} |")
    print("\n| seepseg train ÷ | ratio (rounds) | of CPU seconds | bar |\n|---|---|---|---|")
    for kind, bar in RATIOS:
        wall, cpu = ([a[i] / b[i] for a, b in zip(times[kind], times["seepseg"], strict=True)] for i in (0, 1))
        print(f"| {CONTENDERS[kind]} | {spread(wall)} | {spread(cpu)} | {bar} |")


if __name__ == "__main__":
    main()
