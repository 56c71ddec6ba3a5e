"""Objects of a class map: 8-connected components of foreground, whatever their classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from seepseg.classes import IGNORE

EIGHT = np.ones((3, 3), bool)
"""Pixels that touch at a corner belong together: slicks are thin and often run diagonally."""


def label_objects(indices: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int]:
    """Object numbers 1…n of class indices (H, W), 0 where there is none, and n."""
    labels, count = ndimage.label((indices > 0) & (indices != IGNORE), structure=EIGHT)
    return labels.astype(np.int32, copy=False), int(count)


def remove_small(indices: NDArray[np.uint8], min_pixels: int) -> NDArray[np.uint8]:
    """Class indices (H, W) with objects of fewer than `min_pixels` pixels turned into background."""
    if min_pixels <= 1:
        return indices
    labels, count = label_objects(indices)
    small = np.bincount(labels.ravel(), minlength=count + 1) < min_pixels
    small[0] = False
    return np.where(small[labels], np.uint8(0), indices)
