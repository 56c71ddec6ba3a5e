#!/usr/bin/env python
"""Training from whole scenes with polygons against the same windows as tile files: time to the first step, tiles/s.

Both take turns in one process, so that other work on the machine slows them alike; nothing is kept in memory between
draws (`data.cache_gb=0`), as in the first epoch, or where a set is larger than memory.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
import shapely
import tifffile
import torch
from pyproj import Transformer
from rasterio.transform import Affine

from seepseg.config import Config, parse
from seepseg.data.augment import build_augmentation
from seepseg.data.dataset import Draw, TileDataset
from seepseg.data.source import read_mask, source_of
from seepseg.geo.vector import write_vectors
from seepseg.training.epoch import train_batches
from seepseg.training.prepare import prepare
from seepseg.training.run import assemble
from seepseg.training.step import train_step

UTM = rasterio.CRS.from_epsg(32616)
PLACE = Affine(10, 0, 500_000, 0, -10, 3_000_000)
WINDOW = 256


def write_scenes(root: Path, side: int, slicks: int, **profile: object) -> None:
    """Two scenes of speckle with polygons of two classes, in longitude and latitude."""
    (root / "images").mkdir()
    (root / "labels").mkdir()
    rng = np.random.default_rng(0)
    to_lonlat = Transformer.from_crs("EPSG:32616", "EPSG:4326", always_xy=True)
    for name in ("a", "b"):
        shape = {"height": side, "width": side, "count": 1, "dtype": "uint16", "crs": UTM, "transform": PLACE}
        with rasterio.open(root / "images" / f"{name}.tif", "w", driver="GTiff", **shape, **profile) as file:
            for start in range(0, side, 1024):
                rows = min(1024, side - start)
                speckle = rng.gamma(4, 500, (rows, side)).astype(np.uint16)
                file.write(speckle, 1, window=((start, start + rows), (0, side)))
        shapes = [outline(rng, side) for _ in range(slicks)]

        def placed(points: np.ndarray) -> np.ndarray:
            x, y = PLACE.c + PLACE.a * points[:, 0], PLACE.f + PLACE.e * points[:, 1]
            return np.stack(to_lonlat.transform(x, y), axis=1)

        table = pd.DataFrame({"kind": rng.integers(1, 3, slicks)})
        write_vectors(root / "labels" / f"{name}.gpkg", shapely.transform(np.array(shapes), placed), table, "EPSG:4326")


def outline(rng: np.random.Generator, side: int) -> shapely.Polygon:
    """A slick of some 200 vertices, up to 600 pixels long."""
    turn, length = rng.uniform(0, 2 * np.pi), rng.uniform(50, 600)
    along = np.linspace(0, 1, 100)
    middle = np.stack([along * length, np.cumsum(rng.normal(0, 1, 100))], axis=1)
    half = (2 + 20 * np.sin(np.pi * along) * rng.uniform(0.7, 1, 100))[:, None] * [[0, 1]]
    ring = np.concatenate([middle + half, (middle - half)[::-1]])
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return shapely.Polygon(ring @ rotation + rng.uniform(0, side, 2)).buffer(0)


def write_tiles(root: Path, scenes: Config) -> None:
    """The windows of scenes as tiles, and masks of their labels."""
    source = source_of(scenes.data)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for tile in source.catalog().tiles:
        row, column, height, width = tile.window
        name = tile.id.replace("/", "_")
        with rasterio.open(tile.image) as file:
            pixels = file.read(1, window=((row, row + height), (column, column + width)))
        tifffile.imwrite(root / "images" / f"{name}.tif", pixels)
        mask = read_mask(source, tile, (height, width))[: pixels.shape[0], : pixels.shape[1]]
        tifffile.imwrite(root / "masks" / f"{name}.tif", mask)


def config(root: Path, **data: object) -> Config:
    """A small network on the two classes."""
    node = {"root": str(root), "cache_gb": 0, "split": {"val_fraction": 0.5}, "augment": {"preset": "seep"}}
    classes = [{"name": "oil", "values": [1]}, {"name": "look-alike", "values": [2]}]
    tree = {
        "data": {**node, "classes": classes, **data},
        "model": {"name": "unet", "channels": [8, 16, 32], "num_res_units": 1, "head": "softmax"},
        "loss": "dice_ce",
        "runtime": {"device": "cpu", "threads": 1},
    }
    return parse(tree, "bench")


def drawn(dataset: TileDataset, numbers: list[int]) -> float:
    """CPU seconds of drawing tiles."""
    begin = time.process_time()
    for number in numbers:
        dataset[Draw(number, seed=number)]
    return time.process_time() - begin


def first_step(recipe: Config) -> tuple[float, float]:
    """Wall and CPU seconds from the config to the end of the first step."""
    begin = time.perf_counter(), time.process_time()
    trainer = assemble(recipe, prepare(recipe, None), torch.device("cpu"))
    train_step(trainer, next(iter(train_batches(trainer))))
    return time.perf_counter() - begin[0], time.process_time() - begin[1]


def main() -> None:
    """Write, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=10_000, help="pixels a side of the two scenes (default 10000)")
    parser.add_argument("--slicks", type=int, default=300, help="polygons of each (default 300)")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--draws", type=int, default=100, help="tiles of each side in a turn (default 100)")
    options = parser.parse_args()
    blocks = {"tiled": True, "blockxsize": 256, "blockysize": 256}
    for kind, profile in {"strips": {}, "blocks": blocks, "blocks, deflate": {**blocks, "compress": "deflate"}}.items():
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            write_scenes(root, options.side, options.slicks, **profile)
            scenes = config(root, source="scenes", window=WINDOW, attribute="kind")
            write_tiles(root / "tiles", scenes)
            pattern = r"^(?P<group>.+)_r(?P<row>\d+)c(?P<column>\d+)$"
            tiles = config(root / "tiles", source="tiles", name_pattern=pattern)
            wall, cpu = first_step(scenes)
            print(f"{kind}: first step after {wall:.1f} s ({cpu:.1f} s of CPU); ", end="")
            wall, cpu = first_step(tiles)
            print(f"of tiles {wall:.1f} s ({cpu:.1f} s)")
            sets = []
            for recipe in (scenes, tiles):
                data = prepare(recipe, None)
                augmentation = build_augmentation(recipe.data.augment)
                sets.append(TileDataset(data.train.catalog, data.train.source, data.scaling, {}, augmentation))
            rng = np.random.default_rng(1)
            rates = []
            for _ in range(options.turns + 1):
                numbers = rng.choice(len(sets[0]), options.draws).tolist()
                rates.append([options.draws / drawn(one, numbers) for one in sets])
            ratio = statistics.median(a / b for a, b in rates[1:])
            ours, theirs = (statistics.median(side) for side in zip(*rates[1:], strict=True))
            print(f"  {ours:.0f} windows/s against {theirs:.0f} tiles/s of CPU: {ratio:.2f} times")


if __name__ == "__main__":
    main()
