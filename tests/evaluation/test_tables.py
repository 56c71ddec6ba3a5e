from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from seepseg.evaluation.compare import compare
from seepseg.evaluation.summary import summarise
from seepseg.evaluation.tables import class_table, reference_table, write_evidence, write_scores
from tests.evaluation.test_accumulate import CONFIG, counted, salt_tiles, scenes
from tests.evaluation.test_summary import NONE, TWO, evidence, summary, sums_of


def test_the_class_table_has_columns_of_intervals_where_there_are_any() -> None:
    frame = class_table(summary())
    assert frame["name"].tolist() == ["thick", "<thin>", "macro", "foreground"]
    assert frame["value"].fillna(-1).tolist() == [1, 2, -1, -1]
    assert frame["dice"].fillna(-1).tolist() == [0.75, -1, 0.75, 0.75]
    assert list(frame.columns) == [
        "value", "name", "dice", "dice_low", "dice_high", "iou", "iou_low", "iou_high", "precision", "recall",
        "support_pixels", "support_tiles", "draws_without",
    ]  # fmt: skip
    # The macro mean had too few scenes.
    assert frame["dice_low"].fillna(-1).tolist() == [0.61, -1, -1, 0.61]
    assert frame["draws_without"].fillna(-1).tolist() == [0, 0.352, -1, -1]
    few = summary(evidence=evidence(intervals={"dice/1": NONE}, lacking={"thick": 0.0, "<thin>": 0.0}))
    assert not [c for c in class_table(few) if c.endswith(("_low", "_high", "without"))]


def test_reference_rows_stand_below_the_run() -> None:
    frame = reference_table(evidence())
    assert frame["row"].tolist() == ["this run", "predict nothing"]
    assert frame["foreground_dice"].tolist() == [0.75, 0.0]
    assert list(frame.columns[2:]) == ["foreground_iou", "macro_dice", "class_accuracy"]
    scores = {name: replace(row, tgs_score=0.5) for name, row in evidence().references.items()}
    salt = reference_table(evidence(references=scores, lacking={"salt": 0.0}))
    assert list(salt.columns) == ["row", "tgs_score", "foreground_dice", "foreground_iou"]


def test_tables_hold_what_was_counted(tmp_path: Path) -> None:
    counts = salt_tiles([(0, 0), (0, 1), (1, 1), (10, 8)], "vertical")
    write_evidence(tmp_path, counts, counts.compute(CONFIG))
    frames = {
        p.stem: pd.read_csv(p, dtype={"tile": str, "scene": str}, na_values="n/a") for p in tmp_path.glob("*.csv")
    }
    assert sorted(frames) == ["counts", "coverage", "flags", "froc", "matrices", "objects", "references", "reliability",
                              "scenes", "surface", "tiles"]  # fmt: skip
    assert frames["tiles"].values.tolist() == [["0", 1], ["1", 0], ["2", 1], ["3", 0.6]]
    # Tile 3 is all salt, eight of ten rows found: 80 pixels hit, 20 missed: Dice 160/180.
    assert frames["scenes"].set_index("scene").loc["3", "foreground_dice"] == pytest.approx(160 / 180)
    cells = frames["matrices"].set_index(["scene", "truth", "prediction"])["pixels"]
    assert (cells["3", "salt", "salt"], cells["3", "salt", "background"]) == (80, 20)
    assert frames["references"]["row"].tolist() == [
        "this run",
        "predict nothing",
        "perfect outline, one class",
        "truth shifted by (1, 1)",
    ]
    # The mean of 1, 0, 1 and .6; two of four tiles are empty.
    assert frames["references"]["tgs_score"][:2].tolist() == [0.65, 0.5]
    assert frames["objects"].loc[0, ["class", "pixels", "objects"]].tolist() == ["all", "all", 2]
    assert frames["flags"]["tiles_with"].tolist() == ["all tiles", "without flagged", "vertical"]


def test_matrices_and_counts_are_by_block_where_blocks_were_held_out(tmp_path: Path) -> None:
    catalog, results = scenes(9, 4)
    blocks = {t.id: f"0/{t.cell[1] // 2}" for t in catalog.tiles if t.cell}
    for name, given in (("scenes", None), ("blocks", blocks)):
        counts = counted(catalog, results, given)
        write_evidence(tmp_path / name, counts, counts.compute(CONFIG))
    frames = {name: pd.read_csv(tmp_path / "blocks" / f"{name}.csv") for name in ("matrices", "counts")}
    assert [len(frame) for frame in frames.values()] == [9 * 2 * 9, 9 * 2]
    for name, frame in frames.items():
        assert list(frame)[:2] == ["scene", "block"]
        plain = pd.read_csv(tmp_path / "scenes" / f"{name}.csv")
        assert "block" not in plain
        assert frame.sum(numeric_only=True).tolist() == pytest.approx(plain.sum(numeric_only=True).tolist())
    first = sum(r.sums.matrix[0, 0] for r in results[:2])
    assert frames["matrices"].iloc[0].tolist() == ["s0", "0/0", "background", "background", first]
    # Draws of `compare` are those of `eval`.
    folder = tmp_path / "blocks"
    row = compare(folder, folder, "val")[0]
    assert (row.clusters, row.difference.clusters) == ("blocks", 2)


def test_scores_are_written_as_they_are(tmp_path: Path) -> None:
    # Class 1: 6 hit, 2 called background, 2 false: Dice 12/16, IoU 6/10, precision and recall 6/8. Class 2 is absent.
    sums = sums_of([[90, 2, 0], [2, 6, 0], [0, 0, 0]], [5, 3, 0])
    summary = summarise(sums, TWO, "val", per_tile=False)
    write_scores(tmp_path, sums, TWO, summary)
    assert json.loads((tmp_path / "metrics.json").read_text()) == summary.to_json()
    lines = (tmp_path / "per_class.csv").read_text().splitlines()
    assert lines[1:3] == ["1,thick,0.75,0.6,0.75,0.75,8,3", "2,<thin>,n/a,n/a,n/a,n/a,0,0"]
    confusion = pd.read_csv(tmp_path / "confusion.csv", index_col="truth")
    assert confusion.loc["thick"].tolist() == [2, 6, 0]
