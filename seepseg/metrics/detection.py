"""Object scores of a scene: which objects were found, which findings are false, by class, size and threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.metrics.matching import SparseObjects, TruthObjects
from seepseg.objects.components import label_objects

CRITERIA = ("iou25", "iou50", "touched")
"""An object is found if a predicted object overlaps it at IoU ≥ .25, or ≥ .5; it is touched if the prediction covers
≥ 10 % of its length."""

SIZE_EDGES = (50, 200, 1000)
"""Objects of fewer than 50 pixels, 50–199, 200–999, and 1000 or more."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Detections:
    """Counts of objects by class (K − 1) and size (4), to be added up over scenes.

    Attributes:
        objects: truth objects by their commonest class and their pixels.
        found: (3, K − 1, 4) those found, by `CRITERIA`.
        right: (3, K − 1, 4) those found whose commonest predicted class on the object is its own.
        predicted: predicted objects by their commonest class and their pixels.
        false_alarms: predicted objects without a single pixel on a truth object.
        valid_pixels: pixels looked at.
        valid_km2: their area; None where the pixel size of a scene is not known.
    """

    objects: Ints
    found: Ints
    right: Ints
    predicted: Ints
    false_alarms: Ints
    valid_pixels: int
    valid_km2: float | None

    @classmethod
    def empty(cls, n_classes: int) -> Detections:
        """Counts of no scene."""
        one = np.zeros((n_classes - 1, len(SIZE_EDGES) + 1), np.int64)
        three = np.zeros((len(CRITERIA), *one.shape), np.int64)
        return cls(one, three, three, one, one, 0, 0.0)

    def __add__(self, other: Detections) -> Detections:
        return Detections(
            self.objects + other.objects,
            self.found + other.found,
            self.right + other.right,
            self.predicted + other.predicted,
            self.false_alarms + other.false_alarms,
            self.valid_pixels + other.valid_pixels,
            _area(self.valid_km2, other.valid_km2),
        )


@dataclass(frozen=True)
class DetectionRow:
    """Object scores of one class and size; `None` for class or size means all of them, for a score not defined.

    Attributes:
        class_index: 1 … K − 1.
        size: number of the size bin, 0 … 3.
        rate: share of the objects found, by criterion.
        class_accuracy: share of the found objects with the right class, by criterion.
    """

    class_index: int | None
    size: int | None
    objects: int
    rate: dict[str, float | None]
    class_accuracy: dict[str, float | None]
    predicted: int
    false_alarms: int
    false_alarms_per_mpx: float | None
    false_alarms_per_1000_km2: float | None


def detection_rows(counts: Detections) -> list[DetectionRow]:
    """Object scores of everything, of each class, of each size, and of each class and size, in this order."""
    n_classes, n_sizes = counts.objects.shape
    classes, sizes = range(n_classes), range(n_sizes)
    cells = [(None, None), *((c, None) for c in classes), *((None, s) for s in sizes)]
    return [_row(counts, c, s) for c, s in [*cells, *((c, s) for c in classes for s in sizes)]]


def detections(
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    n_classes: int,
    pixel_size: float | None = None,
    known: TruthObjects | None = None,
) -> Detections:
    """Counts of the objects of one scene from class maps (H, W).

    Pixels that are 255 on either side count nowhere, and cut objects. An object's class is its commonest one, the
    lower index in a tie. One predicted object may find several truth objects.

    Args:
        pixel_size: metres; the side of a square pixel with the area of this scene's.
        known: the truth objects of the pixels that count, where the caller has them already.
    """
    valid = _valid(truth, prediction)
    t, p = (np.where(valid, x, np.uint8(0)) for x in (truth, prediction))
    known, (labels, count) = known or TruthObjects(t), label_objects(p)
    theirs, seen = labels.ravel()[known.pixels], p.ravel()[known.pixels]
    true_class = _class_pixels(known.owner, t.ravel()[known.pixels], known.count, n_classes)
    seen_class = _class_pixels(known.owner, seen, known.count, n_classes)
    predicted_class = _class_pixels(labels[labels > 0], p[labels > 0], count, n_classes)
    found = known.found_by(theirs, np.append(0, predicted_class.sum(1)))
    right = (seen_class.argmax(1) == true_class.argmax(1)) & seen_class.any(1)
    false = np.ones(count + 1, bool)
    false[theirs] = False

    def table(class_pixels: Ints, chosen: NDArray[np.bool_]) -> Ints:
        shape = (n_classes - 1, len(SIZE_EDGES) + 1)
        bins = np.searchsorted(SIZE_EDGES, class_pixels.sum(1), side="right")
        flat = np.ravel_multi_index((class_pixels.argmax(1)[chosen], bins[chosen]), shape)
        return np.bincount(flat, minlength=shape[0] * shape[1]).reshape(shape)

    pixels = int(valid.sum())
    return Detections(
        table(true_class, np.ones(known.count, bool)),
        np.stack([table(true_class, f) for f in found]),
        np.stack([table(true_class, f & right) for f in found]),
        table(predicted_class, np.ones(count, bool)),
        table(predicted_class, false[1:]),
        pixels,
        _km2(pixels, pixel_size),
    )


@dataclass(frozen=True, eq=False)
class FrocCounts:
    """Counts of objects at T thresholds of the foreground probability, to be added up over scenes.

    Attributes:
        thresholds: T probabilities.
        objects: truth objects.
        found: (T, 3) those found, by `CRITERIA`.
        false_alarms: (T) predicted objects without a pixel on a truth object.
        valid_pixels, valid_km2: as in `Detections`.
    """

    thresholds: tuple[float, ...]
    objects: int
    found: Ints
    false_alarms: Ints
    valid_pixels: int
    valid_km2: float | None

    @classmethod
    def empty(cls, thresholds: Sequence[float]) -> FrocCounts:
        """Counts of no scene."""
        n = len(thresholds)
        return cls(tuple(thresholds), 0, np.zeros((n, len(CRITERIA)), np.int64), np.zeros(n, np.int64), 0, 0.0)

    def __add__(self, other: FrocCounts) -> FrocCounts:
        if self.thresholds != other.thresholds:
            raise ValueError("the thresholds differ")
        return FrocCounts(
            self.thresholds,
            self.objects + other.objects,
            self.found + other.found,
            self.false_alarms + other.false_alarms,
            self.valid_pixels + other.valid_pixels,
            _area(self.valid_km2, other.valid_km2),
        )

    def rates(self, criterion: str = "iou25") -> list[float | None]:
        """(T) share of the objects found."""
        return [_over(int(n), self.objects) for n in self.found[:, CRITERIA.index(criterion)]]

    def false_alarms_per_mpx(self) -> list[float | None]:
        """(T) false alarms per million pixels looked at."""
        return [_over(int(n), self.valid_pixels / 1e6) for n in self.false_alarms]

    def false_alarms_per_1000_km2(self) -> list[float | None]:
        """(T) false alarms per 1000 km² looked at."""
        return [_over(int(n), (self.valid_km2 or 0) / 1000) for n in self.false_alarms]


def froc_counts(
    truth: NDArray[np.uint8],
    foreground: NDArray[np.floating],
    thresholds: Sequence[float],
    min_pixels: int = 0,
    pixel_size: float | None = None,
    known: TruthObjects | None = None,
) -> FrocCounts:
    """Counts of one scene at every threshold, from a class map and foreground probabilities 1 − P(background) (H, W).

    A pixel is predicted where its probability reaches the threshold, as in decoding; predicted objects below
    `min_pixels` are dropped. Pixels that are 255 in truth, or whose probability is NaN, count nowhere. `known` are the
    truth objects of the pixels that count, where the caller has them already.
    """
    if truth.shape != foreground.shape:
        raise ValueError(f"truth {truth.shape} and probabilities {foreground.shape} differ in shape")
    valid = (truth != IGNORE) & ~np.isnan(foreground)
    known = known or TruthObjects(np.where(valid, truth, np.uint8(0)))
    sparse = SparseObjects(valid & (foreground >= min(thresholds)))
    likely = foreground.ravel()[sparse.pixels]
    plane = np.zeros(truth.size, np.int32)
    found, false_alarms = [], []
    for threshold in thresholds:
        numbers = sparse.label(likely >= threshold)
        sizes = np.bincount(numbers, minlength=1)
        sizes[0] = 0
        kept = sizes >= max(min_pixels, 1)
        plane[sparse.pixels] = numbers * kept[numbers]
        theirs = plane[known.pixels]
        found.append(known.found_by(theirs, sizes).sum(1))
        kept[theirs] = False
        false_alarms.append(kept.sum())
    pixels, shape = int(valid.sum()), (len(thresholds), len(CRITERIA))
    return FrocCounts(
        tuple(thresholds),
        known.count,
        np.array(found, np.int64).reshape(shape),
        np.array(false_alarms, np.int64),
        pixels,
        _km2(pixels, pixel_size),
    )


def _valid(truth: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> NDArray[np.bool_]:
    if truth.shape != prediction.shape:
        raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} differ in shape")
    return np.asarray((truth != IGNORE) & (prediction != IGNORE))


def _class_pixels(owner: NDArray[np.int32], classes: NDArray[np.uint8], count: int, n_classes: int) -> Ints:
    """(count, K − 1) pixels of each foreground class in each object, from the object and the class of each pixel."""
    flat = (owner.astype(np.int64) - 1) * n_classes + classes
    return np.bincount(flat, minlength=count * n_classes).reshape(count, n_classes)[:, 1:]


def _row(counts: Detections, c: int | None, size: int | None) -> DetectionRow:
    where = (..., slice(None) if c is None else slice(c, c + 1), slice(None) if size is None else slice(size, size + 1))
    objects, predicted, false = (int(x[where].sum()) for x in (counts.objects, counts.predicted, counts.false_alarms))
    found, right = (x[where].sum((1, 2)).tolist() for x in (counts.found, counts.right))
    return DetectionRow(
        None if c is None else c + 1,
        size,
        objects,
        {k: _over(n, objects) for k, n in zip(CRITERIA, found, strict=True)},
        {k: _over(n, of) for k, n, of in zip(CRITERIA, right, found, strict=True)},
        predicted,
        false,
        _over(false, counts.valid_pixels / 1e6),
        _over(false, (counts.valid_km2 or 0) / 1000),
    )


def _over(part: int, whole: float) -> float | None:
    return part / whole if whole else None


def _km2(pixels: int, pixel_size: float | None) -> float | None:
    return None if pixel_size is None else pixels * pixel_size**2 / 1e6


def _area(a: float | None, b: float | None) -> float | None:
    """The sum of two areas; what is not known in part is not known."""
    return None if a is None or b is None else a + b
