"""How long commands take to start: medians of wall and CPU seconds from process start, side by side.

    python scripts/bench/start.py [--rounds 7]

`predict` maps a scene that one batch of windows covers, without polygons, so its time is an upper bound of that to the
first window; its last step, a quick-look, takes some .05 s. `import torch` is what none of them can save.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sea import checkpoint, write_scene


def seconds(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of a process."""
    before, begin = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Run each command once unmeasured, then in turns; print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    python, run = [sys.executable], checkpoint("plain")
    with tempfile.TemporaryDirectory() as folder:
        scene = Path(folder) / "scene.tif"
        write_scene(scene, 520)
        predict = ["predict", str(run), str(scene), "-o", f"{folder}/out", "--no-polygons", "--overwrite", "-q"]
        seepseg = [*python, "-m", "seepseg"]
        commands = {
            "import torch": [*python, "-c", "import torch"],
            "import seepseg": [*python, "-c", "import seepseg"],
            "seepseg --help": [*seepseg, "--help"],
            "seepseg predict --help": [*seepseg, "predict", "--help"],
            "seepseg config list": [*seepseg, "config", "list"],
            "seepseg predict": [*seepseg, *predict],
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for turn in range(rounds + 1):
            for name, command in commands.items():
                taken = seconds(command)
                times[name] += [taken] if turn else []
    print(f"{'':24s}  wall   CPU")
    for name, taken in times.items():
        wall, cpu = (statistics.median(part) for part in zip(*taken, strict=True))
        print(f"{name:24s} {wall:5.2f} {cpu:5.2f}")


if __name__ == "__main__":
    main()
