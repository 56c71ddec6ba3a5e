"""Imitated trees of public oil sets: folders, names, formats and label values as they have them, pixels made up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from PIL import Image

from seepseg.geo.vector import write_vectors
from seepseg.objects.outlines import outlines
from seepseg.synthetic import write_nnunet
from seepseg.synthetic.sentinel1 import write_product

Grey = NDArray[np.uint8]


def sea(seed: int, height: int, width: int, classes: int = 1) -> tuple[Grey, Grey]:
    """A picture of the sea with dark patches, grey levels (H, W), and its labels 0 … classes."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((height, width), np.uint8)
    level = rng.gamma(4, 35, labels.shape)
    for value in range(1, classes + 1):
        top, left = rng.integers(0, (height - 12, width - 12))
        patch = np.s_[top : top + 12, left : left + 12]
        labels[patch] = value
        level[patch] *= 0.2 + 0.1 * value
    return np.clip(np.rint(level), 0, 255).astype(np.uint8), labels


def write_mklab(root: Path) -> None:
    """JPEG images of three channels, PNG labels 0–4, a folder for training and one for the test."""
    for part, count in (("train", 10), ("test", 3)):
        for folder in ("images", "labels_1D"):
            (root / part / folder).mkdir(parents=True)
        for number in range(1, count + 1):
            image, labels = sea(number + 100 * (part == "test"), 65, 125, classes=4)
            name = f"img_{number:04d}"
            Image.fromarray(image).convert("RGB").save(root / part / "images" / f"{name}.jpg", quality=95)
            Image.fromarray(labels).save(root / part / "labels_1D" / f"{name}.png")


def write_sos(root: Path) -> None:
    """Images `N_sat.jpg` and masks `N_mask.png` in one folder, of two sensors, numbered from 10001 in each."""
    for seed, (part, sensor, number) in enumerate(_sos_names()):
        folder = root / part / sensor
        folder.mkdir(parents=True, exist_ok=True)
        image, labels = sea(seed, 64, 64)
        # The masks were lossy once: not only 0 and 255.
        mask = np.where(labels == 1, 250 + seed % 6, seed % 6).astype(np.uint8)
        Image.fromarray(image).convert("RGB").save(folder / f"{number}_sat.jpg", quality=95)
        Image.fromarray(mask).save(folder / f"{number}_mask.png")


def _sos_names() -> Iterator[tuple[str, str, int]]:
    for part, count in (("train", 8), ("test", 2)):
        for sensor in ("palsar", "sentinel"):
            yield from ((part, sensor, 10001 + k) for k in range(count))


def write_zenodo_s1(root: Path) -> None:
    """TIFF of two bands in dB with NaN where nothing was seen; the same names in each folder; masks for oil only."""
    for seed, folder in enumerate(("Oil", "Lookalike", "No_oil")):
        (root / folder).mkdir(parents=True)
        for number in range(6):
            image, labels = sea(10 * seed + number, 64, 64)
            decibel = 10 * np.log10(np.maximum(image, 1) / np.float32(2000)).astype(np.float32)
            bands = np.stack([decibel, decibel - 7], axis=-1)
            bands[:3] = np.nan
            tifffile.imwrite(
                root / folder / f"{number:05d}.tif", bands, photometric="minisblack", planarconfig="contig"
            )
            if folder == "Oil":
                (root / "Mask_oil").mkdir(exist_ok=True)
                tifffile.imwrite(root / "Mask_oil" / f"{number:05d}.tif", labels)


TREES = {"oil_mklab": write_mklab, "oil_sos": write_sos, "oil_zenodo_s1": write_zenodo_s1}
"""What writes the tree of a recipe, by the recipe's name."""


def write_documented(root: Path) -> None:
    """What the five configs of docs/data.md describe, side by side."""
    write_scenes(root)
    write_nnunet(root, scenes=2, test_scenes=0, side=192)
    for folder in ("sar", "labels", "tiles", "a", "masks"):
        (root / folder).mkdir()
    rows = ["image,mask,scene,split"]
    for number in range(6):
        image, labels = sea(number, 32, 32, classes=2)
        cell = f"2020010{number % 3 + 1}_r{number:03d}c017"
        tifffile.imwrite(root / "sar" / f"{cell}.tif", image.astype(np.uint16) * 200)
        Image.fromarray(labels).save(root / "labels" / f"{cell}.png")
        Image.fromarray(image).convert("RGB").save(root / "tiles" / f"{number}_sat.jpg")
        Image.fromarray((labels > 0).astype(np.uint8) * 250).save(root / "tiles" / f"{number}_mask.png")
        tifffile.imwrite(root / "a" / f"{number}.tif", np.stack([image / -9, image / -7]).astype(np.float32))
        tifffile.imwrite(root / "masks" / f"{number}.tif", (labels > 0).astype(np.uint8) * 255)
        mask = "background" if number == 3 else f"masks/{number}.tif"
        rows.append(f"a/{number}.tif,{mask},{number},{'val' if number > 3 else 'train'}")
    (root / "tiles.csv").write_text("\n".join(rows))


def write_scenes(root: Path) -> None:
    """Two scenes in dB without a place, their outlines in pixels, and a product without a slick, as a ZIP."""
    for folder in ("scenes", "slicks"):
        (root / folder).mkdir()
    for seed, name in enumerate(("2020a", "2020b")):
        grey, labels = sea(seed, 300, 280, classes=2)
        tifffile.imwrite(root / "scenes" / f"{name}.tif", 10 * np.log10(np.maximum(grey, 1) / np.float32(2000)))
        kinds, shapes = outlines(labels, 0)
        write_vectors(root / "slicks" / f"{name}.gpkg", shapes, pd.DataFrame({"kind": kinds}), None)
    write_product(root / "scenes", {"vv": np.full((64, 64), 0.02)}, packed=True)
