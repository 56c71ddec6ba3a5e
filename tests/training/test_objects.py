from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from numpy.typing import NDArray

from seepseg.classes import SEEP
from seepseg.config import Objects, dump, load
from seepseg.errors import DataError
from seepseg.inference.labelled import open_labelled
from seepseg.inference.located import Centres
from seepseg.inference.reference import Frame, Spots
from seepseg.inference.score import Answer
from seepseg.objects.classifier import ObjectClassifier
from seepseg.objects.components import label_objects
from seepseg.objects.features import FEATURES
from seepseg.runs.checkpoint import load_checkpoint
from seepseg.runs.find import find_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.training.objects import (
    Outlines,
    drop_object_classifiers,
    fold_outlines,
    outlined_at,
    train_classifier,
    train_object_classifiers,
    true_class,
    truly_outlined,
)
from seepseg.training.run import train
from tests.command import error, run
from tests.conftest import tiny_config

FOLDS = ["-s", "data.split.folds=2", "-s", "data.split.allow_missing_classes=true", "-s", "train.epochs=1"]
# A network of one epoch is sure of nothing. Synthetic scenes show no place twice.
OBJECTS = ["-s", "objects={trees: 5, place: true}", "-s", "predict.threshold=0.3", "-s", "predict.tta=none"]


def test_the_true_class_is_the_commonest_of_the_seep_below() -> None:
    truth = np.array([[91, 9, 0], [90, 10, 0], [0, 3, 4], [5, 0, 5], [0, 0, 0]])
    # 9 % seep is a false alarm, 10 % is not; nothing known is one too
    assert true_class(truth).tolist() == [0, 1, 2, 2, 0]


def test_an_outline_at_another_probability() -> None:
    # Foreground .2 .3 .8 and one pixel without data; of the second, class 2 is the more probable.
    planes = torch.tensor([[0.8, 0.7, 0.2, 0.0], [0.1, 0.1, 0.5, 0.6], [0.1, 0.2, 0.3, 0.4]])[:, None]
    answer = Answer("a", np.zeros((1, 1, 4)), np.zeros((1, 4), np.uint8), np.array([[0, 0, 1, 255]], np.uint8), planes)
    assert outlined_at(0.25, answer).prediction.tolist() == [[0, 2, 1, 255]]
    assert outlined_at(0.9, answer).prediction.tolist() == [[0, 0, 0, 255]]


def test_the_true_outline_holds_what_is_known_to_be_seep() -> None:
    truth, prediction = np.array([[0, 3, 255, 3]], np.uint8), np.array([[1, 0, 1, 255]], np.uint8)
    answer = Answer("a", np.zeros((1, 1, 4)), truth, prediction, torch.zeros(4, 1, 4))
    assert truly_outlined(answer).prediction.tolist() == [[0, 3, 0, 255]]


def test_all_folds_end_with_a_classifier_that_has_not_seen_them(
    seep_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # One outline beside the true one is enough here; those of a network of one epoch are thousands of specks.
    monkeypatch.setattr("seepseg.training.objects.CUTS", (0.5,))
    # Blocks of 3 × 3 tiles: every scene is in both folds.
    data = {"source": "seep", "root": str(seep_root), "grid": {"": 6}, "shifts": None}
    split = {"by": "blocks", "size": 192, "margin": 20}
    Path("c.yaml").write_text(dump(tiny_config(seep_root, data={**data, "split": split})))
    code, out, err = run(capsys, "train", "c.yaml", *FOLDS, *OBJECTS, "--all-folds", "--run", "r")
    assert (code, err) == (0, "")
    assert "fold_1: no place is known: fewer than 6 of its scenes with objects could be tied to each other" in out
    tables = [pd.read_csv(f"r/fold_{k}/splits.csv", dtype=str) for k in (0, 1)]
    val_parts = [set(table.loc[table["split"] == "val", "id"]) for table in tables]
    for k, table in enumerate(tables):
        checkpoint = load_checkpoint(Path(f"r/fold_{k}/checkpoints/last.pt"))
        classifier = ObjectClassifier.from_plain(checkpoint.objects, "r")
        assert classifier
        assert len(classifier.members[0].forest.roots) == 5
        assert classifier.sites == [None]
        # Of the tiles that the other fold has not seen, those that this one trained on: none is near its blocks.
        assert classifier.tiles == val_parts[1 - k] & set(table.loc[table["split"] == "train", "id"])
        assert classifier.tiles < val_parts[1 - k]
        # The rest of the checkpoint is as it was: training could go on.
        assert checkpoint.training
    assert val_parts[0] | val_parts[1] == set(table["id"])
    assert set.intersection(*(set(table["group"]) for table in tables)) == set(tables[0]["group"])
    code, _, _ = run(capsys, "eval", "r", "--split", "oof", "--no-figures", "-o", "oof")
    assert code == 0
    scored = json.loads(Path("oof/metrics.json").read_text())
    assert (scored["decoding"]["objects"], scored["drawn"]) == ("classifier", "block")
    assert scored["measures"].startswith("Blocks of ground were held out")
    assert scored["intervals"]["dice/foreground"]["clusters"] == len(set(tables[0]["block"]))
    # The last weights are what folds are scored with; a class map of them holds one class an object.
    assert run(capsys, "eval", "r/fold_0/checkpoints/last.pt", "--no-figures", "-o", "scores")[0] == 0
    # Training again gives the same forests.
    before = load_checkpoint(Path("r/fold_0/checkpoints/last.pt")).objects["forests"][0]
    folds = [RunFolder(Path(f"r/fold_{k}")) for k in (0, 1)]
    objects = load_checkpoint(folds[0].last).config.objects
    assert objects
    train_object_classifiers(folds, objects, "cpu", lambda line: None)
    after = load_checkpoint(folds[0].last).objects["forests"][0]
    assert all(np.array_equal(before[name], after[name]) for name in before)
    # Other trees need no other network.
    command = ("train", "c.yaml", *FOLDS, "-s", "objects.trees=7", "--all-folds", "--run", "r", "--resume")
    code, out, _ = run(capsys, *command)
    assert code == 0
    assert "fold 1 is finished" in out
    assert len(load_checkpoint(folds[1].last).objects["forests"][0]["roots"]) == 7
    # The run says what was asked of it, not the config it was started from; and RUN/fold_0 means what holds the forest.
    assert run(capsys, *command[:2], *FOLDS, *command[-4:])[0] == 0
    assert len(load_checkpoint(folds[0].last).objects["forests"][0]["roots"]) == 7
    assert find_checkpoint(folds[0].root) == folds[0].last
    # Without objects the run goes back to the networks alone.
    assert run(capsys, *command[:2], *FOLDS, *command[-4:], "-s", "objects=null")[0] == 0
    assert load_checkpoint(folds[0].last).objects == {}
    assert find_checkpoint(folds[0].root) == folds[0].best


def test_objects_that_no_fold_finds_are_learned_from_as_they_are(
    seep_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = {"folds": 2, "allow_missing_classes": True}
    data = {"source": "seep", "root": str(seep_root), "split": split}
    config = tiny_config(seep_root, data=data, train={"epochs": 1, "batch_size": 8})
    folder = RunFolder(tmp_path / "fold_0")
    train(config, folder, fold=0, echo=lambda line: None)
    monkeypatch.setattr("seepseg.training.objects.CUTS", ())
    outlines = fold_outlines(open_labelled(folder.last, config.runtime, "val", tta=True))
    # The default grid does not know these scenes, so each tile is one of its own.
    classes_in: dict[str, list[int]] = {}
    for tile in outlines.tiles:
        mask = tifffile.imread(seep_root / "train_masks_256" / f"{tile}.tif")
        labels, count = label_objects(mask)
        classes_in[tile] = [int(np.bincount(mask[labels == n]).argmax()) for n in range(1, count + 1)]
    expected = [number for numbers in classes_in.values() for number in numbers]
    assert sorted(outlines.classes.tolist()) == sorted(expected)
    # Each outline lies in the one tile that it is counted in.
    assert outlines.places[:, 0].tolist() == list(range(len(expected)))
    assert sorted(outlines.classes[outlines.places[:, 1] == 0].tolist()) == sorted(classes_in[outlines.tiles[0]])
    assert len(outlines.inputs) == len(expected) > 0


def test_a_run_can_do_without_a_classifier_it_never_got(seep_root: Path, tmp_path: Path) -> None:
    split = {"folds": 2, "allow_missing_classes": True}
    data = {"source": "seep", "root": str(seep_root), "split": split}
    config = tiny_config(seep_root, objects={"trees": 5}, data=data, train={"epochs": 1, "batch_size": 8})
    folder = RunFolder(tmp_path / "fold_0")
    train(config, folder, fold=0, echo=lambda line: None)
    # Asked for, but not trained yet: the fold is as any other.
    assert find_checkpoint(folder.root) == folder.best
    drop_object_classifiers([folder])
    assert load(folder.config).objects is None
    assert load_checkpoint(folder.last).config.objects is None


def outlines(tiles: tuple[str, ...], count: int, places: NDArray[np.int64]) -> Outlines:
    """Outlines of as many pixels as their class, 1 to `count`, in tiles that are scenes of their own."""
    nowhere, classes = np.full((count, 3), np.nan), np.arange(count) + 1
    spots = Spots(
        np.full(count, "a"), Centres(nowhere[:, :2], nowhere), classes, np.ones(count, bool), np.full(count, np.nan)
    )
    return Outlines(tiles, np.arange(count, dtype=np.float32)[:, None], classes, places, tiles, spots)


def test_outlines_that_reach_into_a_tile_that_is_left_out_are_left_out() -> None:
    # Of four outlines the second lies in a and b, the third in c alone, the last in b.
    places = np.array([[0, 0], [1, 0], [1, 1], [2, 2], [3, 1]])
    every = outlines(("a", "b", "c"), 4, places)
    some = every.within({"a", "c", "elsewhere"})
    assert (some.tiles, some.classes.tolist(), some.inputs[:, 0].tolist()) == (("a", "c"), [1, 3], [0, 2])
    assert some.places.tolist() == [[0, 0], [1, 1]]
    assert (some.groups, some.spots.sizes.tolist()) == (("a", "c"), [1, 3])
    assert every.within({"a", "b", "c"}).places.tolist() == places.tolist()
    assert len(every.within({"b"}).classes) == 1
    assert every.within(set()).inputs.shape == (0, 1)


def test_nothing_to_learn_from_is_an_error() -> None:
    nothing = outlines((), 0, np.zeros((0, 2), np.int64))
    with pytest.raises(DataError, match="hold no true object"):
        train_classifier([nothing], Objects(), 0, SEEP)


def placed(scenes: str, seed: int) -> Outlines:
    """Outlines of a fold: twelve objects of each scene, of class 1 in the west and 2 in the east; features are noise.

    Scenes are in a frame of pixels, each shifted by as many columns as its letter's number.
    """
    rng, names = np.random.default_rng(seed), np.repeat(list(scenes), 12)
    frame = np.stack(
        [rng.uniform(0, 100, len(names)) + np.tile([0, 2000], len(names) // 2), 0 * rng.random(len(names))]
    )
    own = frame.T - np.array([(ord(name), 0) for name in names])
    n, classes = len(names), np.tile([1, 2], len(names) // 2)
    spots = Spots(names, Centres(own, np.full((n, 3), np.nan)), np.full(n, 50), np.ones(n, bool), np.full(n, np.nan))
    noise = rng.random((n, len(FEATURES) + 8)).astype(np.float32)
    places = np.stack([np.arange(n), np.arange(n) // 12], axis=1)
    return Outlines(tuple(f"{name}.0" for name in scenes), noise, classes, places, tuple(scenes), spots)


def test_the_classes_around_an_object_are_learned_from_and_its_own_scene_is_left_out() -> None:
    parts = [placed("abcd", 0), placed("efgh", 1)]
    shifts = {name: (float(ord(name)), 0.0) for name in "abcdefgh"}
    frame = Frame({name: np.zeros((0, 2)) for name in shifts}, shifts)
    classifier = train_classifier(parts, Objects(trees=20, place=True), 0, SEEP, frame)
    (sites,) = classifier.sites
    assert sites
    assert sites.names == tuple("abcdefgh")
    # The classifier of a fold whose scenes are new: by place, all are right; by noise, about half.
    new = placed("xy", 2)
    features, logs = new.inputs[:, : len(FEATURES)], np.log(np.full((24, 8), 0.125))
    near = sites.around(new.spots.centres.pixels + np.array([(ord(name), 0) for name in new.spots.scenes]), "x")
    assert (classifier.choose(features, logs, [near]) == new.classes).all()
    assert 0.2 < (classifier.choose(features, logs) == new.classes).mean() < 0.8
    # A scene that lies in both parts is known to both by its other objects only.
    both = [replace(part, spots=part.spots._replace(scenes=np.full(48, "s")), groups=("s",) * 4) for part in parts]
    of_one = Frame({"s": np.zeros((0, 2))}, {"s": (0.0, 0.0)})
    alone = train_classifier(both, Objects(trees=2, place=True), 0, SEEP, of_one)
    assert alone.sites == [None]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["-s", "objects.trees=5"], "set data.split.folds=5"),
        ([*FOLDS, "-s", "objects.trees=5", "-s", "data.classes=seep_binary"], "data.classes has one"),
    ],
)
def test_objects_need_folds_and_classes(
    overrides: list[str], words: str, seep_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(dump(tiny_config(seep_root)))
    code, line = error(capsys, "train", tmp_path / "c.yaml", *overrides)
    assert code == 2
    assert words in line
