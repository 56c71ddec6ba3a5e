"""Counts of labelled tiles as they are scored: by scene, kind of tile and reference row; objects; confidence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.mosaic import Cell, assemble, clusters
from seepseg.inference.score import Sums, TileResult
from seepseg.metrics import calibration
from seepseg.metrics.baseline import commonest_class, dark_spots, nothing, one_class, shifted
from seepseg.metrics.boundary import SurfaceCounts, surface_counts
from seepseg.metrics.calibration import Reliability, reliability
from seepseg.metrics.detection import Detections, detections
from seepseg.metrics.froc import FrocCounts, froc_counts
from seepseg.metrics.matching import TruthObjects
from seepseg.metrics.salt_score import soft_counts

FROC_THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)

Brightness = Callable[[Tile], tuple[NDArray[np.generic], NDArray[np.bool_]]]
"""Raw pixels (H, W) of a tile and where they are valid."""

Classes = NDArray[np.uint8]
Planes = tuple[Classes, Classes, NDArray[np.float32]]
"""Truth, prediction, and probability of any foreground, (H, W) each."""


class Accumulator:
    """Counts of tiles that are scored one after another, in the order of the catalog.

    Tiles that are cells of one scene are put together before objects are counted, so that an object cut by a tile
    border is one object. One scene at a time is in memory, and only where it is put together.

    Attributes:
        catalog: the tiles, their classes counted.
        n_tiles: those counted so far.
        per_tile: whether tiles are also scored one by one, as salt is.
        min_pixels: objects below it are dropped on the FROC curve, as in decoding.
        scenes: sums of each scene.
        references: sums of each reference row.
        coverage: sums by the tenth of the tile that is foreground (per_tile).
        flags: sums by the flag of the tile; "" is no flag (per_tile).
        tgs: TGS score of each tile (per_tile).
        objects: object counts of each scene.
        froc: object counts at every threshold.
        surfaces: boundary counts of all tiles.
        soft: (T, 3) soft counts of each tile, in the order of the catalog.
        reliability: histograms of confidence, of foreground and of the likeliest class.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        per_tile: bool = False,
        pixel_size: float | None = None,
        brightness: Brightness | None = None,
    ) -> None:
        """Counts of no tile.

        Args:
            pixel_size: side of a pixel in metres, where it is known.
            brightness: reads the raw pixels of a radar tile for the dark-spot row; None leaves that row out. It reads
                the file again, because what the network was given may be scaled by tile or against its surroundings.
        """
        self.catalog, self.per_tile = catalog, per_tile
        self.n_tiles = self.min_pixels = 0
        self._pixel_size, self._brightness = pixel_size, brightness
        k = self._classes = len(catalog.classes)
        self._commonest = commonest_class(catalog.pixels().sum(0))
        self._tiles = {t.id: (i, t) for i, t in enumerate(catalog.tiles)}
        self._group = ""
        self._cells: dict[Cell, Planes] = {}
        self.scenes = defaultdict[str, Sums](lambda: Sums.empty(k))
        self.references = defaultdict[str, Sums](lambda: Sums.empty(k))
        self.coverage = defaultdict[int, Sums](lambda: Sums.empty(k))
        self.flags = defaultdict[str, Sums](lambda: Sums.empty(k))
        self.tgs: dict[str, float] = {}
        self.objects = defaultdict[str, Detections](lambda: Detections.empty(k))
        self.froc = FrocCounts.empty(FROC_THRESHOLDS)
        self.surfaces = SurfaceCounts.empty(k)
        self.soft = np.zeros((len(catalog), 3))
        self.reliability = {"foreground": Reliability.empty(), "likeliest class": Reliability.empty()}

    def update(self, result: TileResult) -> None:
        """Count a tile."""
        row, tile = self._tiles[result.id]
        self.n_tiles += 1
        self.scenes[tile.group] += result.sums
        self.surfaces += surface_counts(result.truth, result.prediction, self._classes)
        foreground = calibration.foreground(result.probabilities, result.truth)
        self.reliability["foreground"] += reliability(*foreground)
        self.reliability["likeliest class"] += reliability(*calibration.top_label(result.probabilities, result.truth))
        # By place in the catalog: whatever batches the network is given, those of the published scores are the same.
        self.soft[row] = soft_counts(*foreground)
        for name, stand_in in self._stand_ins(tile, result.truth):
            self.references[name] += Sums.of_tile(result.truth, stand_in, self._classes)
        if self.per_tile:
            self.coverage[tile.coverage_class or 0] += result.sums
            self.flags[tile.flag] += result.sums
            self.tgs[result.id] = result.sums.tgs_score or 0.0
        planes = result.truth, result.prediction, _foreground(result)
        if tile.cell is None:
            self._count_objects(tile.group, *planes)
            return
        if self._group != tile.group or tile.cell in self._cells:
            self.end_scene()
        self._group = tile.group
        self._cells[tile.cell] = planes

    def end_scene(self) -> None:
        """Count the objects of the scene whose tiles came last; call it once more after the last tile."""
        for touching in clusters(self._cells):
            cells = {i: self._cells[i] for i in touching}
            self._count_objects(
                self._group,
                assemble({i: truth for i, (truth, _, _) in cells.items()}),
                assemble({i: prediction for i, (_, prediction, _) in cells.items()}),
                assemble({i: foreground for i, (_, _, foreground) in cells.items()}, np.nan),
            )
        self._cells = {}

    def _count_objects(self, scene: str, truth: Classes, prediction: Classes, foreground: NDArray[np.float32]) -> None:
        objects = TruthObjects(np.where((truth == IGNORE) | (prediction == IGNORE), np.uint8(0), truth))
        self.objects[scene] += detections(truth, prediction, self._classes, self._pixel_size, objects)
        self.froc += froc_counts(truth, foreground, FROC_THRESHOLDS, self.min_pixels, self._pixel_size, objects)

    def _stand_ins(self, tile: Tile, truth: Classes) -> Iterator[tuple[str, Classes]]:
        """Predictions of the reference rows by name."""
        yield "predict nothing", nothing(truth)
        yield "perfect outline, one class", one_class(truth, self._commonest)
        yield "truth shifted by (1, 1)", shifted(truth)
        if self._brightness:
            raw, valid = self._brightness(tile)
            yield "dark spots", np.where(truth == IGNORE, truth, dark_spots(raw, valid, self._commonest))


def _foreground(result: TileResult) -> NDArray[np.float32]:
    """Probability (H, W) of any foreground, NaN where nothing was predicted."""
    return np.where(result.prediction == IGNORE, np.float32(np.nan), 1 - result.probabilities[0])
