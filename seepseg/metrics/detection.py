"""Object scores of scenes: which objects were found, and which are false alarms, by class and size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.metrics.confusion import defined, divided
from seepseg.metrics.counts import Counts
from seepseg.metrics.matching import TruthObjects
from seepseg.objects.components import label_objects

CRITERIA = ("iou25", "iou50", "touched")
"""An object is found if a predicted object overlaps it at IoU ≥ .25, or ≥ .5; it is touched if the prediction covers
≥ 10 % of its length."""

SIZE_EDGES = (50, 200, 1000)
SIZES = ("0–49", "50–199", "200–999", "1000–")
"""Objects by their pixels."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Detections(Counts):
    """Counts of objects by class (K − 1) and size (4), see `SIZES`.

    Weights are roots of pixels, so that one large object does not outweigh all others, nor a speck count as much as it.

    Attributes:
        objects: true objects by their most common class and their pixels.
        found: (3, K − 1, 4) those found, by `CRITERIA`.
        right: (3, K − 1, 4) those found whose most common predicted class on the object is its own.
        predicted: predicted objects by their most common class and their pixels.
        false_alarms: predicted objects without a single pixel on a true object.
        finding: predicted objects that find a true one at IoU ≥ .25.
        class_weights: (3, K − 1, 4) weights of objects whose class is right (tp), predicted and wrong (fp), or true and
            not predicted (fn): those of predicted objects, and in fn also of true ones less than a tenth covered.
        valid_pixels: pixels that count.
        valid_km2: their area; None where the pixel size of a scene is not known.
    """

    objects: Ints
    found: Ints
    right: Ints
    predicted: Ints
    false_alarms: Ints
    finding: Ints
    class_weights: NDArray[np.float64]
    valid_pixels: int
    valid_km2: float | None

    @classmethod
    def empty(cls, n_classes: int) -> Detections:
        """Counts of no scene."""
        one = np.zeros((n_classes - 1, len(SIZES)), np.int64)
        three = np.zeros((len(CRITERIA), *one.shape), np.int64)
        return cls(one, three, three, one, one, one, three.astype(np.float64), 0, 0.0)


@dataclass(frozen=True)
class ObjectScores:
    """Object scores of one class and size, "all" where they are of all; None = not defined.

    Attributes:
        class_: its name.
        pixels: one of `SIZES`.
        objects: true objects.
        found_iou25 …: share of them that is found, by criterion.
        class_accuracy_iou25 …: share of the found ones with the right class.
        f1_iou25: share of all objects, true and predicted, with one of the other kind at IoU ≥ .25, of any class.
        class_f1: of objects weighted by the root of their pixels; of all classes their mean.
        predicted: predicted objects.
        false_alarms: those that touch no true object.
    """

    class_: str
    pixels: str
    objects: int
    found_iou25: float | None
    found_iou50: float | None
    found_touched: float | None
    class_accuracy_iou25: float | None
    class_accuracy_iou50: float | None
    class_accuracy_touched: float | None
    f1_iou25: float | None
    class_f1: float | None
    predicted: int
    false_alarms: int
    false_alarms_per_mpx: float | None
    false_alarms_per_1000_km2: float | None


def object_scores(counts: Detections, names: Sequence[str]) -> list[ObjectScores]:
    """Object scores of everything, of each class, of each size, and of each class and size, in this order.

    `names` are those of the foreground classes.
    """
    classes, sizes = range(len(names)), range(len(SIZES))
    cells = [(None, None), *((c, None) for c in classes), *((None, s) for s in sizes)]
    return [_scores(counts, names, c, s) for c, s in [*cells, *((c, s) for c in classes for s in sizes)]]


def detections(
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    n_classes: int,
    pixel_size: float | None = None,
    truth_objects: TruthObjects | None = None,
) -> Detections:
    """Counts of the objects of one scene from class maps (H, W).

    Pixels that are 255 on either side count nowhere, and cut objects. An object's class is its most common
    one, the lower index in a tie. One predicted object may find several true objects.

    Args:
        pixel_size: metres; the side of a square pixel with the area of this scene's.
        truth_objects: those of the pixels that count, where the caller has them already.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} differ in shape")
    valid = (truth != IGNORE) & (prediction != IGNORE)
    t, p = (np.where(valid, x, np.uint8(0)) for x in (truth, prediction))
    objects, (labels, count) = truth_objects or TruthObjects(t), label_objects(p)
    above = labels.ravel()[objects.pixels]
    true_class = _class_pixels(objects.owner, t.ravel()[objects.pixels], objects.count, n_classes)
    class_above = _class_pixels(objects.owner, p.ravel()[objects.pixels], objects.count, n_classes)
    predicted_class = _class_pixels(labels[labels > 0], p[labels > 0], count, n_classes)
    below = _class_pixels(labels[labels > 0], t[labels > 0], count, n_classes)
    found, finding = objects.found_by(above, np.append(0, predicted_class.sum(1)))
    right = (class_above.argmax(1) == true_class.argmax(1)) & class_above.any(1)
    false = np.ones(count + 1, bool)
    false[above] = False

    def table(class_pixels: Ints, chosen: NDArray[np.bool_]) -> Ints:
        return _table(class_pixels, class_pixels.argmax(1), chosen)

    pixels = int(valid.sum())
    return Detections(
        table(true_class, np.ones(objects.count, bool)),
        np.stack([table(true_class, f) for f in found]),
        np.stack([table(true_class, f & right) for f in found]),
        table(predicted_class, np.ones(count, bool)),
        table(predicted_class, false[1:]),
        table(predicted_class, finding),
        _class_weights(predicted_class, below, true_class, class_above),
        pixels,
        km2(pixels, pixel_size),
    )


def _class_weights(predicted: Ints, below: Ints, true: Ints, above: Ints) -> NDArray[np.float64]:
    """Weights (3, K − 1, 4) of objects by their class; see `Detections`.

    Args:
        predicted, below: pixels of each predicted and each true class on the predicted objects.
        true, above: pixels of each true and each predicted class on the true objects.
    """
    own, truth = predicted.argmax(1), below.argmax(1)
    # In integers: an object is of a true class if a tenth of it is foreground in truth.
    real = 10 * below.sum(1) >= predicted.sum(1)
    right = real & (own == truth)
    missed = 10 * above.sum(1) < true.sum(1)
    confused = _table(predicted, truth, real & ~right, weighted=True)
    tables = [
        _table(predicted, own, right, weighted=True),
        _table(predicted, own, ~right, weighted=True),
        confused + _table(true, true.argmax(1), missed, weighted=True),
    ]
    # Without any object numpy counts in integers.
    return np.stack(tables).astype(np.float64)


def _table(class_pixels: Ints, classes: Ints, chosen: NDArray[np.bool_], *, weighted: bool = False) -> NDArray[Any]:
    """(K − 1, 4) the chosen objects by class and size, counted, or their weights added up."""
    pixels, shape = class_pixels.sum(1), (class_pixels.shape[1], len(SIZES))
    bins = np.searchsorted(SIZE_EDGES, pixels, side="right")
    flat = np.ravel_multi_index((classes[chosen], bins[chosen]), shape)
    weights = np.sqrt(pixels[chosen]) if weighted else None
    return np.bincount(flat, weights, minlength=shape[0] * shape[1]).reshape(shape)


def class_f1(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over classes of 2 tp / (2 tp + fp + fn), from weights (…, 3, K − 1); NaN where no class has any."""
    tp, fp, fn = np.moveaxis(weights, -2, 0)
    total = 2 * tp + fp + fn
    return divided(np.nansum(divided(2 * tp, total), -1), (total > 0).sum(-1))


def _class_pixels(owner: NDArray[np.int32], classes: NDArray[np.uint8], count: int, n_classes: int) -> Ints:
    """(count, K − 1) pixels of each foreground class in each object, from the object and the class of each pixel."""
    flat = (owner.astype(np.int64) - 1) * n_classes + classes
    return np.bincount(flat, minlength=count * n_classes).reshape(count, n_classes)[:, 1:]


def _scores(counts: Detections, names: Sequence[str], index: int | None, size: int | None) -> ObjectScores:
    where = (..., *(slice(None) if i is None else slice(i, i + 1) for i in (index, size)))
    objects, predicted, false = (int(x[where].sum()) for x in (counts.objects, counts.predicted, counts.false_alarms))
    found, right = (x[where].sum((1, 2)).tolist() for x in (counts.found, counts.right))
    rates: dict[str, Any] = {f"found_{c}": over(n, objects) for c, n in zip(CRITERIA, found, strict=True)}
    rates |= {f"class_accuracy_{c}": over(n, of) for c, n, of in zip(CRITERIA, right, found, strict=True)}
    finding = int(counts.finding[where].sum())
    return ObjectScores(
        class_="all" if index is None else names[index],
        pixels="all" if size is None else SIZES[size],
        objects=objects,
        **rates,
        f1_iou25=over(found[0] + finding, objects + predicted),
        class_f1=defined(float(class_f1(counts.class_weights[where].sum(-1)))),
        predicted=predicted,
        false_alarms=false,
        false_alarms_per_mpx=over(false, counts.valid_pixels / 1e6),
        false_alarms_per_1000_km2=over(false, (counts.valid_km2 or 0) / 1000),
    )


def over(part: int, whole: float) -> float | None:
    """A share or a density; None where the whole is 0."""
    return part / whole if whole else None


def km2(pixels: int, pixel_size: float | None) -> float | None:
    """The area of pixels of this many metres a side."""
    return None if pixel_size is None else pixels * pixel_size**2 / 1e6
