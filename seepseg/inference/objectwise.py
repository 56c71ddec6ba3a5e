"""What is decided object by object, once a whole raster is known: one class an object, and the least size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.config import Predict
from seepseg.io.trace import raster_rows
from seepseg.objects import StripLabels, elect, log_sums


class ObjectDecisions:
    """Gathers what is known of each object while strips of a class map go by, then goes over the map again.

    What is held grows with the number of objects, not with the map.
    """

    def __init__(self, config: Predict, n_classes: int) -> None:
        self._config, self._labels = config, StripLabels()
        self._sizes: list[NDArray[np.int64]] = []
        self._sums: list[NDArray[np.float64]] = []
        self._heights: list[int] = []
        self._n_classes = n_classes

    def see(self, classes: NDArray[np.uint8], probabilities: NDArray[np.float32] | None) -> None:
        """Take note of the next rows (n, W), and of their probabilities (n, W, K) where a vote is wanted."""
        numbers = self._labels.add(classes)
        first = sum(map(len, self._sizes)) + 1
        local = np.where(numbers > 0, numbers - first + 1, 0)
        count = int(local.max()) + 1
        self._heights.append(len(classes))
        self._sizes.append(np.bincount(local.ravel(), minlength=count)[1:])
        if probabilities is not None:
            self._sums.append(log_sums(local, probabilities, count)[1:])

    def rewritten(self, raster: Path) -> Iterator[NDArray[np.uint8]]:
        """The rows of the map that went by, as decided."""
        final = self._labels.numbers()
        sizes = np.bincount(final[1:], np.concatenate([[], *self._sizes]), final.max() + 1)
        small = sizes < self._config.min_pixels
        elected = None
        if self._sums:
            parts = np.concatenate(self._sums)
            sums = np.zeros((final.max() + 1, self._n_classes))
            np.add.at(sums, final[1:], parts)
            elected = elect(sums)
        again = StripLabels()
        for rows in raster_rows(raster, self._heights):
            numbers = final[again.add(rows)]
            decided = rows if elected is None else np.where(numbers > 0, elected[numbers], rows)
            yield np.where((numbers > 0) & small[numbers], np.uint8(0), np.where(rows == IGNORE, rows, decided))
