"""A run of folds, scored on tiles that none of them has seen as predict predicts them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import seepseg
from seepseg.io.image import read_image
from seepseg.runs.checkpoint import load_checkpoint, save_checkpoint
from seepseg.runs.fit import Fit
from seepseg.runs.folder import RunFolder
from seepseg.training.run import train
from tests.command import error, run
from tests.conftest import tiny_config
from tests.inference.test_scene_objects import asks

SCALINGS: list[dict[str, Any]] = [{"basis": "dataset"}, {"basis": "dataset", "range": [20, 80]}]


@pytest.fixture(scope="module")
def folds(seep_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seep folds of an epoch each, which scale their tiles differently."""
    root = tmp_path_factory.mktemp("runs") / "seep"
    for fold, scaling in enumerate(SCALINGS):
        data = {"source": "seep", "root": str(seep_root), "split": {"folds": 2}, "scaling": scaling}
        config = tiny_config(seep_root, data=data, train={"epochs": 1, "batch_size": 8, "panels_every": 0})
        train(config, RunFolder(root / f"fold_{fold}"), fold=fold, echo=lambda line: None)
    return root


@pytest.fixture
def copy(folds: Path, tmp_path: Path) -> Path:
    return shutil.copytree(folds, tmp_path / "run")


def change(run: Path, fold: int, **fields: Any) -> None:
    """Change fields of the checkpoint of a fold."""
    path = RunFolder(run / f"fold_{fold}").last
    save_checkpoint(path, replace(load_checkpoint(path), **fields))


def fit(temperature: float, threshold: float, *tiles: str) -> dict[str, Any]:
    return Fit("sigmoid", temperature, threshold, (), 5, "val", tiles).to_plain()


def maps(folder: Path) -> dict[str, Any]:
    """Class indices by tile, from outputs of predict or eval."""
    files = sorted([*folder.glob("*_class.tif"), *folder.glob("maps/*.png")])
    return {p.stem.removesuffix("_class"): read_image(p, labels=True)[0].raw[0] for p in files}


def decoding(folder: Path) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads((folder / "metrics.json").read_text())["decoding"]
    return tree


@pytest.mark.parametrize("decided", [False, True])
def test_other_tiles_are_scored_as_they_are_predicted(
    copy: Path, seep_root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, decided: bool
) -> None:
    if decided:
        change(copy, 0, decoding=fit(0.5, 0.2, "x"))
        # Only the second fold has a classifier, so objects are described as it scales them.
        classifier = asks("log_area", np.log1p(40), 5, 2)
        change(copy, 1, decoding=fit(1.5, 0.4, "y"), objects=classifier.to_plain())
    options = ["--tta"] if decided else []
    images = seep_root / "train_images_256"
    assert run(capsys, "predict", copy, images, "-o", tmp_path / "made", *options)[0] == 0
    evaluated = run(capsys, "eval", copy, "--data", seep_root, "-o", tmp_path / "eval", "--maps", "--report", *options)
    assert evaluated[0] == 0, evaluated
    made, scored = maps(tmp_path / "made"), maps(tmp_path / "eval")
    assert list(made) == list(scored) and len(made) > 10
    for name in made:
        np.testing.assert_array_equal(made[name], scored[name], name)
    assert sum((m > 0).sum() for m in made.values()) > 0
    # It is no fold alone.
    assert run(capsys, "eval", copy, "--fold", 0, "--data", seep_root, "-o", tmp_path / "one", "--maps")[0] == 0
    alone = maps(tmp_path / "one")
    assert any((alone[name] != scored[name]).any() for name in scored)
    used = decoding(tmp_path / "eval")
    assert used["objects"] == ("classifier" if decided else "network")
    if decided:
        # The means of 0.5 and 1.5, of 0.2 and 0.4.
        assert (used["from"], used["temperature"]) == ("fit on val", 1.0)
        assert used["threshold"] == pytest.approx(0.3)
    # Python scores the same.
    summary = seepseg.load(copy).evaluate(data=seep_root, tta=bool(options))
    assert json.loads(json.dumps(summary.to_json())) == json.loads((tmp_path / "eval" / "metrics.json").read_text())


def test_no_score_is_decoded_with_what_has_seen_its_tile(
    copy: Path, seep_root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tile = pd.read_csv(copy / "fold_0" / "splits.csv", dtype=str)["id"].iloc[0]
    classifier = asks("log_area", np.log1p(40), 5, 2)
    change(copy, 0, decoding=fit(0.5, 0.2, tile))
    saw = replace(classifier, tiles=frozenset([tile])).to_plain()
    change(copy, 1, decoding=fit(1.5, 0.4, "y"), objects=saw)
    arguments = ["eval", copy, "--data", seep_root, "--no-figures"]
    assert run(capsys, *arguments)[0] == 0
    where = copy / "eval" / f"data-{seep_root.resolve().name}"
    # The other fold's fit is left, and the classifier of its neighbour decides nothing.
    assert decoding(where)["threshold"] == 0.4
    assert decoding(where)["objects"].startswith("network: the classifier was trained on")
    change(copy, 1, decoding=fit(1.5, 0.4, tile))
    assert run(capsys, *arguments)[0] == 0
    assert decoding(where)["from"] == "config"
    # Where only one holds a fit it is refused, as by predict, unless none is wanted.
    change(copy, 0, decoding={})
    change(copy, 1, decoding=fit(1.5, 0.4, "y"))
    assert error(capsys, *arguments)[1].startswith("1 of 2 checkpoints hold no fit for decoding")
    assert run(capsys, *arguments, "--no-fit")[0] == 0


def test_parts_of_a_run_of_folds(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for split in ("val", "train", "all"):
        code, line = error(capsys, "eval", copy, "--split", split)
        assert (code, line.startswith("holds folds, not one run")) == (2, True)
    for fold, names in enumerate((("test", "test"), ("test", "train"))):
        path = copy / f"fold_{fold}" / "splits.csv"
        splits = pd.read_csv(path, dtype=str)
        splits.loc[[0, 1], "split"] = names
        splits.to_csv(path, index=False)
    code, line = error(capsys, "eval", copy, "--split", "test")
    assert (code, line.startswith(f"the folds have different test parts in {copy}")) == (2, True)
    shutil.copy(copy / "fold_0" / "splits.csv", copy / "fold_1" / "splits.csv")
    code, out, _ = run(capsys, "eval", copy, "--split", "test", "--no-figures")
    assert (code, "test: 2 tiles" in out) == (0, True)
    assert (copy / "eval" / "test" / "metrics.json").exists()
