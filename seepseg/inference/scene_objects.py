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
from seepseg.data.source import read_pixels
from seepseg.geo.place import place_of
from seepseg.inference.located import Centres, Placing, locate, on_ground
from seepseg.inference.score import Answer, Decoding
from seepseg.io.image import Pixels
from seepseg.objects.classifier import Around, ObjectClassifier
from seepseg.objects.components import label_objects, log_sums, middles
from seepseg.objects.features import object_features
from seepseg.objects.sites import Floats
from seepseg.runs.fit import Fit
from seepseg.scenes.frame import scene_points
from seepseg.scenes.images import opened
from seepseg.scenes.mosaic import Cell, assemble, clusters, places

ImageOf = Callable[[str], NDArray[np.float32]]
"""The image (C, h, w) of a tile, scaled to [0, 1], by its id."""

Note = Callable[[list[str], Placing], None]
"""Takes the ids of tiles whose objects were decided together, and how many of the objects have a known place."""

WHOLE = {"vote": False, "min_pixels": 0}
"""Decoding of tiles whose objects are decided later."""


@dataclass(frozen=True, eq=False)
class View:
    """What is known of tiles by their ids.

    Attributes:
        tiles: their scenes and cells.
        image: their images, scaled.
        raw: their pixels as they are in their files.
        ground: metres (n, 3) from the middle of the Earth of columns and rows (n, 2) in a tile; see `on_ground`.
    """

    tiles: Mapping[str, Tile]
    image: ImageOf
    raw: Callable[[str], Pixels]
    ground: Callable[[str, Floats], Floats]

    def points(self, scene: str) -> Floats:
        """Columns and rows (n, 2) of the bright points of a scene, in all of its tiles."""
        of_scene = {tile.cell or (0, 0): tile.id for tile in self.tiles.values() if _scene_of(tile) == scene}
        return scene_points({cell: self.raw(name) for cell, name in of_scene.items()})

    def in_scene(self, objects: SceneObjects) -> Floats:
        """Columns and rows (n, 2) of the middles of the objects of a scene, from the first cell of its grid."""
        row, column = self.tiles[objects.answers[0].id].cell or (0, 0)
        corner = np.array([column * objects.cell[1], row * objects.cell[0]], np.float64)
        return np.asarray(objects.middles + corner)


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
        middles: (n, 2) mean column and row, from the corner of the first tile.
        cell: height and width of a cell of its grid.
    """

    answers: list[Answer]
    labels: list[NDArray[np.int32]]
    features: NDArray[np.float32]
    logs: NDArray[np.float64]
    truth: NDArray[np.int64]
    sizes: NDArray[np.int64]
    middles: Floats
    cell: tuple[int, int]


def scenes(
    answers: Iterable[Answer], tiles: Mapping[str, Tile]
) -> Iterator[tuple[dict[Cell, Answer], tuple[int, int]]]:
    """Scene after scene, as answers by cell, and the height and width of a cell; from answers in catalog order.

    One scene is in memory at a time. Of a scene of which most is missing, cells that touch come together, so that no
    plane is larger than they need. A tile that is no cell of a grid, and a second tile of one cell, are scenes of their
    own.

    Args:
        tiles: the tiles by id.
    """
    for _, members in groupby(answers, lambda answer: _scene_of(tiles[answer.id])):
        whole, by_cell = list(members), dict[Cell, Answer]()
        # Of all its tiles: those that come together may all be cut short, at an edge of the scene.
        height, width = (max(a.prediction.shape[axis] for a in whole) for axis in (0, 1))
        for answer in whole:
            if by_cell.setdefault(tiles[answer.id].cell or (0, 0), answer) is not answer:
                yield {(0, 0): answer}, (height, width)
        for touching in clusters(by_cell):
            yield {cell: by_cell[cell] for cell in touching}, (height, width)


def _scene_of(tile: Tile) -> str:
    """The scene that a tile is put together with; a tile that is no cell of a grid is one of its own."""
    return tile.group if tile.cell else tile.id


def view_of(dataset: TileDataset) -> View:
    """What is known of the tiles of a data set."""
    tiles, source = {t.id: t for t in dataset.catalog.tiles}, dataset.source

    def ground(name: str, pixels: Floats) -> Floats:
        tile = tiles[name]
        with opened(source.data, tile.image, verify=False) as image:
            return on_ground(place_of(image.georeference), pixels + (tile.window or (0, 0))[1::-1])

    return View(tiles, dataset.unit, lambda name: read_pixels(source, tiles[name]), ground)


def unnoted(tiles: list[str], placing: Placing) -> None:
    """Takes no note."""
    del tiles, placing


def object_stage(
    classifier: ObjectClassifier | None,
    dataset: TileDataset,
    config: Predict,
    fit: Fit | None = None,
    note: Note = unnoted,
) -> Decoding:
    """How tiles are decoded one by one, and their objects after that by the classifier, where there is one.

    Objects are then whole ones, in their scene, so that no vote and no minimum size is left for the tiles. A classifier
    that was trained on any of the tiles is not used.
    """
    if classifier is None or not classifier.has_not_seen(t.id for t in dataset.catalog.tiles):
        return Decoding(config, fit)
    whole = partial(decide_objects, classifier, view_of(dataset), config.min_pixels, note=note)
    return Decoding(config.model_copy(update=WHOLE), fit, whole)


def decide_objects(
    classifier: ObjectClassifier, view: View, min_pixels: int, answers: Iterable[Answer], note: Note = unnoted
) -> Iterator[Answer]:
    """The answers with the classes that the classifier chooses for their objects; objects below `min_pixels` go.

    Where it knows a place, a scene is tied to it by all its tiles, and `note` hears of it before the answers come.
    """
    before, located = "", None
    for by_cell, cell in scenes(answers, view.tiles):
        scene = scene_objects(by_cell, cell, view.image)
        first = view.tiles[scene.answers[0].id]
        if before != (before := _scene_of(first)):
            located = locate(classifier, first.group, partial(view.points, before))
        around: Around = ()
        if located:
            centres = Centres(view.in_scene(scene), view.ground(first.id, scene.middles))
            around, placing = located.around(centres)
            note([answer.id for answer in scene.answers], placing)
        chosen = classifier.choose(scene.features, scene.logs, around)
        chosen[scene.sizes < min_pixels] = 0
        # What is no object is background or no data, and stays.
        lookup = np.concatenate([np.zeros(1, np.uint8), chosen])
        for answer, labels in zip(scene.answers, scene.labels, strict=True):
            yield replace(answer, prediction=np.where(labels > 0, lookup[labels], answer.prediction))


def scene_objects(answers: Mapping[Cell, Answer], cell: tuple[int, int], image_of: ImageOf) -> SceneObjects:
    """The objects of one scene as predicted, from what `scenes` gives of it; `image_of` reads images."""
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
    rows, columns = slices[next(iter(answers))]
    return SceneObjects(
        list(answers.values()),
        labels,
        object_features(image, classes),
        logs[1:] / sizes[1:, None],
        truth[1:],
        sizes[1:],
        middles(numbers, sizes)[1:] - (columns.start, rows.start),
        cell,
    )
