"""The FROC curve: objects found and false alarms at every threshold of the foreground probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.metrics.counts import Counts
from seepseg.metrics.detection import CRITERIA, Ints, km2, over
from seepseg.metrics.matching import TruthObjects
from seepseg.objects.components import label_objects


@dataclass(frozen=True, eq=False)
class FrocCounts(Counts):
    """Counts of objects at T thresholds of the foreground probability.

    Attributes:
        thresholds: T probabilities.
        objects: true objects.
        found: (T, 3) those found, by `CRITERIA`.
        false_alarms: (T) predicted objects without a pixel on a true object.
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

    def columns(self) -> dict[str, list[Any]]:
        """The FROC curve by column, a row per threshold: share of the objects found, and false alarms."""
        alarms = self.false_alarms.tolist()
        return {
            "threshold": list(self.thresholds),
            **{
                f"found_{c}": [over(n, self.objects) for n in self.found[:, i].tolist()] for i, c in enumerate(CRITERIA)
            },
            "false_alarms": alarms,
            "false_alarms_per_mpx": [over(n, self.valid_pixels / 1e6) for n in alarms],
            "false_alarms_per_1000_km2": [over(n, (self.valid_km2 or 0) / 1000) for n in alarms],
        }


def froc_counts(
    truth: NDArray[np.uint8],
    foreground: NDArray[np.floating],
    thresholds: Sequence[float],
    min_pixels: int = 0,
    pixel_size: float | None = None,
    truth_objects: TruthObjects | None = None,
) -> FrocCounts:
    """Counts of one scene at every threshold, from a class map and foreground probabilities 1 − P(background) (H, W).

    A pixel is predicted where its probability reaches the threshold, as in decoding; predicted objects below
    `min_pixels` are dropped. Pixels that are 255 in truth, or whose probability is NaN, count nowhere. The last two
    arguments are as in `detections`.
    """
    if truth.shape != foreground.shape:
        raise ValueError(f"truth {truth.shape} and probabilities {foreground.shape} differ in shape")
    valid = (truth != IGNORE) & ~np.isnan(foreground)
    objects = truth_objects or TruthObjects(np.where(valid, truth, np.uint8(0)))
    hits, false_alarms = [], []
    for threshold in thresholds:
        labels, count = label_objects((valid & (foreground >= threshold)).astype(np.uint8))
        sizes = np.bincount(labels[labels > 0], minlength=count + 1)
        large = sizes >= max(min_pixels, 1)
        above = labels.ravel()[objects.pixels]
        above = np.where(large[above], above, 0)
        hits.append(objects.found_by(above, sizes)[0].sum(1))
        large[above] = False
        false_alarms.append(large.sum())
    pixels, shape = int(valid.sum()), (len(thresholds), len(CRITERIA))
    return FrocCounts(
        tuple(thresholds),
        objects.count,
        np.array(hits, np.int64).reshape(shape),
        np.array(false_alarms, np.int64),
        pixels,
        km2(pixels, pixel_size),
    )
