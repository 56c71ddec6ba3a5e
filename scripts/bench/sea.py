"""The scene and the networks of the benchmarks: dark slicks in speckle, and networks that have learned to find them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import shapely
import tifffile
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.transform import Affine

SLICKS, SPECKS = 20, 30
"""Per megapixel: bent bands of some thousand pixels, and specks of a few; as in the map of a real scene."""
LEFT = (1.0, 0.12, 0.17, 0.23, 0.3, 0.38, 0.47, 0.57)
"""Share of the sea's brightness that is left in each class."""
UTM = CRS.from_epsg(32616)
TRANSFORM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 3_000_000.0)
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seepseg" / "bench"
LESSON = {
    "plain": ["data.scaling={kind: dn, basis: fixed, range: [0, 20000], local: null}"],
    "recipe": ["model.head=two_head", "loss={name: two_head, class_weight: 0.05}"],
}
"""Overrides of `seep_multiclass`: a softmax of eight on raw values; two heads on local contrast, as `seep_best_cpu`."""

Rng = np.random.Generator


def slick(rng: Rng, size: int, length: float, width: float) -> shapely.Polygon:
    """A band that bends, widens towards one end and has a ragged outline, somewhere in a square of `size` pixels."""
    at = np.linspace(0, 1, max(4, int(length / 3)))
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.7, len(at))) * np.gradient(at) * 6
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * length / len(at)
    line = rng.uniform(0, size, 2) + np.cumsum(steps, axis=0)
    across = np.stack([-np.sin(heading), np.cos(heading)], axis=1)
    half = width * (0.3 + 0.7 * at)[:, None] / 2
    one, other = (line + side * across * half * rng.uniform(0.7, 1.3, half.shape) for side in (1, -1))
    return shapely.buffer(shapely.Polygon(np.concatenate([one, other[::-1]])), 0)


def class_map(size: int, *, nodata: float = 0.12, seed: int = 0, density: float = 1.0) -> NDArray[np.uint8]:
    """The classes (size, size): slicks of classes 1–7, specks, and 255 in a corner of this share of the scene."""
    rng = np.random.default_rng(seed)
    number = size**2 / 2**20 * density
    sizes = [*rng.lognormal((4.8, 2.5), (0.7, 0.5), (round(SLICKS * number), 2)).clip((8, 2), (2500, 40))]
    sizes += [*rng.uniform((2, 1), (10, 4), (round(SPECKS * number), 2))]
    shapes = [(slick(rng, size, *lengths), int(rng.integers(1, 8))) for lengths in sizes]
    pixels: NDArray[np.uint8] = rasterize([s for s in shapes if not s[0].is_empty], (size, size), dtype="uint8")
    row, column = np.ogrid[:size, :size]
    if nodata:  # left of a slanting edge, as that of a swath
        pixels[column + (row - size / 2) / 4 < nodata * size] = 255
    return pixels


def image_of(classes: NDArray[np.uint8], seed: int = 0) -> NDArray[np.uint16]:
    """Four-look radar brightness (H, W) of a class map, 0 = no data."""
    left = np.zeros(256)
    left[: len(LEFT)] = LEFT
    speckle = np.random.default_rng(seed).standard_gamma(4, classes.shape, np.float32) / 4
    return (7000 * left.astype(np.float32)[classes] * speckle).clip(classes < 255, 65535).astype(np.uint16)


def write(path: Path, pixels: NDArray[Any], **tags: Any) -> None:
    """A georeferenced raster in compressed blocks."""
    shape = {"height": len(pixels), "width": pixels.shape[1], "count": 1, "dtype": pixels.dtype}
    place = {"crs": UTM, "transform": Affine(*TRANSFORM)}
    blocks = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place, **blocks, **tags) as target:
        target.write(pixels, 1)


def write_scene(path: Path, size: int, nodata: float = 0.12) -> None:
    """A scene of the sea with some fifty slicks per megapixel."""
    write(path, image_of(class_map(size, nodata=nodata)), nodata=0)


def checkpoint(name: str) -> Path:
    """A U-Net (16–256, batch norm) that `seepseg train` taught on such scenes; kept, since that takes some minutes."""
    run = CACHE / name
    # Its best is that of the mean over classes, which after so few epochs is chance.
    last, done = run / "checkpoints" / "last.pt", run / "done"
    if not done.exists():
        print(f"training the network {name!r}, once, into {run}", file=sys.stderr)
        root = CACHE / "tiles"
        _write_tiles(root)
        split = "data.split={by: group, val_fraction: 0.2, allow_missing_classes: true}"
        training = ["train.epochs=6", "train.batch_size=8", "data.augment.preset=none", f"data.root={root}", split]
        overrides = [word for setting in (*training, *LESSON[name]) for word in ("-s", setting)]
        resume = ["--resume"] if (run / "config.yaml").exists() else []
        command = [sys.executable, "-m", "seepseg", "train", "seep_multiclass", "--run", str(run)]
        subprocess.run([*command, *(resume or overrides)], check=True, stdout=subprocess.DEVNULL)
        done.touch()
    return last


def _write_tiles(root: Path, scenes: int = 5, side: int = 1024, tile: int = 128) -> None:
    for folder in ("train_images_256", "train_masks_256"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    for number in range(scenes):
        classes = class_map(side, seed=1000 + number, density=3)
        pairs = {"images": image_of(classes, 1000 + number), "masks": np.where(classes < 255, classes, 0)}
        for index in range((side // tile) ** 2):
            row, column = (tile * i for i in divmod(index, side // tile))
            for folder, pixels in pairs.items():
                path = root / f"train_{folder}_256" / f"{900001 + number}.{index:06d}.tif"
                tifffile.imwrite(path, pixels[row : row + tile, column : column + tile], metadata=None)
