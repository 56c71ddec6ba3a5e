"""Decisions object by object, once a whole raster is written: one class per object, and the minimum size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.config import Predict
from seepseg.inference.located import Placing
from seepseg.inference.stream import Strip
from seepseg.io.raster import raster_rows, raster_windows
from seepseg.objects.classifier import Around, ObjectClassifier
from seepseg.objects.components import StripLabels, elect, log_sums, middles
from seepseg.objects.features import features_in, object_boxes

SceneImage = Callable[[slice, slice, NDArray[np.bool_]], NDArray[np.float32]]
"""The image (C, h, w) in [0, 1] of some rows and columns of a scene, and where they are valid (h, w)."""


@dataclass(frozen=True)
class SceneClassifier:
    """An object classifier, the image of the scene that its features are computed from, and what knows its place."""

    objects: ObjectClassifier
    image: SceneImage
    around: Callable[[NDArray[np.float64]], tuple[Around, Placing | None]] = lambda middles: ((), None)


class ObjectDecisions:
    """Sizes, boxes and probabilities of objects, added up strip by strip, and then the decided map.

    Memory grows with the number of objects, not with the map. With a classifier, the surroundings of one object at a
    time are read again.

    Attributes:
        placing: of the objects, where a classifier knew of places and has decided.
    """

    def __init__(self, config: Predict, n_classes: int, classifier: SceneClassifier | None = None) -> None:
        self._config, self._classifier, self._labels = config, classifier, StripLabels()
        self._sizes: list[NDArray[np.int64]] = []
        self._sums: list[NDArray[np.float64]] = []
        self._boxes: list[NDArray[np.int64]] = []
        self._middles: list[NDArray[np.float64]] = []
        self.placing: Placing | None = None
        self._heights: list[int] = []
        self._width = 0
        self._n_classes = n_classes

    def see(self, strip: Strip) -> None:
        """Add the next rows."""
        classes = strip.classes
        numbers = self._labels.add(classes)
        first = sum(map(len, self._sizes)) + 1
        local = np.where(numbers > 0, numbers - first + 1, 0)
        count = int(local.max()) + 1
        sizes = np.bincount(local.ravel(), minlength=count)
        if self._classifier:
            self._boxes.append(object_boxes(local, sum(self._heights)))
            self._middles.append(middles(local, sizes)[1:] + np.array([0, sum(self._heights)]))
        self._heights.append(len(classes))
        self._width = classes.shape[1]
        self._sizes.append(sizes[1:])
        if self._config.vote or self._classifier:
            labels = local.ravel()[strip.where.cpu().numpy()]
            self._sums.append(log_sums(labels, strip.pixels.cpu().numpy(), count)[1:])

    def rewritten(self, raster: Path) -> Iterator[NDArray[np.uint8]]:
        """The rows of the map with the classes decided object by object."""
        final = self._labels.numbers()
        count = int(final.max()) + 1
        sizes = np.bincount(final[1:], np.concatenate([[], *self._sizes]), count)
        small = sizes < self._config.min_pixels
        elected = None
        if self._sums:
            sums = np.zeros((count, self._n_classes))
            np.add.at(sums, final[1:], np.concatenate(self._sums))
            elected = elect(sums) if self._classifier is None else self._classify(raster, final, sums, sizes, small)
        again = StripLabels()
        for rows in raster_rows(raster, self._heights):
            numbers = final[again.add(rows)]
            decided = rows if elected is None else np.where(numbers > 0, elected[numbers], rows)
            yield np.where((numbers > 0) & small[numbers], np.uint8(0), np.where(rows == IGNORE, rows, decided))

    def _classify(
        self,
        raster: Path,
        final: NDArray[np.int64],
        sums: NDArray[np.float64],
        sizes: NDArray[Any],
        small: NDArray[np.bool_],
    ) -> NDArray[np.uint8]:
        """The class that the classifier gives each object; objects that are too small anyway are left out."""
        assert self._classifier
        chosen = np.zeros(len(sums), np.uint8)
        wanted = np.flatnonzero(~small[1:]) + 1
        if not len(wanted):
            return chosen
        boxes = np.full((len(sums), 4), np.iinfo(np.int64).max)
        np.minimum.at(boxes, final[1:], np.concatenate(self._boxes))
        image, shape = self._classifier.image, (sum(self._heights), self._width)
        with raster_windows(raster) as read:

            def look(rows: slice, columns: slice) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
                classes = read(rows, columns)
                return image(rows, columns, classes != IGNORE)[0], classes

            features = features_in(boxes[wanted], shape, look)
        weighted = np.zeros((len(sums), 2))
        np.add.at(weighted, final[1:], np.concatenate(self._middles) * np.concatenate(self._sizes)[:, None])
        around, self.placing = self._classifier.around(weighted[wanted] / sizes[wanted, None])
        chosen[wanted] = self._classifier.objects.choose(features, sums[wanted] / sizes[wanted, None], around)
        return chosen
