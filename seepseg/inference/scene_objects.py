"""Objects of scenes that are put together from tiles: their features, the network's probabilities, their classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.config import Predict
from seepseg.data.catalog import Tile
from seepseg.data.dataset import TileDataset
from seepseg.inference.score import Answer, Decoding
from seepseg.objects.classifier import ObjectClassifier
from seepseg.objects.components import label_objects, log_sums
from seepseg.objects.features import object_features
from seepseg.runs.fit import Fit
from seepseg.scenes.mosaic import Cell, assemble, clusters, places

ImageOf = Callable[[str], NDArray[np.float32]]
"""The image (C, h, w) of a tile, scaled to [0, 1], by its id."""

WHOLE = {"vote": False, "min_pixels": 0}
"""Decoding of tiles whose objects are decided later."""


@dataclass(frozen=True, eq=False)
class SceneObjects:
    """The n objects of one scene.

    Attributes:
        answers: its tiles.
        labels: object numbers (h, w) of each tile, 0 where there is none.
        features: (n, F), see `object_features`.
        logs: (n, K) mean log-probabilities of the network.
        truth: (n, K) pixels of each true class under each object.
        sizes: (n) pixels.
    """

    answers: list[Answer]
    labels: list[NDArray[np.int32]]
    features: NDArray[np.float32]
    logs: NDArray[np.float64]
    truth: NDArray[np.int64]
    sizes: NDArray[np.int64]


def scenes(answers: Iterable[Answer], tiles: Mapping[str, Tile]) -> Iterator[dict[Cell, Answer]]:
    """Scene after scene, as answers by cell; from answers in the order of the catalog.

    One scene is in memory at a time. Of a scene of which most is missing, cells that touch come together, so that no
    plane is larger than they need. A tile that is no cell of a grid, and a second tile of one cell, are scenes of their
    own.

    Args:
        tiles: the tiles by id.
    """

    def scene_of(answer: Answer) -> str:
        tile = tiles[answer.id]
        return tile.group if tile.cell else tile.id

    for _, members in groupby(answers, scene_of):
        by_cell: dict[Cell, Answer] = {}
        for answer in members:
            if by_cell.setdefault(tiles[answer.id].cell or (0, 0), answer) is not answer:
                yield {(0, 0): answer}
        for touching in clusters(by_cell):
            yield {cell: by_cell[cell] for cell in touching}


def object_stage(
    classifier: ObjectClassifier | None, dataset: TileDataset, config: Predict, fit: Fit | None = None
) -> Decoding:
    """How tiles are decoded one by one, and their objects after that by the classifier, where there is one.

    Objects are then whole ones, in their scene, so that no vote and no minimum size is left for the tiles. A classifier
    that was trained on any of the tiles is not used.
    """
    tiles = {t.id: t for t in dataset.catalog.tiles}
    if classifier is None or not classifier.has_not_seen(tiles):
        return Decoding(config, fit)
    whole = partial(decide_objects, classifier, tiles, dataset.unit, config.min_pixels)
    return Decoding(config.model_copy(update=WHOLE), fit, whole)


def decide_objects(
    classifier: ObjectClassifier,
    tiles: Mapping[str, Tile],
    image_of: ImageOf,
    min_pixels: int,
    answers: Iterable[Answer],
) -> Iterator[Answer]:
    """The answers with the classes that the classifier chooses for their objects; objects below `min_pixels` go."""
    for by_cell in scenes(answers, tiles):
        scene = scene_objects(by_cell, image_of)
        chosen = classifier.choose(scene.features, scene.logs)
        chosen[scene.sizes < min_pixels] = 0
        # What is no object is background or no data, and stays.
        lookup = np.concatenate([np.zeros(1, np.uint8), chosen])
        for answer, labels in zip(scene.answers, scene.labels, strict=True):
            yield replace(answer, prediction=np.where(labels > 0, lookup[labels], answer.prediction))


def scene_objects(answers: Mapping[Cell, Answer], image_of: ImageOf) -> SceneObjects:
    """The objects of one scene as predicted, from the answers by cell; `image_of` reads images."""
    classes = assemble({cell: a.prediction for cell, a in answers.items()})
    # The first band: the co-polarised one, where there are two.
    image = assemble({cell: image_of(a.id)[0] for cell, a in answers.items()}, missing=0)
    slices, _ = places({cell: a.prediction.shape for cell, a in answers.items()})
    numbers, count = label_objects(classes)
    logs = np.zeros((count + 1, len(next(iter(answers.values())).probabilities)))
    truth = np.zeros(logs.shape, np.int64)
    labels = [numbers[slices[cell]] for cell in answers]
    for own, answer in zip(labels, answers.values(), strict=True):
        logs += log_sums(own, answer.probabilities.permute(1, 2, 0).float().cpu().numpy(), count + 1)
        labelled = answer.truth != IGNORE
        np.add.at(truth, (own[labelled], answer.truth[labelled]), 1)
    sizes = np.bincount(numbers.ravel(), minlength=count + 1)
    return SceneObjects(
        list(answers.values()),
        labels,
        object_features(image, classes),
        logs[1:] / sizes[1:, None],
        truth[1:],
        sizes[1:],
    )
