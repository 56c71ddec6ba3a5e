from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from seepseg.classes import SALT, SEEP, SEEP_BINARY, ClassTable, SegClass
from seepseg.config import Runtime
from seepseg.errors import ConfigError, DataError
from seepseg.evaluation.evaluate import Options, evaluate_run, forget
from seepseg.evaluation.gallery import SHOWN, Gallery, foreground_dice
from seepseg.evaluation.rasters import evaluate_rasters
from seepseg.evaluation.tables import summarise, table, write_scores
from seepseg.inference.score import Sums, TileResult
from seepseg.metrics.confusion import confusion_matrix
from seepseg.runs.folder import RunFolder
from seepseg.training.run import train
from tests.conftest import tiny_config

TWO = ClassTable((SegClass("thick", (1,), "#E69F00"), SegClass("thin", (2,), "#56B4E9")))


def tile(name: str, hit: int, missed: int, width: int = 16) -> TileResult:
    """A tile of one row with so many seep pixels found and missed."""
    truth, made = np.zeros((1, width), np.uint8), np.zeros((1, width), np.uint8)
    truth[0, : hit + missed], made[0, :hit] = 1, 1
    matrix = confusion_matrix(truth, made, 3)
    return TileResult(
        name,
        np.zeros((1, 1, width), np.float32),
        truth,
        made,
        matrix,
        np.eye(3, dtype=np.float32)[made].transpose(2, 0, 1),
    )


def test_foreground_dice_by_hand() -> None:
    # Truth in rows. Both sides foreground: 3 + 1 + 2 = 6 (one under another class's name), missed 4, false 5:
    # 2·6 / (2·6 + 4 + 5) = 12/21
    matrix = np.array([[50, 2, 3], [4, 3, 1], [0, 0, 2]])
    assert foreground_dice(matrix) == pytest.approx(12 / 21)
    assert foreground_dice(np.diag([9, 0, 0])) is None
    assert foreground_dice(np.array([[9, 1, 0], [0, 0, 0], [0, 0, 0]])) == 0


def titles(gallery: Gallery) -> list[str]:
    return [title for title, _ in gallery.rows()]


def test_the_gallery_shows_best_median_and_worst() -> None:
    gallery = Gallery(TWO)
    # Dice of k hits and 10 − k misses: 2k / (k + 10).
    order = [4, 9, 1, 10, 6, 2, 8, 0, 5, 3, 7]
    for k in order:
        gallery.see(tile(f"t{k:02d}", k, 10 - k))
    assert SHOWN == 3
    assert titles(gallery) == [
        "best · t10 · Dice 1.00",
        "best · t09 · Dice 0.95",
        "best · t08 · Dice 0.89",
        # The middle of eleven is t05 (10/15 = .67), beside it t04 (8/14) and t06 (12/16).
        "median · t05 · Dice 0.67",
        "median · t04 · Dice 0.57",
        "median · t06 · Dice 0.75",
        # The very worst first: 0, 2/11, 4/12.
        "worst · t00 · Dice 0.00",
        "worst · t01 · Dice 0.18",
        "worst · t02 · Dice 0.33",
    ]


def test_a_gallery_of_few_tiles_is_short_and_of_none_is_empty() -> None:
    gallery = Gallery(TWO)
    gallery.see(tile("nothing", 0, 0))
    assert gallery.rows() == []
    gallery.see(tile("one", 1, 1))
    assert {t.split(" · ")[1] for t in titles(gallery)} == {"one"}


def test_panels_of_equal_score_are_told_apart_by_name() -> None:
    gallery = Gallery(TWO)
    for number in range(8):
        gallery.see(tile(f"t{number}", 2, 2))
    assert len(set(titles(gallery))) == len(titles(gallery))


def sums_of(matrix: list[list[int]], tiles: list[int], n_tiles: int = 5) -> Sums:
    return Sums(np.array(matrix, np.int64), np.array(tiles, np.int64), n_tiles)


def test_a_summary_and_its_table_by_hand(tmp_path: Path) -> None:
    # Class 1: 6 hit, 2 called background, 2 false: Dice 12/16, IoU 6/10, precision and recall 6/8. Class 2 is absent.
    sums = sums_of([[90, 2, 0], [2, 6, 0], [0, 0, 0]], [5, 3, 0])
    summary = summarise(sums, TWO, "val", tgs=False)
    assert summary["classes"][0] == {
        "value": 1,
        "name": "thick",
        "dice": 0.75,
        "iou": 0.6,
        "precision": 0.75,
        "recall": 0.75,
        "support_pixels": 8,
        "support_tiles": 3,
    }
    assert [summary["classes"][1][k] for k in ("dice", "iou", "precision", "recall")] == [None] * 4
    assert summary["macro"] == {"dice": 0.75, "iou": 0.6}
    assert summary["foreground"] == {"dice": 0.75, "iou": 0.6, "precision": 0.75, "recall": 0.75}
    assert "tgs_score" not in summary
    frame = table(summary)
    assert frame["name"].tolist() == ["thick", "thin", "macro", "foreground"]
    assert frame["value"].fillna(-1).tolist() == [1, 2, -1, -1]
    assert frame["dice"].fillna(-1).tolist() == [0.75, -1, 0.75, 0.75]
    write_scores(tmp_path, sums, TWO, summary)
    assert json.loads((tmp_path / "metrics.json").read_text()) == summary
    lines = (tmp_path / "per_class.csv").read_text().splitlines()
    assert lines[1:3] == ["1,thick,0.75,0.6,0.75,0.75,8,3", "2,thin,n/a,n/a,n/a,n/a,0,0"]
    confusion = pd.read_csv(tmp_path / "confusion.csv", index_col="truth")
    assert confusion.loc["thick"].tolist() == [2, 6, 0]


def test_tgs_score_of_a_summary() -> None:
    # 27 tenths over 3 tiles: a mean of 9 tenths.
    sums = Sums(np.array([[5, 0], [0, 5]]), np.array([3, 2]), 3, tgs_tenths=27)
    assert summarise(sums, SALT, "val", tgs=True)["tgs_score"] == pytest.approx(0.9)


def test_salt_rasters_have_the_tgs_score(tmp_path: Path) -> None:
    for folder, rows in (("t", {"a": [1] * 4, "b": [0] * 4}), ("p", {"a": [1, 1, 1, 0], "b": [0, 0, 0, 1]})):
        (tmp_path / folder).mkdir()
        for name, row in rows.items():
            Image.fromarray(np.array([row], np.uint8) * 255).save(tmp_path / folder / f"{name}.png")
    summary = evaluate_rasters(tmp_path / "p", tmp_path / "t", SALT)
    # a: IoU 3/4 is above .50, .55, .60, .65, .70 and not above .75: 5 of 10. b: only one is empty: 0. Mean .25.
    assert summary["tgs_score"] == pytest.approx(0.25)
    # Both tiles: hit 3, missed 1, false 1: 6/8.
    assert summary["foreground"]["dice"] == pytest.approx(6 / 8)


def test_binary_seep_rasters_have_no_tgs_score(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.array([[0, 1]], np.uint8))
    assert "tgs_score" not in evaluate_rasters(tmp_path, tmp_path, SEEP_BINARY)


def test_two_rasters_of_one_tile_are_refused(tmp_path: Path) -> None:
    for name in ("t/a.tif", "p/one/a_class.tif", "p/two/a_class.tif"):
        (tmp_path / name).parent.mkdir(parents=True)
        tifffile.imwrite(tmp_path / name, np.array([[0, 1]], np.uint8))
    with pytest.raises(DataError, match=r"two rasters are of one tile \(.*one/a_class.tif, .*two/a_class.tif\)"):
        evaluate_rasters(tmp_path / "p", tmp_path / "t", SEEP)


def test_rasters_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        evaluate_rasters(tmp_path / "none", tmp_path, SEEP)
    with pytest.raises(DataError, match="no TIFF or PNG rasters"):
        evaluate_rasters(tmp_path, tmp_path, SEEP)


def test_probabilities_and_quicklooks_beside_the_maps_are_passed_by(tmp_path: Path) -> None:
    for folder in ("t", "p"):
        (tmp_path / folder).mkdir()
    tifffile.imwrite(tmp_path / "t" / "a.tif", np.array([[0, 1]], np.uint8))
    tifffile.imwrite(tmp_path / "p" / "a_class.tif", np.array([[0, 1]], np.uint8))
    tifffile.imwrite(tmp_path / "p" / "a_prob.tif", np.zeros((1, 2), np.float32))
    Image.fromarray(np.zeros((1, 2), np.uint8)).save(tmp_path / "p" / "a_quicklook.png")
    summary = evaluate_rasters(tmp_path / "p", tmp_path / "t", SEEP)
    assert (summary["n_tiles"], summary["foreground"]["dice"]) == (1, 1)


def test_a_run_is_scored_alike_at_any_batch_and_lost_tiles_are_named(seep_root: Path, tmp_path: Path) -> None:
    config = tiny_config(seep_root, train={"epochs": 1, "batch_size": 8, "panels_every": 0})
    folder = RunFolder(tmp_path / "run")
    best = train(config, folder, tell=lambda line: None)
    told: list[int] = []
    first = evaluate_run(
        best,
        folder,
        Runtime(device="cpu"),
        split="val",
        how=Options(figures=False),
        tick=lambda done, of: told.append(of - done),
    )
    assert told == list(range(first["n_tiles"] - 1, -1, -1))
    again = evaluate_run(best, folder, Runtime(device="cpu"), split="val", out=tmp_path / "elsewhere")
    assert again == first
    assert (tmp_path / "elsewhere" / "tiles.png").exists()
    splits = folder.read_splits()
    splits.loc[splits["split"] == "val", "id"] = [f"lost.{i}" for i in range(first["n_tiles"])]
    folder.write_splits(splits)
    with pytest.raises(DataError, match=f"{first['n_tiles']} tiles of the split are gone"):
        evaluate_run(best, folder, Runtime(device="cpu"), split="val")
    folder.splits.unlink()
    with pytest.raises(ConfigError, match="no splits.csv, so the val part is not known"):
        evaluate_run(best, folder, Runtime(device="cpu"), split="val")


def test_nothing_stale_stays_beside_new_scores(tmp_path: Path) -> None:
    for name in ("report.html", "tiles.csv", "mine.txt"):
        (tmp_path / name).write_text("old")
    forget(tmp_path)  # somebody's folder, not one of ours
    assert (tmp_path / "report.html").exists()
    (tmp_path / "metrics.json").write_text("{}")
    forget(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["metrics.json", "mine.txt"]
