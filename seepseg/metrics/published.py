"""Soft scores as other projects publish them: yardsticks to set beside theirs, never what a model is judged by here."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BATCH = 16
"""Tiles a batch, as in the DeepLabv3+ project on salt."""

SMOOTH = 1.0
"""Added above and below the fraction bar, as notebooks do: a batch in which nothing is true or predicted scores 1."""


def soft_counts(likely: NDArray[np.floating], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Σ p·y, Σ p and Σ y (3) of one tile, from its probabilities (…) of foreground and the truth (…)."""
    return np.array([likely[seen].sum(dtype=np.float64), likely.sum(dtype=np.float64), seen.sum()])


def batch_scores(counts: NDArray[np.float64]) -> dict[str, float]:
    """Soft Dice and soft IoU of `soft_counts` (T, 3), pooled over 16 consecutive tiles; the mean over such batches.

    The last batch may be smaller, and weighs as much as any.
    """
    both, predicted, present = np.add.reduceat(counts, np.arange(0, len(counts), BATCH)).T
    dice = (2 * both + SMOOTH) / (predicted + present + SMOOTH)
    iou = (both + SMOOTH) / (predicted + present - both + SMOOTH)
    return {f"soft_dice_batch{BATCH}": float(dice.mean()), f"soft_iou_batch{BATCH}": float(iou.mean())}
