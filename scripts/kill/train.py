#!/usr/bin/env python
"""Kills trainings at random moments, resumes them, and compares the end with an undisturbed run bit for bit.

One line a kill; exit 1 when weights or metrics differ, when a resumed run fails, or when a checkpoint does not load.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch

from seepseg.config import Config, dump, parse
from seepseg.errors import SeepsegError
from seepseg.runs.checkpoint import load_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.synthetic import write_seep

SAVE_LOOP = """
import sys
from pathlib import Path
import torch
from seepseg.runs.checkpoint import load_checkpoint, save_checkpoint
path = Path(sys.argv[1])
checkpoint = load_checkpoint(path)
while True:
    checkpoint.epoch += 1
    checkpoint.weights = {k: torch.full_like(v, checkpoint.epoch) for k, v in checkpoint.weights.items()}
    save_checkpoint(path, checkpoint)
"""


def recipe(root: Path, epochs: int, workers: int, mode: str) -> Config:
    """A small network with dropout and a checkpoint after nearly every step."""
    return parse(
        {
            "data": {"source": "seep", "root": str(root), "augment": {"preset": "seep", "speckle": 0.1}},
            "model": {"name": "unet", "channels": [8, 16, 32], "num_res_units": 1, "dropout": 0.1},
            "train": {"epochs": epochs, "batch_size": 8, "panels_every": 0, "checkpoint_minutes": 0.0005},
            "runtime": {"device": "cpu", "amp": "off", "threads": 1, "workers": workers, "compile": mode},
        },
        "scripts/kill/train.py",
    )


def start(config: Path, run: Path, *more: str) -> subprocess.Popen[str]:
    """A training as a user starts it."""
    command = [sys.executable, "-m", "seepseg", "train", str(config), "--run", str(run), "--quiet", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def difference(whole: Path, killed: Path) -> str:
    """What differs between two finished runs; empty when nothing does."""
    a, b = (load_checkpoint(RunFolder(f).last) for f in (whole, killed))
    for name, ours, theirs in (("weights", a.weights, b.weights), ("ema", a.ema or {}, b.ema or {})):
        for key in ours.keys() | theirs.keys():
            if key not in ours or key not in theirs or not torch.equal(ours[key], theirs[key]):
                return f"{name} {key}"
    rows = [pd.read_csv(RunFolder(f).metrics).drop(columns="tiles_per_second") for f in (whole, killed)]
    return "" if rows[0].equals(rows[1]) else "metrics.csv"


def loadable(path: Path) -> bool:
    """Whether a checkpoint is absent or sound."""
    try:
        return not path.exists() or bool(load_checkpoint(path).weights)
    except SeepsegError as error:
        print(f"last.pt does not load: {error}")
        return False


def kill_runs(folder: Path, kills: int, workers: int, mode: str, rng: random.Random) -> bool:
    """Kill a run again and again until `kills` kills hit; begin anew when one reaches its end."""
    config = folder / "c.yaml"
    config.write_text(dump(recipe(folder / "data", 6, workers, mode)))
    # The first also fills the cache of compiled code, so that kills are spread over the second's time.
    for name in ("first", "whole"):
        begin = time.monotonic()
        process = start(config, folder / name)
        out, _ = process.communicate()
        if process.returncode:
            print(out)
            return False
    seconds, done, round_, good = time.monotonic() - begin, 0, 0, True
    print(f"undisturbed: {seconds:.1f} s", flush=True)
    while done < kills and good:
        run, resume = folder / f"killed_{round_}", False
        round_ += 1
        while True:
            process = start(config, run, *(["--resume"] if resume else []))
            wait = rng.uniform(0, 0.9 * seconds) if done < kills else None
            try:
                out, _ = process.communicate(timeout=wait)
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            done += 1
            good &= loadable(RunFolder(run).last)
            # Killed before its folder was laid, a run is started again instead.
            resume = RunFolder(run).config.exists()
            state = load_checkpoint(RunFolder(run).last).training["progress"] if RunFolder(run).last.exists() else {}
            at = f"epoch {state['epoch']}, batch {state['batch']}" if state else "before the first checkpoint"
            print(f"kill {done:3d}: after {wait:5.2f} s, saved {at}", flush=True)
        problem = out if process.returncode else difference(folder / "whole", run)
        print(f"run {round_}: {problem or 'the same weights, averages and metrics'}", flush=True)
        good &= not problem
    return good


def kill_saves(folder: Path, kills: int, rng: random.Random) -> bool:
    """Kill a process that does nothing but save; last.pt must be whole each time, and of one save throughout."""
    last, good = RunFolder(folder / "whole").last, True
    for number in range(1, kills + 1):
        before = load_checkpoint(last).epoch
        process = subprocess.Popen([sys.executable, "-c", SAVE_LOOP, str(last)])
        deadline = time.monotonic() + 60
        stamp = last.stat().st_mtime_ns
        while last.stat().st_mtime_ns == stamp and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.3))
        process.kill()
        process.wait()
        sound = loadable(last)
        if sound:
            checkpoint = load_checkpoint(last)
            sound = checkpoint.epoch > before and all(
                bool((v == checkpoint.epoch).all()) for v in checkpoint.weights.values()
            )
        good &= sound
        print(
            f"save kill {number:3d}: {'whole' if sound else 'BROKEN'}, save {load_checkpoint(last).epoch}", flush=True
        )
    return good


def main() -> None:
    """Parse, kill, exit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="SIGKILLs of trainings (default 50)")
    parser.add_argument("--save-kills", type=int, default=20, help="SIGKILLs of a process that only saves (default 20)")
    parser.add_argument("--workers", type=int, default=0, help="runtime.workers (default 0)")
    parser.add_argument("--compile", choices=("on", "off"), default="off", help="runtime.compile (default off)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default 0)")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_seep(folder / "data", scenes=4, grid=(8, 8), tile=64, seed=1)
        good = kill_runs(folder, options.kills, options.workers, options.compile, rng)
        good = good and kill_saves(folder, options.save_kills, rng)
    print("all the same" if good else "DIFFERENT")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
