"""Scores that vague outlines hardly change, from counts that add up: outlines, whole objects and their classes."""

from __future__ import annotations

import numpy as np

from seepseg.metrics.boundary import TOLERANCES, SurfaceCounts
from seepseg.metrics.confusion import Floats, divided
from seepseg.metrics.detection import CRITERIA, Detections, class_f1

TOLERANCE = 2.0
"""Pixels up to which outlines agree."""
COUNTS = (
    "objects", "found", "right", "predicted", "finding", "false_alarms", "pixels", "outline", "outline_near",
)  # fmt: skip
"""What is counted at IoU ≥ .25, beside the weights of classes; see `Detections` and `SurfaceCounts`."""
WEIGHTS = ("tp", "fp", "fn")


def count_names(n_classes: int) -> list[str]:
    """Names (F) of the counts of so many classes, background included."""
    return [*COUNTS, *(f"{weight}_{c}" for weight in WEIGHTS for c in range(1, n_classes))]


def whole_counts(objects: Detections, surface: SurfaceCounts) -> Floats:
    """The counts (F) of a scene, by `count_names`."""
    at = CRITERIA.index("iou25")
    found, right = objects.found[at].sum(), objects.right[at].sum()
    near = surface.near[TOLERANCES.index(TOLERANCE), 0]
    own = (objects.objects, found, right, objects.predicted, objects.finding, objects.false_alarms,
           objects.valid_pixels, surface.total[0], near)  # fmt: skip
    return np.concatenate([[float(np.sum(n)) for n in own], objects.class_weights.sum(-1).ravel()])


def whole_scores(counts: Floats) -> dict[str, Floats]:
    """Scores (D) by name from sums of counts (D, F); NaN where one is not defined."""
    objects, found, right, predicted, finding, false_alarms, pixels, outline, near = counts[:, : len(COUNTS)].T
    weights = counts[:, len(COUNTS) :]
    return {
        "surface_dice": divided(near, outline),
        "objects/f1": divided(found + finding, objects + predicted),
        "objects/class_accuracy": divided(right, found),
        "objects/class_f1": class_f1(weights.reshape(len(counts), len(WEIGHTS), -1)),
        "objects/found": divided(found, objects),
        "objects/false_alarms_per_mpx": divided(1e6 * false_alarms, pixels),
    }
