"""What a data set holds: class balance, coverage, odd tiles and intensities, as tables."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.data.catalog import FLAGS, Catalog
from seepseg.data.scaling import thin, transform
from seepseg.data.source import Source, read_pixels
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


def tile_table(catalog: Catalog) -> pd.DataFrame:
    """A row a tile: id, depth, whether it holds foreground, coverage (0–1), its class in tenths (0–10), flag."""
    return pd.DataFrame(
        {
            "id": [t.id for t in catalog.tiles],
            "depth": [t.depth for t in catalog.tiles],
            "foreground": pd.array([t.coverage and int(t.coverage > 0) for t in catalog.tiles], dtype="Int64"),
            "coverage": [t.coverage for t in catalog.tiles],
            "coverage_class": pd.array([t.coverage_class for t in catalog.tiles], dtype="Int64"),
            "flag": [t.flag for t in catalog.tiles],
        }
    )


def coverage_classes(catalog: Catalog) -> pd.DataFrame:
    """A row a coverage class (0 = empty, 1 up to 10 %, 10 over 90 %) that there is: labelled tiles, and their share."""
    tiles = Counter(t.coverage_class for t in catalog.tiles if t.coverage_class is not None)
    table = pd.DataFrame(sorted(tiles.items()), columns=["coverage_class", "tiles"])
    return table.assign(percent=100 * table["tiles"] / max(int(table["tiles"].sum()), 1))


def flags(catalog: Catalog) -> pd.DataFrame:
    """A row a flag that some tile carries: tiles, and what it means."""
    rows = [(flag, count, FLAGS[flag]) for flag, count in catalog.flagged().items()]
    return pd.DataFrame(rows, columns=["flag", "tiles", "meaning"])


def intensities(
    catalog: Catalog, source: Source
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64], pd.DataFrame]:
    """Histograms (shares) of the first band by group, their common bin edges, and a table of quantiles.

    Values are raw (DN, dB) or, for linear backscatter, in dB. Measured on an even sample of the valid pixels.

    Raises:
        DataError: no tile holds a valid pixel.
    """
    by_group: dict[str, list[NDArray[np.float32]]] = {}
    many = len(catalog.groups()) > GROUPS
    for tile in catalog.tiles:
        raw, valid = read_pixels(source, tile.image)
        pixels = transform(thin(raw[:, valid], 20_000), source.data.scaling.kind)[0]
        by_group.setdefault("all tiles" if many else tile.group, []).append(pixels)
    values = {group: np.concatenate(parts) for group, parts in by_group.items()}
    everything = np.concatenate(list(values.values()))
    if not everything.size:
        raise DataError("no valid pixel", source.data.root, "check data.nodata")
    edges = np.linspace(everything.min(), max(everything.max(), everything.min() + 1), BINS + 1)
    histograms = {g: np.histogram(v, edges)[0] / max(v.size, 1) for g, v in values.items()}
    quantiles = [
        (g, v.size, *(float(q) for q in np.percentile(v, (1, 50, 99))), float(v.mean()))
        for g, v in values.items()
        if v.size
    ]
    return histograms, edges, pd.DataFrame(quantiles, columns=["group", "sampled", "p1", "median", "p99", "mean"])
