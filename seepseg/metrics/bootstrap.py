"""Intervals of scores: the cluster bootstrap over scenes, for one run and for the difference of two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seepseg.errors import DataError
from seepseg.metrics.confusion import Floats, Numbers, defined, divided, matrix_scores

DRAWS = 2000
LEVEL = 0.95
MIN_CLUSTERS = 8
"""With fewer clusters the percentiles say little about the next scene, so no interval is given."""

Statistic = Callable[[Numbers], dict[str, Floats]]
"""From sums over clusters (D, F), a row per draw, to scores (D) by name; NaN where a score is not defined."""


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
        low, high: percentile interval, from the draws in which both scores are defined.
        b_better: share of these draws in which B is better; a draw without a difference counts half.
        clusters: how many clusters were drawn from; below `MIN_CLUSTERS` interval and share are None.
    """

    value: float | None
    low: float | None
    high: float | None
    b_better: float | None
    clusters: int


@dataclass(frozen=True)
class Bootstrap:
    """Intervals by name of score, and the share of draws that lack each foreground class in truth (K − 1)."""

    intervals: dict[str, Interval]
    lacking: tuple[float, ...]


def bootstrap(matrices: NDArray[np.int64], draws: int = DRAWS, seed: int = 0) -> Bootstrap:
    """Intervals of every score of `matrix_scores` from confusion matrices (S, K, K), one per scene.

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
    return Bootstrap({k: _interval(float(values[k][0]), v, len(flat)) for k, v in drawn.items()}, absent)


def paired_difference(
    matrices_a: NDArray[np.int64], matrices_b: NDArray[np.int64], draws: int = DRAWS
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

    return _differences(both[both.any(1)], statistic, draws)


def bootstrap_scores(stack: Numbers, statistic: Statistic, draws: int = DRAWS) -> dict[str, Interval]:
    """Intervals of scores of sums over clusters, from the counts of each (S, F); those without a count are left out."""
    stack = stack[stack.any(1)]
    values = statistic(stack.sum(0)[None])
    drawn = _draw(stack, statistic, draws)
    return {name: _interval(float(values[name][0]), of_name, len(stack)) for name, of_name in drawn.items()}


def paired_scores(stack_a: Numbers, stack_b: Numbers, statistic: Statistic) -> dict[str, Difference]:
    """How much better B is than A by scores of sums over clusters, both (S, F) drawn from the same ones at once."""
    both = np.concatenate([stack_a, stack_b], axis=1)
    both = both[both.any(1)]

    def difference(sums: Numbers) -> dict[str, Floats]:
        a, b = (statistic(half) for half in np.split(sums, 2, axis=1))
        return {name: b[name] - a[name] for name in a}

    return _differences(both, difference, DRAWS)


def bootstrap_ratio(parts: Numbers, wholes: Numbers, draws: int = DRAWS) -> Interval:
    """Interval of Σ parts / Σ wholes over clusters (S): a detection rate, false alarms per area, a surface Dice."""

    def ratio(sums: Numbers) -> dict[str, Floats]:
        return {"ratio": divided(sums[:, 0], sums[:, 1])}

    return bootstrap_scores(np.stack([parts, wholes], 1), ratio, draws)["ratio"]


def bootstrap_mean(values: Floats, draws: int = DRAWS) -> Interval:
    """Interval of the mean of one score per tile (N), such as the TGS score: tiles are the clusters."""
    return bootstrap_ratio(values, np.ones_like(values), draws)


def paired_mean_difference(values_a: Floats, values_b: Floats) -> Difference:
    """The mean score of B minus that of A over the same tiles (N).

    Raises:
        DataError: the two hold different numbers of tiles.
    """
    if values_a.shape != values_b.shape:
        raise DataError("the two runs were not scored on the same tiles", fix="evaluate both on the same tiles")

    def statistic(sums: Numbers) -> dict[str, Floats]:
        return {"mean": divided(sums, np.asarray(len(values_a)))[:, 0]}

    return _differences((values_b - values_a)[:, None], statistic, DRAWS)["mean"]


def _checked(matrices: NDArray[np.int64]) -> int:
    """Number of classes K."""
    if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2]:
        raise ValueError(f"confusion matrices are {matrices.shape}, not (S, K, K)")
    return int(matrices.shape[1])


def _draw(stack: Numbers, statistic: Statistic, draws: int, seed: int = 0) -> dict[str, Floats]:
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


def _interval(value: float, drawn: Floats, clusters: int) -> Interval:
    low, high = _percentiles(drawn, clusters)
    return Interval(defined(value), low, high, clusters, float(np.isnan(drawn).mean()))


def _differences(stack: Numbers, statistic: Statistic, draws: int) -> dict[str, Difference]:
    values = statistic(stack.sum(0)[None])
    out = {}
    for name, drawn in _draw(stack, statistic, draws).items():
        low, high = _percentiles(drawn, len(stack))
        usable = drawn[~np.isnan(drawn)]
        better = None if low is None else float(((usable > 0) + 0.5 * (usable == 0)).mean())
        out[name] = Difference(defined(float(values[name][0])), low, high, better, len(stack))
    return out


def _percentiles(drawn: Floats, clusters: int) -> tuple[float | None, float | None]:
    usable = drawn[~np.isnan(drawn)]
    if clusters < MIN_CLUSTERS or not len(usable):
        return None, None
    low, high = np.quantile(usable, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return low, high
