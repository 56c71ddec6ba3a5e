"""The place as evidence: which classes the true objects of other scenes have around a position."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIGMAS = (40.0, 120.0, 400.0)
"""Pixels of the training scenes over which objects around count, as standard deviations of a normal curve."""

PRIOR = 5.0
"""Weight, as roots of pixels, of the shares that classes have everywhere: how many pixels of evidence outweigh it."""

FEWEST = 5
"""Other scenes that must lie in the frame, at least: what one or two show may be one spill."""

AT_ONCE = 1024
"""Positions described at once: each needs its distance from every object."""


@dataclass(frozen=True, eq=False)
class Sites:
    """The true objects of scenes that lie in one frame, and what ties a further scene to it.

    Attributes:
        names: of the scenes (S).
        owner: (n) the number of each object's scene.
        positions: (n, 2) columns and rows in the frame or, where scenes are placed on the Earth, (n, 3) from its middle
            as multiples of `unit`.
        classes: (n) class indices.
        roots: (n) square roots of their pixels: their weights.
        n_classes: how many classes there are, with background.
        unit: metres of a pixel; 0 where positions are in a frame of pixels.
        shifts: (S, 2) columns and rows to add to a scene's own; 0 where positions are on the Earth.
        bright: (p, 2) columns and rows of the bright points of each scene, in its own pixels, the brightest first.
        shown: (p) the number of the scene that shows each.
    """

    names: tuple[str, ...]
    owner: NDArray[np.int64]
    positions: Floats
    classes: NDArray[np.int64]
    roots: Floats
    n_classes: int
    unit: float
    shifts: Floats
    bright: Floats
    shown: NDArray[np.int64]

    @property
    def size(self) -> int:
        """Features of a position: the share of each foreground class and a total, at each of the `SIGMAS`."""
        return len(SIGMAS) * self.n_classes

    def others(self, scene: str) -> int:
        """How many scenes there are apart from this one."""
        return sum(not same_scene(name, scene) for name in self.names)

    def points(self) -> dict[str, Floats]:
        """The bright points (m, 2) of each scene, by its name."""
        return {name: self.bright[self.shown == number] for number, name in enumerate(self.names)}

    def around(self, positions: Floats, scene: str) -> NDArray[np.float32]:
        """Shares of the classes around positions, and the logarithm of the weight that they are shares of (n, P).

        At each of the `SIGMAS`: the share of each foreground class in the sum of √pixels · exp(−d² / 2σ²) over the
        objects, smoothed by `PRIOR` times its share in the sum of √pixels over all of them; then the logarithm of
        that sum and `PRIOR`. Far from all objects, shares are those of the whole, and nothing but `PRIOR` is left.

        NaN of a position so far away that the prior weighs more than what is around it at the largest of the `SIGMAS`,
        and of all, where fewer than `FEWEST` other scenes are there, or none of these holds an object.

        Args:
            positions: (n, 2) or (n, 3), as `Sites.positions`; NaN where not known.
            scene: the scene that they are in; its own objects do not count. It is known by the last part of its name:
                whoever predicts a training scene under another name gets its own labels back.
        """
        own = [number for number, name in enumerate(self.names) if same_scene(name, scene)]
        other = ~np.isin(self.owner, own)
        if len(self.names) - len(own) < FEWEST or not other.any():
            return np.full((len(positions), self.size), np.nan, np.float32)
        sites, roots = self.positions[other], self.roots[other]
        weights = np.zeros((len(sites), self.n_classes - 1))
        weights[np.arange(len(sites)), self.classes[other] - 1] = roots
        usual = PRIOR * weights.sum(0) / roots.sum()
        parts = [
            _shares(positions[start : start + AT_ONCE], sites, weights, usual)
            for start in range(0, len(positions), AT_ONCE)
        ]
        return np.concatenate([np.zeros((0, self.size), np.float32), *parts])

    def check(self, n_classes: int) -> None:
        """Raise ValueError where these are no objects of so many classes in a frame."""
        n, scenes = len(self.owner), len(self.names)
        numbers = [self.owner, self.shown]
        values = [self.positions, self.roots, self.shifts, self.bright]
        if (
            self.n_classes != n_classes
            or not all(type(name) is str for name in self.names)
            or self.positions.shape != (n, 3 if self.unit else 2)
            or any(array.shape != (n,) for array in (self.owner, self.classes, self.roots))
            or self.shifts.shape != (scenes, 2)
            or self.bright.shape != (len(self.shown), 2)
            or self.shown.ndim != 1
            or any(array.dtype.kind != "i" for array in (*numbers, self.classes))
            or any(len(array) and not 0 <= array.min() <= array.max() < scenes for array in numbers)
            or (n and not 1 <= self.classes.min() <= self.classes.max() < self.n_classes)
            or not all(array.dtype.kind == "f" and np.isfinite(array).all() for array in values)
            or not np.isfinite(self.unit)
            or self.unit < 0
            or (n and self.roots.min() <= 0)
        ):
            raise ValueError("an object classifier that knows no place")

    def to_plain(self) -> dict[str, Any]:
        """Tensors and plain types by name, for the checkpoint."""
        plain = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for name, value in plain.items()
        }

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Sites:
        """What `to_plain` wrote."""
        arrays = {name: v.numpy() if isinstance(v, torch.Tensor) else v for name, v in plain.items()}
        return cls(**arrays | {"names": tuple(plain["names"])})


def same_scene(one: str, other: str) -> bool:
    """Whether two names are of one scene: by their last parts, as folders may differ."""
    return PurePosixPath(one).name == PurePosixPath(other).name


def _shares(positions: Floats, sites: Floats, weights: Floats, usual: Floats) -> NDArray[np.float32]:
    # Term by term: squares of 6000 km from the middle of the Earth leave no digits for pixels.
    square = sum((positions[:, None, axis] - sites[:, axis]) ** 2 for axis in range(sites.shape[1]))
    columns = list[Floats]()
    for sigma in SIGMAS:
        near = np.exp(square / (-2 * sigma**2)) @ weights
        total = near.sum(1, keepdims=True) + PRIOR
        columns += [(near + usual) / total, np.log(total)]
    shares = np.concatenate(columns, axis=1)
    shares[~(near.sum(1) >= PRIOR)] = np.nan  # also where the position is not known
    return shares.astype(np.float32)
