"""Precision and recall over the threshold, counted while validation runs."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seepseg.classes import IGNORE
from seepseg.training.distributed import total_over_ranks

BINS = 127
"""Thresholds of a curve, 0 to 1 inclusive; TensorBoard takes no more."""


class Curves:
    """Pixels by class, truth and probability, added up batch by batch."""

    def __init__(self) -> None:
        self._counts: Tensor | None = None

    def see(self, probabilities: Tensor, mask: Tensor) -> None:
        """Count a batch of probabilities (N, K, H, W) with its mask (N, H, W); pixels of 255 are left out."""
        counts = probability_counts(probabilities[:, 1:], mask)
        self._counts = counts if self._counts is None else self._counts + counts

    def total(self) -> NDArray[np.int64] | None:
        """`probability_counts` of all batches of all processes; None where there was no batch anywhere."""
        return total_over_ranks(self._counts)


def probability_counts(likely: Tensor, mask: Tensor) -> Tensor:
    """Pixels (C, 2, BINS) of each class: truly another and truly this one, by probability (N, C, H, W).

    Bin i holds the probabilities from i / (BINS − 1) up to the next.
    """
    channels = likely.shape[1]
    classes = torch.arange(1, channels + 1, device=mask.device).view(1, -1, 1, 1)
    bins = (likely * (BINS - 1)).long().clamp_(0, BINS - 1)
    place = ((classes - 1) * 2 + (mask.unsqueeze(1) == classes)) * BINS + bins
    known = (mask != IGNORE).unsqueeze(1).expand_as(place)
    return torch.bincount(place[known], minlength=channels * 2 * BINS).view(channels, 2, BINS)


def precision_recall(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """tp, fp, tn, fn, precision and recall (6, BINS) of one class, from its `probability_counts` (2, BINS).

    At threshold i a pixel is predicted where its probability lies in bin i or above. Precision is 0 where nothing is
    predicted, as in TensorBoard.
    """
    fp, tp = (np.cumsum(row[::-1])[::-1].astype(np.float64) for row in counts)
    tn, fn = fp[0] - fp, tp[0] - tp
    return np.stack([tp, fp, tn, fn, tp / np.maximum(tp + fp, 1), tp / np.maximum(tp + fn, 1)])
