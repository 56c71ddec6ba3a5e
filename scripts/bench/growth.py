"""How cost grows: with the number of tiles, with the number of scenes, with workers; and a year of scenes on paper.

    python scripts/bench/growth.py [--short]

Tiles of 64², 16-bit, uncompressed, mostly links to the same thousand files: reading is from memory, so that what is
measured is our own work. Batches are of scenes of 128² through a network of no weight, for the same reason. Workers
share scenes of 1024² with the network of scripts/bench/scene.py, one thread each.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import tifffile
from sea import checkpoint, class_map, image_of, write_scene

from seepseg.classes import SEEP
from seepseg.config import Predict, Runtime, Scaling, load, parse, recipes

YEAR, HEIGHT, WIDTH = 1500, 25_000, 17_000
"""Scenes of Sentinel-1 (IW, GRD) that cover the Gulf of Mexico in a year, some, and their size."""

T = TypeVar("T")


class Taken(NamedTuple):
    """Seconds, and CPU seconds of this process and those it waited for; other work hardly moves these."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        """Seconds, and CPU seconds behind them."""
        return f"{self.wall:.2f} ({self.cpu:.2f})"

    @classmethod
    def so_far(cls) -> Taken:
        """Until now, from any beginning."""
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return cls(time.perf_counter(), sum(u.ru_utime + u.ru_stime for u in used))

    def less(self, *others: Taken) -> Taken:
        """What is left of it without others."""
        return Taken(self.wall - sum(o.wall for o in others), self.cpu - sum(o.cpu for o in others))


def timed(work: Callable[..., T], *arguments: Any) -> tuple[Taken, T]:
    """What it took, and the result."""
    begin = Taken.so_far()
    result = work(*arguments)
    return Taken.so_far().less(begin), result


def write_tiles(root: Path, number: int, side: int = 64, distinct: int = 1024) -> None:
    """Tiles in the layout of the seep set, 400 to a scene; those after the first `distinct` are links to them."""
    classes = class_map(32 * side, seed=1, nodata=0, density=3)
    pairs = {"images": image_of(classes), "masks": classes}
    for folder, pixels in pairs.items():
        (root / f"train_{folder}_256").mkdir(parents=True)
        paths = [root / f"train_{folder}_256" / f"{900001 + k // 400}.{k % 400:06d}.tif" for k in range(number)]
        for k, path in enumerate(paths):
            if k < distinct:
                row, column = (side * i for i in divmod(k, 32))
                tifffile.imwrite(path, pixels[row : row + side, column : column + side], metadata=None)
            else:
                os.link(paths[k % distinct], path)


def tiles(numbers: list[int]) -> None:
    """Print seconds (CPU seconds) until training begins."""
    # Here and below: processes that scan import this file, and would wait for what they do not need.
    from seepseg.data.catalog import labelled_of
    from seepseg.data.scan import SETTLED, with_counts
    from seepseg.data.source import source_of
    from seepseg.machine.device import choose_device
    from seepseg.splits.make import make_splits
    from seepseg.training.find_lr import endless
    from seepseg.training.prepare import prepare
    from seepseg.training.run import assemble
    from seepseg.training.state import Trainer
    from seepseg.training.step import train_step

    def first_step(trainer: Trainer) -> None:
        train_step(trainer, next(endless(trainer)))

    print("seconds (CPU seconds)\n")
    print("| tiles | list | scan | scan again | split | scaling | first step | in all, the second time |")
    print("|---|---|---|---|---|---|---|---|")
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["SEEPSEG_CACHE"] = f"{folder}/cache"
            write_tiles(Path(folder) / "data", number)
            time.sleep(SETTLED + 0.5)
            small = ["model.channels=[4, 8]", "model.num_res_units=0", "data.grid={'9': 20}", "runtime.device=cpu"]
            config = load(recipes()["seep_multiclass"], [f"data.root={folder}/data", *small])
            source = source_of(config.data)
            listing, catalog = timed(source.catalog)
            first, counted = timed(with_counts, source, catalog)
            again, _ = timed(with_counts, source, catalog)
            splitting, _ = timed(make_splits, labelled_of(counted), config.data.split, 0)
            preparing, data = timed(prepare, config, None)
            trainer = assemble(config, data, choose_device("cpu"))
            step, _ = timed(first_step, trainer)
            scaling = preparing.less(listing, again, splitting)
            together = Taken(preparing.wall + step.wall, preparing.cpu + step.cpu)
            stages = [listing, first, again, splitting, scaling, step, together]
            print(f"| {number} | {' | '.join(map(str, stages))} |", flush=True)


def feather(path: Path) -> Path:
    """A checkpoint of a network of no weight."""
    import torch

    from seepseg.data.scaling import MeasuredScaling
    from seepseg.models.build import build_model
    from seepseg.runs.checkpoint import Checkpoint, save_checkpoint

    tree = {"data": {"source": "seep", "root": "."}, "model": {"name": "unet", "channels": [4, 8], "num_res_units": 0}}
    config = parse(tree | {"runtime": {"amp": "off", "device": "cpu"}}, "bench")
    torch.manual_seed(0)
    model = build_model(config.model, 1, len(SEEP))
    last = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.ConvTranspose2d)][-1]
    assert last.bias is not None
    with torch.no_grad():  # a fresh network sees all classes everywhere; a trained one, sea
        last.bias[0] += 2
    scaling = MeasuredScaling(Scaling(basis="fixed", range=(0, 20000)), ((0.0,), (20000.0,)), (0.4,), (0.2,))
    save_checkpoint(path, Checkpoint(config, SEEP, scaling, model.state_dict()))
    return path


def batches(numbers: list[int]) -> None:
    """Print seconds of batches of small scenes, with polygons and findings, and of the same command again."""
    from seepseg.mapping.batch import Execution, predict_batch
    from seepseg.mapping.jobs import plan
    from seepseg.mapping.outputs import Wanted
    from seepseg.mapping.units import Recipe

    print(
        "\n| scenes | seconds (CPU) | CPU ms a scene | again, seconds (CPU) | CPU ms a scene |\n|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scene(folder / "scene.tif", 128)
        recipe = Recipe((feather(folder / "a.pt"),), Runtime(device="cpu"), Predict(window=64), False, Wanted())

        def run(inputs: Path, out: Path) -> None:
            predict_batch(plan([str(inputs)], out), recipe, out, Execution(strict=True))

        for number in numbers:
            inputs = folder / f"{number}"
            inputs.mkdir()
            for k in range(number):
                os.link(folder / "scene.tif", inputs / f"scene_{k:04d}.tif")
            out = folder / f"out_{number}"
            (first, _), (again, _) = (timed(run, inputs, out) for _ in range(2))
            each = [f"{1000 * taken.cpu / number:.1f}" for taken in (first, again)]
            print(f"| {number} | {first} | {each[0]} | {again} | {each[1]} |", flush=True)


def workers(scenes: int, side: int, rounds: int) -> None:
    """Print seconds of the command line on the same scenes, by one process, by workers and by shards."""
    ways = {
        "one process": [["--threads", "1"]],
        "two processes": [["--executor", "processes", "--workers", "2", "--threads", "1"]],
        "two Dask workers": [["--executor", "dask", "--workers", "2", "--threads", "1"]],
        "four Dask workers": [["--executor", "dask", "--workers", "4", "--threads", "1"]],
        "two shards at once": [["--shard", f"{i}/2", "--threads", "1"] for i in (1, 2)],
    }
    print(f"\n{scenes} scenes of {side}², one thread each, {rounds} rounds of start to end\n")
    print("| | seconds (CPU) |\n|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_scene(folder / "scene.tif", side)
        (folder / "in").mkdir()
        for k in range(scenes):
            os.link(folder / "scene.tif", folder / "in" / f"scene_{k}.tif")
        command = [sys.executable, "-m", "seepseg", "predict", str(checkpoint("plain")), str(folder / "in"), "--quiet"]
        for way, options in ways.items():
            taken = []
            for turn in range(rounds):
                out = ["-o", str(folder / f"{way}_{turn}")]
                calls = [[*command, *out, *some] for some in options]
                taken.append(timed(together, calls)[0])
            print(f"| {way} | {min(taken)} |", flush=True)


def together(commands: list[list[str]]) -> None:
    """Run commands at once; all must end well."""
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    running = [subprocess.Popen(command, text=True, **pipes) for command in commands]
    said = [process.communicate()[1] for process in running]
    assert not any(process.returncode for process in running), said


def paper(side: int) -> None:
    """Print the rates of one scene and of one thread, and what follows for a year of scenes."""
    from seepseg.machine.device import set_threads
    from seepseg.mapping.ensemble import load_ensemble
    from seepseg.mapping.jobs import Job
    from seepseg.mapping.outputs import Wanted
    from seepseg.mapping.scene import predict_scene

    cores = os.cpu_count() or 1
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        write_scene(Path(folder) / "scene.tif", side)
        team = load_ensemble([checkpoint("plain")], Runtime(device="cpu"), Predict(), tta=False)
        job = Job(Path(folder) / "scene.tif", "scene", Path(folder) / "out", False)
        for threads in {1, cores}:
            set_threads(Runtime(threads=threads))
            predict_scene(job, team, Wanted())
            taken = min(timed(predict_scene, job, team, Wanted())[0] for _ in range(3))
            rates[threads] = side * side / 1e6 / taken.wall
    pixels = YEAR * HEIGHT * WIDTH / 1e6
    print(f"\nOn paper: {YEAR} scenes of {HEIGHT} × {WIDTH}, all of it data, are {pixels:.0f} Mpx; with every default")
    print("(polygons, quick-look); hours = Mpx ÷ (Mpx/s · workers) ÷ 3600, without copying the scenes.\n")
    print("| | Mpx/s, measured | hours |\n|---|---|---|")
    print(f"| one process on {cores} cores | {rates[cores]:.2f} | {pixels / rates[cores] / 3600:.0f} |")
    print(f"| 32 Dask workers of one core each | {rates[1]:.2f} each | {pixels / rates[1] / 32 / 3600:.1f} |")


def main() -> None:
    """Parse, measure, print Markdown tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="small numbers, some two minutes")
    parser.add_argument("--only", choices=["tiles", "batches", "workers", "paper"])
    given = parser.parse_args()
    short = given.short
    if given.only in (None, "tiles"):
        tiles([1000, 10_000] if short else [1000, 10_000, 100_000])
    if given.only in (None, "batches"):
        batches([1, 10, 100] if short else [1, 10, 100, 1000])
    if given.only in (None, "workers"):
        workers(4 if short else 16, 1024, 1 if short else 2)
    if given.only in (None, "paper"):
        paper(1536 if short else 4096)


if __name__ == "__main__":
    main()
