"""Scores as others define them: that of the TGS salt competition, and the soft scores that some projects publish."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE

THRESHOLDS = np.arange(10, 20)
"""IoU thresholds .50, .55 … .95 in twentieths, so that no rounding decides at a threshold."""

BATCH = 16
"""Tiles per batch of the soft scores, as in the DeepLabv3+ project on salt."""

SMOOTH = 1.0
"""Added to numerator and denominator, as notebooks do: a batch in which nothing is true or predicted scores 1."""


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


def soft_counts(probabilities: NDArray[np.floating], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Σ p·y, Σ p and Σ y (3) of one tile, from its probabilities (…) of foreground and whether it is there (…)."""
    return np.array([probabilities[truth].sum(dtype=np.float64), probabilities.sum(dtype=np.float64), truth.sum()])


@dataclass(frozen=True)
class BatchScores:
    """Soft Dice and soft IoU as other projects publish them: the mean over batches of 16 consecutive tiles."""

    soft_dice_batch16: float
    soft_iou_batch16: float


def batch_scores(counts: NDArray[np.float64]) -> BatchScores:
    """The scores of `soft_counts` (T, 3), pooled over each batch; the last one may be smaller, and weighs as much."""
    both, predicted, present = np.add.reduceat(counts, np.arange(0, len(counts), BATCH)).T
    dice = (2 * both + SMOOTH) / (predicted + present + SMOOTH)
    iou = (both + SMOOTH) / (predicted + present - both + SMOOTH)
    return BatchScores(float(dice.mean()), float(iou.mean()))
