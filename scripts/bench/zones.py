"""Zones on made-up seas of known vents: found, false, rates inside their intervals; time and memory of many scenes.

python scripts/bench/zones.py [--seeds 10] [--passes 60]
python scripts/bench/zones.py --scenes 1000 [--slicks 200]
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from seepseg.atlas.page import write_map_page
from seepseg.metrics.rates import wilson
from seepseg.synthetic.vents import Sea, vents_of, write_passes
from seepseg.zones.options import Options
from seepseg.zones.run import make_zones

RARE = 0.15
"""Vents below this rate need not be found."""


def one_sea(sea: Sea, seed: int, options: Options) -> dict[str, float]:
    """Scores of the zones of one sea."""
    with tempfile.TemporaryDirectory() as folder:
        vents = write_passes(Path(folder) / "out", sea, seed)
        zones = make_zones([Path(folder) / "out"], Path(folder) / "zones", options).tables.zones
    vent, far = vents_of(zones, vents)
    own = vent >= 0
    found = np.isin(np.arange(len(vents)), vent)
    mapped = vents["mapped"].to_numpy()[vent[own]]
    inside = (zones["lower"][own] <= mapped) & (mapped <= zones["upper"][own])
    lower, upper = wilson((zones["n_seen"] + zones["n_seen_unobserved"])[own], np.full(own.sum(), sea.passes))
    blind = (lower <= mapped) & (mapped <= upper)
    common = (vents["rate"] >= RARE).to_numpy()
    rate = zones["recurrence"][own] - mapped
    naive = (zones["n_seen"] + zones["n_seen_unobserved"])[own] / sea.passes - mapped
    return {
        "zones": len(zones), "found": found[common].mean(), "found_rare": found[~common].mean(),
        "false": (~own).mean(), "inside": inside.mean(), "bias": rate.mean(), "error_m": float(np.median(far[own])),
        "within_68": (far[own] <= zones["error_m"][own]).mean(),
        "inside_all_passes": blind.mean(), "bias_all_passes": naive.mean(),
    }  # fmt: skip


def many(scenes: int, slicks: int, options: Options) -> None:
    """Print the time and memory of many scenes, and of the next one."""
    # Two of three scenes are half of a pass, and passes show some 80 % of the sea.
    sea = Sea(passes=scenes * 2 // 3, lookalikes=1.9 * slicks, side=200_000, pixel=200, apart=4000)
    with tempfile.TemporaryDirectory() as folder:
        out, zones = Path(folder) / "out", Path(folder) / "zones"
        write_passes(out, sea)
        for what in ("first run", "again"):
            begin, cpu = time.monotonic(), time.process_time()
            summary = make_zones([out], zones, options)
            write_map_page(zones, summary)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(
                f"{what}: {sum(len(one.scenes) for one in summary.passes)} scenes, {len(summary.tables.slicks)} slicks,"
                f" {len(summary.tables.zones)} zones:"
                f" {time.monotonic() - begin:.0f} s, {time.process_time() - cpu:.0f} s of CPU, {peak:.2f} GiB",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--passes", type=int, default=60)
    parser.add_argument("--scenes", type=int)
    parser.add_argument("--slicks", type=int, default=200)
    parser.add_argument("--false-share", type=float, default=0.2)
    arguments = parser.parse_args()
    options = Options(false_share=arguments.false_share)
    if arguments.scenes:
        many(arguments.scenes, arguments.slicks, options)
        return
    rows = [one_sea(Sea(passes=arguments.passes), seed, options) for seed in range(arguments.seeds)]
    table = pd.DataFrame(rows).astype(float)
    table.loc["mean"] = table.mean()
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
