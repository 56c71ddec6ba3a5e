#!/usr/bin/env python
"""Predicts thousands of tiles and hundreds of scenes in one process, and watches memory, descriptors and threads.

A line at each tenth of the way; exit 1 when descriptors or threads are more in the last quarter than in the second, or
when memory grows from there by more than it may: some kilobytes an input, as the list of what is done is kept.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import psutil
import torch

from seepseg.config import dump, parse
from seepseg.mapping.batch import Execution, predict_batch
from seepseg.mapping.jobs import plan
from seepseg.mapping.outputs import Wanted
from seepseg.mapping.units import Recipe
from seepseg.runs.folder import RunFolder
from seepseg.synthetic import write_scene, write_seep
from seepseg.training.run import train

MAY_GROW = 4096
"""Bytes an input may add to memory."""


def lay(folder: Path, tiles: int, scenes: int) -> tuple[Path, Path, Path]:
    """A trained run, and folders of so many tiles and scenes: links to a few files, as files of their own."""
    write_seep(folder / "data", scenes=2, grid=(5, 5), tile=64, seed=1)
    tree = {
        "data": {"source": "seep", "root": str(folder / "data"), "classes": "seep_binary"},
        "model": {"name": "unet", "channels": [8, 16], "num_res_units": 1},
        "train": {"epochs": 4, "batch_size": 8, "panels_every": 0},
        "predict": {"window": 128, "min_pixels": 20},
        "runtime": {"device": "cpu", "amp": "off", "threads": 1},
    }
    (folder / "c.yaml").write_text(dump(config := parse(tree, "scripts/kill/soak.py")))
    train(config, RunFolder(folder / "run"), echo=lambda line: None)
    for number in range(5):
        write_scene(folder / f"scene{number}.tif", rows=200, cols=160, seed=number)
    few = sorted((folder / "data" / "train_images_256").iterdir())[:50]
    for name, count, sources in (
        ("tiles", tiles, few),
        ("scenes", scenes, [folder / f"scene{n}.tif" for n in range(5)]),
    ):
        (folder / name).mkdir()
        for number in range(count):
            os.link(sources[number % len(sources)], folder / name / f"{name}{number:05}.tif")
    return folder / "run" / "checkpoints" / "last.pt", folder / "tiles", folder / "scenes"


def soak(checkpoint: Path, inputs: Path, out: Path) -> bool:
    """Predict a folder of inputs; whether nothing grew that should not."""
    process, jobs, seen = psutil.Process(), plan([str(inputs)], out), list[tuple[float, int, int, int]]()

    def look(done: int, of: int) -> None:
        share = done / of
        if not seen or share >= seen[-1][0] + 0.01:
            seen.append((share, process.memory_info().rss, process.num_fds(), process.num_threads()))
            if int(10 * share) > int(10 * seen[max(0, len(seen) - 2)][0]):
                rss, descriptors, threads = seen[-1][1:]
                line = (
                    f"{inputs.name} {share:4.0%}: {rss / 2**20:.0f} MiB, {descriptors} descriptors, {threads} threads"
                )
                print(line, flush=True)

    config = parse({"data": {"source": "seep", "root": "."}}, "soak").predict.model_copy(update={"window": 128})
    runtime = parse({"data": {"source": "seep", "root": "."}}, "soak").runtime.model_copy(update={"threads": 1})
    recipe = Recipe((checkpoint,), runtime, config, False, Wanted())
    result = predict_batch(jobs, recipe, out, Execution(), look)
    values = np.array(seen)
    early = values[(values[:, 0] > 0.25) & (values[:, 0] <= 0.5)]
    late = values[values[:, 0] > 0.75]
    growth = np.polyfit(values[values[:, 0] > 0.25, 0], values[values[:, 0] > 0.25, 1], 1)[0] / len(jobs)
    more = late[:, 2:].max(0) - early[:, 2:].max(0)
    good = result.done == len(jobs) and growth <= MAY_GROW and bool((more <= 0).all())
    print(f"{inputs.name}: {result.done} of {len(jobs)}; after the first quarter {growth:+.0f} bytes an input, "
          f"{more[0]:+.0f} descriptors, {more[1]:+.0f} threads: {'flat' if good else 'GROWS'}", flush=True)  # fmt: skip
    return good


def main() -> None:
    """Parse, lay, predict, exit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=int, default=10_000, help="(default 10,000)")
    parser.add_argument("--scenes", type=int, default=500, help="(default 500)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        checkpoint, *folders = lay(Path(name), options.tiles, options.scenes)
        good = [soak(checkpoint, inputs, Path(name) / f"out_{inputs.name}") for inputs in folders]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
