"""Catalogs of made-up tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seepseg.classes import SALT, SEEP
from seepseg.data.catalog import Catalog, Tile


def catalog_of(scenes: dict[str, list[set[int]]]) -> Catalog:
    """Scenes of tiles, each tile given by the classes it holds (10 pixels each)."""
    tiles = [
        Tile(
            f"{s}.{i}", Path("x"), Path("m"), s, i, pixels=tuple(100 if k == 0 else 10 * (k in held) for k in range(8))
        )
        for s, many in scenes.items()
        for i, held in enumerate(many)
    ]
    return Catalog(tuple(tiles), SEEP)


FULL = [{1, 2, 3, 4, 5, 6, 7}, {1}, {2, 6}]


def salt_catalog(n: int = 400, seed: int = 0) -> Catalog:
    """Salt tiles of 100 pixels: two in five empty, the others of any coverage, at any depth."""
    rng = np.random.default_rng(seed)
    salt = np.where(rng.random(n) < 0.4, 0, rng.integers(1, 101, n))
    depths = rng.integers(50, 960, n)
    return Catalog(
        tuple(
            Tile(f"{i:04d}", Path("x"), Path("m"), f"{i:04d}", depth=float(z), pixels=(100 - c, c))
            for i, (c, z) in enumerate(zip(salt.tolist(), depths.tolist(), strict=True))
        ),
        SALT,
    )
