"""The confusion matrix over pixels, and every score that follows from it: the one home of Dice and IoU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seepseg.classes import IGNORE

if TYPE_CHECKING:
    from torch import Tensor

MEASURES = ("dice", "iou", "precision", "recall")

Numbers = NDArray[Any]
"""int64 counts or float64 scores."""

Floats = NDArray[np.float64]


def confusion_matrix(truth: ArrayLike | Tensor, prediction: ArrayLike | Tensor, n_classes: int) -> NDArray[np.int64]:
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
    import torch

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
    """The same for bytes, several times as fast: evaluation would otherwise spend much of its time here."""
    if truth.shape != prediction.shape:
        raise ValueError(f"truth {truth.shape} and prediction {prediction.shape} differ in shape")
    pairs = np.bincount((truth.astype(np.uint16) * 256 + prediction).ravel(), minlength=65536).reshape(256, 256)
    counted = pairs[:IGNORE]
    if counted[n_classes:].any() or counted[:, n_classes:].any():
        raise ValueError(f"class outside 0 … {n_classes - 1}")
    return pairs[:n_classes, :n_classes].astype(np.int64)


@dataclass(frozen=True)
class Ratios:
    """The four scores of one class, or of any foreground against background; None where they are not defined."""

    dice: float | None
    iou: float | None
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class ClassScores:
    """Scores of one class; `value` is its index in rasters, support is counted in truth."""

    value: int
    name: str
    dice: float | None
    iou: float | None
    precision: float | None
    recall: float | None
    support_pixels: int
    support_tiles: int


@dataclass(frozen=True)
class Means:
    """Means over the classes that have a score."""

    dice: float | None
    iou: float | None


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
    macro_dice: float | None
    macro_iou: float | None
    foreground: Ratios
    class_accuracy: float | None


def scores(matrix: NDArray[np.int64]) -> Scores:
    """Scores of a confusion matrix (K, K), rows truth; see `matrix_scores`."""
    values = {name: defined(float(value[0])) for name, value in matrix_scores(matrix[None]).items()}
    per_class = {m: [values[f"{m}/{c}"] for c in range(1, len(matrix))] for m in MEASURES}
    return Scores(
        **per_class,
        support_pixels=matrix[1:].sum(1).tolist(),
        macro_dice=values["dice/macro"],
        macro_iou=values["iou/macro"],
        foreground=Ratios(*(values[f"{m}/foreground"] for m in MEASURES)),
        class_accuracy=values["class_accuracy"],
    )


def matrix_scores(matrices: Numbers) -> dict[str, Floats]:
    """Scores (D) of confusion matrices (D, K, K), rows truth, by name; NaN = not defined.

    Names are `measure/part`: dice, iou, precision and recall of `foreground` and of each class index; dice and iou of
    `macro`, the mean over the classes that have a number; and `class_accuracy`, the share of right classes among pixels
    that are foreground in truth and prediction.
    """
    tp = np.diagonal(matrices, axis1=1, axis2=2)[:, 1:]
    fp, fn = matrices[:, :, 1:].sum(1) - tp, matrices[:, 1:].sum(2) - tp
    both = matrices[:, 1:, 1:].sum((1, 2))
    foreground = ratios(both, matrices[:, 0, 1:].sum(1), matrices[:, 1:, 0].sum(1))
    per_class = ratios(tp, fp, fn)
    out = {f"{name}/foreground": values for name, values in foreground.items()}
    out |= {f"{name}/macro": mean_of_defined(per_class[name]) for name in ("dice", "iou")}
    out["class_accuracy"] = divided(tp.sum(1), both)
    return out | {f"{name}/{c + 1}": values[:, c] for name, values in per_class.items() for c in range(values.shape[1])}


def ratios(tp: Numbers, fp: Numbers, fn: Numbers) -> dict[str, Floats]:
    """Dice, IoU, precision and recall (…) by name, from pixels (…); NaN where all three are 0."""
    present = tp + fp + fn > 0
    return {
        "dice": dice(tp, fp, fn),
        "iou": divided(tp, tp + fp + fn),
        # A class that is only predicted, or only true, has 0 in both.
        "precision": np.where(present, divided(tp, np.maximum(tp + fp, 1)), np.nan),
        "recall": np.where(present, divided(tp, np.maximum(tp + fn, 1)), np.nan),
    }


def dice(tp: Numbers, fp: Numbers, fn: Numbers) -> Floats:
    """Dice (…) of pixels, or of sums of probabilities, (…); NaN where all three are 0."""
    return divided(2 * tp, 2 * tp + fp + fn)


def mean_of_defined(values: Floats) -> Floats:
    """Mean (…) over the last axis of the values that are not NaN; NaN where all are."""
    there = ~np.isnan(values)
    return divided(np.where(there, values, 0).sum(-1), there.sum(-1))


def divided(part: Numbers, whole: Numbers) -> Floats:
    """Quotients (…); NaN where the whole is 0."""
    out = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=out, where=np.not_equal(whole, 0))
    return out


def defined(value: float) -> float | None:
    """The value, None in place of NaN."""
    return None if np.isnan(value) else value
