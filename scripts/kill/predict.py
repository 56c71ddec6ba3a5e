#!/usr/bin/env python
"""Kills `seepseg predict` at random moments, runs it again, and compares every output with an undisturbed run.

One line a kill; exit 1 when bytes differ, when a run fails, or when anything half-written is left behind.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from seepseg.config import dump, parse
from seepseg.synthetic import write_scene, write_seep

OUTSIDE = ("manifest", "failures", ".lock")
"""How the names of files begin that no promise is made about."""


def command(*words: object) -> list[str]:
    """A seepseg command as a user gives it."""
    return [sys.executable, "-m", "seepseg", *map(str, words)]


def prepare(folder: Path) -> list[str]:
    """Train a little, lay three scenes, some tiles and a text file named .tif; the arguments of the prediction."""
    write_seep(folder / "data", scenes=4, grid=(4, 4), tile=64, seed=1)
    tree = {
        "data": {"source": "seep", "root": str(folder / "data"), "classes": "seep_binary"},
        "model": {"name": "unet", "channels": [8, 16, 32], "num_res_units": 1},
        "train": {"epochs": 10, "panels_every": 0},
        "predict": {"window": 128, "min_pixels": 20},
        "runtime": {"device": "cpu", "amp": "off", "threads": 1},
    }
    (folder / "c.yaml").write_text(dump(parse(tree, "scripts/kill/predict.py")))
    subprocess.run(command("train", folder / "c.yaml", "--run", folder / "run", "--quiet"), check=True)
    for number in range(3):
        write_scene(folder / "in" / f"scene{number}.tif", rows=700, cols=500 + number, seed=number)
        (folder / "in" / f"scene{number}_mask.tif").unlink()
    for path in sorted((folder / "data" / "train_images_256").iterdir())[:20]:
        path.rename(folder / "in" / path.name)
    (folder / "in" / "text.tif").write_text("no TIFF at all")
    return ["predict", str(folder / "run"), str(folder / "in"), "--probabilities", "--quiet"]


def outputs(folder: Path) -> dict[str, str]:
    """Digest of every output by its name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(OUTSIDE)
    }


def kill_runs(folder: Path, kills: int, rng: random.Random) -> bool:
    """Kill a prediction again and again until `kills` kills hit; begin anew when one reaches its end."""
    words = prepare(folder)
    begin = time.monotonic()
    code = subprocess.run(command(*words, "-o", folder / "whole"), check=False).returncode
    seconds, whole = time.monotonic() - begin, outputs(folder / "whole")
    print(f"undisturbed: {seconds:.1f} s, exit {code}, {len(whole)} outputs", flush=True)
    good, done, round_ = code == 4 and bool(whole), 0, 0
    while done < kills and good:
        round_ += 1
        out = folder / f"killed_{round_}"
        while True:
            process = subprocess.Popen(command(*words, "-o", out), stderr=subprocess.PIPE, text=True)
            wait = rng.uniform(0, seconds) if done < kills else None
            try:
                _, errors = process.communicate(timeout=wait)
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
            done += 1
            # What carries the name of an output is whole, at any moment.
            complete = {name: digest for name, digest in outputs(out).items() if name in whole}
            broken = [name for name, digest in complete.items() if digest != whole[name]]
            good &= not broken
            print(f"kill {done:3d}: after {wait:5.2f} s, {len(complete)} outputs, broken: {broken}", flush=True)
        same = process.returncode == 4 and outputs(out) == whole
        print(f"run {round_}: {'the same bytes' if same else errors or 'DIFFERENT'}", flush=True)
        good &= same
    return good


def main() -> None:
    """Parse, kill, exit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="SIGKILLs (default 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default 0)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "in").mkdir()
        good = kill_runs(Path(name), options.kills, random.Random(options.seed))
    print("all the same" if good else "DIFFERENT")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
