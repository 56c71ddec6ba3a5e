"""The confusion matrix over pixels, and every per-class score that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from seepseg.classes import IGNORE


def confusion_matrix(
    truth: ArrayLike | torch.Tensor, prediction: ArrayLike | torch.Tensor, n_classes: int
) -> NDArray[np.int64]:
    """Pixels (K, K) by class of truth (rows) and of prediction (columns); pixels whose truth is 255 are left out.

    Raises:
        ValueError: the shapes differ, or a counted pixel holds a class outside 0 … K − 1.
    """
    if (
        isinstance(truth, np.ndarray)
        and isinstance(prediction, np.ndarray)
        and truth.dtype == np.uint8 == prediction.dtype
    ):
        return _matrix_of_bytes(truth, prediction, n_classes)
    t, p = (x if isinstance(x, torch.Tensor) else torch.from_numpy(np.array(x)) for x in (truth, prediction))
    if t.shape != p.shape:
        raise ValueError(f"truth {tuple(t.shape)} and prediction {tuple(p.shape)} differ in shape")
    counted = t != IGNORE
    t, p = t[counted].long(), p[counted].long()
    if t.numel() and (int(torch.maximum(t, p).max()) >= n_classes or int(torch.minimum(t, p).min()) < 0):
        raise ValueError(f"class outside 0 … {n_classes - 1}")
    flat = torch.bincount(t * n_classes + p, minlength=n_classes * n_classes)
    return flat.reshape(n_classes, n_classes).cpu().numpy()


def _matrix_of_bytes(truth: NDArray[np.uint8], prediction: NDArray[np.uint8], n_classes: int) -> NDArray[np.int64]:
    """The same for bytes, several times quicker: evaluation spends its time here otherwise."""
    if truth.shape != prediction.shape:
        raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} differ in shape")
    pairs = np.bincount((truth.astype(np.uint16) * 256 + prediction).ravel(), minlength=65536).reshape(256, 256)
    counted = pairs[:IGNORE]
    if counted[n_classes:].any() or counted[:, n_classes:].any():
        raise ValueError(f"class outside 0 … {n_classes - 1}")
    return pairs[:n_classes, :n_classes].astype(np.int64)


@dataclass(frozen=True)
class Foreground:
    """Any foreground class against background."""

    dice: float | None
    iou: float | None
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Scores:
    """Scores of a confusion matrix; lists run over the foreground classes, None = not defined.

    A class absent from truth and prediction has no score and is left out of means; one that is only predicted, or only
    true, has 0.
    """

    dice: list[float | None]
    iou: list[float | None]
    precision: list[float | None]
    recall: list[float | None]
    support_pixels: list[int]
    support_tiles: list[int] | None
    macro_dice: float | None
    macro_iou: float | None
    foreground: Foreground
    class_accuracy: float | None


def scores(matrix: NDArray[np.int64], support_tiles: Sequence[int] | None = None) -> Scores:
    """Scores of a confusion matrix (K, K), rows truth.

    `class_accuracy` is the share of right classes among pixels that are foreground in truth and prediction.
    """
    tp = np.diag(matrix)[1:]
    fp, fn = matrix[:, 1:].sum(0) - tp, matrix[1:].sum(1) - tp
    per_class = [_ratios(int(a), int(b), int(c)) for a, b, c in zip(tp, fp, fn, strict=True)]
    dice, iou, precision, recall = ([r[i] for r in per_class] for i in range(4))
    both = int(matrix[1:, 1:].sum())
    return Scores(
        dice,
        iou,
        precision,
        recall,
        (tp + fn).tolist(),
        None if support_tiles is None else list(support_tiles),
        _mean(dice),
        _mean(iou),
        Foreground(*_ratios(both, int(matrix[0, 1:].sum()), int(matrix[1:, 0].sum()))),
        int(tp.sum()) / both if both else None,
    )


def _ratios(tp: int, fp: int, fn: int) -> tuple[float | None, float | None, float | None, float | None]:
    """Dice, IoU, precision, recall."""
    if tp + fp + fn == 0:
        return None, None, None, None
    return 2 * tp / (2 * tp + fp + fn), tp / (tp + fp + fn), tp / max(tp + fp, 1), tp / max(tp + fn, 1)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
