from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray

from seepseg.classes import SEEP
from seepseg.config import Augment, Predict, Scaling, SeepData
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.dataset import TileDataset
from seepseg.data.scaling import MeasuredScaling
from seepseg.data.source import source_of
from seepseg.errors import ConfigError
from seepseg.geo.place import place_of
from seepseg.inference.located import Placing, on_ground
from seepseg.inference.scene_objects import View, decide_objects, object_stage, scene_objects, scenes
from seepseg.inference.score import Answer
from seepseg.inference.stream import Rows, Strip, whole_strip
from seepseg.io.raster import Georeference
from seepseg.mapping.jobs import Job
from seepseg.mapping.objectwise import ObjectDecisions, SceneClassifier
from seepseg.mapping.outputs import Wanted
from seepseg.mapping.scene import predict_scene
from seepseg.objects.classifier import Member, ObjectClassifier, relative_logs, together
from seepseg.objects.components import label_objects, log_sums
from seepseg.objects.features import FEATURES, object_features
from seepseg.objects.forest import Forest, grow_forest
from tests.inference.test_located import FIXED, classifier, sites
from tests.mapping.toy import SCALING, WIDER, pair, toy

UNIT = MeasuredScaling(Scaling(basis="fixed", range=(0, 200)), ((0.0,), (200.0,)), (0.0,), (1.0,))


def asks(name: str, threshold: float, yes: int, no: int, n_classes: int = 8) -> ObjectClassifier:
    """A classifier that says `no` where a feature is up to a threshold, `yes` above it."""
    value = np.zeros((3, n_classes), np.float32)
    value[1, no] = value[2, yes] = 1
    forest = Forest(
        np.zeros(1, np.int32),
        np.array([FEATURES.index(name), -1, -1], np.int16),
        np.array([threshold, 0, 0], np.float64),
        np.array([1, 0, 0], np.int32),
        np.array([2, 0, 0], np.int32),
        value,
    )
    return ObjectClassifier((Member(forest),), frozenset())


def scene(shape: tuple[int, int]) -> tuple[NDArray[np.uint16], NDArray[np.uint8], NDArray[np.float32]]:
    """Raw pixels, class indices with no data, and probabilities (H, W, K) of four classes; objects in many places."""
    rng = np.random.default_rng(5)
    raw = rng.integers(90, 110, shape).astype(np.uint16)
    classes = np.zeros(shape, np.uint8)
    for _ in range(40):
        y, x, h, w = *(rng.integers(0, s - 40) for s in shape), *rng.integers(2, 40, 2)
        classes[y : y + h, x : x + w] = rng.integers(1, 4)
        raw[y : y + h, x : x + w] -= np.uint16(rng.integers(10, 60))
    classes[-50:, : shape[1] // 3] = 255
    raw[classes == 255] = 0
    return raw, classes, rng.dirichlet([2, 1, 1, 1], shape).astype(np.float32)


def strip(classes: np.ndarray, probabilities: np.ndarray) -> Strip:
    pixels = Rows(np.zeros((1, *classes.shape)), classes != 255)
    return whole_strip(pixels, classes, torch.tensor(probabilities))


def test_strips_and_windows_decide_as_the_scene_in_memory_does(tmp_path: Path) -> None:
    raw, classes, probabilities = scene((700, 520))
    labels, count = label_objects(classes)
    sizes = np.bincount(labels.ravel())
    features = object_features(UNIT.to_unit(raw[None], classes != 255)[0], classes)
    logs = log_sums(labels, probabilities, count + 1)[1:] / sizes[1:, None]
    rng = np.random.default_rng(0)
    table = np.concatenate([features, relative_logs(logs)], axis=1)
    forest = grow_forest(table, rng.integers(0, 4, count), 4, trees=5, leaf=1, seed=0)
    classifier = ObjectClassifier((Member(forest),), frozenset())
    chosen = classifier.choose(features, logs)
    chosen[sizes[1:] < 30] = 0
    expected = np.where(labels > 0, np.append(np.uint8(0), chosen)[labels], classes)
    assert len(set(chosen.tolist())) == 4

    of_scene = SceneClassifier(classifier, lambda rows, columns, valid: UNIT.to_unit(raw[None, rows, columns], valid))
    decisions = ObjectDecisions(Predict(min_pixels=30), 4, of_scene)
    for start in range(0, 700, 37):
        decisions.see(strip(classes[start : start + 37], probabilities[start : start + 37]))
    tifffile.imwrite(tmp_path / "first.tif", classes)
    assert np.array_equal(np.concatenate(list(decisions.rewritten(tmp_path / "first.tif"))), expected)


def test_a_scene_without_objects_needs_no_classifier(tmp_path: Path) -> None:
    empty = np.zeros((20, 30), np.uint8)
    tifffile.imwrite(tmp_path / "first.tif", empty)
    decisions = ObjectDecisions(
        Predict(), 4, SceneClassifier(asks("log_area", 0, 1, 2, 4), lambda *_: pytest.fail("looked"))
    )
    decisions.see(strip(empty, np.full((20, 30, 4), 0.25, np.float32)))
    assert np.array_equal(np.concatenate(list(decisions.rewritten(tmp_path / "first.tif"))), empty)


def test_the_surroundings_of_an_object_too_large_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes = np.zeros((40, 900), np.uint8)
    classes[2:9, 10:890], classes[30:33, 450:453] = 1, 1
    tifffile.imwrite(tmp_path / "first.tif", classes)
    # The window of the long one is the whole map, of 40 · 900 pixels; of the small one 40 rows of 192 + 3 + 192.
    monkeypatch.setattr("seepseg.objects.features.LARGEST", 40 * 387)
    shown = []

    def look(rows: slice, columns: slice, valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        shown.append((rows, columns))
        return np.full((1, *valid.shape), 0.5, np.float32)

    decisions = ObjectDecisions(Predict(), 4, SceneClassifier(asks("log_area", 0, 3, 3, 4), look))
    likely = np.broadcast_to(np.array([0.1, 0.1, 0.7, 0.1], np.float32), (40, 900, 4))
    decisions.see(strip(classes, likely))
    found = np.concatenate(list(decisions.rewritten(tmp_path / "first.tif")))
    assert shown == [(slice(0, 40), slice(450 - 192, 453 + 192))]
    # The forest says class 3; of what it is not shown, the network's class 2 stands.
    assert (found[5, 20], found[31, 451]) == (2, 3)


def test_a_predicted_scene_is_decided_by_the_classifier_of_the_run(tmp_path: Path) -> None:
    raw = np.full((120, 100), 60, np.uint16)
    raw[20:60, 20:60], raw[90:94, 10:14] = 150, 150
    tifffile.imwrite(tmp_path / "x.tif", raw)
    # Whatever is larger than 100 pixels stays, the rest is a false alarm.
    ensemble = replace(toy(), objects=asks("log_area", np.log1p(100), 1, 0, 2))
    predict_scene(Job(tmp_path / "x.tif", "x", tmp_path, False), ensemble, Wanted(vectors=(), quicklook=False))
    found = tifffile.imread(tmp_path / "x_class.tif")
    assert found[20:60, 20:60].all()
    assert found.sum() == 1600


@pytest.mark.parametrize("shown", [0, 1])
def test_objects_are_described_as_the_member_scales_whose_classifier_it_is(tmp_path: Path, shown: int) -> None:
    raw = np.full((50, 50), 60, np.uint16)
    raw[20:24, 20:30] = 150
    tifffile.imwrite(tmp_path / "x.tif", raw)
    # The sea is 60 of 200 to the first member, 60 of 400 to the second.
    ensemble = replace(pair(SCALING, WIDER), objects=asks("sea_level", 0.2, 1, 0, 2), shown=shown)
    predict_scene(Job(tmp_path / "x.tif", "x", tmp_path, False), ensemble, Wanted(vectors=(), quicklook=False))
    assert tifffile.imread(tmp_path / "x_class.tif").sum() == (40 if shown == 0 else 0)


def dataset(root: Path) -> TileDataset:
    """Two tiles of 20 × 20 of one scene beside each other, an object across their border, a third tile elsewhere."""
    (root / "train_images_256").mkdir()
    tiles = []
    for name in ("a.0", "a.1", "b.0"):
        raw = np.full((20, 20), 100, np.uint8)
        path = root / "train_images_256" / f"{name}.tif"
        tifffile.imwrite(path, raw)
        tiles.append(Tile(name, path, None, name[0], (0, int(name[2])) if name[0] == "a" else None))
    data = SeepData(root=root, grid={"a": 2}, augment=Augment())
    return TileDataset(Catalog(tuple(tiles), SEEP), source_of(data), UNIT, {})


def answers() -> Iterator[Answer]:
    planes = {name: np.zeros((20, 20), np.uint8) for name in ("a.0", "a.1", "b.0")}
    planes["a.0"][5:10, 12:] = planes["a.1"][5:10, :6] = 1
    planes["b.0"][0:3, 0:3] = 1
    truth = {name: plane * 4 for name, plane in planes.items()}
    truth["a.1"][5:10, :6] = 255
    for name, plane in planes.items():
        yield Answer(name, np.zeros((1, 20, 20), np.float32), truth[name], plane, torch.full((8, 20, 20), 0.125))


def test_an_object_cut_by_a_tile_border_is_one(tmp_path: Path) -> None:
    samples = dataset(tmp_path)
    tiles = {t.id: t for t in samples.catalog.tiles}
    first, second = (scene_objects(*scene, samples.unit) for scene in scenes(answers(), tiles))
    assert first.sizes.tolist() == [70]  # 5 · (8 + 6)
    assert first.truth.tolist() == [[0, 0, 0, 0, 40, 0, 0, 0]]  # what is ignored is not counted
    assert first.logs[0] == pytest.approx(np.log(0.125))
    assert second.sizes.tolist() == [9]
    # Scene b is on no grid, so its tile is a scene of its own.
    assert [a.id for a in second.answers] == ["b.0"]


def test_tiles_are_decided_by_their_whole_objects(tmp_path: Path) -> None:
    samples = dataset(tmp_path)
    classifier = asks("log_area", np.log1p(50), yes=6, no=2)
    decoding = object_stage(classifier, samples, Predict(vote=True, min_pixels=5))
    assert (decoding.config.vote, decoding.config.min_pixels) == (False, 0)
    found = {a.id: a.prediction for a in decoding.decide(answers())}
    before = {a.id: a.prediction for a in answers()}
    # 40 and 30 pixels in the tiles, 70 as one object.
    assert np.array_equal(found["a.0"], 6 * before["a.0"])
    assert np.array_equal(found["a.1"], 6 * before["a.1"])
    assert np.array_equal(found["b.0"], 2 * before["b.0"])
    decoding = object_stage(classifier, samples, Predict(min_pixels=10))
    assert not {a.id: a.prediction for a in decoding.decide(answers())}["b.0"].any()


def test_a_classifier_is_not_used_on_tiles_it_was_trained_on(tmp_path: Path) -> None:
    samples = dataset(tmp_path)
    classifier = replace(asks("log_area", 0, 6, 2), tiles=frozenset(["b.0"]))
    decoding = object_stage(classifier, samples, Predict(vote=True))
    assert decoding.config.vote
    pairs = zip(decoding.decide(answers()), answers(), strict=True)
    assert all(np.array_equal(x.prediction, y.prediction) for x, y in pairs)


def test_objects_without_features_get_the_class_of_the_network() -> None:
    features = np.full((2, len(FEATURES)), np.nan, np.float32)
    features[0] = 0
    logs = np.log(np.array([[0.6, 0.1, 0.3], [0.6, 0.1, 0.3]]))
    assert asks("log_area", 5, 1, 1, 3).choose(features, logs).tolist() == [1, 2]


def test_an_ensemble_averages_its_forests() -> None:
    one, two = asks("log_area", 5, 1, 1, 3), asks("log_area", 5, 2, 2, 3)
    both = together([replace(one, tiles=frozenset("a")), None, replace(two, tiles=frozenset("b"))])
    assert both
    assert both.tiles == {"a", "b"}
    features, logs = np.zeros((1, len(FEATURES)), np.float32), np.zeros((1, 3))
    assert both.choose(features, logs).tolist() == [1]  # a draw: the first
    assert replace(both, members=both.members + two.members).choose(features, logs).tolist() == [2]
    assert together([None]) is None


def test_a_classifier_of_other_features_is_refused() -> None:
    plain = asks("log_area", 5, 1, 2).to_plain()
    again = ObjectClassifier.from_plain(plain, "x")
    assert again
    assert again.members[0].forest.threshold.tolist() == [5, 0, 0]
    assert ObjectClassifier.from_plain({}, "x") is None
    with pytest.raises(ConfigError, match="train it again"):
        ObjectClassifier.from_plain(plain | {"features": ["size"]}, "x")


def test_objects_of_tiles_are_placed_in_the_grid_of_their_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cells of 20 × 20 in row 15, columns 19 and 20: their corner is column 380 and row 300 of the scene."""
    tiles = {n: Tile(n, Path(n), group="x", cell=(15, c)) for n, c in (("a.0", 19), ("a.1", 20))}
    nowhere = partial(on_ground, place_of(Georeference()))
    view = View(tiles, lambda name: np.zeros((1, 20, 20), np.float32), pytest.fail, lambda name, xy: nowhere(xy))
    own = [answer for answer in answers() if answer.id in tiles]
    objects = scene_objects(*next(scenes(iter(own), tiles)), view.image)
    # Columns 12 to 25 and rows 5 to 9: 380 + 19, 300 + 7.5.
    assert view.in_scene(objects).tolist() == [[399.0, 307.5]]
    # Scene d of the frame, which is to be shifted by (30, -3): the known objects lie at (370, 303) there.
    monkeypatch.setattr(View, "points", lambda self, scene: FIXED - [30.0, -3.0])
    notes = list[tuple[list[str], Placing]]()
    decided = decide_objects(classifier(sites(8)), view, 0, own, lambda names, placing: notes.append((names, placing)))
    assert {int(answer.prediction.max()) for answer in decided} == {1}
    assert notes == [(["a.0", "a.1"], Placing(1, 1))]
    # What nothing ties is decided without, and says so.
    monkeypatch.setattr(View, "points", lambda self, scene: FIXED[:0])
    decided = decide_objects(classifier(sites(8)), view, 0, own, lambda names, placing: notes.append((names, placing)))
    assert {int(answer.prediction.max()) for answer in decided} == {2}
    assert notes[1][1] == Placing(1, 0, "its 0 bright points do not tie it to the scenes of training")


def test_objects_of_tiles_cut_short_are_placed_by_the_cells_of_the_whole_scene() -> None:
    """A scene of 320 rows in cells of 100, of which the first and the last one, of 20 rows, are there."""
    tiles = {n: Tile(n, Path(n), group="x", cell=(row, 0)) for n, row in (("x.0", 0), ("x.3", 3))}
    view = View(
        tiles, lambda name: np.zeros((1, 20 if name == "x.3" else 100, 100), np.float32), pytest.fail, pytest.fail
    )
    own = []
    for name, height in (("x.0", 100), ("x.3", 20)):
        plane = np.zeros((height, 100), np.uint8)
        plane[5:9, 50:60] = 1
        own.append(Answer(name, np.zeros((1, height, 100)), plane, plane, torch.full((2, height, 100), 0.5)))
    middles = [view.in_scene(scene_objects(*one, view.image)).tolist() for one in scenes(iter(own), tiles)]
    # Columns 50 to 59 and rows 5 to 8 of their tiles; the second begins at row 3 · 100, not at 3 · 20.
    assert middles == [[[55.0, 7.0]], [[55.0, 307.0]]]
