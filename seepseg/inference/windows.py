"""The grid of windows over a scene, and the weight of each window where several overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLOOR = 1e-3
"""The minimum weight, relative to the centre: the rim of a scene lies in the rim of one window only."""


@dataclass(frozen=True)
class Grid:
    """Where windows lie.

    Attributes:
        rows, columns: first row of each row of windows, first column of each column of windows.
        height, width: size of a window; smaller than asked for if the scene is smaller.
    """

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    height: int
    width: int


def grid(height: int, width: int, window: int, overlap: float) -> Grid:
    """Windows of `window` pixels a side over a scene (height, width), neighbours sharing the fraction `overlap`.

    A scene smaller than a window is one window of its own size.
    """
    stride = max(1, round(window * (1 - overlap)))
    return Grid(starts(height, window, stride), starts(width, window, stride), min(window, height), min(window, width))


def starts(size: int, window: int, stride: int) -> tuple[int, ...]:
    """0, stride, 2·stride, … up to `size`; the last window is moved back to end at the border."""
    if size <= window:
        return (0,)
    inner = range(0, size - window, stride)
    return (*inner, size - window)


def weights(starts: Sequence[int], window: int, size: int, overlap: float) -> list[NDArray[np.float32]]:
    """The weights (window) of each window along one axis; over the windows that cover a pixel they add up to 1.

    A weight is a raised cosine over the rim that neighbours share, and flat between the rims. Windows of a grid are
    laid out by rows and columns, so the weight of a pixel in a window is the product of its weights along both axes,
    and normalising each axis normalises the sum.
    """
    rim = max(1, round(window * overlap))
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(window) + 0.5) / rim)
    rise = np.where(np.arange(window) < rim, ramp, 1.0)
    profile = np.maximum(rise * rise[::-1], FLOOR)
    total = np.zeros(size)
    for start in starts:
        total[start : start + window] += profile
    return [(profile / total[start : start + window]).astype(np.float32) for start in starts]
