"""Intervals of scores: the cluster bootstrap over scenes, for one run and for the difference of two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepseg.errors import DataError

DRAWS = 2000
LEVEL = 0.95
MIN_CLUSTERS = 8
"""With fewer clusters the percentiles say little about the next scene, so no interval is given."""

Numbers = NDArray[Any]
"""int64 counts or float64 scores."""

Floats = NDArray[np.float64]
Statistic = Callable[[Numbers], dict[str, Floats]]
"""From sums over clusters (D, F), one row a draw, to scores (D) by name; NaN where a score is not defined."""


@dataclass(frozen=True)
class Interval:
    """A score with its percentile interval.

    Attributes:
        value: the score of all clusters together; None where it is not defined.
        low, high: the interval, from the draws in which the score is defined; None with fewer than `MIN_CLUSTERS`.
        clusters: how many clusters were drawn from.
        undefined: share of the draws in which the score is not defined.
    """

    value: float | None
    low: float | None
    high: float | None
    clusters: int
    undefined: float


@dataclass(frozen=True)
class Difference:
    """The score of B minus that of A over the same draws.

    Attributes:
        value: the difference on all clusters together; None where one of the two is not defined.
        mean: mean over the draws.
        low, high: percentile interval.
        b_better: share of the draws in which B is better; a draw that both share counts half.
        clusters: how many clusters were drawn from; below `MIN_CLUSTERS` mean, interval and share are None.
        undefined: share of the draws in which one of the two scores is not defined.
    """

    value: float | None
    mean: float | None
    low: float | None
    high: float | None
    b_better: float | None
    clusters: int
    undefined: float


@dataclass(frozen=True)
class Bootstrap:
    """Intervals by name of score, and the share of draws that lack each foreground class in truth (K − 1)."""

    intervals: dict[str, Interval]
    lacking: tuple[float, ...]


def matrix_scores(matrices: Numbers) -> dict[str, Floats]:
    """Scores (D) of confusion matrices (D, K, K) by name, as `metrics.confusion` defines them; NaN = not defined.

    Names are `measure/part`: dice, iou, precision and recall of `foreground` and of each class index; dice and iou of
    `macro`; and `class_accuracy`.
    """
    tp = np.diagonal(matrices, axis1=1, axis2=2)[:, 1:]
    fp, fn = matrices[:, :, 1:].sum(1) - tp, matrices[:, 1:].sum(2) - tp
    both = matrices[:, 1:, 1:].sum((1, 2))
    foreground = _ratios(both, matrices[:, 0, 1:].sum(1), matrices[:, 1:, 0].sum(1))
    per_class = _ratios(tp, fp, fn)
    out = {f"{name}/foreground": values for name, values in foreground.items()}
    out |= {f"{name}/macro": _mean_of_defined(per_class[name]) for name in ("dice", "iou")}
    out["class_accuracy"] = _divide(tp.sum(1), both)
    return out | {f"{name}/{c + 1}": values[:, c] for name, values in per_class.items() for c in range(values.shape[1])}


def bootstrap(matrices: NDArray[np.int64], draws: int = DRAWS, seed: int = 0, level: float = LEVEL) -> Bootstrap:
    """Intervals of every score of `matrix_scores` from confusion matrices (S, K, K), one a scene.

    Each draw takes S scenes with replacement and adds up their matrices. A class that a draw lacks in truth and
    prediction is left out of its macro mean. Scenes without a counted pixel are no clusters. The same matrices in the
    same order and the same seed give the same numbers.
    """
    classes = _checked(matrices)
    flat = matrices.reshape(len(matrices), -1)
    flat = flat[flat.any(1)]

    def statistic(sums: Numbers) -> dict[str, Floats]:
        stack = sums.reshape(-1, classes, classes)
        lacking = (stack[:, 1:].sum(2) == 0).astype(float)
        return matrix_scores(stack) | {f"lacking/{c}": lacking[:, c - 1] for c in range(1, classes)}

    values, drawn = statistic(flat.sum(0)[None]), _draw(flat, statistic, draws, seed)
    absent = tuple(float(drawn.pop(f"lacking/{c}").mean()) for c in range(1, classes))
    return Bootstrap({k: _interval(float(values[k][0]), v, len(flat), level) for k, v in drawn.items()}, absent)


def paired_difference(
    matrices_a: NDArray[np.int64],
    matrices_b: NDArray[np.int64],
    draws: int = DRAWS,
    seed: int = 0,
    level: float = LEVEL,
) -> dict[str, Difference]:
    """How much better B is than A by every score of `matrix_scores`, both drawn from the same scenes at once.

    Raises:
        DataError: the two were not scored on the same truth.
    """
    classes = _checked(matrices_a)
    same_shape = matrices_a.shape == matrices_b.shape
    if not same_shape or not np.array_equal(matrices_a.sum(2), matrices_b.sum(2)):
        raise DataError("the two runs were not scored on the same truth", fix="evaluate both on the same tiles")
    both = np.stack([matrices_a, matrices_b], 1).reshape(len(matrices_a), -1)

    def statistic(sums: Numbers) -> dict[str, Floats]:
        pair = sums.reshape(-1, 2, classes, classes)
        a, b = matrix_scores(pair[:, 0]), matrix_scores(pair[:, 1])
        return {k: b[k] - a[k] for k in a}

    return _differences(both[both.any(1)], statistic, draws, seed, level)


def bootstrap_ratio(
    parts: Numbers, wholes: Numbers, draws: int = DRAWS, seed: int = 0, level: float = LEVEL
) -> Interval:
    """Interval of Σ parts / Σ wholes over clusters (S): a detection rate, false alarms per area, a surface Dice."""
    stack = np.stack([parts, wholes], 1)

    def statistic(sums: Numbers) -> dict[str, Floats]:
        return {"ratio": _divide(sums[:, 0], sums[:, 1])}

    value = float(statistic(stack.sum(0)[None])["ratio"][0])
    return _interval(value, _draw(stack, statistic, draws, seed)["ratio"], len(stack), level)


def bootstrap_mean(values: Floats, draws: int = DRAWS, seed: int = 0, level: float = LEVEL) -> Interval:
    """Interval of the mean of one score a tile (N), such as the TGS score: tiles are the clusters."""
    return bootstrap_ratio(values, np.ones_like(values), draws, seed, level)


def paired_mean_difference(
    values_a: Floats, values_b: Floats, draws: int = DRAWS, seed: int = 0, level: float = LEVEL
) -> Difference:
    """The mean score of B minus that of A over the same tiles (N).

    Raises:
        DataError: the two hold different numbers of tiles.
    """
    if values_a.shape != values_b.shape:
        raise DataError("the two runs were not scored on the same tiles", fix="evaluate both on the same tiles")

    def statistic(sums: Numbers) -> dict[str, Floats]:
        return {"mean": _divide(sums, np.asarray(len(values_a)))[:, 0]}

    return _differences((values_b - values_a)[:, None], statistic, draws, seed, level)["mean"]


def _checked(matrices: NDArray[np.int64]) -> int:
    """Number of classes K."""
    if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2]:
        raise ValueError(f"confusion matrices are {matrices.shape}, not (S, K, K)")
    return int(matrices.shape[1])


def _draw(stack: Numbers, statistic: Statistic, draws: int, seed: int) -> dict[str, Floats]:
    """The statistic (draws) of sums over clusters drawn with replacement from the stack (S, F)."""
    clusters = len(stack)
    if not clusters:
        return {k: np.full(draws, np.nan) for k in statistic(np.zeros((1, *stack.shape[1:]), stack.dtype))}
    rng = np.random.default_rng(seed)
    # How often each cluster is drawn, for a few draws at a time: thousands of tiles by 2000 draws would fill memory.
    block = max(1, 1_000_000 // clusters)
    sums = [
        rng.multinomial(clusters, np.full(clusters, 1 / clusters), min(block, draws - first)) @ stack
        for first in range(0, draws, block)
    ]
    return statistic(np.concatenate(sums))


def _interval(value: float, drawn: Floats, clusters: int, level: float) -> Interval:
    low, high = _percentiles(drawn, clusters, level)
    return Interval(_none(value), low, high, clusters, float(np.isnan(drawn).mean()))


def _differences(stack: Numbers, statistic: Statistic, draws: int, seed: int, level: float) -> dict[str, Difference]:
    values = statistic(stack.sum(0)[None])
    out = {}
    for name, drawn in _draw(stack, statistic, draws, seed).items():
        low, high = _percentiles(drawn, len(stack), level)
        defined = drawn[~np.isnan(drawn)]
        mean = None if low is None else float(defined.mean())
        better = None if low is None else float(((defined > 0) + 0.5 * (defined == 0)).mean())
        undefined = 1 - len(defined) / len(drawn)
        out[name] = Difference(_none(float(values[name][0])), mean, low, high, better, len(stack), undefined)
    return out


def _percentiles(drawn: Floats, clusters: int, level: float) -> tuple[float | None, float | None]:
    defined = drawn[~np.isnan(drawn)]
    if clusters < MIN_CLUSTERS or not len(defined):
        return None, None
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]).tolist()
    return low, high


def _ratios(tp: Numbers, fp: Numbers, fn: Numbers) -> dict[str, Floats]:
    known = tp + fp + fn > 0
    return {
        "dice": _divide(2 * tp, 2 * tp + fp + fn),
        "iou": _divide(tp, tp + fp + fn),
        # A class that is only predicted, or only true, has 0 in both.
        "precision": np.where(known, _divide(tp, np.maximum(tp + fp, 1)), np.nan),
        "recall": np.where(known, _divide(tp, np.maximum(tp + fn, 1)), np.nan),
    }


def _divide(part: Numbers, whole: Numbers) -> Floats:
    out = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=out, where=np.not_equal(whole, 0))
    return out


def _mean_of_defined(values: Floats) -> Floats:
    known = ~np.isnan(values)
    return _divide(np.where(known, values, 0).sum(1), known.sum(1))


def _none(value: float) -> float | None:
    return None if np.isnan(value) else value
