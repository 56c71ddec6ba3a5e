"""What a data set holds: class balance and intensities, as tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.config import DataNode
from seepseg.data.catalog import Catalog
from seepseg.data.scaling import thin, transform
from seepseg.data.sources import read_image
from seepseg.errors import DataError

BINS = 64
GROUPS = 40
"""More groups than this are told as one: a histogram for each of 3600 salt tiles would say nothing."""


def balance(catalog: Catalog) -> pd.DataFrame:
    """A row a class: pixels, their share of all labelled pixels, tiles that hold it."""
    pixels = catalog.pixels()
    total = pixels.sum(0)
    return pd.DataFrame(
        {
            "class": list(catalog.classes.names),
            "pixels": total,
            "percent": 100 * total / max(int(total.sum()), 1),
            "tiles": (pixels > 0).sum(0),
        }
    )


def intensities(
    catalog: Catalog, data: DataNode
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64], pd.DataFrame]:
    """Histograms (shares) of the first band by group, their common bin edges, and a table of quantiles.

    Values are raw (DN, dB) or, for linear backscatter, in dB. Measured on an even sample of the valid pixels.

    Raises:
        DataError: no tile holds a valid pixel.
    """
    by_group: dict[str, list[NDArray[np.float32]]] = {}
    many = len(catalog.groups()) > GROUPS
    for tile in catalog.tiles:
        raw, valid = read_image(tile.image, data)
        pixels = transform(thin(raw[:, valid], 20_000), data.scaling.kind)[0]
        by_group.setdefault("all tiles" if many else tile.group, []).append(pixels)
    values = {group: np.concatenate(parts) for group, parts in by_group.items()}
    everything = np.concatenate(list(values.values()))
    if not everything.size:
        raise DataError("no valid pixel", data.root, "check data.nodata")
    edges = np.linspace(everything.min(), max(everything.max(), everything.min() + 1), BINS + 1)
    histograms = {g: np.histogram(v, edges)[0] / max(v.size, 1) for g, v in values.items()}
    quantiles = [
        (g, v.size, *(float(q) for q in np.percentile(v, (1, 50, 99))), float(v.mean()))
        for g, v in values.items()
        if v.size
    ]
    return histograms, edges, pd.DataFrame(quantiles, columns=["group", "sampled", "p1", "median", "p99", "mean"])
