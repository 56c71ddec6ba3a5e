"""Curves of a run: precision and recall over the threshold, counted while validation runs, and scores over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seepseg.classes import IGNORE
from seepseg.figures.plots import save_training
from seepseg.training.distributed import total_over_ranks
from seepseg.training.progress import Row

BINS = 127
"""Thresholds of a curve, 0 to 1 inclusive; TensorBoard takes no more."""

SOURCES = {"train": "training", "val": "validation"}
PANELS = {
    "loss": {"loss": ""},
    "Dice": {"dice/foreground": "", "dice/macro": ", macro"},
    "IoU": {"iou/foreground": "", "iou/macro": ", macro"},
    "TGS score": {"tgs_score": "", "tgs_score/nothing": ", predicting nothing"},
}
"""Titles of curves.png, and the measures of each with what they add to its labels."""


class PixelCounts:
    """Pixels by class, truth and probability, added up batch by batch."""

    def __init__(self) -> None:
        self._counts: Tensor | None = None

    def update(self, probabilities: Tensor, mask: Tensor) -> None:
        """Count a batch of probabilities (N, K, H, W) with its mask (N, H, W); pixels of 255 are ignored."""
        counts = probability_counts(probabilities[:, 1:], mask)
        self._counts = counts if self._counts is None else self._counts + counts

    def compute(self) -> NDArray[np.int64] | None:
        """`probability_counts` of all batches of all processes; None where there was none."""
        return total_over_ranks(self._counts)


def probability_counts(probabilities: Tensor, mask: Tensor) -> Tensor:
    """Pixels (C, 2, BINS) of each class: truly another and truly this one, by probability (N, C, H, W).

    Bin i holds the probabilities from i / (BINS − 1) up to the next.
    """
    channels = probabilities.shape[1]
    classes = torch.arange(1, channels + 1, device=mask.device).view(1, -1, 1, 1)
    bins = (probabilities * (BINS - 1)).long().clamp_(0, BINS - 1)
    place = ((classes - 1) * 2 + (mask.unsqueeze(1) == classes)) * BINS + bins
    valid = (mask != IGNORE).unsqueeze(1).expand_as(place)
    return torch.bincount(place[valid], minlength=channels * 2 * BINS).view(channels, 2, BINS)


def precision_recall(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """tp, fp, tn, fn, precision and recall (6, BINS) of one class, from its `probability_counts` (2, BINS).

    At threshold i a pixel is predicted where its probability lies in bin i or above. Precision is 0 where nothing is
    predicted, as in TensorBoard.
    """
    fp, tp = (np.cumsum(row[::-1])[::-1].astype(np.float64) for row in counts)
    tn, fn = fp[0] - fp, tp[0] - tp
    return np.stack([tp, fp, tn, fn, tp / np.maximum(tp + fp, 1), tp / np.maximum(tp + fn, 1)])


def draw_training(path: Path, rows: Sequence[Row], best: int, n_classes: int) -> None:
    """Draw loss, Dice, IoU and TGS score over the epochs of a run, as far as its rows of metrics.csv hold them.

    Args:
        path: the PNG file.
        rows: one per epoch.
        best: the best epoch.
        n_classes: background included; with one foreground class the macro mean would be the same curve again.
    """
    panels = {}
    for title, measures in PANELS.items():
        curves = {
            SOURCES[part] + label: [row.get(f"{part}/{measure}", np.nan) for row in rows]
            for measure, label in measures.items()
            for part in SOURCES
            if n_classes > 2 or not measure.endswith("macro")
        }
        drawn = {label: values for label, values in curves.items() if np.isfinite(values).any()}
        if drawn:
            panels[title] = drawn
    stages = [row["stage"] for row in rows]
    save_training(path, panels, best, [n for n in range(1, len(rows)) if stages[n] != stages[n - 1]])
