"""How scenes of one pixel frame are shifted against each other, by bright points that stay, as platforms do."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.spatial import cKDTree
from scipy.stats import poisson

from seepseg.errors import ConfigError, listed
from seepseg.io.files import SUFFIXES
from seepseg.io.image import read_image
from seepseg.zones.frame import Field

CORE, AROUND = 3, 41
"""Sides of the squares over which a point and its surroundings are averaged, pixels."""
CONTRAST = 4.0
"""Standard deviations of its surroundings that a point is brighter than their mean, at least."""
MOST = 150
"""Points of a scene, at most: those of the highest contrast."""
SURE = 35
"""Of these, so many are compared with those of another scene; all are with points that several scenes have."""
NEAR = 6.0
"""Pixels within which points of two scenes coincide."""
REACH = 600.0
"""Pixels that scenes may be shifted against each other, at most."""
STAYS = 3
"""Scenes in which a bright point is taken for something built there, at least: in two, it may be two ships."""
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
        fixed: (n, 2) columns and rows, in the frame, of points that are bright in `STAYS` scenes or more.
    """

    shifts: dict[str, tuple[float, float]]
    accuracy: dict[str, float]
    points: dict[str, int]
    loose: list[str]
    fixed: Field = field(default_factory=lambda: np.empty((0, 2)))


def align_images(folder: Path, scenes: Sequence[str], reach: float = REACH) -> Alignment:
    """How scenes lie, by the images of a folder that are called as they are; scenes without one are loose.

    Valid is what the image's own metadata say, and is not 0.

    Raises:
        ConfigError: nothing ties any two scenes.
    """
    points, missing = dict[str, Field](), list[str]()
    for name in scenes:
        path = next((p for p in (folder / f"{name}{suffix}" for suffix in SUFFIXES) if p.is_file()), None)
        if path is None:
            missing.append(name)
            continue
        pixels, _ = read_image(path, max_pixels=2**30)
        points[name] = bright_points(pixels.raw[0], pixels.valid & (pixels.raw[0] > 0))
    found = align(points, reach) if points else Alignment({}, {}, {}, [])
    if len(found.shifts) < 2:
        what = f"no two of {len(points)} images share enough bright points" if points else "holds no image of a scene"
        raise ConfigError(what, folder, f"the scenes are {listed(list(scenes))}; or give --shifts")
    return replace(found, loose=[*found.loose, *missing])


def anchored(found: Alignment, before: Mapping[str, tuple[float, float]]) -> Alignment:
    """The same in the frame of an earlier run, by the median step from the shifts of scenes that both have."""
    steps = [np.subtract(before[name], shift) for name, shift in found.shifts.items() if name in before]
    step = np.median(steps, axis=0) if steps else np.zeros(2)
    shifts = {n: (float(column + step[0]), float(row + step[1])) for n, (column, row) in found.shifts.items()}
    return replace(found, shifts=shifts, fixed=found.fixed + step)


def bright_points(image: NDArray[np.generic], valid: NDArray[np.bool_]) -> Field:
    """Columns and rows (n, 2) of points far brighter than what is around them, the brightest first.

    Args:
        image: (H, W) intensity.
        valid: (H, W); what is not valid counts as dark, and no point is beside it.
    """
    pixels = np.where(valid, image, 0).astype(np.float32)
    share = uniform_filter(valid.astype(np.float32), AROUND)
    core = uniform_filter(pixels, CORE)
    around, square = (uniform_filter(values, AROUND) for values in (core, core**2))
    contrast = np.where(share > 0.9, (core - around) / np.sqrt(np.maximum(square - around**2, 1e-12)), 0)
    peak = (contrast >= CONTRAST) & (contrast == maximum_filter(contrast, 2 * int(NEAR) + 1))
    row, column = np.nonzero(peak)
    order = np.argsort(-contrast[row, column], kind="stable")[:MOST]
    return np.stack([column, row], axis=1)[order].astype(np.float64) + 0.5


def align(points: Mapping[str, Field], reach: float) -> Alignment:
    """How scenes lie, by their bright points; each is tied by the pair of scenes with the most coincidences.

    Args:
        points: (n, 2) columns and rows, by scene, the brightest first.
        reach: columns and rows that two scenes may be shifted against each other, at most.
    """
    names, sure = list(points), {name: xy[:SURE] for name, xy in points.items()}
    ties = {(a, b): _tie(sure[a], sure[b], reach) for i, a in enumerate(names) for b in names[i + 1 :]}
    ties = {pair: tie for pair, tie in ties.items() if tie[1]}
    shifts = _grown(names, ties)
    # Points that several scenes have are few and sure: they tie scenes that no other scene alone does.
    while more := _tied_to(_staying(sure, shifts), {n: points[n] for n in names if n not in shifts}, reach):
        shifts |= more
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
        _staying(sure, shifts, STAYS),
    )


def _tie(one: Field, other: Field, reach: float) -> tuple[Field, int]:
    """What to add to points of the other scene, and how many then coincide; 0 where chance could do that."""
    steps = (one[:, None] - other[None]).reshape(-1, 2)
    steps = steps[(np.abs(steps) <= reach).all(axis=1)]
    if not len(steps):
        return np.zeros(2), 0
    tree = cKDTree(steps)
    counts = tree.query_ball_point(steps, NEAR, return_length=True)
    best = steps[int(np.argmax(counts))]
    mean = np.median(steps[tree.query_ball_point(best, NEAR)], axis=0)
    count = int(counts.max())
    expected = len(steps) * np.pi * NEAR**2 / (2 * reach) ** 2
    # One is there by choice of the shift, and every step was tried.
    return mean, count if poisson.sf(count - 2, expected) * len(steps) <= CHANCE else 0


def _staying(points: Mapping[str, Field], shifts: Mapping[str, Field], least: int = 2) -> Field:
    """Points (n, 2) of the frame that so many of the tied scenes have; each once."""
    every = np.concatenate([points[name] + shift for name, shift in shifts.items()])
    scene = np.repeat(np.arange(len(shifts)), [len(points[name]) for name in shifts])
    tree, kept, free = cKDTree(every), list[Field](), np.ones(len(every), bool)
    for at in range(len(every)):
        near = tree.query_ball_point(every[at], NEAR)
        if free[at] and len(set(scene[near])) >= least:
            kept.append(np.median(every[near], axis=0))
            free[near] = False
    return np.array(kept).reshape(-1, 2)


def _tied_to(staying: Field, loose: Mapping[str, Field], reach: float) -> dict[str, Field]:
    """Shifts of the loose scenes that points which stay do tie."""
    ties = {name: _tie(staying, xy, reach) for name, xy in loose.items() if len(staying) and len(xy)}
    return {name: step for name, (step, count) in ties.items() if count}


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
