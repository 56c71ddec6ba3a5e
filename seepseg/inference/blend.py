"""Blending weights: how much each window says about a pixel that several of them see."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

FLOOR = 1e-3
"""The least weight, relative to the centre: the rim of a scene is seen by the rim of one window only."""


def _hann(window: int, overlap: float) -> NDArray[np.float64]:
    """A raised cosine over the rim that neighbours share, flat between."""
    rim = max(1, round(window * overlap))
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(window) + 0.5) / rim)
    rise = np.where(np.arange(window) < rim, ramp, 1.0)
    return np.asarray(rise * rise[::-1])


def _gaussian(window: int, overlap: float) -> NDArray[np.float64]:
    """A Gaussian with a spread of an eighth of the window, as nnU-Net and MONAI use it."""
    del overlap
    return np.asarray(np.exp(-0.5 * ((np.arange(window) - (window - 1) / 2) / (window / 8)) ** 2))


def _crop(window: int, overlap: float) -> NDArray[np.float64]:
    """The centre alone: a halo of half the overlap is thrown away."""
    halo = round(window * overlap / 2)
    return ((np.arange(window) >= halo) & (np.arange(window) < window - halo)).astype(np.float64)


PROFILES: dict[str, Callable[[int, float], NDArray[np.float64]]] = {"hann": _hann, "gaussian": _gaussian, "crop": _crop}


def weights(kind: str, starts: Sequence[int], window: int, size: int, overlap: float) -> list[NDArray[np.float32]]:
    """The weights (window) of each window along one axis; over the windows that see a pixel they add up to 1.

    Windows of a grid are laid out by rows and columns, so the weight of a pixel in a window is the product of its
    weights along both axes, and normalising each axis normalises the sum.
    """
    profile = np.maximum(PROFILES[kind](window, overlap), FLOOR)
    total = np.zeros(size)
    for start in starts:
        total[start : start + window] += profile
    return [(profile / total[start : start + window]).astype(np.float32) for start in starts]
