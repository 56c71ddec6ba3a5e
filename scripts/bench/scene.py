"""Scene engine against MONAI's sliding window and the bare network, side by side in one run.

    python scripts/bench/scene.py [--size 4096] [--repeats 3]     speed
    python scripts/bench/scene.py --memory [--width 16384]        peak memory at two heights

All use the same network (UNet 16–256, batch norm, 8 classes, random weights), window (256), overlap (.25), batch (8),
number format and threads, each in a process of its own. seepseg goes from file to file (class raster), MONAI from
memory to memory (blended logits, no argmax), the bare network runs as many windows from one batch held in memory.
MONAI and the bare network run twice: with the plain network, and as seepseg's predictor prepares it.
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
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
import torch
from monai.inferers.utils import sliding_window_inference

from seepseg.classes import SEEP
from seepseg.config import Config, Predict, Scaling, parse
from seepseg.data.scaling import MeasuredScaling
from seepseg.data.source import source_of
from seepseg.inference.predictor import Predictor, place
from seepseg.inference.stream import Member
from seepseg.inference.windows import grid
from seepseg.machine.device import autocast_dtype, keep_freed_memory
from seepseg.mapping.ensemble import Ensemble
from seepseg.mapping.jobs import Job
from seepseg.mapping.outputs import Wanted
from seepseg.mapping.scene import predict_scene
from seepseg.models.build import build_model
from seepseg.models.fuse import fused

BATCH, WINDOW, OVERLAP = 8, 256, 0.25
SCALING = MeasuredScaling(Scaling(basis="fixed", range=(0, 65535)), ((0.0,), (65535.0,)), (0.5,), (0.2,))


def ensemble(amp: str, *, as_shipped: bool = True) -> Ensemble:
    """The network that all contenders run: plain, or folded and with memory kept, as seepseg's predictor has it."""
    tree = {
        "data": {"source": "seep", "root": "."},
        "model": {"name": "unet"},
        "runtime": {"amp": amp, "device": "cpu"},
    }
    config: Config = parse(tree, "bench")
    torch.manual_seed(0)
    device = torch.device("cpu")
    model = build_model(config.model, 1, len(SEEP)).eval()
    # A fresh network calls everything one class; a bias makes the sea background, as a trained one does.
    last = [m for m in model.modules() if isinstance(m, torch.nn.Conv2d)][-1]
    assert last.bias is not None
    with torch.no_grad():
        last.bias[0] += 8
    if as_shipped:
        keep_freed_memory()
        model = fused(model, 1)
    model = place(model, device)
    decoding = Predict(window=WINDOW, overlap=OVERLAP, batch_size=BATCH)
    return Ensemble((Member(Predictor(model, config, device), SCALING),), SEEP, source_of(config.data), decoding, {})


def write_scene(path: Path, height: int, width: int, *, sparse: bool = False) -> None:
    """A scene of speckle; sparse, all but its first rows are one value, which takes no room."""
    rng = np.random.default_rng(0)
    shape = {"height": height, "width": width, "count": 1, "dtype": "uint16"}
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **tiles) as target:
        noise = (rng.gamma(4, 2500, (256, width))).clip(1, 65535).astype(np.uint16)
        for start in range(0, height, 256):
            rows = min(256, height - start)
            block = np.full_like(noise, 9000) if sparse and start else np.roll(noise, start, axis=1)
            target.write(block[None, :rows], window=rasterio.windows.Window(0, start, width, rows))


def bare(team: Ensemble, height: int, width: int) -> None:
    """The network alone, on as many windows as the scene has."""
    predictor = team.members[0].predictor
    plan = grid(height, width, WINDOW, OVERLAP)
    batch = torch.randn(BATCH, 1, WINDOW, WINDOW)
    for _ in range(-(-len(plan.rows) * len(plan.columns) // BATCH)):
        forward(predictor, batch)


def forward(predictor: Predictor, batch: torch.Tensor) -> torch.Tensor:
    """Logits in the number format of the network."""
    with torch.inference_mode(), torch.autocast("cpu", predictor.dtype, enabled=predictor.dtype is not None):
        logits: torch.Tensor = predictor.model(batch.contiguous(memory_format=torch.channels_last))
    return logits


def monai(team: Ensemble, image: torch.Tensor, **options: object) -> torch.Tensor:
    """MONAI's sliding window over an image in memory."""
    predictor = team.members[0].predictor
    chosen = {"overlap": OVERLAP, "mode": "gaussian"} | options
    with torch.inference_mode():
        result = sliding_window_inference(image, WINDOW, BATCH, lambda x: forward(predictor, x).float(), **chosen)
    assert isinstance(result, torch.Tensor)
    return result


def timed(work: Callable[[], object]) -> float:
    """Seconds it takes, the first call left out."""
    work()
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def contend(name: str, folder: Path, amp: str) -> float:
    """Seconds of one contender, alone in its process."""
    scene = folder / "scene.tif"
    with rasterio.open(scene) as source:
        height, width = source.shape
        image = torch.from_numpy((source.read().astype(np.float32) / 65535 - 0.5) / 0.2)[None]
    match name:
        case "bare":
            team = ensemble(amp, as_shipped=False)
            return timed(lambda: bare(team, height, width))
        case "bare-shipped":
            team = ensemble(amp, as_shipped=True)
            return timed(lambda: bare(team, height, width))
        case "monai":
            team = ensemble(amp, as_shipped=False)
            return timed(lambda: monai(team, image))
        case "monai-shipped":
            team = ensemble(amp, as_shipped=True)
            return timed(lambda: monai(team, image))
        case "monai-defaults":
            team = ensemble(amp, as_shipped=False)
            return timed(lambda: monai(team, image, mode="constant"))
        case "seepseg" | "seepseg-defaults":
            team = ensemble(amp, as_shipped=True)
            if name == "seepseg-defaults":
                team = replace(team, config=Predict())
            wanted = Wanted(vectors=None, quicklook=False)
            return timed(lambda: predict_scene(Job(scene, "scene", folder / "out", False), team, wanted))
    raise AssertionError(name)


CONTENDERS = {
    "bare": "bare network, plain",
    "bare-shipped": "bare network, as seepseg runs it",
    "monai": "MONAI, plain network",
    "monai-shipped": "MONAI, network as seepseg runs it",
    "monai-defaults": "MONAI, its default weights",
    "seepseg-defaults": "seepseg, its defaults (512, .125)",
    "seepseg": "seepseg, file to file",
}


def speed(size: int, repeats: int, amp: str) -> None:
    """Print seconds, throughput and ratios of all contenders, medians over rounds in which each has its turn."""
    taken: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    with tempfile.TemporaryDirectory() as folder:
        write_scene(Path(folder) / "scene.tif", size, size)
        for _ in range(repeats):
            for name in CONTENDERS:
                command = [sys.executable, __file__, "--contender", name, "--folder", folder, "--amp", amp]
                taken[name].append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    median = {name: statistics.median(times) for name, times in taken.items()}
    print(f"{size}², {autocast_dtype(amp, torch.device('cpu'))}, {os.cpu_count()} threads, {repeats} rounds")
    for name, seconds in median.items():
        print(f"{CONTENDERS[name]:36s} {seconds:7.2f} s {size * size / seconds / 1e6:7.2f} Mpx/s")
    for name in ("bare", "bare-shipped", "monai", "monai-shipped"):
        print(f"seepseg is {median[name] / median['seepseg']:.2f} × {CONTENDERS[name]}")
    print(f"best against best: {median['monai-defaults'] / median['seepseg-defaults']:.2f} ×")


def memory(width: int, heights: list[int], amp: str) -> None:
    """Print the peak memory of a process that predicts one scene, for each height."""
    for height in heights:
        with tempfile.TemporaryDirectory() as folder:
            write_scene(Path(folder) / "scene.tif", height, width, sparse=True)
            command = [sys.executable, __file__, "--contender", "memory", "--folder", folder, "--amp", amp]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            print(f"{height} × {width}: {said}", end="")


def one(folder: Path, amp: str) -> None:
    """Predict the scene of a folder and print the peak memory of this process."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    begin = time.perf_counter()
    predict_scene(Job(folder / "scene.tif", "scene", folder / "out", False), ensemble(amp), Wanted())
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak {peak:.3f} GiB (imports {before:.3f}), {seconds:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--amp", default="auto")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--width", type=int, default=16384)
    parser.add_argument("--heights", type=int, nargs="+", default=[8192, 65536])
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    if given.contender == "memory":
        one(given.folder, given.amp)
    elif given.contender:
        print(contend(given.contender, given.folder, given.amp))
    elif given.memory:
        memory(given.width, given.heights, given.amp)
    else:
        speed(given.size, given.repeats, given.amp)
