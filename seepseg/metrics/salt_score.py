"""The score of the TGS salt competition, done right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE

THRESHOLDS = np.arange(10, 20)
"""IoU thresholds .50, .55 … .95 in twentieths, so that no rounding decides at a threshold."""


def tgs_score(truth: NDArray[np.generic], prediction: NDArray[np.generic]) -> float:
    """TGS score of one tile, masks (H, W)."""
    return float(tgs_scores(truth[None], prediction[None])[0])


def tgs_scores(truth: NDArray[np.generic], prediction: NDArray[np.generic]) -> NDArray[np.float64]:
    """TGS scores (N) of masks (N, H, W), salt where 1; pixels whose truth is 255 are left out.

    Both masks empty: 1. One empty: 0. Else the share of the thresholds .50, .55 … .95 that IoU exceeds, in integers.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} differ in shape")
    counted = truth != IGNORE
    t, p = (truth == 1) & counted, (prediction == 1) & counted
    return np.asarray(tgs_tenths((t & p).sum((1, 2)), (t | p).sum((1, 2))) / 10)


def tgs_tenths(both: NDArray[np.integer], either: NDArray[np.integer]) -> NDArray[np.int64]:
    """Ten times the TGS scores (…) of tiles, from the pixels (…) that both masks hold and those that either holds."""
    hits = (20 * both[..., None] > THRESHOLDS * either[..., None]).sum(-1)
    return np.where(either == 0, np.int64(10), hits)
