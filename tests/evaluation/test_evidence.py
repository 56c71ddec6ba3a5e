from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seepseg.classes import SALT
from seepseg.data.catalog import Catalog, Tile
from seepseg.evaluation.accumulate import Accumulator
from seepseg.evaluation.evidence import weigh, write_evidence, write_scores
from seepseg.evaluation.summary import Decoded, Evidence, summarise
from seepseg.inference.score import TileResult
from tests.evaluation.test_accumulate import TWO, counted, result, salt_tile, scenes
from tests.evaluation.test_summary import sums_of

CONFIG = Decoded("config", "network", 1.0, None, (), 0)


def weighed(catalog: Catalog, results: list[TileResult]) -> Evidence:
    return weigh(counted(catalog, results), CONFIG)


def salt_tiles(rows: list[tuple[int, int]], flag: str = "") -> Accumulator:
    """Salt tiles with so many rows of salt, true and predicted; the last has the flag."""
    names = [str(i) for i in range(len(rows))]
    tiles = [
        Tile(n, Path(n), group=n, pixels=(10 * (10 - true), 10 * true), flag=flag if n == names[-1] else "")
        for n, (true, _) in zip(names, rows, strict=True)
    ]
    return counted(Catalog(tuple(tiles), SALT), [salt_tile(n, *k) for n, k in zip(names, rows, strict=True)])


def test_rates_of_objects_have_intervals_over_scenes() -> None:
    evidence = weighed(*scenes(9, 2))
    rates, objects = evidence.intervals, evidence.objects
    assert rates["objects/found"].value == pytest.approx(objects.found_iou25)
    assert rates["objects/false_alarms_per_mpx"].value == pytest.approx(objects.false_alarms_per_mpx)
    assert rates["objects/class_accuracy"].value == pytest.approx(objects.class_accuracy_iou25)
    for rate in (rates["objects/found"], rates["objects/false_alarms_per_mpx"]):
        assert rate.clusters == 9
        assert rate.low is not None and rate.value is not None and rate.high is not None
        assert rate.low <= rate.value <= rate.high


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
    assert of["foreground"].expected_error == pytest.approx((12 * 0.4 + 132 * 0.2) / 144, abs=1e-6)
    # The likeliest class: all at .8, 138 of 144 right.
    assert of["likeliest class"].expected_error == pytest.approx(138 / 144 - 0.8, abs=1e-6)


def test_kinds_of_salt_tiles() -> None:
    # Empty masks: one right, one not. A tenth: all of it. All salt, 8 of 10 rows: IoU .8 exceeds .50 … .75, six.
    rows = [(0, 0), (0, 1), (1, 1), (10, 8)]
    evidence = weigh(salt_tiles(rows, "vertical"), CONFIG)
    assert evidence.by_coverage and evidence.by_flag
    assert {name: (h.tiles, h.tgs_score) for name, h in evidence.by_coverage.items()} == {
        "none": (2, 0.5), "0.0–0.1": (1, 1.0), "0.9–1.0": (1, 0.6)}  # fmt: skip
    assert {name: (h.tiles, h.tgs_score) for name, h in evidence.by_flag.items()} == {
        "all tiles": (4, pytest.approx(0.65)),
        "without flagged": (3, pytest.approx(2 / 3)),
        "vertical": (1, 0.6),
    }
    assert weigh(salt_tiles(rows), CONFIG).by_flag == {}
    assert weighed(*scenes(1, 1)).by_coverage is None


def test_tables_hold_what_was_counted(tmp_path: Path) -> None:
    counts = salt_tiles([(0, 0), (0, 1), (1, 1), (10, 8)], "vertical")
    write_evidence(tmp_path, counts, weigh(counts, CONFIG))
    frames = {
        p.stem: pd.read_csv(p, dtype={"tile": str, "scene": str}, na_values="n/a") for p in tmp_path.glob("*.csv")
    }
    assert sorted(frames) == ["coverage", "flags", "froc", "matrices", "objects", "references", "reliability", "scenes",
                              "surface", "tiles"]  # fmt: skip
    assert frames["tiles"].values.tolist() == [["0", 1], ["1", 0], ["2", 1], ["3", 0.6]]
    # Tile 3 is all salt, eight of ten rows found: 80 pixels hit, 20 missed: Dice 160/180.
    assert frames["scenes"].set_index("scene").loc["3", "foreground_dice"] == pytest.approx(160 / 180)
    cells = frames["matrices"].set_index(["scene", "truth", "prediction"])["pixels"]
    assert (cells["3", "salt", "salt"], cells["3", "salt", "background"]) == (80, 20)
    assert frames["references"]["row"].tolist() == [
        "predict nothing",
        "perfect outline, one class",
        "truth shifted by (1, 1)",
    ]
    # Two of four tiles are empty.
    assert frames["references"]["tgs_score"][0] == 0.5
    assert frames["objects"].loc[0, ["class", "pixels", "objects"]].tolist() == ["all", "all", 2]
    assert frames["flags"]["tiles_with"].tolist() == ["all tiles", "without flagged", "vertical"]


def test_scores_are_written_as_they_are(tmp_path: Path) -> None:
    # Class 1: 6 hit, 2 called background, 2 false: Dice 12/16, IoU 6/10, precision and recall 6/8. Class 2 is absent.
    sums = sums_of([[90, 2, 0], [2, 6, 0], [0, 0, 0]], [5, 3, 0])
    summary = summarise(sums, TWO, "val", per_tile=False)
    write_scores(tmp_path, sums, TWO, summary)
    assert json.loads((tmp_path / "metrics.json").read_text()) == summary.to_json()
    lines = (tmp_path / "per_class.csv").read_text().splitlines()
    assert lines[1:3] == ["1,thick,0.75,0.6,0.75,0.75,8,3", "2,thin,n/a,n/a,n/a,n/a,0,0"]
    confusion = pd.read_csv(tmp_path / "confusion.csv", index_col="truth")
    assert confusion.loc["thick"].tolist() == [2, 6, 0]
