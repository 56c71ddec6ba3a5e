"""Made-up Sentinel-1 products of a sea with slicks, and their outlines as someone draws them in a GIS."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import Transformer

from seepseg.geo.vector import write_vectors
from seepseg.objects.outlines import outlines
from seepseg.synthetic.sar import LOOKS, SEA_LEVEL, seep_scene
from seepseg.synthetic.sentinel1 import START, ground, write_product

KINDS = {2: "seep", 3: "seep", 6: "seep", 7: "spill", 1: "look-alike", 4: "look-alike", 5: "look-alike"}
"""What the made-up slicks are called: threads, spots and dashes; what trails behind a ship; blobs, bands and rings."""
SIGMA0 = {"vv": 0.05, "vh": 0.003}
"""Of open water: −13 dB, and −25 dB, which is about the noise."""
CYCLE = timedelta(days=12)
"""Until a Sentinel-1 satellite flies the same orbit again."""
UTM = "EPSG:32615"
"""The projection that the outlines are drawn in; that of the products is none."""
DRAWN = 10.0
"""Metres that an outline may be off the slick: nobody draws every pixel."""


def write_products(root: Path, *, scenes: int = 5, side: int = 768, seed: int = 0) -> None:
    """Write products of two polarisations, the last as `new/*.SAFE`, and the slicks of the others as `slicks.gpkg`.

    The others are `products/*.SAFE`. Of each slick the table has its `scene`, as the product is named, and its `kind`.
    """
    shapes, tables = list[NDArray[Any]](), list[pd.DataFrame]()
    for number in range(scenes):
        rng = np.random.default_rng([seed, number])
        image, labels = seep_scene(rng, side, side)
        vv = np.where(image > 0, image / SEA_LEVEL * SIGMA0["vv"], np.nan)
        vh = SIGMA0["vh"] * rng.gamma(LOOKS, 1 / LOOKS, image.shape)  # slicks do not show in it
        last = number == scenes - 1
        start = START + number * CYCLE
        path = write_product(root / ("new" if last else "products"), {"vv": vv, "vh": vh}, start=start)
        if not last:
            kinds, drawn = _drawn(labels)
            shapes.append(drawn)
            tables.append(pd.DataFrame({"scene": path.stem, "kind": kinds}))
    write_vectors(root / "slicks.gpkg", np.concatenate(shapes), pd.concat(tables, ignore_index=True), UTM)


def _drawn(labels: NDArray[np.uint8]) -> tuple[list[str], NDArray[Any]]:
    """Kinds (n) and outlines (n), in metres, of the slicks of a mask (H, W)."""
    values, patches = outlines(labels, 0)
    project = Transformer.from_crs("EPSG:4326", UTM, always_xy=True)

    def placed(corners: NDArray[np.float64]) -> NDArray[np.float64]:
        column, row = corners.T
        return np.stack(project.transform(*ground(row - 0.5, column - 0.5)), axis=1)

    shapes = shapely.simplify(shapely.transform(patches, placed), DRAWN)
    return [KINDS[value] for value in values.tolist()], np.asarray(shapes)
