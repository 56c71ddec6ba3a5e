"""A small picture of a scene, put together while the scene streams by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.figures import QUICKLOOK_SIDE


class Thumbnail:
    """Every k-th pixel of a scene, and the largest class index of the pixels it stands for.

    Attributes:
        gray: raw values (h, w) of the first band, at most `QUICKLOOK_SIDE` a side.
        valid: where they are valid.
        classes: class indices; small findings stay visible.
    """

    def __init__(self, height: int, width: int) -> None:
        self.step = max(1, -(-max(height, width) // QUICKLOOK_SIDE))
        shape = (-(-height // self.step), -(-width // self.step))
        self.gray = np.zeros(shape, np.float32)
        self.valid = np.zeros(shape, bool)
        self.classes = np.zeros(shape, np.uint8)

    def add_image(self, start: int, gray: NDArray[np.generic], valid: NDArray[np.bool_]) -> None:
        """Take up rows (n, W) of the image that begin at row `start`."""
        step, stop = self.step, start + len(gray)
        first = -start % step
        kept = slice((start + first) // step, -(-stop // step))
        self.gray[kept], self.valid[kept] = gray[first::step, ::step], valid[first::step, ::step]

    def add_classes(self, start: int, classes: NDArray[np.uint8]) -> None:
        """Take up rows (n, W) of the class map that begin at row `start`."""
        step = self.step
        found = np.where(classes == IGNORE, np.uint8(0), classes)
        across = np.maximum.reduceat(found, np.arange(0, found.shape[1], step), axis=1)
        # A block of rows may have begun in the rows before.
        edges = np.unique(np.concatenate([[0], np.arange(-start % step, len(classes), step)]))
        blocks = np.maximum.reduceat(across, edges, axis=0)
        lines = (start + edges) // step
        self.classes[lines] = np.maximum(self.classes[lines], blocks)
