from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seepseg.classes import SALT, SEEP_BINARY, ClassTable, SegClass
from seepseg.config import parse
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.source import read_mask, source_of
from seepseg.evaluation.accumulate import FROC_THRESHOLDS, Accumulator, joined
from seepseg.evaluation.summary import Decoded, Evidence
from seepseg.inference.score import Sums, TileResult
from seepseg.metrics.baseline import nothing
from seepseg.metrics.detection import Detections, detections
from seepseg.metrics.salt_score import tgs_score

TWO = ClassTable((SegClass("thick", (1,), "#E69F00"), SegClass("thin", (2,), "#56B4E9")))

Plane = NDArray[np.uint8]


def result(name: str, truth: Plane, made: Plane, classes: int = 3, sure: float = 0.9) -> TileResult:
    """A tile whose network is this sure of what it says."""
    likely = np.full((classes, *truth.shape), (1 - sure) / (classes - 1), np.float32)
    np.put_along_axis(likely, np.where(made == 255, 0, made)[None].astype(np.intp), sure, 0)
    image = np.zeros((1, *truth.shape), np.float32)
    return TileResult(name, image, truth, made, likely, Sums.of_tile(truth, made, classes))


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


def counted(catalog: Catalog, results: list[TileResult], blocks: dict[str, str] | None = None) -> Accumulator:
    """All tiles counted."""
    counts = Accumulator(catalog, per_tile=catalog.classes == SALT, blocks=blocks)
    for r in results:
        counts.update(r)
    return counts


def objects(counts: Accumulator) -> Detections:
    """The object counts of all scenes."""
    return reduce(add, counts.objects.values())


def salt_tile(name: str, rows: int, found: int) -> TileResult:
    """Ten rows of which the upper ones are salt, and found."""
    truth, made = np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    truth[:rows], made[:found] = 1, 1
    return result(name, truth, made, 2)


CONFIG = Decoded("config", "network", 1.0, None, (), 0)


def weighed(catalog: Catalog, results: list[TileResult]) -> Evidence:
    return counted(catalog, results).compute(CONFIG)


def salt_tiles(rows: list[tuple[int, int]], flag: str = "") -> Accumulator:
    """Salt tiles with so many rows of salt, true and predicted; the last has the flag."""
    names = [str(i) for i in range(len(rows))]
    tiles = [
        Tile(n, Path(n), group=n, pixels=(10 * (10 - true), 10 * true), flag=flag if n == names[-1] else "")
        for n, (true, _) in zip(names, rows, strict=True)
    ]
    return counted(Catalog(tuple(tiles), SALT), [salt_tile(n, *k) for n, k in zip(names, rows, strict=True)])


def test_an_object_cut_by_a_tile_border_is_one() -> None:
    catalog, _ = scenes(1, 2)
    truth, made = np.zeros((2, 12, 12), np.uint8)
    truth[4, 8:] = 1
    made[4, 10:] = 1
    left, right = result("s0.0", truth, made), result("s0.1", truth[:, ::-1], made[:, ::-1])
    counts = counted(catalog, [left, right])
    # Eight pixels of truth, four in the middle of it predicted: IoU 4/8 finds it at .5; foreground is .95 sure there.
    assert objects(counts).objects.sum() == 1
    assert objects(counts).found.sum((1, 2)).tolist() == [1, 1, 1]
    at = FROC_THRESHOLDS.index(0.9)
    assert counts.froc.found[at].tolist() == [1, 1, 1]
    assert counts.froc.found[-1].tolist() == [0, 0, 0]
    # And .1 at sea: below that all is one object, IoU 8 of 288.
    assert counts.froc.found[0].tolist() == [0, 0, 1]


def test_an_object_cut_by_the_border_of_folds_is_one() -> None:
    """Two scenes of two tiles; one fold is scored on the left ones, then another on the right ones."""
    catalog, _ = scenes(2, 2)
    truth = np.zeros((12, 12), np.uint8)
    truth[4, 8:] = 1
    tiles = {t.id: result(t.id, *[truth if t.cell == (0, 0) else truth[:, ::-1]] * 2) for t in catalog.tiles}
    counts = counted(catalog, [tiles[name] for name in ("s0.0", "s1.0", "s0.1", "s1.1")])
    assert objects(counts).objects.sum() == objects(counts).predicted.sum() == counts.froc.objects == 2
    assert objects(counts).found.sum((1, 2)).tolist() == [2, 2, 2]
    assert objects(counts).valid_pixels == 4 * 144


def test_the_curve_of_a_scene_in_several_folds_has_the_mean_of_their_minimum_areas() -> None:
    catalog, _ = scenes(1, 2)
    truth, sea = np.zeros((2, 12, 12), np.uint8)
    truth[4, 8:] = 1
    at = FROC_THRESHOLDS.index(0.9)
    # Four pixels in each tile, decoded with 0 and with 10, or 0 and 18, or, all in the first tile, 0 and 10.
    for right, area, found in ((truth[:, ::-1], 10, 1), (truth[:, ::-1], 18, 0), (sea, 10, 0)):
        counts = Accumulator(catalog)
        counts.update(result("s0.0", truth, truth))
        counts.min_pixels = area
        counts.update(result("s0.1", right, right))
        assert counts.froc.found[at, 0] == found


def test_empty_tiles_are_not_kept_and_count_all_the_same() -> None:
    catalog, results = scenes(1, 6, seed=3)
    sea = np.zeros((12, 12), np.uint8)
    results[2], results[3] = (result(f"s0.{k}", sea, sea, sure=0.99) for k in (2, 3))  # .01 for foreground
    counts = Accumulator(catalog)
    held = []
    for each in results:
        counts.update(each)
        held.append(len(counts._cells["s0"]))
    # After the last tile the scene is counted.
    assert held == [1, 2, 2, 2, 3, 0]
    planes = [np.concatenate([getattr(r, name) for r in results], axis=1) for name in ("truth", "prediction")]
    whole = detections(*planes, 3)
    for name in ("objects", "found", "right", "predicted", "false_alarms", "valid_pixels"):
        assert np.array_equal(getattr(objects(counts), name), getattr(whole, name))


def test_missing_cells_of_a_scene_keep_tiles_apart() -> None:
    whole = np.ones((4, 4), np.uint8)
    cells = {"0": (0, 0), "2": (0, 2), "3": (0, 3), "11": (2, 3)}
    entries = tuple(Tile(f"s0.{i}", Path("x"), group="s0", cell=cell) for i, cell in cells.items())
    counts = counted(Catalog(entries, TWO), [result(t.id, whole, whole) for t in entries])
    # Cells 2 and 3 lie side by side; 0 is two columns away, and 11 two rows below.
    assert objects(counts).objects.sum() == 3
    assert objects(counts).valid_pixels == 4 * 16


def test_one_scene_is_in_memory_however_many_there_are() -> None:
    catalog, results = scenes(5, 2)
    alive = [weakref.ref(r.probabilities) for r in results]
    counts, kept = Accumulator(catalog), []
    while results:
        counts.update(results.pop(0))
        kept.append(sum(map(len, counts._cells.values())))
    gc.collect()
    # Images and probabilities of single classes are not even of one.
    assert not any(ref() for ref in alive)
    assert kept == [1, 0] * 5


def test_what_is_kept_of_a_tile_is_small() -> None:
    """Where folds divide scenes, all of them may be kept."""
    entry = Tile("a", Path("a"), group="s", cell=(0, 0))
    counts = Accumulator(Catalog((entry, replace(entry, id="b", cell=(0, 1))), TWO))
    truth = np.zeros((512, 512), np.uint8)
    truth[100:110, 50:400] = 1
    counts.update(result("a", truth, truth))
    (cell,) = counts._cells["s"].values()
    assert len(cell.packed) < truth.size / 50


def test_tiles_that_are_not_put_together_are_not_kept() -> None:
    catalog, results = scenes(1, 4)
    catalog = Catalog(tuple(Tile(t.id, t.image, group=t.group) for t in catalog.tiles), TWO)
    alive = [weakref.ref(r.probabilities) for r in results]
    counts = Accumulator(catalog)
    while results:
        counts.update(results.pop(0))
    gc.collect()
    assert not any(ref() for ref in alive)
    assert objects(counts).valid_pixels == 4 * (144 - 2)


def test_two_tiles_of_one_cell_are_both_counted() -> None:
    whole = np.ones((4, 4), np.uint8)
    entries = tuple(Tile(name, Path("x"), group="s0", cell=(0, 1)) for name in ("s0.1", "s0.01"))
    counts = counted(Catalog(entries, TWO), [result(t.id, whole, whole) for t in entries])
    assert (objects(counts).objects.sum(), objects(counts).valid_pixels) == (2, 32)


def test_the_dark_row_sees_raw_pixels() -> None:
    truth = np.zeros((64, 64), np.uint8)
    truth[20:30, 10:50] = 2
    raw = np.random.default_rng(0).normal(1000, 30, truth.shape)
    raw[truth > 0] = 500
    valid = np.ones(truth.shape, bool)
    catalog = Catalog((Tile("a", Path("a"), group="a", pixels=(3696, 0, 400)),), TWO)
    counts = Accumulator(catalog, brightness=lambda tile: (raw, valid))
    counts.update(result("a", truth, np.zeros_like(truth)))
    dark = counts.references["dark spots"].scores()
    assert (dark.foreground.dice or 0) > 0.8
    # Every dark spot is called the most common class, which is thin.
    assert dark.class_accuracy == 1
    assert counts.references["predict nothing"].scores().foreground.dice == 0
    without = Accumulator(catalog)
    without.update(result("a", truth, np.zeros_like(truth)))
    assert "dark spots" not in without.references


def test_salt_by_coverage_and_flag() -> None:
    kinds = {"a": (0, 0), "b": (0, 1), "c": (1, 1), "d": (10, 8)}
    pixels = {name: (10 * (10 - rows), 10 * rows) for name, (rows, _) in kinds.items()}
    tiles = [Tile(n, Path(n), group=n, pixels=p, flag="vertical" if n == "d" else "") for n, p in pixels.items()]
    counts = counted(Catalog(tuple(tiles), SALT), [salt_tile(n, *k) for n, k in kinds.items()])
    # Empty masks: one right, one not. A tenth: all of it. All salt, 8 of 10 rows: IoU .8 exceeds .50 … .75, six.
    coverage = {tenth: (sums.n_tiles, sums.tgs_score) for tenth, sums in counts.coverage.items()}
    assert coverage == {0: (2, 0.5), 1: (1, 1.0), 10: (1, 0.6)}
    assert {flag: sums.n_tiles for flag, sums in counts.flags.items()} == {"": 3, "vertical": 1}
    assert counts.tgs == {"a": 1, "b": 0, "c": 1, "d": 0.6}


def test_one_class_of_seeps_is_not_scored_tile_by_tile() -> None:
    counts = counted(Catalog((Tile("a", Path("a"), group="a"),), SEEP_BINARY), [salt_tile("a", 3, 2)])
    assert (counts.tgs, dict(counts.coverage), dict(counts.flags)) == ({}, {}, {})


@given(st.lists(st.integers(0, 10), min_size=1, max_size=20))
@settings(max_examples=20)
def test_predicting_no_salt_scores_the_share_of_empty_masks(rows: list[int]) -> None:
    catalog = Catalog(tuple(Tile(str(i), Path("x"), group=str(i)) for i in range(len(rows))), SALT)
    counts = counted(catalog, [salt_tile(str(i), n, n) for i, n in enumerate(rows)])
    score = counts.references["predict nothing"].tgs_score
    assert score == pytest.approx(rows.count(0) / len(rows), abs=1e-12)


def test_rates_of_objects_have_intervals_over_scenes() -> None:
    evidence = weighed(*scenes(9, 2))
    rates, objects = evidence.intervals, evidence.objects
    assert rates["objects/found"].value == pytest.approx(objects.found_iou25)
    assert rates["objects/false_alarms_per_mpx"].value == pytest.approx(objects.false_alarms_per_mpx)
    assert rates["objects/class_accuracy"].value == pytest.approx(objects.class_accuracy_iou25)
    assert rates["objects/f1"].value == pytest.approx(objects.f1_iou25)
    assert rates["objects/class_f1"].value == pytest.approx(objects.class_f1)
    assert rates["surface_dice"].value == pytest.approx(evidence.surface_dice["2 px"])
    for name in ("objects/found", "objects/false_alarms_per_mpx", "objects/f1", "objects/class_f1", "surface_dice"):
        rate = rates[name]
        assert rate.clusters == 9
        assert rate.low is not None and rate.value is not None and rate.high is not None
        assert rate.low <= rate.value <= rate.high


def test_where_blocks_of_ground_were_held_out_the_bootstrap_draws_these() -> None:
    """Nine scenes of four tiles, of which two lie in each block."""
    catalog, results = scenes(9, 4)
    blocks = {t.id: f"0/{t.cell[1] // 2}" for t in catalog.tiles if t.cell}
    counts = counted(catalog, results, blocks)
    own, plain = counts.compute(CONFIG), weighed(catalog, results)
    assert (own.drawn, plain.drawn) == ("block", "scene")
    # Two blocks are too few for intervals; the scores are the same, and so are the tables by scene.
    assert {name: (i.value, i.low, i.clusters) for name, i in own.intervals.items()} == {
        name: (pytest.approx(i.value), None, 2) for name, i in plain.intervals.items()
    }
    assert own.objects == plain.objects
    assert own.surface_dice == plain.surface_dice
    assert list(counts.scenes) == [f"s{k}" for k in range(9)]
    by_scene = joined(counts.whole, 0)
    assert list(by_scene) == [f"s{k}" for k in range(9)]
    assert sum(by_scene.values()) == pytest.approx(sum(counted(catalog, results).whole.values()))


def test_an_object_in_several_blocks_is_drawn_with_the_one_of_most_of_its_pixels() -> None:
    """Two tiles in two blocks, an object in each and one across, of 4 pixels in the left tile and 6 in the right."""
    catalog, _ = scenes(1, 2)
    left, right = np.zeros((2, 12, 12), np.uint8)
    left[0:2, 0:2] = right[0:2, 10:12] = 1
    left[6, 8:], right[6, :6] = 1, 1
    tiles = [result(name, plane, plane) for name, plane in (("s0.0", left), ("s0.1", right))]
    counts = counted(catalog, tiles, {"s0.0": "0/0", "s0.1": "0/1"})
    one, other = (counts.objects["s0", block] for block in ("0/0", "0/1"))
    assert (one.objects.sum(), other.objects.sum()) == (1, 2)
    assert (one.found[1].sum(), other.found[1].sum(), one.false_alarms.sum(), other.false_alarms.sum()) == (1, 2, 0, 0)
    # Its pixels go with it.
    assert (one.valid_pixels, other.valid_pixels) == (144 - 4, 144 + 4)
    assert objects(counts).objects.sum() == objects(counted(catalog, tiles)).objects.sum() == 3


def test_a_true_object_is_drawn_with_one_block_whatever_is_predicted() -> None:
    """Of 6 true pixels in the left block and 4 in the right; predictions reach 4 and 9 pixels into the right one."""
    catalog, _ = scenes(1, 2)
    left, right = np.zeros((2, 12, 12), np.uint8)
    left[4, 6:], right[4, :4] = 1, 1
    owners = []
    for reach in (4, 9):
        wide = right.copy()
        wide[4, :reach] = 1
        tiles = [result("s0.0", left, left), result("s0.1", right, wide)]
        counts = counted(catalog, tiles, {"s0.0": "0", "s0.1": "1"})
        owners.append([int(counts.objects["s0", block].objects.sum()) for block in ("0", "1")])
    assert owners == [[1, 0], [1, 0]]


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.data())
def test_the_order_of_tiles_within_their_scene_does_not_matter(seed: int, data: st.DataObject) -> None:
    catalog, results = scenes(3, 3, seed)
    groups = [results[i : i + 3] for i in (0, 3, 6)]
    shuffled = [r for g in data.draw(st.permutations(groups)) for r in data.draw(st.permutations(g))]
    assert weighed(catalog, results) == weighed(catalog, shuffled)


def test_published_scores_are_of_fixed_batches_of_the_catalog() -> None:
    catalog, results = scenes(5, 4)  # batches of 16 and of 4 tiles
    published = weighed(catalog, results).as_published
    assert weighed(catalog, results[::-1]).as_published == published
    dice = []
    for batch in (results[:16], results[16:]):
        p = np.concatenate([1 - r.probabilities[0, r.truth != 255] for r in batch])
        y = np.concatenate([r.truth[r.truth != 255] > 0 for r in batch])
        dice.append((2 * p[y].sum() + 1) / (p.sum() + y.sum() + 1))
    assert published.soft_dice_batch16 == pytest.approx(sum(dice) / 2)


def test_the_interval_of_the_tgs_score_does_not_depend_on_the_order_of_tiles() -> None:
    catalog = Catalog(tuple(Tile(str(i), Path("x"), group=str(i)) for i in range(10)), SALT)
    results = [salt_tile(str(i), 10, i) for i in range(10)]
    one, other = (weighed(catalog, r).intervals["tgs_score"] for r in (results, results[::-1]))
    assert one == other


def test_calibration_by_hand() -> None:
    catalog, _ = scenes(1, 1)
    truth, made = np.zeros((12, 12), np.uint8), np.zeros((12, 12), np.uint8)
    truth[0, :6] = made[0, :12] = 1
    of = weighed(catalog, [result("s0.0", truth, made, sure=0.8)]).calibration
    # Foreground: 12 pixels at .9 (.1 is left for each other class), half of them true; 132 at .2, none.
    assert of["foreground"] == pytest.approx((12 * 0.4 + 132 * 0.2) / 144, abs=1e-6)
    # The top class: all at .8, 138 of 144 right.
    assert of["top class"] == pytest.approx(138 / 144 - 0.8, abs=1e-6)


def test_kinds_of_salt_tiles() -> None:
    # Empty masks: one right, one not. A tenth: all of it. All salt, 8 of 10 rows: IoU .8 exceeds .50 … .75, six.
    rows = [(0, 0), (0, 1), (1, 1), (10, 8)]
    evidence = salt_tiles(rows, "vertical").compute(CONFIG)
    assert evidence.by_coverage and evidence.by_flag
    assert {name: (h.tiles, h.tgs_score) for name, h in evidence.by_coverage.items()} == {
        "none": (2, 0.5), "0.0–0.1": (1, 1.0), "0.9–1.0": (1, 0.6)}  # fmt: skip
    assert {name: (h.tiles, h.tgs_score) for name, h in evidence.by_flag.items()} == {
        "all tiles": (4, pytest.approx(0.65)),
        "without flagged": (3, pytest.approx(2 / 3)),
        "vertical": (1, 0.6),
    }
    assert salt_tiles(rows).compute(CONFIG).by_flag == {}
    assert weighed(*scenes(1, 1)).by_coverage is None


@pytest.mark.data
def test_predicting_no_salt_on_the_real_masks(real_data: Path) -> None:
    tree = {"data": {"source": "tgs", "root": str(real_data / "salt")}, "model": {"name": "unet", "head": "binary"}}
    source = source_of(parse(tree | {"loss": "bce"}, "test").data)
    masks = [read_mask(source, t, (101, 101)) for t in source.catalog().tiles if t.labelled]
    empty = sum(not m.any() for m in masks)
    assert (len(masks), empty) == (3600, 1397)
    assert sum(tgs_score(m, nothing(m)) for m in masks) / len(masks) == pytest.approx(1397 / 3600, abs=1e-12)
