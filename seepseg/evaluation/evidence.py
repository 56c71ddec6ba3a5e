"""What a pass over labelled tiles leaves behind beside the sums: by scene, by tile, by object, by confidence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.mosaic import Cell, assemble, clusters
from seepseg.evaluation.breakdown import Breakdown
from seepseg.inference.score import TileResult
from seepseg.metrics import calibration
from seepseg.metrics.baseline import dark_spots, nothing, one_class, shifted
from seepseg.metrics.boundary import SurfaceCounts, surface_counts
from seepseg.metrics.calibration import Reliability, reliability
from seepseg.metrics.confusion import confusion_matrix
from seepseg.metrics.detection import CRITERIA, Detections, FrocCounts, detections, froc_counts
from seepseg.metrics.matching import TruthObjects
from seepseg.metrics.published import soft_counts
from seepseg.metrics.salt_score import tgs_score

REFERENCES = ("predict nothing", "perfect outline, one class", "truth shifted by (1, 1)")
DARK = "dark spots"

FROC_THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)

Brightness = Callable[[Tile], tuple[NDArray[np.generic], NDArray[np.bool_]]]
"""Raw pixels (H, W) of a tile and where they are valid."""


Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]
"""Truth, prediction, and probability of any foreground, (H, W) each."""

IOU25 = CRITERIA.index("iou25")


@dataclass
class Evidence:
    """Counts that add up, gathered as tiles stream by in the order of the catalog.

    Tiles of one scene are put together before objects are counted, where `data.grid` says how, so that an object cut by
    a tile border is one object. One scene at a time is held, and only where it is put together.

    Attributes:
        brightness: reads the raw pixels of a radar tile for the dark-spot row; None leaves that row out. It reads the
            file again, because what the network was given may be scaled by tile or against its surroundings.
        pixel_size: side of a pixel in metres, where it is known.
        salt: whether the tiles are of salt, which is scored tile by tile as well.
        min_pixels: objects below it are dropped on the FROC curve, as in decoding.
        matrices: confusion matrix (K, K) of each scene, rows truth.
        tgs: TGS score of each tile of salt.
        objects: object counts of all scenes.
        froc: object counts at every threshold.
        surfaces: boundary counts of all tiles.
        soft: (T, 3) soft counts of each tile, in the order of the catalog.
        reliability: histograms of confidence, of the likeliest class and of foreground.
        references: confusion matrix of each reference row.
        reference_tgs: TGS scores of each reference row.
        by_coverage: salt scores by the tenth of the tile that is salt.
        by_flag: salt scores by the flag of the tile; "" is no flag.
        object_counts: of each scene: objects, those found at the lowest IoU, of these those of the right class, false
            alarms, valid pixels.
    """

    catalog: Catalog
    commonest: int
    brightness: Brightness | None = None
    min_pixels: int = 0
    pixel_size: float | None = None
    salt: bool = False
    matrices: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    tgs: dict[str, float] = field(default_factory=dict)
    references: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    reference_tgs: dict[str, list[float]] = field(default_factory=dict)
    by_coverage: dict[int, Breakdown] = field(default_factory=dict)
    by_flag: dict[str, Breakdown] = field(default_factory=dict)
    object_counts: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start from nothing."""
        k = len(self.catalog.classes)
        self._tiles = {t.id: t for t in self.catalog.tiles}
        self._row = {t.id: i for i, t in enumerate(self.catalog.tiles)}
        self._group: str | None = None
        self._scene: dict[Cell, Planes] = {}
        self.objects = Detections.empty(k)
        self.froc = FrocCounts.empty(FROC_THRESHOLDS)
        self.surfaces = SurfaceCounts.empty(k)
        self.soft = np.zeros((len(self.catalog), 3))
        self.reliability = {"foreground": Reliability.empty(), "likeliest class": Reliability.empty()}
        names = (*REFERENCES, *([DARK] if self.brightness else []))
        self.references = {name: np.zeros((k, k), np.int64) for name in names}
        self.reference_tgs = {name: [] for name in names}

    def see(self, result: TileResult) -> None:
        """Take note of a tile."""
        k, tile = len(self.catalog.classes), self._tiles[result.id]
        held = self.matrices.setdefault(tile.group, np.zeros((k, k), np.int64))
        held += result.matrix
        self.surfaces += surface_counts(result.truth, result.prediction, k)
        foreground = calibration.foreground(result.probabilities, result.truth)
        # By place in the catalog: whatever batches the network is given, those of the published scores are the same.
        self.soft[self._row[result.id]] = soft_counts(*foreground)
        for name, pairs in (
            ("foreground", foreground),
            ("likeliest class", calibration.top_label(result.probabilities, result.truth)),
        ):
            self.reliability[name] += reliability(*pairs)
        for name, stand_in in self._stand_ins(tile, result).items():
            self.references[name] += confusion_matrix(result.truth, stand_in, k)
            if self.salt:
                self.reference_tgs[name].append(tgs_score(result.truth, stand_in))
        if self.salt:
            self.tgs[result.id] = tgs_score(result.truth, result.prediction)
            self.by_coverage.setdefault(tile.coverage_class or 0, Breakdown.empty()).add(result)
            self.by_flag.setdefault(tile.flag, Breakdown.empty()).add(result)
        planes = result.truth, result.prediction, _foreground(result)
        if tile.cell is None:
            self._count(tile.group, *planes)
            return
        if self._group != tile.group or tile.cell in self._scene:
            self.finish()
        self._group = tile.group
        self._scene[tile.cell] = planes

    def finish(self) -> None:
        """Count the objects of the scene that is held."""
        if self._group is None:
            return
        for cells in clusters(self._scene):
            here = {i: self._scene[i] for i in cells}
            self._count(
                self._group,
                assemble({i: truth for i, (truth, _, _) in here.items()}),
                assemble({i: predicted for i, (_, predicted, _) in here.items()}),
                assemble({i: foreground for i, (_, _, foreground) in here.items()}, np.nan),
            )
        self._scene = {}

    def _count(
        self, group: str, truth: NDArray[np.uint8], predicted: NDArray[np.uint8], foreground: NDArray[np.float32]
    ) -> None:
        known = TruthObjects(np.where((truth == IGNORE) | (predicted == IGNORE), np.uint8(0), truth))
        seen = detections(truth, predicted, len(self.catalog.classes), self.pixel_size, known)
        self.objects += seen
        counts = [seen.objects, seen.found[IOU25], seen.right[IOU25], seen.false_alarms, seen.valid_pixels]
        held = self.object_counts.setdefault(group, np.zeros(len(counts), np.int64))
        held += [np.sum(c) for c in counts]
        self.froc += froc_counts(truth, foreground, FROC_THRESHOLDS, self.min_pixels, self.pixel_size, known)

    def _stand_ins(self, tile: Tile, result: TileResult) -> dict[str, NDArray[np.uint8]]:
        truth = result.truth
        rows = (nothing(truth), one_class(truth, self.commonest), shifted(truth))
        found = dict(zip(REFERENCES, rows, strict=True))
        if self.brightness:
            raw, valid = self.brightness(tile)
            dark = dark_spots(raw, valid, self.commonest)
            found[DARK] = np.where(truth == IGNORE, truth, dark)
        return found


def _foreground(result: TileResult) -> NDArray[np.float32]:
    """Probability (H, W) of any foreground, NaN where nothing was predicted."""
    return np.where(result.prediction == IGNORE, np.float32(np.nan), 1 - result.probabilities[0])
