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
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.transform import Affine

from seepseg.classes import SEEP
from seepseg.geo.place import place_of
from seepseg.io.raster import Georeference
from seepseg.mapping.polygons import trace

SIZE = 4096
SLICKS = 340
SPECKS = 500
UTM = CRS.from_epsg(32616)
TRANSFORM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 3_000_000.0)
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


def slick(rng: np.random.Generator, length: float, width: float) -> shapely.Polygon:
    """A band that bends, widens towards one end and has a ragged outline, in pixels."""
    at = np.linspace(0, 1, max(4, int(length / 3)))
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.7, len(at))) * np.gradient(at) * 6
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * length / len(at)
    line = rng.uniform(0, SIZE, 2) + np.cumsum(steps, axis=0)
    across = np.stack([-np.sin(heading), np.cos(heading)], axis=1)
    half = width * (0.3 + 0.7 * at)[:, None] / 2
    one, other = (line + side * across * half * rng.uniform(0.7, 1.3, half.shape) for side in (1, -1))
    return shapely.buffer(shapely.Polygon(np.concatenate([one, other[::-1]])), 0)


def class_map() -> NDArray[np.uint8]:
    """The map (SIZE, SIZE): slicks of classes 1–7, specks of a few pixels, a corner without data."""
    rng = np.random.default_rng(0)
    shapes = [
        (slick(rng, *rng.lognormal((4.6, 1.9), (0.8, 0.5)).clip((8, 2), (2500, 40))), int(rng.integers(1, 8)))
        for _ in range(SLICKS)
    ]
    shapes += [(slick(rng, rng.uniform(2, 10), rng.uniform(1, 4)), int(rng.integers(1, 8))) for _ in range(SPECKS)]
    pixels: NDArray[np.uint8] = rasterize([s for s in shapes if not s[0].is_empty], (SIZE, SIZE), dtype="uint8")
    row, column = np.ogrid[:SIZE, :SIZE]
    pixels[row + column < SIZE // 2] = 255
    return pixels


def write(path: Path, pixels: NDArray[np.uint8]) -> None:
    """A raster in tiles, as the engine leaves it."""
    shape = {"height": SIZE, "width": SIZE, "count": 1, "dtype": "uint8", "crs": UTM, "transform": Affine(*TRANSFORM)}
    with rasterio.open(path, "w", driver="GTiff", tiled=True, compress="deflate", **shape) as target:
        target.write(pixels, 1)


def main() -> None:
    """Trace the map several times; print the median and the shares of a profile."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        raster, confidence = Path(folder) / "class.tif", Path(folder) / "confidence.tif"
        pixels = class_map()
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
