"""A Sentinel-1 product of real size through `seepseg predict`, against a plain GeoTIFF of the same pixels.

    python scripts/bench/sentinel1.py [--height 16685] [--width 25788] [--network tiny|recipe] [--rounds 3]

Both have two bands of 16 bits, in strips as ESA writes them, some five slicks per megapixel, and are predicted by
networks of one shape: that of the product learned on backscatter in dB, that of the GeoTIFF on thousandths of a dB. A
third input is the product as a COG. With the tiny network the difference is what reading and calibrating cost. Rounds
take turns; a run is a process of its own, from the command line to polygons. Products, networks and maps need some
8 GB in the cache folder of the benchmarks.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rasterio
import tifffile
from numpy.typing import NDArray
from rasterio.windows import Window
from sea import CACHE, LEFT, class_map

from seepseg.synthetic.sentinel1 import write_product

ROOT = CACHE / "sentinel1"
PATTERN, TILE, ROWS = 2048, 128, 256
SEA = {"vv": 0.04, "vh": 0.006}
"""σ0 of open water."""
SHAPES = {
    "tiny": ["model={name: unet, channels: [8, 16, 32], num_res_units: 1, head: binary}"],
    "recipe": ["model={name: unet, channels: [16, 32, 64, 128, 256], head: binary}"],
}
INPUTS = {
    "product": ["data.bands=[vv, vh]", "data.scaling={kind: db, basis: fixed, range: [-35, 0]}"],
    "plain": ["data.bands=[1, 2]", "data.scaling={kind: dn, basis: fixed, range: [5000, 40000]}"],
}


class Repeated:
    """A square of backscatter repeated over a scene of any size; rows are made when they are asked for."""

    def __init__(self, square: NDArray[np.float64], shape: tuple[int, int]) -> None:
        self.square, self.shape = square, shape

    def __getitem__(self, rows: slice) -> NDArray[np.float64]:
        which = np.arange(rows.start, min(rows.stop, self.shape[0])) % len(self.square)
        return np.tile(self.square[which], (1, -(-self.shape[1] // len(self.square))))[:, : self.shape[1]]


def backscatter(classes: NDArray[np.uint8]) -> dict[str, NDArray[np.float64]]:
    """σ0 (H, W) of each band, with the speckle of sixteen looks, in which the tiny network finds few false ones."""
    rng, left = np.random.default_rng(0), np.array(LEFT)[classes]
    return {band: level * left * rng.standard_gamma(16, classes.shape) / 16 for band, level in SEA.items()}


def stored(decibels: NDArray[np.float64]) -> NDArray[np.uint16]:
    """Backscatter as the plain GeoTIFF has it: thousandths of a dB above −40 dB."""
    return np.rint((decibels + 40) * 1000).clip(1, 65535).astype(np.uint16)


def scenes(height: int, width: int) -> dict[str, Path]:
    """The product, also as a COG, and the GeoTIFF of its backscatter, kept from run to run."""
    folder = ROOT / f"{height}x{width}"
    plain = folder / "plain.tif"
    if not plain.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        square = backscatter(class_map(PATTERN, nodata=0, density=0.1))
        sea = {band: Repeated(sigma0, (height, width)) for band, sigma0 in square.items()}
        safe = write_product(folder, sea)
        write_product(folder, sea, cog=True)
        with rasterio.open(next(safe.glob("measurement/*"))) as measurement:
            gcps, crs = measurement.gcps
        profile = {"driver": "GTiff", "height": height, "width": width, "count": 2, "dtype": "uint16", "blockysize": 1}
        with rasterio.open(folder / "part.tif", "w", gcps=gcps, crs=crs, nodata=0, interleave="band", **profile) as out:
            for top in range(0, height, ROWS):
                rows = np.stack([stored(10 * np.log10(s[top : top + ROWS])) for s in sea.values()])
                out.write(rows, window=Window(0, top, width, rows.shape[1]))
        (folder / "part.tif").rename(plain)
    cog = next(folder.glob("*_COG.SAFE"))
    return {"product": next(p for p in folder.glob("*.SAFE") if p != cog), "cog": cog, "plain": plain}


def network(shape: str, kind: str) -> Path:
    """A run that has learned the slicks from tiles of one kind of input, kept from run to run."""
    run, tiles = ROOT / f"{shape}-{kind}", ROOT / f"tiles-{kind}"
    if not (run / "done").exists():
        shutil.rmtree(run, ignore_errors=True)
        for folder in ("images", "masks"):
            (tiles / folder).mkdir(parents=True, exist_ok=True)
        classes = class_map(1024, nodata=0, seed=1)
        decibels = 10 * np.log10(np.stack(list(backscatter(classes).values())))
        pixels = decibels.astype(np.float32) if kind == "product" else stored(decibels)
        for row in range(0, 1024, TILE):
            for column in range(0, 1024, TILE):
                part, name = np.s_[..., row : row + TILE, column : column + TILE], f"{row:04}_{column:04}.tif"
                tifffile.imwrite(
                    tiles / "images" / name, pixels[part], photometric="minisblack", planarconfig="separate"
                )
                tifffile.imwrite(tiles / "masks" / name, (classes[part] > 0).astype(np.uint8))
        settings = [
            *("data.source=tiles", f"data.root={tiles}", "data.classes=[{name: slick, values: [1]}]", "loss=dice_bce"),
            *(
                "data.split={by: random, val_fraction: 0.2}",
                "train.epochs=40",
                "train.batch_size=4",
                *SHAPES[shape],
                *INPUTS[kind],
            ),
        ]
        recipe = ROOT / f"{shape}-{kind}.yaml"
        recipe.write_text("data: {source: tiles}\n")
        overrides = [word for setting in settings for word in ("-s", setting)]
        command = [sys.executable, "-m", "seepseg", "train", str(recipe), "--run", str(run), *overrides, "-q"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (run / "done").touch()
    return run


def predicted(run: Path, scene: Path, out: Path) -> tuple[float, float, float]:
    """Wall and CPU seconds of a run of the command line, and its peak memory in GiB."""
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "seepseg", "predict", str(run), str(scene), "-o", str(out), "-q"]
    begin = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20


def main() -> None:
    """Print a row per input: medians, and the product's speed over the GeoTIFF's."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--height", type=int, default=16685)
    parser.add_argument("--width", type=int, default=25788)
    parser.add_argument("--network", choices=SHAPES, default="tiny")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    inputs = scenes(args.height, args.width)
    runs = {kind: network(args.network, "plain" if kind == "plain" else "product") for kind in inputs}
    taken: dict[str, list[tuple[float, float, float]]] = {kind: [] for kind in inputs}
    for number in range(args.rounds):
        for kind in sorted(inputs, reverse=bool(number % 2)):
            taken[kind].append(predicted(runs[kind], inputs[kind], ROOT / "out" / kind))
            print(f"round {number + 1}, {kind}: {taken[kind][-1][0]:.0f} s", file=sys.stderr)
    megapixels = args.height * args.width / 1e6
    print(f"{args.height} × {args.width} × 2 bands, {args.network} network\n")
    print("| input | s | Mpx/s | CPU s | peak GiB |\n|---|---|---|---|---|")
    for kind, times in taken.items():
        wall, cpu, peak = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"| {kind} | {wall:.1f} | {megapixels / wall:.2f} | {cpu:.1f} | {peak:.2f} |")
    print()
    for kind in ("product", "cog"):
        pairs = list(zip(taken["plain"], taken[kind], strict=True))
        wall, cpu = (statistics.median(plain[k] / product[k] for plain, product in pairs) for k in (0, 1))
        print(f"speed of the {kind} over that of the GeoTIFF: {wall:.2f} by the clock, {cpu:.2f} by CPU time")


if __name__ == "__main__":
    main()
