"""Polygons of a class map: milliseconds of CPU per polygon, and what takes them.

    python scripts/bench/polygons.py [--rounds 5]
    PYTHONPATH=OTHER_CHECKOUT python scripts/bench/polygons.py       the same map, another version

The map is 4096² with some 800 polygons shaped like slicks: bent, tapered, ragged, half of them of less than 30 pixels,
as in the map of a real scene.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
from sea import TRANSFORM, UTM, class_map, write

from seepseg.classes import SEEP
from seepseg.geo.place import place_of
from seepseg.io.raster import Georeference
from seepseg.mapping.polygons import trace

PLACE = place_of(Georeference(crs_wkt=UTM.to_wkt(), transform=TRANSFORM))
STAGES = {
    "raster_rows": "reading",
    "add": "labels of objects",
    "outlines": "outlines",
    "joined": "joining strips",
    "extents": "lengths, widths, ends",
    "skeletonize": "… of which skeletons",
    "area_perimeter": "geodesic areas",
}


def main() -> None:
    """Trace the map several times; print the median and the shares of a profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        raster, confidence = Path(folder) / "class.tif", Path(folder) / "confidence.tif"
        pixels = class_map(4096)
        write(raster, pixels)
        write(confidence, np.where((pixels > 0) & (pixels < 255), np.uint8(204), np.uint8(0)))
        table = trace(raster, confidence, PLACE, SEEP).table
        seconds = []
        for _ in range(rounds):
            begin = time.process_time()
            trace(raster, confidence, PLACE, SEEP)
            seconds.append(time.process_time() - begin)
        profile = cProfile.Profile()
        profile.runcall(trace, raster, confidence, PLACE, SEEP)
    number, median = len(table), statistics.median(seconds)
    sizes = table["pixels"].to_numpy()
    print(
        f"{number} polygons, {(sizes < 10).sum()} below 10 pixels, {(sizes < 30).sum()} below 30, {sizes.sum()} in all"
    )
    print(f"{median:.2f} s ({min(seconds):.2f}–{max(seconds):.2f}), {1000 * median / number:.2f} ms a polygon")
    stats = cast(Any, pstats.Stats(profile))
    shares = {name: cumulative / stats.total_tt for (_, _, name), (_, _, _, cumulative, _) in stats.stats.items()}
    for name, stage in STAGES.items():
        print(f"{stage:24s} {100 * shares.get(name, 0):5.1f} %")


if __name__ == "__main__":
    main()
