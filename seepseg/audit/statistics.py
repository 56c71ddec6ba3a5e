"""What a data set holds: class balance, coverage, odd tiles and intensities, as tables."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.data.catalog import FLAGS, Catalog
from seepseg.data.scaling import thin, transform
from seepseg.data.source import Source, read_pixels
from seepseg.errors import DataError

BINS = 64
SCENES = 40
"""More histograms than this are drawn as one for all scenes: 3600 of salt tiles would be illegible."""


def balance(catalog: Catalog) -> pd.DataFrame:
    """A row per class: pixels, their share of all labelled pixels, tiles that hold it."""
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
    """A row per tile: id, depth, whether it holds foreground, coverage (0–1), its class in tenths (0–10), flag."""
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
    """A row per coverage class (0 = empty, 1 up to 10 %, 10 over 90 %) that occurs: labelled tiles, and their share."""
    tiles = Counter(t.coverage_class for t in catalog.tiles if t.coverage_class is not None)
    table = pd.DataFrame(sorted(tiles.items()), columns=["coverage_class", "tiles"])
    return table.assign(percent=100 * table["tiles"] / max(int(table["tiles"].sum()), 1))


def flags(catalog: Catalog) -> pd.DataFrame:
    """A row per flag that occurs: tiles, and what it means."""
    rows = [(flag, count, FLAGS[flag]) for flag, count in catalog.flagged().items()]
    return pd.DataFrame(rows, columns=["flag", "tiles", "meaning"])


class Histograms(NamedTuple):
    """Shares (BINS) of the valid pixels of each scene in equal bins between `edges`, in its unit, of one band."""

    scenes: dict[str, NDArray[np.float64]]
    edges: NDArray[np.float64]
    unit: str


def intensities(catalog: Catalog, source: Source) -> tuple[dict[str, Histograms], pd.DataFrame]:
    """Histograms by band ("vv"; "" where there is one without a name), and a table of quantiles by scene and band.

    Values are raw (DN, dB) or, for linear backscatter, in dB. Measured on an even sample of the valid pixels; those
    that are NaN or infinite are left out.

    Raises:
        DataError: no tile holds a valid pixel.
    """
    bands = band_names(source)
    parts: dict[tuple[str, str], list[NDArray[np.float32]]] = {}
    many = len(catalog.groups()) * len(bands) > SCENES
    for tile in catalog.tiles:
        raw, valid = read_pixels(source, tile)
        values = raw[:, valid & np.isfinite(raw).all(0)]
        pixels = transform(thin(values, 20_000), source.data.scaling.kind)
        for name, band in zip(bands, pixels, strict=True):
            parts.setdefault(("all tiles" if many else tile.group, name), []).append(band)
    samples = {key: np.concatenate(of_tiles) for key, of_tiles in parts.items()}
    if not any(v.size for v in samples.values()):
        raise DataError("no valid pixel", source.data.root, "check data.nodata")
    quantiles = [
        (scene, name or "1", v.size, *(float(q) for q in np.percentile(v, (1, 50, 99))), float(v.mean()))
        for (scene, name), v in samples.items()
        if v.size
    ]
    columns = ["group", "band", "sampled", "p1", "median", "p99", "mean"]
    histograms = {
        name: _histograms({scene: v for (scene, n), v in samples.items() if n == name}, unit(source, name))
        for name in bands
    }
    return histograms, pd.DataFrame(quantiles, columns=columns)


def band_names(source: Source) -> list[str]:
    """What the bands of a data set are called on pages and in tables: by name or number; "" for the only one."""
    bands = source.data.bands or [1]
    return [""] if bands == [1] else [str(band) for band in bands]


def unit(source: Source, band: str) -> str:
    """What the intensities of a band are in."""
    kind = source.data.scaling.kind
    return "dB" if kind == "linear" or (kind == "db" and band != "incidence") else "raw value"


def _histograms(values: dict[str, NDArray[np.float32]], unit: str) -> Histograms:
    everything = np.concatenate(list(values.values()))
    edges = np.linspace(everything.min(), max(everything.max(), everything.min() + 1), BINS + 1)
    return Histograms({scene: np.histogram(v, edges)[0] / max(v.size, 1) for scene, v in values.items()}, edges, unit)
