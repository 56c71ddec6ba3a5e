"""Training the object classifiers, on how the folds of a run outline objects in scenes they were not trained on."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE, ClassTable
from seepseg.config import Config, Objects, TileFolders, dump
from seepseg.errors import DataError
from seepseg.geo.frame import read_shifts
from seepseg.inference.decode import most_probable
from seepseg.inference.labelled import Labelled, open_labelled
from seepseg.inference.reference import Frame, Spots, around, frame_of, sites_of, spots_of, together
from seepseg.inference.scene_objects import WHOLE, scene_objects, scenes, view_of
from seepseg.inference.score import Answer
from seepseg.io.atomic import write_text
from seepseg.machine.cores import is_first
from seepseg.machine.device import runtime_for
from seepseg.machine.progress import Echo
from seepseg.metrics.grades import TOUCHED
from seepseg.objects.classifier import Member, ObjectClassifier, Placed, is_known, relative_logs
from seepseg.objects.forest import Forest, grow_forest
from seepseg.objects.sites import FEWEST
from seepseg.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from seepseg.runs.find import folds_of
from seepseg.runs.folder import RunFolder
from seepseg.splits.parts import part

CUTS = (0.3, 0.4, 0.5, 0.6)
"""Foreground probabilities at which objects are outlined, in addition to the true outline: with five outlines of an
object, its class depends less on where one happens to lie, and objects that no network finds are learned from too."""

LEAF = 10
"""Minimum outlines in a leaf of a tree; an object has up to five."""


@dataclass(frozen=True, eq=False)
class Outlines:
    """The n outlines, at all `CUTS` and as they truly are, of the true objects in the scenes one fold has not seen.

    Attributes:
        tiles: ids of all tiles of these scenes.
        inputs: (n, F + K) features and `relative_logs`.
        classes: (n) the true class; outlines of false alarms are not among them.
        places: (m, 2) numbers of an outline and of a tile that it reaches into, all such pairs.
        groups: the scene of each tile.
        spots: where the outlines lie.
    """

    tiles: tuple[str, ...]
    inputs: NDArray[np.float32]
    classes: NDArray[np.int64]
    places: NDArray[np.int64]
    groups: tuple[str, ...]
    spots: Spots

    def within(self, tiles: Collection[str]) -> Outlines:
        """Those that reach into none but these tiles."""
        stays = np.array([tile in tiles for tile in self.tiles], bool)
        kept = np.ones(len(self.classes), bool)
        kept[self.places[~stays[self.places[:, 1]], 0]] = False
        places = self.places[kept[self.places[:, 0]]]
        places = np.stack([(np.cumsum(kept) - 1)[places[:, 0]], (np.cumsum(stays) - 1)[places[:, 1]]], axis=1)
        own, groups = (tuple(itertools.compress(names, stays)) for names in (self.tiles, self.groups))
        return Outlines(own, self.inputs[kept], self.classes[kept], places, groups, self.spots.some(kept))


def settle_object_classifiers(config: Config, root: Path, echo: Echo) -> None:
    """Train the object classifiers of a run whose folds are trained, or remove them, as its config says; errors below.

    Args:
        config: of its folds.
        root: their folder.
    """
    folders = folds_of(root)
    if config.objects:
        train_object_classifiers(folders, config.objects, config.runtime.device, echo)
    else:
        drop_object_classifiers(folders)


def train_object_classifiers(folders: Sequence[RunFolder], objects: Objects, device: str, echo: Echo) -> None:
    """Train an object classifier for every fold of a run, and store it in the fold's last checkpoint.

    The classifier of fold k learns from the objects in the scenes that the *other* folds were not trained on, both as
    these folds outline them (with the errors it will meet) and as they truly are. It never sees the scenes that fold k
    is scored on, nor tiles that fold k left out, as those are that come too near to its blocks of ground. An ensemble
    takes the mean of all classifiers.

    Raises:
        DataError: no scene holds a true object.
        LockedError: a fold is being trained.
    """
    if not is_first():
        return
    with ExitStack() as stack:
        for folder in folders:
            stack.enter_context(folder.locked())
        checkpoints = [load_checkpoint(folder.last) for folder in folders]
        outlines, views = [], []
        for folder, checkpoint in zip(folders, checkpoints, strict=True):
            runtime = runtime_for(checkpoint.config.runtime, device)
            labelled = open_labelled(folder.last, runtime, "val", tta=True)
            views.append(view_of(labelled.dataset))
            outlines.append(fold_outlines(labelled))
            echo(f"{folder.root.name}: {len(outlines[-1].classes)} outlines of true objects in scenes it has not seen")
        data = checkpoints[0].config.data
        given = data.shifts if isinstance(data, TileFolders) and isinstance(data.shifts, Path) else None
        frame = frame_of(views, read_shifts(given) if given else None) if objects.place else None
        for k, (folder, checkpoint) in enumerate(zip(folders, checkpoints, strict=True)):
            trained = set(part(folder.read_splits(), "train"))
            others = [found.within(trained) for j, found in enumerate(outlines) if j != k]
            classifier = train_classifier(others, objects, checkpoint.config.seed, checkpoint.classes, frame)
            if frame:
                echo(f"{folder.root.name}: {_place_text(classifier)}")
            _store(folder, checkpoint, objects, classifier.to_plain())


def drop_object_classifiers(folders: Sequence[RunFolder]) -> None:
    """Remove the object classifiers from the folds of a run, where there are any."""
    for folder in folders if is_first() else ():
        with folder.locked():
            checkpoint = load_checkpoint(folder.last)
            if checkpoint.objects or checkpoint.config.objects:
                _store(folder, checkpoint, None, {})


def _store(folder: RunFolder, checkpoint: Checkpoint, objects: Objects | None, plain: dict[str, Any]) -> None:
    config = checkpoint.config.model_copy(update={"objects": objects})
    save_checkpoint(folder.last, replace(checkpoint, config=config, objects=plain))
    write_text(folder.config, dump(config))


def train_classifier(
    parts: Sequence[Outlines], objects: Objects, seed: int, classes: ClassTable, frame: Frame | None = None
) -> ObjectClassifier:
    """The classifier trained on the outlines of some folds; with a frame of their scenes, by their places too.

    The sites that are known are the true objects of these folds, and no others.

    Raises:
        DataError: there is none.
    """
    if not sum(len(one.classes) for one in parts):
        raise DataError("the scenes that folds validate on hold no true object", "objects", "set objects=null")
    inputs, truth = (np.concatenate([getattr(one, name) for one in parts]) for name in ("inputs", "classes"))

    def grow(inputs: NDArray[np.float32], truth: NDArray[np.int64]) -> Forest:
        return grow_forest(inputs, truth, len(classes), trees=objects.trees, leaf=LEAF, seed=seed)

    placed = None
    if frame:
        spots, names = together([one.spots for one in parts]), dict.fromkeys(n for one in parts for n in one.groups)
        sites = sites_of(spots, truth, list(names), len(classes), frame)
        near = around(sites, spots, frame)
        if (known := is_known(near)).any():
            placed = Placed(grow(np.concatenate([inputs, near], axis=1)[known], truth[known]), sites)
    tiles = frozenset(tile for one in parts for tile in one.tiles)
    return ObjectClassifier((Member(grow(inputs, truth), placed),), tiles)


def _place_text(classifier: ObjectClassifier) -> str:
    """What a classifier knows of the place of its scenes, for the terminal."""
    (sites,) = classifier.sites
    if sites is None:
        return f"no place is known: fewer than {FEWEST + 1} of its scenes with objects could be tied to each other"
    return f"knows the places of {len(sites.owner)} true objects in {len(sites.names)} scenes"


def fold_outlines(labelled: Labelled) -> Outlines:
    """The objects in tiles that the network of a fold was not trained on, as it outlines them."""
    tiles = {t.id: t for t in labelled.catalog.tiles}
    answers = labelled.answers(labelled.config.predict.model_copy(update=WHOLE))
    ways: list[Callable[[Answer], Answer]] = [*(partial(outlined_at, cut) for cut in CUTS), truly_outlined]
    numbers, view = {tile: number for number, tile in enumerate(tiles)}, view_of(labelled.dataset)
    inputs, classes, spots, places, count = [], [], [], list[tuple[int, int]](), 0
    for by_cell, size in scenes(answers, tiles):
        for way in ways:
            outlined = {cell: way(answer) for cell, answer in by_cell.items()}
            scene = scene_objects(outlined, size, view.image)
            true = true_class(scene.truth)
            usable = (true > 0) & is_known(scene.features)
            inputs.append(np.concatenate([scene.features, relative_logs(scene.logs)], axis=1)[usable])
            classes.append(true[usable])
            number = np.where(usable, count - 1 + np.cumsum(usable), -1)
            for answer, labels in zip(scene.answers, scene.labels, strict=True):
                own = number[np.unique(labels[labels > 0]) - 1]
                places += [(int(outline), numbers[answer.id]) for outline in own if outline >= 0]
            count += int(usable.sum())
            spots.append(spots_of(view, scene, true=way is truly_outlined).some(usable))
    pairs, groups = np.array(places, np.int64).reshape(-1, 2), tuple(tile.group for tile in tiles.values())
    return Outlines(tuple(tiles), np.concatenate(inputs), np.concatenate(classes), pairs, groups, together(spots))


def outlined_at(cut: float, answer: Answer) -> Answer:
    """The answer with foreground where its probability reaches the cut; no data stays no data."""
    return _outlined(answer, most_probable(answer.probabilities[None], cut)[0].cpu().numpy())


def truly_outlined(answer: Answer) -> Answer:
    """The answer with foreground where it truly is; unknown truth counts as background, and no data stays no data."""
    return _outlined(answer, np.where(answer.truth == IGNORE, np.uint8(0), answer.truth))


def _outlined(answer: Answer, classes: NDArray[np.uint8]) -> Answer:
    return replace(answer, prediction=np.where(answer.prediction == IGNORE, answer.prediction, classes))


def true_class(truth: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class (n) of objects from their true pixels of each class (n, K): the most common foreground class.

    It is 0 where less than one in `TOUCHED` pixels is foreground: a false alarm. These are left out: as a class of
    their own, they cost more true objects than they removed false ones.
    """
    false = TOUCHED * truth[:, 1:].sum(1) < np.maximum(truth.sum(1), 1)
    return np.where(false, 0, truth[:, 1:].argmax(1) + 1)
