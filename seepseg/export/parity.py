"""How far an exported graph is from `seepseg predict`, measured on tiles of real data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from seepseg.config import Predict
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.scaling import Limits, MeasuredScaling
from seepseg.data.source import Source, read_pixels, scene_limits, some
from seepseg.errors import DataError
from seepseg.export.graph import DEEPNESS, Graph
from seepseg.export.onnx_file import Run
from seepseg.inference.decode import calibrated, decode
from seepseg.inference.stream import Member, Rows, mean_probabilities
from seepseg.runs.fit import Fit
from seepseg.runs.folder import RunFolder
from seepseg.splits.parts import part

DIFFERENCE, CHANGED = 1e-4, 1e-5
"""The largest difference of a probability and share of pixels of another class that count as none."""

MOST_TILES, MOST_PIXELS = 64, 2**20


@dataclass(frozen=True)
class Parity:
    """A graph against `predict`.

    Attributes:
        tiles, pixels: compared; no data is not.
        difference: the largest of a probability.
        changed: pixels of another class.
    """

    tiles: int
    pixels: int
    difference: float
    changed: int

    @property
    def holds(self) -> bool:
        """Whether the two give the same, but for rounding."""
        return self.difference <= DIFFERENCE and self.changed <= CHANGED * self.pixels

    def __str__(self) -> str:
        share = self.changed / max(self.pixels, 1)
        return (
            f"{self.tiles} tiles, {self.pixels:,} pixels: largest difference of a probability {self.difference:.1e}, "
            f"other class in {share:.1e} of the pixels ({self.changed})"
        )


@dataclass(frozen=True)
class Sample:
    """Tiles to compare on: pixels of one size, and the limits of their scenes where scaling is by scene."""

    rows: list[Rows]
    limits: list[Limits | None]


def tiles_of(source: Source, folder: RunFolder | None) -> Catalog:
    """The validation tiles of a run where it says which they are, or else all of a source.

    Raises:
        DataError: there are none.
    """
    catalog = source.catalog()
    if folder is None or not folder.splits.exists():
        return catalog
    wanted = set(part(folder.read_splits(), "val"))
    there = [t.id for t in catalog.tiles if t.id in wanted or not wanted]
    if not there:
        raise DataError("none of the tiles that the run was validated on is there", source.data.root, "restore them")
    return catalog.subset(there)


def sampled(source: Source, catalog: Catalog, size: tuple[int, int], scaling: Sequence[MeasuredScaling]) -> Sample:
    """Some tiles of a catalog, cut to one size, or made up to it with no data.

    Raises:
        DataError: a file is damaged.
    """
    count = max(4, min(MOST_TILES, MOST_PIXELS // (size[0] * size[1])))
    tiles = some(list(catalog.tiles), count)
    by_scene = [s.config for s in scaling if s.config.basis == "scene"]
    groups = {tile.group for tile in tiles}
    limits = scene_limits(source, by_scene[0], catalog, groups) if by_scene else {}
    return Sample([_cut(source, tile, size) for tile in tiles], [limits.get(tile.group) for tile in tiles])


def _cut(source: Source, tile: Tile, size: tuple[int, int]) -> Rows:
    raw, valid = read_pixels(source, tile)
    height, width = valid.shape
    if raw.dtype.kind == "f":
        valid = valid & np.isfinite(raw).all(0)
    missing = ((0, max(0, size[0] - height)), (0, max(0, size[1] - width)))
    raw, valid = np.pad(raw, ((0, 0), *missing)), np.pad(valid, missing)
    return Rows(raw[:, : size[0], : size[1]], valid[: size[0], : size[1]])


def compare(
    run: Run, graph: Graph, members: Sequence[Member], sample: Sample, config: Predict, fit: Fit | None
) -> Parity:
    """An exported graph against the networks that `predict` runs, in float32, tile by tile.

    Args:
        config: decoding; what a single pixel does not decide is left out of it here.
    """
    config = config.model_copy(update={"vote": False, "min_pixels": 0})
    pixels, changed, difference = 0, 0, 0.0
    for rows, limits in zip(sample.rows, sample.limits, strict=True):
        limits = graph.form.limits or limits
        mean = mean_probabilities([replace(m, limits=limits) for m in members], [rows])
        valid = torch.from_numpy(rows.valid)
        expected = calibrated(mean, fit)
        classes = decode(mean, valid[None], config, fit)[0]
        if graph.form.deepness:
            expected = graph.shares(mean, expected, valid[None, None])
        answer = run(graph_input(rows, graph)[None], np.array([limits], np.float32) if graph.takes_limits else None)
        given = answer[1][0] if len(answer) > 1 else answer[0][0].argmax(0)
        pixels += int(rows.valid.sum())
        changed += int((given != classes)[rows.valid].sum())
        apart = np.abs(answer[0][0] - expected[0].numpy())[:, rows.valid]
        difference = max(difference, float(np.nan_to_num(apart, nan=np.inf).max(initial=0)))
    return Parity(len(sample.rows), pixels, difference, changed)


def graph_input(rows: Rows, graph: Graph) -> NDArray[np.float32]:
    """Raw pixels (C, H, W) as a graph takes them: NaN where only the file says that they are no data."""
    known = np.zeros_like(rows.valid) if graph.nodata is None else ~(rows.raw != graph.nodata).all(0)
    image = np.where(rows.valid | known, rows.raw, np.nan)
    # As the plugin does it: the quotient in double precision.
    return np.asarray(image / DEEPNESS if graph.form.deepness else image, np.float32)
