"""Smooth random fields, and the shapes of made-up slicks: each class has its own shape, size, damping and edge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Rng = np.random.Generator
Field = NDArray[np.float64]
Canvas = NDArray[np.uint8]


@dataclass(frozen=True)
class Slick:
    """How one class looks: what is drawn, the intensity left inside, softness of the edge and raggedness, pixels."""

    draw: Callable[[Canvas, Rng], None]
    side: int
    left: float
    feather: float = 0.7
    ragged: float = 0.8
    beacon: bool = False


def smooth_noise(rng: Rng, shape: tuple[int, int], scale: float) -> Field:
    """Smooth noise of mean 0 and variance 1; drawn coarse and enlarged, as filtering at full size is slow."""
    step = max(1, round(scale / 4))
    coarse = (shape[0] // step + 8, shape[1] // step + 8)
    field = gaussian_filter(rng.normal(size=coarse), scale / step)
    field = (field - field.mean()) / field.std()
    enlarged = cv2.resize(field, (coarse[1] * step, coarse[0] * step), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged[: shape[0], : shape[1]], np.float64)


def _line(canvas: Canvas, start: Field, end: Field, width: int) -> None:
    a, b = (tuple(int(v) for v in np.rint(p)) for p in (start, end))
    cv2.line(canvas, a, b, 1, width)


def direction(angle: float) -> Field:
    """Unit vector (x, y) of an angle in radians."""
    return np.array([np.cos(angle), np.sin(angle)])


def _middle(canvas: Canvas) -> Field:
    return np.array(canvas.shape[::-1]) / 2.0


def _blob(canvas: Canvas, rng: Rng) -> None:
    axes = rng.integers(20, 32, 2)
    centre = tuple(int(v) for v in _middle(canvas))
    cv2.ellipse(canvas, centre, (int(axes[0]), int(axes[1])), float(rng.uniform(0, 180)), 0, 360, 1, -1)


def _thread(canvas: Canvas, rng: Rng) -> None:
    """A curving thread of 40 short steps that widens as the oil drifts from its source."""
    steps = 40
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(gaussian_filter(rng.normal(0, 0.35, steps), 3))
    path = np.cumsum(5.0 * np.stack([np.cos(heading), np.sin(heading)], 1), 0)
    path += _middle(canvas) - (path.max(0) + path.min(0)) / 2
    for i in range(steps - 1):
        _line(canvas, path[i], path[i + 1], 3 + 5 * i // steps)


def _spots(canvas: Canvas, rng: Rng) -> None:
    """Round spots in the cells of a jittered lattice, so that they stay apart."""
    lattice = np.stack(np.meshgrid(np.arange(-1, 2), np.arange(-1, 2)), -1).reshape(-1, 2) * 21.0
    for offset in rng.permutation(lattice)[: rng.integers(6, 10)]:
        x, y = np.rint(_middle(canvas) + offset + rng.uniform(-3, 3, 2))
        cv2.circle(canvas, (int(x), int(y)), int(rng.integers(4, 7)), 1, -1)


def _band(canvas: Canvas, rng: Rng) -> None:
    along = direction(rng.uniform(0, np.pi)) * rng.uniform(45, 60)
    _line(canvas, _middle(canvas) - along, _middle(canvas) + along, int(rng.integers(26, 33)))


def _ring(canvas: Canvas, rng: Rng) -> None:
    """A whole ring, or one open by up to a third."""
    radius, opening = int(rng.integers(19, 28)), float(rng.choice([0, 60, 120]))
    centre = tuple(int(v) for v in _middle(canvas))
    cv2.ellipse(canvas, centre, (radius, radius - 3), float(rng.uniform(0, 360)), opening, 360, 1, 10)


def _dashes(canvas: Canvas, rng: Rng) -> None:
    angle, count = rng.uniform(0, np.pi), int(rng.integers(5, 8))
    along, across = direction(angle), direction(angle + np.pi / 2)
    for row in range(count):
        centre = _middle(canvas) + across * 13 * (row - (count - 1) / 2) + along * rng.uniform(-5, 5)
        half = along * rng.uniform(11, 15)
        _line(canvas, centre - half, centre + half, 5)


def _fork(canvas: Canvas, rng: Rng) -> None:
    """Two straight arms from a common apex at the middle of the canvas, each widening outwards."""
    angle, opening = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 0.7)
    for arm in (direction(angle - opening / 2), direction(angle + opening / 2)):
        side = np.array([-arm[1], arm[0]])
        near, far = _middle(canvas) + 6 * arm, _middle(canvas) + rng.uniform(50, 65) * arm
        corners = np.rint([near - 2 * side, near + 2 * side, far + 6 * side, far - 6 * side]).astype(np.int32)
        cv2.fillPoly(canvas, [corners], 1)


SLICKS: dict[int, Slick] = {
    1: Slick(_blob, 100, left=0.12, ragged=4.0),
    2: Slick(_thread, 220, left=0.12),
    3: Slick(_spots, 90, left=0.18, ragged=0.5),
    4: Slick(_band, 180, left=0.45, feather=3.0),
    5: Slick(_ring, 90, left=0.15),
    6: Slick(_dashes, 120, left=0.25, ragged=0.5),
    7: Slick(_fork, 160, left=0.3, ragged=0.5, beacon=True),
}
"""The seven seep classes by label value."""


def slick_cover(rng: Rng, slick: Slick) -> Field:
    """Cover (side, side) from 0 to 1: a logistic step across the drawn outline, one half on it."""
    canvas = np.zeros((slick.side, slick.side), np.uint8)
    slick.draw(canvas, rng)
    outside, inside = (cv2.distanceTransform(c, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for c in (1 - canvas, canvas))
    # Bending the plane, unlike adding noise to the distance, makes the outline ragged without tearing pieces off.
    y, x = np.mgrid[: slick.side, : slick.side]
    bent_x, bent_y = ((g + slick.ragged * smooth_noise(rng, canvas.shape, 6)).astype(np.float32) for g in (x, y))
    depth = cv2.remap(inside - outside, bent_x, bent_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(1 / (1 + np.exp(-np.clip(np.float64(depth) / slick.feather, -30, 30))))
