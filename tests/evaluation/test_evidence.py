from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepseg.classes import SALT, SEEP_BINARY, ClassTable, SegClass
from seepseg.config import parse
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.source import read_mask, source_of
from seepseg.evaluation.breakdown import coverage_rows, flag_rows
from seepseg.evaluation.conclusions import conclusions
from seepseg.evaluation.evidence import DARK, FROC_THRESHOLDS, Evidence
from seepseg.inference.score import TileResult
from seepseg.metrics.baseline import nothing
from seepseg.metrics.confusion import confusion_matrix
from seepseg.metrics.salt_score import tgs_score

TWO = ClassTable((SegClass("thick", (1,), "#E69F00"), SegClass("thin", (2,), "#56B4E9")))


def result(name: str, truth: np.ndarray, made: np.ndarray, classes: int = 3, sure: float = 0.9) -> TileResult:
    """A tile whose network is this sure of what it says."""
    likely = np.full((classes, *truth.shape), (1 - sure) / (classes - 1), np.float32)
    np.put_along_axis(likely, np.where(made == 255, 0, made)[None].astype(np.intp), sure, 0)
    image = np.zeros((1, *truth.shape), np.float32)
    return TileResult(name, image, truth, made, confusion_matrix(truth, made, classes), likely)


def scenes(count: int, tiles: int, seed: int = 0) -> tuple[Catalog, list[TileResult]]:
    """Scenes of tiles in one row, with random blocks of truth and prediction."""
    rng = np.random.default_rng(seed)
    entries, results = [], []
    for s in range(count):
        for i in range(tiles):
            name = f"s{s}.{i}"
            entries.append(Tile(name, Path(name), group=f"s{s}", cell=(0, i)))
            truth, made = (np.kron(rng.choice([0, 0, 1, 2], (3, 3)), np.ones((4, 4))).astype(np.uint8) for _ in "ab")
            truth[0, :2] = 255
            results.append(result(name, truth, made))
    return Catalog(tuple(entries), TWO), results


def gathered(catalog: Catalog, results: list[TileResult]) -> Evidence:
    evidence = Evidence(catalog, 1, salt=catalog.classes == SALT)
    for r in results:
        evidence.see(r)
    evidence.finish()
    return evidence


def test_an_object_cut_by_a_tile_border_is_one() -> None:
    catalog, _ = scenes(1, 2)
    truth, made = np.zeros((2, 12, 12), np.uint8)
    truth[4, 8:] = 1
    made[4, 10:] = 1
    left, right = result("s0.0", truth, made), result("s0.1", truth[:, ::-1], made[:, ::-1])
    evidence = gathered(catalog, [left, right])
    # Eight pixels of truth, four in the middle of it predicted: IoU 4/8 finds it at .5; foreground is .95 sure there.
    assert evidence.objects.objects.sum() == 1
    assert evidence.objects.found.sum((1, 2)).tolist() == [1, 1, 1]
    at = FROC_THRESHOLDS.index(0.9)
    assert evidence.froc.found[at].tolist() == [1, 1, 1]
    assert evidence.froc.found[-1].tolist() == [0, 0, 0]
    # And .1 at sea: below that all is one object, IoU 8 of 288.
    assert evidence.froc.found[0].tolist() == [0, 0, 1]


def test_rates_of_objects_have_intervals_over_scenes() -> None:
    catalog, results = scenes(9, 2)
    evidence = gathered(catalog, results)
    found = conclusions(evidence)
    rates = found["intervals"]
    assert rates["objects/found"]["value"] == pytest.approx(found["objects"]["found_iou25"])
    assert rates["objects/false_alarms_per_mpx"]["value"] == pytest.approx(found["objects"]["false_alarms_per_mpx"])
    assert rates["objects/class_accuracy"]["value"] == pytest.approx(found["objects"]["class_accuracy_iou25"])
    for row in (rates["objects/found"], rates["objects/false_alarms_per_mpx"]):
        assert row["clusters"] == 9
        assert row["low"] <= row["value"] <= row["high"]
    assert sum(counts[0] for counts in evidence.object_counts.values()) == evidence.objects.objects.sum()


def test_missing_cells_of_a_scene_keep_tiles_apart() -> None:
    whole = np.ones((4, 4), np.uint8)
    entries = tuple(Tile(f"s0.{i}", Path("x"), group="s0", cell=divmod(i, 4)) for i in (0, 2, 3, 11))
    evidence = gathered(Catalog(entries, TWO), [result(t.id, whole, whole) for t in entries])
    # Cells 2 and 3 of a row of four lie side by side; 0 is two columns away, and 11 two rows below.
    assert evidence.objects.objects.sum() == 3
    assert evidence.objects.valid_pixels == 4 * 16


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.data())
def test_the_order_of_tiles_within_their_scene_does_not_matter(seed: int, data: st.DataObject) -> None:
    catalog, results = scenes(3, 3, seed)
    groups = [results[i : i + 3] for i in (0, 3, 6)]
    shuffled = [r for g in data.draw(st.permutations(groups)) for r in data.draw(st.permutations(g))]
    before, after = (conclusions(gathered(catalog, r)) for r in (results, shuffled))
    assert before == after


def test_published_scores_are_of_fixed_batches_of_the_catalog() -> None:
    catalog, results = scenes(5, 4)  # batches of 16 and of 4 tiles
    found = conclusions(gathered(catalog, results))["as_published"]
    assert conclusions(gathered(catalog, results[::-1]))["as_published"] == found
    dice = []
    for batch in (results[:16], results[16:]):
        p = np.concatenate([1 - r.probabilities[0, r.truth != 255] for r in batch])
        y = np.concatenate([r.truth[r.truth != 255] > 0 for r in batch])
        dice.append((2 * p[y].sum() + 1) / (p.sum() + y.sum() + 1))
    assert found["soft_dice_batch16"] == pytest.approx(sum(dice) / 2)


def test_one_scene_is_held_however_many_there_are() -> None:
    catalog, results = scenes(5, 2)
    alive = [weakref.ref(r.probabilities) for r in results]
    evidence = Evidence(catalog, 1)
    while results:
        evidence.see(results.pop(0))
    gc.collect()
    # Of the scene that is held, too, images and probabilities of single classes are not.
    assert not any(ref() for ref in alive)
    assert len(evidence._scene) == 2


def test_tiles_that_are_not_put_together_are_not_held() -> None:
    catalog, results = scenes(1, 4)
    catalog = replace(catalog, tiles=tuple(replace(t, cell=None) for t in catalog.tiles))
    alive = [weakref.ref(r.probabilities) for r in results]
    evidence = Evidence(catalog, 1)
    while results:
        evidence.see(results.pop(0))
    gc.collect()
    assert not any(ref() for ref in alive)
    assert evidence.objects.valid_pixels == 4 * (144 - 2)


def test_two_tiles_of_one_cell_are_both_counted() -> None:
    whole = np.ones((4, 4), np.uint8)
    entries = tuple(Tile(name, Path("x"), group="s0", cell=(0, 1)) for name in ("s0.1", "s0.01"))
    evidence = gathered(Catalog(entries, TWO), [result(t.id, whole, whole) for t in entries])
    assert (evidence.objects.objects.sum(), evidence.objects.valid_pixels) == (2, 32)


def test_one_class_of_seeps_is_not_scored_as_salt() -> None:
    catalog = Catalog((Tile("a", Path("a"), group="a"),), SEEP_BINARY)
    summary = conclusions(gathered(catalog, [salt_tile("a", 3, 2)]))
    assert "tgs_score" not in summary["intervals"]
    assert all("tgs_score" not in row for row in summary["references"].values())
    assert "by_coverage" not in summary


def test_the_interval_of_the_tgs_score_does_not_depend_on_the_order_of_tiles() -> None:
    catalog = Catalog(tuple(Tile(str(i), Path("x"), group=str(i)) for i in range(10)), SALT)
    results = [salt_tile(str(i), 10, i) for i in range(10)]
    one, other = (conclusions(gathered(catalog, r))["intervals"]["tgs_score"] for r in (results, results[::-1]))
    assert one == other


def test_reliability_by_hand() -> None:
    catalog, _ = scenes(1, 1)
    truth, made = np.zeros((12, 12), np.uint8), np.zeros((12, 12), np.uint8)
    truth[0, :6] = made[0, :12] = 1
    evidence = gathered(catalog, [result("s0.0", truth, made, sure=0.8)])
    # Foreground: 12 pixels at .9 (.1 is left for each other class), half of them true; 132 at .2, none.
    of = conclusions(evidence)["calibration"]
    assert of["foreground"]["expected_error"] == pytest.approx((12 * 0.4 + 132 * 0.2) / 144, abs=1e-6)
    # The likeliest class: all at .8, 138 of 144 right.
    assert of["likeliest class"]["expected_error"] == pytest.approx(138 / 144 - 0.8, abs=1e-6)


def test_the_dark_row_sees_raw_pixels() -> None:
    catalog, _ = scenes(1, 1)
    truth = np.zeros((64, 64), np.uint8)
    truth[20:30, 10:50] = 2
    raw = np.random.default_rng(0).normal(1000, 30, truth.shape)
    raw[truth > 0] = 500
    valid = np.ones(truth.shape, bool)
    evidence = Evidence(catalog, 2, lambda tile: (raw, valid))
    evidence.see(result("s0.0", truth, np.zeros_like(truth)))
    evidence.finish()
    rows = conclusions(evidence)["references"]
    assert rows[DARK]["foreground_dice"] > 0.8
    assert rows[DARK]["class_accuracy"] == 1
    assert rows["predict nothing"]["foreground_dice"] == 0
    assert DARK not in Evidence(catalog, 2).references


def salt_tile(name: str, rows: int, found: int) -> TileResult:
    """Ten rows of which the upper ones are salt, and found."""
    truth, made = np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    truth[:rows], made[:found] = 1, 1
    return result(name, truth, made, 2)


def test_salt_by_coverage_and_flag() -> None:
    kinds = {"a": (0, 0), "b": (0, 1), "c": (1, 1), "d": (10, 8)}
    pixels = {name: (10 * (10 - rows), 10 * rows) for name, (rows, _) in kinds.items()}
    tiles = [Tile(n, Path(n), group=n, pixels=p, flag="vertical" if n == "d" else "") for n, p in pixels.items()]
    evidence = gathered(Catalog(tuple(tiles), SALT), [salt_tile(n, *k) for n, k in kinds.items()])
    rows = coverage_rows(evidence.by_coverage)
    # Empty masks: one right, one not. A tenth: all of it. All salt, 8 of 10 rows: IoU .8 exceeds .50 … .75, six.
    assert [(r["coverage"], r["tiles"], r["tgs_score"]) for r in rows] == [
        ("none", 2, 0.5),
        ("0.0–0.1", 1, 1.0),
        ("0.9–1.0", 1, 0.6),
    ]
    assert [(r["tiles_with"], r["tiles"], r["tgs_score"]) for r in flag_rows(evidence.by_flag)] == [
        ("all tiles", 4, pytest.approx(0.65)),
        ("without flagged", 3, pytest.approx(2 / 3)),
        ("vertical", 1, 0.6),
    ]
    assert flag_rows({"": evidence.by_flag[""]}) == []


@given(st.lists(st.integers(0, 10), min_size=1, max_size=20))
@settings(max_examples=20)
def test_predicting_no_salt_scores_the_share_of_empty_masks(rows: list[int]) -> None:
    catalog = Catalog(tuple(Tile(str(i), Path("x"), group=str(i)) for i in range(len(rows))), SALT)
    evidence = gathered(catalog, [salt_tile(str(i), n, n) for i, n in enumerate(rows)])
    found = conclusions(evidence)["references"]["predict nothing"]["tgs_score"]
    assert found == pytest.approx(rows.count(0) / len(rows), abs=1e-12)


@pytest.mark.data
def test_predicting_no_salt_on_the_real_masks(real_data: Path) -> None:
    tree = {"data": {"source": "tgs", "root": str(real_data / "salt")}, "model": {"name": "unet", "head": "binary"}}
    source = source_of(parse(tree | {"loss": "bce"}, "test").data)
    catalog = source.catalog()
    masks = [read_mask(source, t, (101, 101)) for t in catalog.tiles if t.labelled]
    empty = sum(not m.any() for m in masks)
    assert (len(masks), empty) == (3600, 1397)
    assert sum(tgs_score(m, nothing(m)) for m in masks) / len(masks) == pytest.approx(1397 / 3600, abs=1e-12)
