"""The whole default `seepseg predict`, as a user runs it, and its shares.

    python scripts/bench/predict.py [--size 4096] [--nodata 0.63] [--rounds 5]

One georeferenced scene, as much of it without data as in a real one, from which some 800 polygons are traced; a network
of two heads on local contrast. A round is a run of the command line by itself, and one with timers around its stages,
which then runs the network alone on as many windows. A stage counts where its thread is in it and in no other one, so
that stages that run beside each other may add up to more than the whole.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from functools import partial, wraps
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from sea import checkpoint, write_scene

STAGES = {
    "read": ("seepseg.mapping.scene:SceneRows.read",),
    "scaling": ("seepseg.inference.stream:Member.image",),
    "network": ("seepseg.inference.predictor:Predictor._forward",),
    "blending": ("seepseg.inference.ring:add",),
    "decision, probabilities where needed": (
        "seepseg.inference.ring:find",
        "seepseg.inference.stream:_probabilities",
        "seepseg.inference.decode:most_probable",
        "seepseg.mapping.outputs:_planes",
    ),
    "raster": ("seepseg.io.cog:RowWriter.write", "seepseg.io.cog:RowWriter.finish", "rasterio.shutil:copy"),
    "polygons": ("seepseg.mapping.outputs:_write_polygons",),
    "quick-look": tuple(f"seepseg.figures.sheets:QuickLook.{name}" for name in ("add_image", "add_classes", "save")),
    "findings": ("seepseg.mapping.findings:write_findings",),
    "waiting, the rest of the scene": ("seepseg.mapping.scene:predict_scene",),
}
"""Functions by stage, where they are defined; what a version of seepseg does not have counts nowhere."""


class Timers:
    """Seconds in each stage, those in a stage inside of it left out."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.begun: dict[str, float] = {}
        self.batches: list[tuple[Callable[[Any], Any], tuple[int, ...]]] = []
        self._inner = threading.local()

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Where a module is; once it has run, its stages are measured, before anybody takes them from it.

        So nothing is imported earlier than without timers.
        """
        del target
        places = [(p.split(":")[1], stage) for stage in STAGES for p in STAGES[stage] if p.split(":")[0] == name]
        spec = PathFinder.find_spec(name, path) if places else None
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            run(module)
            for place, stage in places:
                self._measure(module, place, stage)

        spec.loader.exec_module = exec_module
        return spec

    def _measure(self, module: ModuleType, place: str, stage: str) -> None:
        *owners, name = place.split(".")
        owner: Any = module
        for part in owners:
            owner = getattr(owner, part, None)
        if owner is None or not hasattr(owner, name):
            print(f"no {module.__name__}:{place}: not measured", file=sys.stderr)
        else:
            setattr(owner, name, self._timed(getattr(owner, name), stage))

    def _timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        @wraps(function)
        def timed(*args: Any, **options: Any) -> Any:
            outer = getattr(self._inner, "seconds", 0.0)
            self._inner.seconds = 0.0
            begin = time.perf_counter()
            self.begun.setdefault(stage, time.time())
            if stage == "network":
                self.batches.append((partial(function, args[0]), tuple(args[1].shape)))
            try:
                return function(*args, **options)
            finally:
                whole = time.perf_counter() - begin
                self.seconds[stage] += whole - self._inner.seconds
                self._inner.seconds = outer + whole

        return timed


def profile(arguments: list[str], started: float) -> dict[str, float]:
    """Seconds of each stage of one run in this process, from its start at `started`; then of the network alone."""
    timers = Timers()
    sys.meta_path.insert(0, timers)
    from seepseg.cli.main import cli

    cli.main(["predict", *arguments], standalone_mode=False)
    whole = time.time() - started
    scene = timers.begun["waiting, the rest of the scene"]
    stages = {"start": scene - started, **{stage: timers.seconds[stage] for stage in STAGES}}
    import torch

    images = {shape: torch.randn(shape) for shape in {shape for _, shape in timers.batches}}
    from seepseg.machine.ahead import in_streams

    batches, ways = list(timers.batches), []

    @torch.inference_mode()
    def replay(batch: tuple[Callable[[Any], Any], tuple[int, ...]]) -> None:
        batch[0](images[batch[1]])

    for apart in (False, True):  # one batch after the other on all cores, or one on each core: the faster counts
        begin, spent = time.perf_counter(), time.process_time()
        if apart:
            deque(in_streams(replay, batches, torch.device("cpu")), 0)
        else:
            deque(map(replay, batches), 0)
        ways.append((time.perf_counter() - begin, time.process_time() - spent))
    alone, cpu = min(ways)
    return {"whole": whole, "alone": alone, "CPU alone": cpu, "first window": timers.begun["network"] - started} | {
        f"stage {name}": seconds for name, seconds in stages.items()
    }


def main() -> None:
    """Run, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--nodata", type=float, default=0.63, help="share of the scene without data")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--profile", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.profile:
        print(json.dumps(profile(given.profile, float(os.environ["STARTED"]))))
        return
    run = checkpoint("recipe")
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    whole: list[float] = []
    cpu: list[float] = []
    parts: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        scene, out = Path(folder) / "scene.tif", Path(folder) / "out"
        write_scene(scene, given.size, given.nodata)
        arguments = [str(run), str(scene), "-o", str(out), "--overwrite", "--device", "cpu", "--quiet"]
        # One round that does not count: files are read for the first time, and what is compiled is compiled.
        for number in range(given.rounds + 1):
            begin, spent = time.time(), children()
            command = [sys.executable, "-m", "seepseg", "predict", *arguments]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            end, used = time.time(), children() - spent
            said = subprocess.run(
                [sys.executable, __file__, "--profile", *arguments],
                check=True, stdout=subprocess.PIPE, text=True, env=os.environ | {"STARTED": str(time.time())},
            ).stdout  # fmt: skip
            if number:
                whole.append(end - begin)
                cpu.append(used)
                parts.append(json.loads(said.splitlines()[-1]))
        polygons = sum(1 for _ in (out / "findings.csv").open()) - 1
    show(given, polygons, whole, cpu, parts)


def show(
    given: argparse.Namespace, polygons: int, whole: list[float], cpu: list[float], parts: list[dict[str, float]]
) -> None:
    """Print ratios and shares, medians over rounds."""
    from scene import spread

    setting = f"{given.size}², {given.nodata:.0%} without data, {polygons} polygons"
    print(f"{setting}, {given.threads} threads, {given.rounds} rounds\n")
    alone = [p["alone"] for p in parts]
    print("| | (rounds) | bar |\n|---|---|---|")
    print(f"| the command, seconds | {spread(whole)} | |\n| its CPU seconds | {spread(cpu)} | |")
    print(f"| first window after, seconds | {spread([p['first window'] for p in parts])} | 3 |")
    print(f"| the network alone, seconds | {spread(alone)} | |")
    ratios = [w / a for w, a in zip(whole, alone, strict=True)]
    print(f"| the command ÷ its network | {spread(ratios)} | 3 |")
    ratios = [c / p["CPU alone"] for c, p in zip(cpu, parts, strict=True)]
    print(f"| the same of CPU seconds | {spread(ratios)} | |")
    ratios = [(p["whole"] - p["stage start"]) / p["alone"] for p in parts]
    print(f"| the same without start-up | {spread(ratios)} | |")
    print("\n| stage | seconds (rounds) | share |\n|---|---|---|")
    total = statistics.median(p["whole"] for p in parts)
    for name in (n for n in parts[0] if n.startswith("stage ")):
        seconds = [p[name] for p in parts]
        print(f"| {name.removeprefix('stage ')} | {spread(seconds)} | {statistics.median(seconds) / total:.0%} |")


def children() -> float:
    """CPU seconds of the processes that this one has waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
