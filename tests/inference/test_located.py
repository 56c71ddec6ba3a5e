from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from seepseg.geo.place import place_of
from seepseg.inference.located import Centres, locate, on_ground
from seepseg.io.raster import Georeference
from seepseg.mapping.jobs import Job
from seepseg.mapping.outputs import Wanted
from seepseg.mapping.scene import predict_scene
from seepseg.objects.classifier import Member, ObjectClassifier, Placed
from seepseg.objects.features import FEATURES
from seepseg.objects.forest import Forest
from seepseg.objects.sites import Floats, Sites
from tests.mapping.toy import recipe, toy

NAMES = ("a", "b", "c", "d", "e", "f")
FIXED = np.random.default_rng(3).uniform(30, 970, (12, 2))
STRAY = np.array([[120.0, 700.0], [640.0, 240.0]])


def splits_at(feature: int, threshold: float, low: int, high: int, n_classes: int) -> Forest:
    """One tree: class `low` where a feature is up to a threshold, `high` above it."""
    value = np.zeros((3, n_classes), np.float32)
    value[1, low] = value[2, high] = 1
    return Forest(
        np.zeros(1, np.int32),
        np.array([feature, -1, -1], np.int16),
        np.array([threshold, 0, 0], np.float64),
        np.array([1, 0, 0], np.int32),
        np.array([2, 0, 0], np.int32),
        value,
    )


def sites(n_classes: int = 3, unit: float = 0.0, at: tuple[float, ...] = (400.0, 300.0)) -> Sites:
    """Six scenes, each with twelve points that stay; all show one object of class 1 at a place of the frame.

    Scene number i must be shifted by (10 i, −i) columns and rows.
    """
    shifts = np.array([(0.0, 0.0) if unit else (10.0 * i, -1.0 * i) for i in range(6)])
    return Sites(
        NAMES,
        np.arange(6),
        np.tile(np.array(at), (6, 1)),
        np.ones(6, np.int64),
        np.full(6, 10.0),
        n_classes,
        unit,
        shifts,
        np.zeros((0, 2)) if unit else np.concatenate([FIXED - shift for shift in shifts]),
        np.zeros(0, np.int64) if unit else np.repeat(np.arange(6), 12),
    )


def classifier(known: Sites | None) -> ObjectClassifier:
    """Says class 1 of objects whose place is known if there is enough around them, and class 2 (or 0) of all others."""
    k = known.n_classes if known else 3
    total = len(FEATURES) + k + k - 1  # the logarithm of the weight at the smallest of the distances
    other = 2 if k > 2 else 0
    placed = known and Placed(splits_at(total, np.log(30), other, 1, k), known)
    return ObjectClassifier((Member(splits_at(0, -1, other, other, k), placed),), frozenset())


def at(*pixels: tuple[float, float]) -> Centres:
    return Centres(np.array(pixels), np.full((len(pixels), 3), np.nan))


def test_a_scene_is_tied_by_its_bright_points() -> None:
    known, shift = sites(), np.array([-53.0, 21.0])
    located = locate(classifier(known), "new", lambda: FIXED - shift)
    assert located
    assert located.shifts[0] == pytest.approx(shift)
    # The object at (400, 300) of the frame is there at (453, 279) of the scene; 2000 pixels on, nothing is known.
    (near,), placing = located.around(at((453.0, 279.0), (2453.0, 279.0)))
    assert near is not None
    assert near[0] == pytest.approx(known.around(np.array([[400.0, 300.0]]), "new")[0])
    assert np.isnan(near[1]).all()
    assert placing == (2, 1, "")


def test_a_training_scene_gets_the_objects_of_the_others_only() -> None:
    known = sites()
    located = locate(classifier(known), "folder/c", lambda: FIXED - known.shifts[2])
    assert located
    (near,), _ = located.around(at((380.0, 302.0)))  # (400, 300) of the frame less (20, −2)
    assert near is not None
    # Five weights of √100 and the prior of 5: of six, it would be log 65.
    assert near[0, 2] == pytest.approx(np.log(55))


def test_what_cannot_be_tied_says_why() -> None:
    known, one = sites(), at((400.0, 300.0))
    few = locate(classifier(known), "new", lambda: STRAY)
    assert few
    assert few.around(one) == ([None], (1, 0, "its 2 bright points do not tie it to the scenes of training"))
    fewer = replace(known, names=NAMES[:5], shifts=known.shifts[:5])
    # Scene e is one of five, so four others are left.
    left = locate(classifier(fewer), "e", lambda: FIXED - known.shifts[4])
    assert left
    assert left.around(one)[1] == (1, 0, "only 4 other scenes are known there, 5 are needed")
    assert few.around(at())[1] == (0, 0, "")
    assert locate(classifier(None), "new", lambda: pytest.fail("looked for points")) is None


def test_scenes_on_the_earth_are_tied_by_where_they_lie() -> None:
    place = place_of(Georeference(crs_wkt="EPSG:32616", transform=(10, 0, 400_000, 0, -10, 3_100_000)))
    far = place_of(Georeference(crs_wkt="EPSG:32616", transform=(10, 0, 500_000, 0, -10, 3_100_000)))
    middle = np.array([[400.0, 300.0]])
    known = sites(unit=10.0, at=tuple(on_ground(place, middle)[0] / 10))
    located = locate(classifier(known), "new", lambda: pytest.fail("looked for points"))
    assert located
    (near,), placing = located.around(Centres(middle, on_ground(place, middle + np.array([40, 0]))))
    assert near is not None
    # 40 pixels of 10 m away, all of class 1: 60 · exp(−½), which UTM shows 1.0003 times too long or short.
    assert near[0, 2] == pytest.approx(np.log(60 * np.exp(-0.5) + 5), rel=1e-3)
    assert placing == (1, 1, "")
    _, elsewhere = located.around(Centres(middle, on_ground(far, middle)))
    assert elsewhere == (1, 0, "it shows another place than the scenes of training")
    _, nowhere = located.around(at((400.0, 300.0)))
    assert nowhere == (1, 0, "the scene has no georeference, and those of training have one")


def test_each_member_of_an_ensemble_knows_its_own_frame() -> None:
    """The frame of the second lies (100, 0) off that of the first; a third knows no place."""
    one, step = sites(), np.array([100.0, 0.0])
    two = replace(one, positions=one.positions + step, shifts=one.shifts + step)
    both = [classifier(known).members[0] for known in (one, two, None)]
    located = locate(ObjectClassifier(tuple(both), frozenset()), "new", lambda: FIXED)
    assert located
    (first, second, third), placing = located.around(at((400.0, 300.0)))
    assert first is not None
    assert second is not None
    assert first == pytest.approx(second)
    assert third is None
    assert placing.placed == 1


def sea(points: Floats) -> np.ndarray:
    """Pixels of 1000 × 1000 below 70, with points at columns and rows, which are bright and foreground to `toy`."""
    raw = np.random.default_rng(0).integers(50, 70, (1000, 1000)).astype(np.uint16)
    for column, row in points.astype(int):
        raw[row - 1 : row + 2, column - 1 : column + 2] = 2000
    return raw


@pytest.mark.parametrize("tied", [True, False])
def test_a_predicted_scene_says_whether_its_place_is_known(tmp_path: Path, tied: bool) -> None:
    raw = sea(FIXED if tied else STRAY)
    raw[280:320, 380:420], raw[900:910, 900:910] = 150, 150
    tifffile.imwrite(tmp_path / "x.tif", raw)
    ensemble = replace(toy(recipe(nodata=0)), objects=classifier(sites(n_classes=2)))
    report = predict_scene(Job(tmp_path / "x.tif", "x", tmp_path, False), ensemble, Wanted(vectors=()))
    found = tifffile.imread(tmp_path / "x_class.tif")
    # The forest for known places keeps what lies at the known object and drops the rest; the other one drops all.
    assert found[280:320, 380:420].all() == tied
    assert not found[900:910, 900:910].any()
    placed, reason = report.facts["placed"], [w for w in report.warnings if "place: its" in w]
    assert placed["objects"] >= (14 if tied else 4)
    assert (placed["with_place"] > 0, len(reason)) == (tied, 0 if tied else 1)


def test_a_checkpoint_holds_the_place() -> None:
    one = classifier(sites())
    one.check(3)
    again = ObjectClassifier.from_plain(one.to_plain(), "x")
    assert again
    located, before = (locate(c, "new", lambda: FIXED) for c in (again, one))
    assert located
    assert before
    (near,), (expected,) = (found.around(at((400.0, 300.0)))[0] for found in (located, before))
    assert near is not None
    assert near.tolist() == (expected if expected is None else expected.tolist())
    features, logs = np.zeros((1, len(FEATURES)), np.float32), np.zeros((1, 3))
    assert (again.choose(features, logs, [near])[0], again.choose(features, logs)[0]) == (1, 2)
    # What was written before there were places knows none.
    old = classifier(None).to_plain()
    assert set(old) == {"features", "tiles", "forests"}
    same = ObjectClassifier.from_plain(old, "x")
    assert same
    assert same.sites == [None]


@pytest.mark.parametrize("feature", [len(FEATURES) + 3 + 9, 2**14])
def test_a_forest_that_asks_for_what_there_is_not_is_refused(feature: int) -> None:
    (member,) = classifier(sites()).members
    assert member.placed
    wrong = Member(member.forest, member.placed._replace(forest=splits_at(feature, 0, 1, 2, 3)))
    with pytest.raises(ValueError, match="no forest"):
        ObjectClassifier((wrong,), frozenset()).check(3)
