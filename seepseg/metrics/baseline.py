"""Reference rows of a report: simple predictions, with no skill, little skill, or skill in one thing only."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from seepseg.classes import IGNORE
from seepseg.objects.components import remove_small

Classes = NDArray[np.uint8]

WINDOW = 129
"""Side in pixels of the surroundings of a dark spot, wider than the slicks looked for."""

SMOOTH = 5
"""Side in pixels of the mean that averages speckle away."""

DEVIATIONS = 1.5
SMALLEST = 50


def most_common_class(pixels: ArrayLike) -> int:
    """Index of the foreground class with most pixels, from the pixels of each class (K); the lower one in a tie."""
    return int(np.argmax(np.asarray(pixels)[1:])) + 1


def nothing(truth: Classes) -> Classes:
    """Background everywhere, as from a network that finds nothing."""
    return _where_known(truth, np.zeros_like(truth))


def one_class(truth: Classes, class_index: int) -> Classes:
    """True outlines, every object of one class: what finding alone scores, without distinguishing classes."""
    return _where_known(truth, np.where(truth > 0, np.uint8(class_index), np.uint8(0)))


def shifted(truth: Classes) -> Classes:
    """Truth moved down and right by a pixel: what a score loses to outlines that are a pixel off.

    Background moves in from outside the map, and from under ignored pixels.
    """
    moved = np.zeros_like(truth)
    moved[1:, 1:] = truth[:-1, :-1]
    return _where_known(truth, np.where(moved == IGNORE, np.uint8(0), moved))


def dark_spots(image: NDArray[np.generic], valid: NDArray[np.bool_], class_index: int = 1) -> Classes:
    """Where a radar image is darker than its surroundings: the classical detector, adaptive thresholding.

    A pixel is foreground where the mean over `SMOOTH`² pixels lies more than `DEVIATIONS` standard deviations (of such
    means, over `WINDOW`² pixels) below the mean over the window; objects of fewer than `SMALLEST` pixels are dropped.

    Args:
        image: (H, W) brightness in any unit.
        valid: (H, W); other pixels enter no mean and are 255 in the result.
        class_index: what to call every object, since darkness does not distinguish classes.
    """
    usable = valid & np.isfinite(image)
    # Less the mean, so that the variance is not lost in the rounding of large squares.
    values = np.where(usable, image, 0).astype(np.float64)
    values = np.where(usable, values - values.sum() / max(int(usable.sum()), 1), 0)
    fine = _local_mean(values, usable, SMOOTH)
    mean, square = _local_mean(fine, usable, WINDOW), _local_mean(fine**2, usable, WINDOW)
    dark = usable & (fine < mean - DEVIATIONS * np.sqrt(np.maximum(square - mean**2, 0)))
    classes = remove_small(np.where(dark, np.uint8(class_index), np.uint8(0)), SMALLEST)
    return np.where(valid, classes, np.uint8(IGNORE))


def _local_mean(values: NDArray[np.float64], usable: NDArray[np.bool_], side: int) -> NDArray[np.float64]:
    """Mean of the usable pixels of a box around each pixel; 0 where the pixel itself is not usable."""
    count = _box_sum(usable.astype(np.float64), side)
    # Where the pixel itself is usable, the box holds one or more.
    return np.asarray(np.where(usable, _box_sum(values * usable, side) / np.maximum(count, 1), 0))


def _box_sum(plane: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """Sum over a box around each pixel; 0 outside the plane."""
    total = cv2.boxFilter(plane, cv2.CV_64F, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(total, dtype=np.float64)


def _where_known(truth: Classes, prediction: Classes) -> Classes:
    return np.where(truth == IGNORE, np.uint8(IGNORE), prediction)
