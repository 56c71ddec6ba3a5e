"""Chance and smooth random fields, shared by the made-up data."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Rng = np.random.Generator
Field = NDArray[np.float64]


def smooth_noise(rng: Rng, shape: tuple[int, int], scale: float) -> Field:
    """Smooth noise of mean 0 and variance 1; drawn coarse and enlarged, as filtering at full size is slow."""
    step = max(1, round(scale / 4))
    coarse = (shape[0] // step + 8, shape[1] // step + 8)
    field = gaussian_filter(rng.normal(size=coarse), scale / step)
    field = (field - field.mean()) / field.std()
    enlarged = cv2.resize(field, (coarse[1] * step, coarse[0] * step), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged[: shape[0], : shape[1]], np.float64)
