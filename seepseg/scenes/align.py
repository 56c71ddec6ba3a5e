"""How scenes of one pixel frame are shifted against each other, by bright points that stay, as platforms do."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import poisson

from seepseg.geo.frame import Field
from seepseg.scenes.bright import NEAR, recurring

MOST = 150
"""Points of a scene, at most: those of the highest contrast."""
SURE = 35
"""Of these, so many are compared with those of another scene; all are with points that several scenes have."""
REACH = 600.0
"""Pixels that scenes may be shifted against each other, at most."""
CHANCE = 1e-4
"""Probability of so many coincidences at the best of all shifts by chance, at most."""


@dataclass(frozen=True)
class Alignment:
    """How scenes lie in the frame of the first.

    Attributes:
        shifts: columns and rows to add to a scene's own, of those that are tied to it.
        accuracy: root mean square distance of its points from those of others that coincide, over √2, pixels, by scene.
        points: how many such pairs a scene has.
        loose: scenes that nothing ties to the others.
    """

    shifts: dict[str, tuple[float, float]]
    accuracy: dict[str, float]
    points: dict[str, int]
    loose: list[str]


def anchored(found: Alignment, before: Mapping[str, tuple[float, float]]) -> Alignment:
    """The same in the frame of an earlier run, by the median step from the shifts of scenes that both have."""
    steps = [np.subtract(before[name], shift) for name, shift in found.shifts.items() if name in before]
    step = np.median(steps, axis=0) if steps else np.zeros(2)
    shifts = {n: (float(column + step[0]), float(row + step[1])) for n, (column, row) in found.shifts.items()}
    return replace(found, shifts=shifts)


def align(points: Mapping[str, Field], reach: float = REACH) -> Alignment:
    """How scenes lie, by their bright points; each is tied by the pair of scenes with the most coincidences.

    Args:
        points: (n, 2) columns and rows, by scene, the brightest first.
        reach: columns and rows that two scenes may be shifted against each other, at most.
    """
    points = {name: xy[:MOST] for name, xy in points.items()}
    names, sure = list(points), {name: xy[:SURE] for name, xy in points.items()}
    ties = {(a, b): _tie(sure[a], sure[b], reach) for i, a in enumerate(names) for b in names[i + 1 :]}
    ties = {pair: tie for pair, tie in ties.items() if tie[1]}
    shifts = _grown(names, ties)
    # Points that several scenes have are few and sure: they tie scenes that no other scene alone does.
    while more := _tied_to(_staying(sure, shifts), {n: points[n] for n in names if n not in shifts}, reach):
        shifts |= more
    loose = {n: points[n] for n in names if n not in shifts}
    shifts |= _as_others(_staying(sure, shifts), loose, shifts, reach)
    residuals = {name: list[Field]() for name in shifts}
    for a, b in itertools.permutations(shifts, 2):
        left, right = sure[a] + shifts[a], sure[b] + shifts[b]
        far, which = (np.asarray(v) for v in cKDTree(right).query(left, distance_upper_bound=NEAR))
        close = np.isfinite(far)
        residuals[a].append((left[close] - right[which[close]]) / np.sqrt(2))
    accuracy, counts = dict[str, float](), dict[str, int]()
    for name, parts in residuals.items():
        every = np.concatenate([np.empty((0, 2)), *parts])
        counts[name] = len(every)
        accuracy[name] = float(np.sqrt((every**2).sum(axis=1).mean())) if len(every) else float("nan")
    return Alignment(
        {n: (float(x), float(y)) for n, (x, y) in shifts.items()},
        accuracy,
        counts,
        [n for n in names if n not in shifts],
    )


def tied(
    points: Mapping[str, Field], shifts: Mapping[str, Field], xy: Field, reach: float = REACH
) -> tuple[float, float] | None:
    """Columns and rows to add to those of a further scene in the frame of others; None where nothing ties it.

    Args:
        points: (n, 2) columns and rows of bright points of the scenes that are tied, the brightest first.
        shifts: columns and rows to add to theirs.
        xy: (n, 2) those of the further scene.
        reach: as of `align`.
    """
    sure = {name: points[name][:SURE] for name in shifts}
    ties = [(_tie(own, xy[:SURE], reach), shifts[name]) for name, own in sure.items()]
    (step, count), shift = max(ties, key=lambda tie: tie[0][1])
    if count:
        return float(shift[0] + step[0]), float(shift[1] + step[1])
    further, staying = {"": xy[:MOST]}, _staying(sure, shifts)
    found = _tied_to(staying, further, reach) or _as_others(staying, further, shifts, reach)
    return (float(found[""][0]), float(found[""][1])) if found else None


def _tie(one: Field, other: Field, reach: float) -> tuple[Field, int]:
    """What to add to points of the other scene, and how many then coincide; 0 where chance could do that."""
    steps = _steps(one, other, reach)
    if not len(steps):
        return np.zeros(2), 0
    tree = cKDTree(steps)
    counts = tree.query_ball_point(steps, NEAR, return_length=True)
    best = steps[int(np.argmax(counts))]
    mean = np.median(steps[tree.query_ball_point(best, NEAR)], axis=0)
    count = int(counts.max())
    # One is there by choice of the shift, and every step was tried.
    return mean, count if poisson.sf(count - 2, _expected(steps, reach)) * len(steps) <= CHANCE else 0


def _staying(points: Mapping[str, Field], shifts: Mapping[str, Field]) -> Field:
    """Points (n, 2) of the frame that at least two of the tied scenes have; each once."""
    return recurring([points[name] + shift for name, shift in shifts.items()], NEAR, 2)[0]


def _tied_to(staying: Field, loose: Mapping[str, Field], reach: float) -> dict[str, Field]:
    """Shifts of the loose scenes that points which stay do tie."""
    ties = {name: _tie(staying, xy, reach) for name, xy in loose.items() if len(staying) and len(xy)}
    return {name: step for name, (step, count) in ties.items() if count}


def _as_others(
    staying: Field, loose: Mapping[str, Field], known: Mapping[str, Field], reach: float
) -> dict[str, Field]:
    """Shifts of the loose scenes that lie as another one does: of so few shifts, fewer coincidences are no chance."""
    ties = dict[str, Field]()
    for name, xy in loose.items():
        steps = _steps(staying, xy, reach)
        at = [steps[np.hypot(*(steps - shift).T) <= NEAR] for shift in known.values()]
        most = max(at, key=len)
        if poisson.sf(len(most) - 1, _expected(steps, reach)) * len(known) <= CHANCE:
            ties[name] = np.median(most, axis=0)
    return ties


def _steps(one: Field, other: Field, reach: float) -> Field:
    """What to add to a point of the other scene to reach one of this, for all pairs (n, 2) that are within reach."""
    steps = (one[:, None] - other[None]).reshape(-1, 2)
    return np.asarray(steps[(np.abs(steps) <= reach).all(axis=1)])


def _expected(steps: Field, reach: float) -> float:
    """How many of the steps lie around one shift by chance."""
    return float(len(steps) * np.pi * NEAR**2 / (2 * reach) ** 2)


def _grown(names: list[str], ties: Mapping[tuple[str, str], tuple[Field, int]]) -> dict[str, Field]:
    """Shifts of the largest group of scenes that are tied, to its first one, along the strongest ties."""
    # A maximum spanning tree of each group.
    both = {**ties, **{(b, a): (-step, count) for (a, b), (step, count) in ties.items()}}
    best = dict[str, Field]()
    for start in names:
        if start in best:
            continue
        shifts = {start: np.zeros(2)}
        while True:
            ways = [(count, a, b) for (a, b), (_, count) in both.items() if a in shifts and b not in shifts]
            if not ways:
                break
            _, a, b = max(ways, key=lambda way: way[0])
            shifts[b] = shifts[a] + both[a, b][0]
        if len(shifts) > len(best):
            best = shifts
    return best
