"""What a pass over labelled tiles leaves behind beside the sums: by scene, by tile, by object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seepseg.data.catalog import Catalog, Tile
from seepseg.data.mosaic import assemble, columns_of
from seepseg.inference.score import TileResult
from seepseg.metrics.baseline import nothing, one_class, shifted
from seepseg.metrics.boundary import SurfaceCounts, surface_counts
from seepseg.metrics.confusion import confusion_matrix
from seepseg.metrics.detection import Detections, detections
from seepseg.metrics.salt_score import tgs_score

REFERENCES = ("predict nothing", "perfect outline, one class", "truth shifted by (1, 1)")


@dataclass
class Evidence:
    """Counts that add up, gathered as tiles stream by in the order of the catalog.

    Tiles of one scene are put together before objects are counted, where `data.grid` says how, so that an object cut by
    a tile border is one object. One scene at a time is held.

    Attributes:
        matrices: confusion matrix (K, K) of each scene, rows truth.
        tgs: TGS score of each tile, where there is one class.
        objects: object counts of all scenes.
        surfaces: boundary counts of all tiles.
        references: confusion matrix of each reference row.
        reference_tgs: TGS scores of each reference row.
    """

    catalog: Catalog
    grid: Mapping[str, int]
    commonest: int
    matrices: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    tgs: dict[str, float] = field(default_factory=dict)
    references: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    reference_tgs: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start from nothing."""
        k = len(self.catalog.classes)
        self._tiles = {t.id: t for t in self.catalog.tiles}
        self._scene: list[tuple[Tile, TileResult]] = []
        self.objects = Detections.empty(k)
        self.surfaces = SurfaceCounts.empty(k)
        self.references = {name: np.zeros((k, k), np.int64) for name in REFERENCES}
        self.reference_tgs = {name: [] for name in REFERENCES}

    def see(self, result: TileResult) -> None:
        """Take note of a tile."""
        k, tile = len(self.catalog.classes), self._tiles[result.id]
        held = self.matrices.setdefault(tile.group, np.zeros((k, k), np.int64))
        held += result.matrix
        self.surfaces += surface_counts(result.truth, result.prediction, k)
        stand_ins = (nothing(result.truth), one_class(result.truth, self.commonest), shifted(result.truth))
        for name, stand_in in zip(REFERENCES, stand_ins, strict=True):
            self.references[name] += confusion_matrix(result.truth, stand_in, k)
            if k == 2:
                self.reference_tgs[name].append(tgs_score(result.truth, stand_in))
        if k == 2:
            self.tgs[result.id] = tgs_score(result.truth, result.prediction)
        if self._scene and self._scene[0][0].group != tile.group:
            self.finish()
        self._scene.append((tile, result))

    def finish(self) -> None:
        """Count the objects of the scene that is held."""
        if not self._scene:
            return
        k = len(self.catalog.classes)
        columns = columns_of(self._scene[0][0].group, self.grid)
        indexed = {t.index: r for t, r in self._scene if t.index is not None}
        if columns and len(indexed) == len(self._scene):
            truth = assemble({i: r.truth for i, r in indexed.items()}, columns)
            predicted = assemble({i: r.prediction for i, r in indexed.items()}, columns)
            self.objects += detections(truth, predicted, k)
        else:
            for _, result in self._scene:
                self.objects += detections(result.truth, result.prediction, k)
        self._scene = []
