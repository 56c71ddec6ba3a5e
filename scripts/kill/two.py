#!/usr/bin/env python
"""Trains an epoch of each shipped recipe in one process and in two (gloo), and compares what they leave.

Networks and tiles are small; loss, head, optimiser, schedule, sampling and augmentation are the recipe's. The two have
the environment that torchrun gives, and are forked from this process, which has imported everything. One line a recipe;
exit 1 when a run fails, or the losses of the epoch differ by more than they may: batch norm keeps the statistics of
each process's half of a batch.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
from pathlib import Path

import pandas as pd
import torch
from kill import start, wait

sys.path.insert(0, str(Path(__file__).parents[2]))
from seepseg.config import load, recipes
from seepseg.synthetic import write_products, write_salt, write_seep
from tests.test_configs import small
from tests.trees import TREES

MAY_DIFFER = {"as it is": 0.25, "group norm": 1e-3}
"""Relative, of train/loss and val/loss: without statistics of a batch, the two are one but for rounding."""


def lay(folder: Path) -> dict[str, Path]:
    """The root of small data by recipe: in the layout of its own set, or of its source."""
    roots = {name: folder / name for name in ("seep", "tgs", "scenes", *TREES)}
    write_seep(roots["seep"], scenes=6, grid=(4, 4), tile=64, seed=2)
    write_salt(roots["tgs"], tiles=20, test_tiles=2, seed=2)
    write_products(roots["scenes"], scenes=4, side=256, seed=2)
    for name, write in TREES.items():
        write(roots[name])
    return {name: roots[name if name in TREES else load(path).data.source] for name, path in recipes().items()}


def train(words: list[str], run: Path, processes: int) -> pd.Series:
    """The first row of metrics.csv of a training in so many processes; exits where one fails."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pids = list[int]()
    for rank in range(processes):
        if processes > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes),
                           "LOCAL_WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1",
                           "MASTER_PORT": str(port)}  # fmt: skip
        pids.append(start(["train", *words, "--run", str(run), "-q"], run.with_name(f"log{rank}"), False))
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(name, None)
    codes = [wait(pid, 600) for pid in pids]
    if any(codes):
        sys.exit(f"{' '.join(words)}: exit codes {codes}: {run.with_name('log0').read_text()}")
    (metrics,) = run.rglob("metrics.csv")  # a fold has a folder of its own
    return pd.read_csv(metrics).iloc[0]


def main() -> None:
    """Parse, train, compare, exit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="*", help="names of shipped recipes (default: all)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    good = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        roots = lay(folder)
        for recipe in options.recipes or recipes():
            path = recipes()[recipe]
            config = load(path)
            # Published weights come with batch norm.
            free = hasattr(config.model, "norm") and not getattr(config.model, "encoder_weights", None)
            norm = ["-s", "model.norm=group"] if free else []
            fold = ["--fold", "0"] if config.data.split.folds else []
            for kind, more in {"as it is": [], "group norm": norm}.items():
                if kind == "group norm" and not norm:
                    continue
                words = [str(path), *small(path, roots[recipe]), "-s", "runtime.compile=off", *fold, *more]
                one, two = (train(words, folder / f"{recipe}-{len(more)}-{n}", n) for n in (1, 2))
                apart = {key: abs(two[key] / one[key] - 1) for key in ("train/loss", "val/loss")}
                good &= max(apart.values()) <= MAY_DIFFER[kind]
                said = ", ".join(f"{key} {one[key]:.5f} and {two[key]:.5f} ({apart[key]:.1e} apart)" for key in apart)
                print(f"{recipe}, {kind}: {said}", flush=True)
    sys.exit(not good)


if __name__ == "__main__":
    main()
