"""Scene engine against MONAI's sliding window and the bare network, side by side in one run.

    python scripts/bench/scene.py [--size 4096] [--rounds 5]      speed
    python scripts/bench/scene.py --memory [--width 16384]        peak memory at two heights

All run one trained network (UNet 16–256, batch norm, 8 classes) on a scene with some two per cent of slicks, in one
number format, with as many threads and the same settings of malloc; each in a process of its own, which starts, runs
once unmeasured and then waits for its turns. Windows (256), overlap (.25) and batch (8) are the same but for defaults.
seepseg goes from file to file (class raster), MONAI from memory to memory (blended logits, no argmax), the bare network
runs as many windows from one batch held in memory. MONAI and the bare network run twice: with the plain network, and
as seepseg's predictor prepares it. `scripts/bench/seams.py` measures how well the maps agree with the whole scene.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
import torch
from monai.inferers.utils import sliding_window_inference
from sea import checkpoint, write_scene
from torch import Tensor, nn

from seepseg.config import Predict, Runtime
from seepseg.inference.predictor import place
from seepseg.inference.windows import grid
from seepseg.machine.device import autocast_dtype, keep_freed_memory
from seepseg.mapping.ensemble import Ensemble, load_ensemble
from seepseg.mapping.jobs import Job
from seepseg.mapping.outputs import Wanted
from seepseg.mapping.scene import predict_scene
from seepseg.models.build import build_model
from seepseg.runs.checkpoint import load_checkpoint, load_weights

BATCH, WINDOW, OVERLAP = 8, 256, 0.25
SAME = Predict(window=WINDOW, overlap=OVERLAP, batch_size=BATCH)
CONTENDERS = {
    "bare": "bare network on as many windows, plain",
    "bare-shipped": "bare network, as seepseg runs it",
    "monai": "MONAI, same windows, plain network",
    "monai-shipped": "MONAI, same windows, network as seepseg runs it",
    "monai-defaults": "MONAI, its default weights",
    "seepseg": "seepseg, same windows, file to file",
    "seepseg-defaults": "seepseg, its defaults (512, .125), file to file",
}
RATIOS = (
    ("same windows ÷ MONAI, plain network, in memory", "monai", "seepseg", "1.6"),
    ("same windows ÷ MONAI, network as seepseg runs it", "monai-shipped", "seepseg", ""),
    ("same windows ÷ bare network, plain", "bare", "seepseg", ""),
    ("same windows ÷ bare network, as seepseg runs it", "bare-shipped", "seepseg", ".80"),
    ("best against best: our defaults ÷ MONAI's defaults", "monai-defaults", "seepseg-defaults", "2.1"),
)
"""What, whose time, over whose, and the least it should be."""

AS_COMMAND = """
import runpy, sys
from seepseg.machine.imports import import_monai_alone
import_monai_alone()
sys.argv.pop(0)
sys.path.insert(0, sys.argv[0].rpartition("/")[0])
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs this script with as little of MONAI as the command line imports."""

Network = Callable[[Tensor], Tensor]


def ensemble(amp: str, config: Predict = SAME) -> Ensemble:
    """The network as `seepseg predict` loads it."""
    return load_ensemble([checkpoint("plain")], Runtime(amp=amp, device="cpu"), config, tta=False)


def network(amp: str, *, as_shipped: bool) -> Network:
    """From windows to logits, in the number format of the network: plain, or as seepseg's predictor prepares it."""
    model: nn.Module
    if as_shipped:
        model = ensemble(amp).members[0].predictor.model
    else:
        path = checkpoint("plain")
        kept = load_checkpoint(path)
        model = build_model(kept.config.model, kept.config.data.n_channels, len(kept.classes)).eval()
        load_weights(model, kept.ema or kept.weights, path)
        model = place(model, torch.device("cpu"))
    dtype = autocast_dtype(amp, torch.device("cpu"))

    def forward(batch: Tensor) -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype is not None):
            logits: Tensor = model(batch.contiguous(memory_format=torch.channels_last))
        return logits

    return forward


def bare(forward: Network, height: int, width: int) -> None:
    """The network alone, on as many windows as the scene has."""
    plan = grid(height, width, WINDOW, OVERLAP)
    batch = torch.randn(BATCH, 1, WINDOW, WINDOW)
    for _ in range(-(-len(plan.rows) * len(plan.columns) // BATCH)):
        forward(batch)


@torch.inference_mode()
def monai(forward: Network, image: Tensor, mode: str = "gaussian") -> Tensor:
    """MONAI's sliding window over an image in memory."""
    result = sliding_window_inference(image, WINDOW, BATCH, lambda x: forward(x).float(), overlap=OVERLAP, mode=mode)
    assert isinstance(result, Tensor)
    return result


def contender(name: str, scene: Path, out: Path, amp: str) -> Callable[[], object]:
    """What a contender does in its turn."""
    if name.startswith("seepseg"):
        team = ensemble(amp, Predict() if name.endswith("defaults") else SAME)
        return lambda: predict_scene(Job(scene, name, out, False), team, Wanted(vectors=(), quicklook=False))
    forward = network(amp, as_shipped=name.endswith("shipped"))
    with rasterio.open(scene) as source:
        image = torch.from_numpy((source.read().astype(np.float32) / 20000 - 0.4) / 0.2)[None]
    if name.startswith("bare"):
        return lambda: bare(forward, *image.shape[2:])
    return lambda: monai(forward, image, "constant" if name.endswith("defaults") else "gaussian")


def serve(name: str, folder: Path, amp: str) -> None:
    """Run once, then once per line of standard input; print seconds, and seconds of CPU, of each."""
    work = contender(name, folder / "scene.tif", folder / "out", amp)
    while True:
        begin, spent = time.perf_counter(), time.process_time()
        work()
        print(time.perf_counter() - begin, time.process_time() - spent, flush=True)
        if not sys.stdin.readline():
            break


def speed(size: int, rounds: int, amp: str) -> None:
    """Print seconds and ratios of all contenders, medians over rounds in which each has its turn."""
    checkpoint("plain")
    with tempfile.TemporaryDirectory() as folder:
        write_scene(Path(folder) / "scene.tif", size, nodata=0)
        options = ["--amp", amp, "--threads", str(torch.get_num_threads())]
        taken = race([[__file__, "--contender", name, "--folder", folder, *options] for name in CONTENDERS], rounds)
        with rasterio.open(Path(folder) / "out" / "seepseg-defaults_class.tif") as classes:
            foreground = float((classes.read(1) > 0).mean())
    times = dict(zip(CONTENDERS, taken, strict=True))
    form = autocast_dtype(amp, torch.device("cpu"))
    print(f"{size}², {form}, {torch.get_num_threads()} threads, {rounds} rounds, {foreground:.1%} foreground\n")
    print("| | seconds (rounds) | Mpx/s | CPU seconds |\n|---|---|---|---|")
    for name, label in CONTENDERS.items():
        wall, cpu = ([t[i] for t in times[name]] for i in (0, 1))
        rate = size * size / statistics.median(wall) / 1e6
        print(f"| {label} | {spread(wall)} | {rate:.2f} | {spread(cpu)} |")
    print("\n| | ratio (rounds) | of CPU seconds | bar |\n|---|---|---|---|")
    for label, other, ours, bar in RATIOS:
        wall, cpu = ([a[i] / b[i] for a, b in zip(times[other], times[ours], strict=True)] for i in (0, 1))
        print(f"| {label} | {spread(wall)} | {spread(cpu)} | {bar} |")


def race(scripts: list[list[str]], rounds: int) -> list[list[tuple[float, float]]]:
    """Seconds and CPU seconds of each script in each round; each runs once before, and waits while others run."""
    runners = []
    for script in scripts:
        command = [sys.executable, *script]
        runners.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        turn(runners[-1], go=False)
    taken: list[list[tuple[float, float]]] = [[] for _ in scripts]
    for number in range(rounds):
        for runner, times in zip(runners, taken, strict=True):
            times.append(turn(runner))
        print(f"round {number + 1}:", *(f"{times[-1][0]:.2f}" for times in taken), file=sys.stderr, flush=True)
    for runner in runners:
        runner.communicate()
    return taken


def turn(runner: subprocess.Popen[str], *, go: bool = True) -> tuple[float, float]:
    """Let a process work once; what it took."""
    assert runner.stdin and runner.stdout
    if go:
        runner.stdin.write("\n")
        runner.stdin.flush()
    wall, cpu = map(float, runner.stdout.readline().split())
    return wall, cpu


def spread(values: list[float]) -> str:
    """Median, minimum and maximum."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def memory(width: int, heights: list[int], amp: str) -> None:
    """Print the peak memory of a process that predicts one scene, with polygons and quick-look, for each height."""
    checkpoint("plain")
    print("| | peak, GiB | after imports, GiB | seconds |\n|---|---|---|---|")
    for height in heights:
        with tempfile.TemporaryDirectory() as folder:
            write_sparse(Path(folder) / "scene.tif", height, width)
            command = [sys.executable, "-c", AS_COMMAND, str(Path(__file__).resolve())]
            command += ["--contender", "memory", "--folder", folder, "--amp", amp]
            command += ["--threads", str(torch.get_num_threads())]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            print(f"| {height} × {width} | {said.strip()} |", flush=True)


def write_sparse(path: Path, height: int, width: int) -> None:
    """A scene whose first rows hold slicks; the others are one value, and take no room."""
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "first.tif"
        write_scene(first, min(1024, height), nodata=0)
        with rasterio.open(first) as source:
            block = np.tile(source.read(1), (1, -(-width // source.width)))[:, :width]
    shape = {"height": height, "width": width, "count": 1, "dtype": "uint16"}
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **tiles) as target:
        for start in range(0, height, len(block)):
            rows = min(len(block), height - start)
            target.write(block[None, :rows], window=rasterio.windows.Window(0, start, width, rows))
            block = np.full_like(block, 9000)  # background to the network


def one(folder: Path, amp: str) -> None:
    """Predict the scene of a folder and print the peak memory of this process."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    begin = time.perf_counter()
    predict_scene(Job(folder / "scene.tif", "scene", folder / "out", False), ensemble(amp), Wanted())
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{peak:.3f} | {before:.3f} | {seconds:.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--amp", default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--width", type=int, default=16384)
    parser.add_argument("--heights", type=int, nargs="+", default=[8192, 65536])
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    keep_freed_memory()
    if given.contender == "memory":
        one(given.folder, given.amp)
    elif given.contender:
        serve(given.contender, given.folder, given.amp)
    elif given.memory:
        memory(given.width, given.heights, given.amp)
    else:
        speed(given.size, given.rounds, given.amp)
