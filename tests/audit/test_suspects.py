from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from seepseg.audit.suspects import Suspect, best_shift, suspects
from seepseg.inference.score import Sums, TileResult
from seepseg.runs.folder import RunFolder
from seepseg.training.run import train
from tests.command import error, run
from tests.conftest import tiny_config

Plane = NDArray[np.uint8]


def result(truth: Plane, probabilities: NDArray[np.float64]) -> TileResult:
    """A tile that was predicted with these probabilities (K, H, W): the most probable class wins."""
    made = probabilities.argmax(0).astype(np.uint8)
    made[truth == 255] = 255
    image = np.zeros((1, *truth.shape), np.float32)
    return TileResult("t", image, truth, made, probabilities.astype(np.float32), Sums.of_tile(truth, made, 3))


def sea(side: int = 20) -> tuple[Plane, NDArray[np.float64]]:
    """A label without anything, and probabilities (.9, .06, .04) everywhere."""
    return np.zeros((side, side), np.uint8), np.full((3, side, side), 1.0) * np.array([0.9, 0.06, 0.04])[:, None, None]


def believe(probabilities: NDArray[np.float64], window: tuple[slice, slice], values: tuple[float, ...]) -> None:
    probabilities[(slice(None), *window)] = np.array(values)[:, None, None]


def test_each_kind_by_hand() -> None:
    truth, probabilities = sea()
    believe(probabilities, np.s_[1:4, 1:5], (0.2, 0.1, 0.7))  # 12 pixels that nobody labelled
    truth[8:12, 1:5] = 1  # 16 pixels where the network sees sea
    truth[8:12, 10:15] = 1  # 20 pixels of the other class
    believe(probabilities, np.s_[8:12, 10:15], (0.1, 0.18, 0.72))
    truth[16:19, 2:7] = 2  # right: no suspect
    believe(probabilities, np.s_[16:19, 2:7], (0.1, 0.1, 0.8))
    found = {s.kind: s for s in suspects(result(truth, probabilities))}
    assert found.keys() == {"not labelled", "not seen", "wrong class"}
    # 1 − 2 · .2 = .6; the middle of rows 1–3 and columns 1–4.
    assert found["not labelled"] == Suspect("not labelled", "t", 0, 2, 2, 2, 12, pytest.approx(0.6, abs=1e-6))
    # 2 · .9 − 1 = .8
    assert found["not seen"] == Suspect("not seen", "t", 1, 0, 9, 2, 16, pytest.approx(0.8, abs=1e-6))
    # (.72 − .18) / (.72 + .18) = .6
    assert found["wrong class"] == Suspect("wrong class", "t", 1, 2, 9, 12, 20, pytest.approx(0.6, abs=1e-6))
    assert found["wrong class"].weight == pytest.approx(12, abs=1e-4)


def test_a_shifted_outline_is_told_with_its_way() -> None:
    truth, probabilities = sea()
    truth[4:8, 4:9] = 1
    believe(probabilities, np.s_[6:10, 3:8], (0.0, 1.0, 0.0))  # two down, one to the left
    (found,) = suspects(result(truth, probabilities))
    assert (found.kind, found.detail, found.pixels) == ("shifted outline", "2 px down, 1 px left", 20)
    # Under the label 2 × 4 of 20 pixels have 1, the others .1; under the moved one all have 1.
    assert found.confidence == pytest.approx(1 - (8 + 12 * 0.1) / 20, abs=1e-6)


def test_an_object_moves_no_further_than_the_tile() -> None:
    foreground = np.zeros((10, 10))
    foreground[0:3] = 1.0
    mask = np.ones((3, 4), bool)
    window = (slice(2, 5), slice(3, 7))
    # One row up has two of three rows on it, two rows up all three, and there is no third.
    assert best_shift(mask, window, foreground) == (-2, 0, pytest.approx(1 - 1 / 3))
    # Nothing to gain: it stays.
    assert best_shift(mask, (slice(0, 3), slice(3, 7)), foreground) == (0, 0, 0.0)


def test_ignored_pixels_and_small_objects_are_no_suspects() -> None:
    truth, probabilities = sea()
    believe(probabilities, np.s_[1:4, 1:4], (0.0, 1.0, 0.0))  # nine pixels
    believe(probabilities, np.s_[10:15, 10:15], (0.0, 1.0, 0.0))
    truth[10:15, 10:15] = 255
    assert suspects(result(truth, probabilities)) == []


@pytest.fixture(scope="module")
def folds(seep_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folds of one epoch."""
    root = tmp_path_factory.mktemp("runs") / "folds"
    split = {"by": "group", "folds": 2, "allow_missing_classes": True}
    data = {"source": "seep", "root": str(seep_root), "split": split}
    config = tiny_config(seep_root, data=data, train={"epochs": 1, "batch_size": 8, "panels_every": 0})
    for fold in range(2):
        train(config, RunFolder(root / f"fold_{fold}"), fold=fold, echo=lambda line: None)
    return root


def test_every_tile_is_judged_by_the_fold_that_has_not_seen_it(
    folds: Path, seep_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "data", "suspects", folds, "-q")
    assert (code, err) == (0, "")
    rows = pd.read_csv(folds / "suspects" / "suspects.csv", dtype={"tile": str, "scene": str})
    assert len(rows) > 0
    assert rows["weight"].is_monotonic_decreasing
    assert np.allclose(rows["weight"], rows["pixels"] * rows["confidence"])
    assert rows["confidence"].between(0, 1).all() and (rows["pixels"] >= 10).all()
    for fold in range(2):
        splits = RunFolder(folds / f"fold_{fold}").read_splits()
        held_out = set(splits.loc[splits["split"] == "val", "id"])
        assert set(rows.loc[rows["fold"] == f"fold_{fold}", "tile"]) <= held_out
    page = (folds / "suspects" / "report.html").read_text()
    n_tiles = len(list((seep_root / "train_images_256").glob("*.tif")))
    assert f"{n_tiles:,} tiles, each seen by a network that was not trained on it" in page
    assert "suspects.csv" in out


def test_one_fold_tells_of_its_validation_tiles_and_a_lone_file_of_none(
    folds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "data", "suspects", folds / "fold_1", "-q", "-o", tmp_path)[0] == 0
    rows = pd.read_csv(tmp_path / "suspects.csv", dtype=str)
    assert set(rows["fold"]) == {"fold_1"}
    lone = tmp_path / "lone.pt"
    lone.write_bytes(RunFolder(folds / "fold_0").best.read_bytes())
    assert error(capsys, "data", "suspects", lone)[0] == 2
