"""Counts of labelled tiles as they are scored: by scene, kind of tile and reference row; objects; confidence."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from operator import add
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.data.catalog import Catalog, Tile
from seepseg.evaluation.summary import Decoded, Evidence, Headline, headline
from seepseg.inference.score import Sums, TileResult
from seepseg.metrics import calibration
from seepseg.metrics.baseline import dark_spots, most_common_class, nothing, one_class, shifted
from seepseg.metrics.bootstrap import bootstrap, bootstrap_mean, bootstrap_scores
from seepseg.metrics.boundary import TOLERANCES, SurfaceCounts, surface_counts
from seepseg.metrics.calibration import Reliability, reliability
from seepseg.metrics.detection import Detections, ObjectScores, detections, object_scores
from seepseg.metrics.froc import FrocCounts, froc_counts
from seepseg.metrics.matching import TruthObjects
from seepseg.metrics.salt_score import batch_scores, soft_counts
from seepseg.metrics.whole import whole_counts, whole_scores
from seepseg.objects.components import label_objects
from seepseg.scenes.mosaic import Cell, assemble, clusters

FROC_THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
LIKELY = np.array([0, *FROC_THRESHOLDS], np.float32)
"""The probability of foreground that is reached, by how many thresholds are."""

Brightness = Callable[[Tile], tuple[NDArray[np.generic], NDArray[np.bool_]]]
"""Raw pixels (H, W) of a tile and where they are valid."""

Classes = NDArray[np.uint8]
Key = tuple[str, str]
"""A scene and what the bootstrap draws of it."""
Place = Literal["scene", "tile", "block"]
C = TypeVar("C", Sums, Detections, SurfaceCounts, NDArray[np.float64])


class _Cell(NamedTuple):
    """A tile that is kept until its scene can be put together.

    Attributes:
        block: of ground.
        min_pixels: with which it was decoded.
        shape: of `_planes`.
        packed: these, compressed: most is sea, and where folds divide scenes all of them may be kept.
    """

    block: str
    min_pixels: int
    shape: tuple[int, ...]
    packed: bytes

    def unpacked(self) -> Classes:
        """Its planes."""
        return np.frombuffer(zlib.decompress(self.packed), np.uint8).reshape(self.shape)


class Accumulator:
    """Counts of tiles that are scored one after another, in the order of the catalog.

    Tiles that are cells of one scene are put together before objects are counted, so that an object cut by a tile
    border is one object. That is done after the last tile of a scene, which may come with another fold than the first.

    Attributes:
        catalog: the tiles, their classes counted.
        n_tiles: those counted so far.
        per_tile: whether tiles are also scored one by one, as salt is.
        min_pixels: objects below it are dropped on the FROC curve, as in decoding: the mean, where its tiles differ.
        place: what the bootstrap draws: "scene", "tile", or "block" of ground where such were held out.
        sums: of each scene and block; the block is the scene where no blocks were held out, here and below.
        references: sums of this run and of each reference row.
        coverage: sums by the tenth of the tile that is foreground (per_tile).
        flags: sums by the flag of the tile; "" is no flag (per_tile).
        tgs: TGS score of each tile (per_tile).
        objects: object counts of each scene and block; what reaches into several counts in one, see `_undivided`.
        froc: object counts at every threshold.
        surfaces: boundary counts of each scene and block.
        soft: (T, 3) soft counts of each tile, in the order of the catalog.
        reliability: histograms of confidence, of foreground and of the top class.
    """

    def __init__(
        self,
        catalog: Catalog,
        *,
        per_tile: bool = False,
        pixel_size: float | None = None,
        brightness: Brightness | None = None,
        blocks: Mapping[str, str] | None = None,
    ) -> None:
        """Counts before the first tile.

        Args:
            blocks: of ground, by the id of the tile, where such were held out.
            pixel_size: side of a pixel in metres, where it is known.
            brightness: reads the raw pixels of a radar tile for the dark-spot row; None leaves that row out. It reads
                the file again, because the network's input may be scaled by tile or against its surroundings.
        """
        self.catalog, self.per_tile = catalog, per_tile
        self.n_tiles = self.min_pixels = 0
        self._pixel_size, self._brightness = pixel_size, brightness
        k = self._classes = len(catalog.classes)
        self._most_common = most_common_class(catalog.pixels().sum(0))
        self._tiles = {t.id: (i, t) for i, t in enumerate(catalog.tiles)}
        self._left = Counter(t.group for t in catalog.tiles)
        self._cells = defaultdict[str, dict[Cell, _Cell]](dict)
        self._blocks = blocks or {t.id: t.group for t in catalog.tiles}
        self.place: Place = "block" if blocks else "tile" if per_tile else "scene"
        self.sums = defaultdict[Key, Sums](lambda: Sums.empty(k))
        self.references = defaultdict[str, Sums](lambda: Sums.empty(k))
        self.coverage = defaultdict[int, Sums](lambda: Sums.empty(k))
        self.flags = defaultdict[str, Sums](lambda: Sums.empty(k))
        self.tgs: dict[str, float] = {}
        self.objects = defaultdict[Key, Detections](lambda: Detections.empty(k))
        self.froc = FrocCounts.empty(FROC_THRESHOLDS)
        self.surfaces = defaultdict[Key, SurfaceCounts](lambda: SurfaceCounts.empty(k))
        self.soft = np.zeros((len(catalog), 3))
        self.reliability = {"foreground": Reliability.empty(), "top class": Reliability.empty()}

    def update(self, result: TileResult) -> None:
        """Count a tile."""
        row, tile = self._tiles[result.id]
        self.n_tiles += 1
        key = tile.group, self._blocks[tile.id]
        self.sums[key] += result.sums
        self.surfaces[key] += surface_counts(result.truth, result.prediction, self._classes)
        foreground = calibration.foreground(result.probabilities, result.truth)
        self.reliability["foreground"] += reliability(*foreground)
        self.reliability["top class"] += reliability(*calibration.top_label(result.probabilities, result.truth))
        # In the order of the catalog, so that published scores do not depend on the batches of the network.
        self.soft[row] = soft_counts(*foreground)
        for name, prediction in self._reference_rows(tile, result):
            self.references[name] += Sums.of_tile(result.truth, prediction, self._classes)
        if self.per_tile:
            self.coverage[tile.coverage_class or 0] += result.sums
            self.flags[tile.flag] += result.sums
            self.tgs[result.id] = result.sums.tgs_score or 0.0
        planes, cells = _planes(result), self._cells[tile.group]
        if tile.cell is None or tile.cell in cells or not _objects_in(planes):
            # Alone also where no object is, or reaches: whole scenes are mostly empty, and may be larger than memory.
            self._count_objects([key], planes, self.min_pixels)
        else:
            cells[tile.cell] = _Cell(key[1], self.min_pixels, planes.shape, zlib.compress(planes.tobytes(), 1))
        self._left[tile.group] -= 1
        if not self._left[tile.group]:
            self._end_scene(tile.group)

    def _end_scene(self, scene: str) -> None:
        """Count the objects of a scene of which all tiles were counted."""
        cells = self._cells.pop(scene)
        for touching in clusters(cells):
            own = {i: cells[i] for i in touching}
            blocks = sorted({cell.block for cell in own.values()})
            owner = {i: np.full(cell.shape[1:], blocks.index(cell.block), np.uint16) for i, cell in own.items()}
            self._count_objects(
                [(scene, block) for block in blocks],
                _whole({i: cell.unpacked() for i, cell in own.items()}),
                round(sum(cell.min_pixels for cell in own.values()) / len(own)),
                assemble(owner, 0) if len(blocks) > 1 else None,
            )

    def compute(self, decoding: Decoded) -> Evidence:
        """The scores that follow from the counts; call it after the last tile."""
        names, per_tile = self.catalog.classes.names[1:], self.per_tile
        drawn = bootstrap(np.stack([sums.matrix for sums in joined(self.sums, 1).values()]))
        whole = np.stack(list(joined(self.whole, 1).values()))
        intervals = drawn.intervals | bootstrap_scores(whole, whole_scores)
        surfaces = reduce(add, self.surfaces.values()).surface_dice()
        if per_tile:
            intervals["tgs_score"] = bootstrap_mean(np.array([score for _, score in sorted(self.tgs.items())]))
        return Evidence(
            intervals=intervals,
            lacking=dict(zip(names, drawn.lacking, strict=True)),
            objects=self.object_scores()[0],
            surface_dice={f"{t:g} px": row[0] for t, row in zip(TOLERANCES, surfaces, strict=True)},
            references=headlines(self.references, per_tile),
            as_published=batch_scores(self.soft),
            calibration={name: bins.expected_error() for name, bins in self.reliability.items()},
            froc=self.froc.columns(),
            decoding=decoding,
            drawn=self.place,
            by_coverage=headlines(_by_coverage(self.coverage), per_tile) if per_tile else None,
            by_flag=headlines(_by_flag(self.flags), per_tile) if per_tile else None,
        )

    @property
    def scenes(self) -> dict[str, Sums]:
        """The sums of each scene."""
        return joined(self.sums, 0)

    @property
    def whole(self) -> dict[Key, NDArray[np.float64]]:
        """The `whole_counts` of each scene and block."""
        empty = Detections.empty(self._classes)
        return {key: whole_counts(self.objects.get(key, empty), of_key) for key, of_key in self.surfaces.items()}

    def object_scores(self) -> list[ObjectScores]:
        """Object scores of all scenes: of everything, by class, by size, and by both."""
        return object_scores(reduce(add, joined(self.objects, 0).values()), self.catalog.classes.names[1:])

    def _count_objects(
        self, keys: Sequence[Key], planes: Classes, min_pixels: int, owner: NDArray[np.uint16] | None = None
    ) -> None:
        """Count the objects of planes (3, H, W); of several keys, `owner` (H, W) has the number of each pixel's."""
        truth, prediction, levels = planes
        objects = TruthObjects(np.where((truth == IGNORE) | (prediction == IGNORE), np.uint8(0), truth))
        likely = np.where(prediction == IGNORE, np.float32(np.nan), LIKELY[levels])
        self.froc += froc_counts(truth, likely, FROC_THRESHOLDS, min_pixels, self._pixel_size, objects)
        if owner is None:
            self.objects[keys[0]] += detections(truth, prediction, self._classes, self._pixel_size, objects)
            return
        owner = _undivided(owner, truth, prediction)
        for number, key in enumerate(keys):
            t, p = (np.where(owner == number, plane, np.uint8(IGNORE)) for plane in (truth, prediction))
            self.objects[key] += detections(t, p, self._classes, self._pixel_size)

    def _reference_rows(self, tile: Tile, result: TileResult) -> Iterator[tuple[str, Classes]]:
        """Predictions of a tile by name: this run's, and simple ones in its place."""
        truth = result.truth
        yield "this run", result.prediction
        yield "predict nothing", nothing(truth)
        yield "perfect outline, one class", one_class(truth, self._most_common)
        yield "truth shifted by (1, 1)", shifted(truth)
        if self._brightness:
            raw, valid = self._brightness(tile)
            yield "dark spots", np.where(truth == IGNORE, truth, dark_spots(raw, valid, self._most_common))


def _planes(result: TileResult) -> Classes:
    """Truth, prediction, and how many of `FROC_THRESHOLDS` the foreground reaches (3, H, W); 0 without a prediction."""
    levels = np.searchsorted(LIKELY[1:], 1 - result.probabilities[0], side="right").astype(np.uint8)
    return np.stack([result.truth, result.prediction, np.where(result.prediction == IGNORE, np.uint8(0), levels)])


def _objects_in(planes: Classes) -> bool:
    """Whether planes (3, H, W) hold a pixel of an object, true or predicted at any threshold."""
    return bool(((planes > 0) & (planes != IGNORE)).any())


def _whole(tiles: Mapping[Cell, Classes]) -> Classes:
    """Planes (3, H, W) of tiles put together; where there is none, nothing is known or predicted."""
    planes = [{cell: tile[k] for cell, tile in tiles.items()} for k in range(3)]
    return np.stack([assemble(*each) for each in zip(planes, (IGNORE, IGNORE, 0), strict=True)])


def _undivided(owner: NDArray[np.uint16], truth: Classes, prediction: Classes) -> NDArray[np.uint16]:
    """The owners (H, W) of pixels, where objects that touch, true or predicted, have one: that of most of them.

    Of most true pixels where there are any, so that true objects belong to the same owner whatever is predicted, but
    where a prediction joins several of them.
    """
    known = (truth != IGNORE) & (prediction != IGNORE)
    true, width = known & (truth > 0), int(owner.max()) + 1
    labels, count = label_objects((true | (known & (prediction > 0))).astype(np.uint8))

    def pixels(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        flat = labels[chosen].astype(np.int64) * width + owner[chosen]
        return np.bincount(flat, minlength=(count + 1) * width).reshape(-1, width)

    most = pixels(labels > 0).argmax(1)  # one table after the other: a noisy scene has many objects
    by_truth = pixels(true)
    rows = by_truth.any(1)
    most[rows] = by_truth[rows].argmax(1)
    return np.where(labels > 0, most.astype(np.uint16)[labels], owner)


def joined(counts: Mapping[Key, C], part: Literal[0, 1]) -> dict[str, C]:
    """The sums of counts by one part of their keys, in the order of its names, on which draws then depend alone."""
    out = dict[str, C]()
    for key in sorted(counts, key=lambda key: (key[part], key)):
        out[key[part]] = out[key[part]] + counts[key] if key[part] in out else counts[key]
    return out


def headlines(sums: Mapping[str, Sums], per_tile: bool) -> dict[str, Headline]:
    """The headline scores of sums by name."""
    return {name: headline(one, per_tile=per_tile) for name, one in sums.items()}


def _by_coverage(tenths: Mapping[int, Sums]) -> dict[str, Sums]:
    """Sums by the share of foreground, such as "0.1–0.2"."""
    return {f"{(t - 1) / 10:.1f}–{t / 10:.1f}" if t else "none": tenths[t] for t in sorted(tenths)}


def _by_flag(flags: Mapping[str, Sums]) -> dict[str, Sums]:
    """Sums of all tiles, of those without a flag, and of those with each; nothing where no tile has one."""
    flagged = {flag: flags[flag] for flag in sorted(flags) if flag}
    unflagged = flags[""] if "" in flags else Sums.empty(2)
    return {"all tiles": reduce(add, flags.values()), "without flagged": unflagged, **flagged} if flagged else {}
