"""Made-up seismic tiles in the layout of the TGS salt set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from seepseg.io.atomic import write_text
from seepseg.io.table import csv_text
from seepseg.objects.rle import encode
from seepseg.synthetic.slicks import Rng, smooth_noise


def salt_tile(rng: Rng, size: int = 101, salt: bool = True) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A seismic-like section, grey levels uint8 (H, W), and where it is salt, bool (H, W).

    Warped and faulted layers; salt is chaotic and dim under a bright top, and the layers bend up against it.
    """
    y, x = np.mgrid[:size, :size].astype(np.float64)
    body = _body(rng, size) if salt else np.zeros((size, size), np.bool_)
    lift = 10 * gaussian_filter(body.astype(np.float64), 14)
    time = y + rng.uniform(-0.25, 0.25) * x + 5 * smooth_noise(rng, (size, size), 35) + lift
    for _ in range(rng.integers(0, 3)):
        dip, at, throw = rng.uniform(-0.5, 0.5), rng.uniform(0.2, 0.8) * size, rng.uniform(3, 9)
        time = time + throw * (x > at + dip * (y - size / 2))
    # One trace of reflectivity, read at every pixel's warped time: what makes layers run through the whole tile.
    trace = gaussian_filter(rng.normal(size=4 * size), rng.uniform(1.0, 1.6))
    section = np.interp(time, np.arange(4 * size) - 1.5 * size, trace / trace.std())
    section *= 1 + 0.3 * smooth_noise(rng, (size, size), 15)
    chaos = gaussian_filter(rng.normal(size=(size, size)), 0.8)
    section = np.where(body, 0.45 * chaos / chaos.std() - 0.5, section)
    top = body & ~np.roll(body, 3, 0)
    top[:3] = False
    section = np.where(top, 2.8, section) + 0.2 * rng.normal(size=(size, size))
    return np.clip(np.rint(120 + 42 * section), 0, 255).astype(np.uint8), body


def _body(rng: Rng, size: int) -> NDArray[np.bool_]:
    """A dome that leaves the tile at its foot, or the flank of a larger one."""
    x = np.linspace(-1, 1, size)[None, :]
    y = np.linspace(0, 1, size)[:, None]
    peak, height, width = rng.uniform(-1.2, 1.2), rng.uniform(0.3, 0.95), rng.uniform(0.35, 1.1)
    wobble = 0.05 * smooth_noise(rng, (1, size), 10)
    body = np.broadcast_to(y > 1 - height * np.exp(-(((x - peak) / width) ** 2)) + wobble, (size, size)).copy()
    if not body.any():
        body[-size // 10 :, : size // 2] = True
    return body


def write_salt(root: Path, *, tiles: int = 200, test_tiles: int = 20, size: int = 101, seed: int = 0) -> None:
    """Write tiles in the layout of the TGS salt set: 39 % without salt, some of those constant, test without masks."""
    rng = np.random.default_rng([seed, tiles, test_tiles])
    for folder in ("train/images", "train/masks", "test/images"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    names = [f"{number:010x}" for number in rng.choice(16**10, tiles + test_tiles, replace=False)]
    kinds = np.full(tiles, "salt", "<U8")
    kinds[: round(0.39 * tiles)] = "empty"
    kinds[: max(1, round(0.02 * tiles))] = "constant"
    runs = {}
    for name, kind in zip(names, rng.permutation(kinds), strict=False):
        image, body = salt_tile(rng, size, salt=kind == "salt")
        if kind == "constant":
            image = np.full_like(image, rng.integers(0, 2) * 128)
        _write_gray(root / "train" / "images" / f"{name}.png", image)
        # The public set stores masks with salt in 16 bits and empty ones in 8.
        stored = body.astype(np.uint16) * 65535 if body.any() else body.astype(np.uint8)
        Image.fromarray(stored).save(root / "train" / "masks" / f"{name}.png")
        runs[name] = encode(body)
    for name in names[tiles:]:
        _write_gray(root / "test" / "images" / f"{name}.png", salt_tile(rng, size, salt=bool(rng.random() < 0.61))[0])
    write_text(root / "train.csv", csv_text(pd.DataFrame({"id": runs.keys(), "rle_mask": runs.values()})))
    depths = rng.integers(50, 960, len(names))
    write_text(root / "depths.csv", csv_text(pd.DataFrame({"id": names, "z": depths})))


def _write_gray(path: Path, image: NDArray[np.uint8]) -> None:
    """Save grey levels as three equal channels, as the public tiles decode."""
    Image.fromarray(np.repeat(image[..., None], 3, 2)).save(path)
