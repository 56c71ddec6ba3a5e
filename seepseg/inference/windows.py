"""The grid of windows over a scene: one for the whole scene, whatever part of it is worked on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Grid:
    """Where windows lie.

    Attributes:
        rows, columns: first row of each row of windows, first column of each column of windows.
        height, width: size of a window; smaller than asked for where the scene is.
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
