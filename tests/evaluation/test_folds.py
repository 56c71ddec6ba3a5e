"""A run of two folds: scored out of fold, fitted, and used by predict."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from seepseg.config import PlateauSchedule, Runtime, parse
from seepseg.evaluation.evaluate import Options, evaluate
from seepseg.evaluation.printing import lines
from seepseg.inference.labelled import open_folds
from seepseg.io.image import read_image
from seepseg.runs.checkpoint import load_checkpoint, save_checkpoint
from seepseg.runs.fit import Fit
from seepseg.runs.folder import RunFolder
from seepseg.training.run import train
from tests.command import error, run


@pytest.fixture(scope="module")
def folds(salt_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two salt folds of an epoch each."""
    root = tmp_path_factory.mktemp("runs") / "salt"
    tree = {
        "data": {
            "source": "tgs",
            "root": str(salt_root),
            "split": {"by": "random", "folds": 2},
            "scaling": {"basis": "fixed", "range": [0, 255]},
        },
        "model": {"name": "unet", "channels": [8, 16], "num_res_units": 0, "head": "binary"},
        "loss": "dice_bce",
        "train": {"epochs": 1, "batch_size": 8, "panels_every": 0},
        "runtime": {"device": "cpu", "amp": "off", "threads": 1},
    }
    for fold in (0, 1):
        train(parse(tree, "test"), RunFolder(root / f"fold_{fold}"), fold=fold, echo=lambda line: None)
    return root


def metrics(folder: Path) -> dict[str, object]:
    held: dict[str, object] = json.loads((folder / "metrics.json").read_text())
    return held


def test_out_of_fold(folds: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(folds, copy)
    arguments = ["--split", "oof", "--per-class", "--no-figures"]
    code, out, _ = run(capsys, "eval", copy, *arguments)
    assert code == 0
    where = copy / "eval" / "oof"
    pooled, rows = metrics(where), pd.read_csv(where / "folds.csv", na_values="n/a")
    assert (pooled["split"], pooled["n_tiles"], rows["tiles"].tolist()) == ("oof", 40, [20, 20])
    assert pooled["decoding"] == {
        "from": "config", "temperature": 1.0, "threshold": None, "offsets": [], "min_pixels": 0,
        "objects": "network"}  # fmt: skip
    # Folds are of one size, so the mean over tiles is the mean over folds.
    assert rows["tgs_score"].mean() == pytest.approx(pooled["tgs_score"])
    assert len(pd.read_csv(where / "tiles.csv")) == 40
    assert "predict nothing" in out
    # The last weights, not the best ones: a best checkpoint of nonsense changes nothing.
    for fold in ("fold_0", "fold_1"):
        (copy / fold / "checkpoints" / "best.pt").write_bytes(b"")
    assert run(capsys, "eval", copy, *arguments)[0] == 0
    assert metrics(where) == pooled


def test_scores_of_tiles_that_steered_the_training_carry_a_caution(folds: Path, tmp_path: Path) -> None:
    parts = open_folds(folds, Runtime(device="cpu"))
    assert evaluate(parts, "oof", tmp_path, Options(figures=False)).caution is None
    steered = {"train": parts[0].config.train.model_copy(update={"early_stopping": 3}), "schedule": PlateauSchedule()}
    parts = [replace(part, config=part.config.model_copy(update=steered)) for part in parts]
    summary = evaluate(parts, "oof", tmp_path, Options(figures=False))
    assert summary.caution
    assert summary.caution.startswith("early_stopping and the plateau schedule watched the tiles")
    assert metrics(tmp_path)["caution"] == summary.caution
    assert lines(summary)[-1] == f"note: {summary.caution}"
    # One fold on its own part is validation, and says so by its name.
    assert evaluate(parts[:1], "val", tmp_path, Options(figures=False)).caution is None


def test_each_fold_is_decoded_with_what_the_other_fitted(
    folds: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(folds, copy)
    code, out, _ = run(capsys, "eval", copy, "--split", "oof", "--fit")
    assert code == 0
    assert "decoded with the other folds' fits" in out
    where = copy / "eval" / "oof"
    rows = pd.read_csv(where / "folds.csv", na_values="n/a").set_index("fold")
    fits = {}
    for fold in ("fold_0", "fold_1"):
        checkpoint = load_checkpoint(copy / fold / "checkpoints" / "last.pt")
        fit = fits[fold] = Fit.from_plain(checkpoint.decoding)
        assert fit is not None
        splits = pd.read_csv(copy / fold / "splits.csv", dtype=str)
        assert set(fit.tiles) == set(splits.loc[splits["split"] == "val", "id"])
        # Everything else of the checkpoint stays, so that training can go on.
        before = load_checkpoint(folds / fold / "checkpoints" / "last.pt")
        assert checkpoint.training.keys() == before.training.keys()
        assert before.decoding == {}
        for name in ("threshold.csv", "area.csv", "threshold.png"):
            assert (where / fold / name).stat().st_size > 50
    for fold, other in (("fold_0", "fold_1"), ("fold_1", "fold_0")):
        assert rows.loc[fold, "threshold"] == pytest.approx(fits[other].threshold)
        assert rows.loc[fold, "temperature"] == pytest.approx(fits[other].temperature)
        assert rows.loc[fold, "min_pixels"] == fits[other].min_pixels
    for name in ("confusion.png", "tiles.png"):
        assert (where / name).stat().st_size > 1000
    # On tiles it was fitted on, a fold is decoded as the config says; elsewhere as fitted.
    last = copy / "fold_0" / "checkpoints" / "last.pt"
    shutil.copy(last, copy / "fold_0" / "checkpoints" / "best.pt")
    sources = {}
    for split in ("val", "all", "train"):
        assert run(capsys, "eval", copy / "fold_0", "--split", split, "--no-figures")[0] == 0
        sources[split] = metrics(copy / "fold_0" / "eval" / split)["decoding"]["from"]  # type: ignore[index]
    assert sources == {"val": "config", "all": "config", "train": "fit on val"}
    for option in (["--no-fit"], ["--threshold", 0.5]):
        assert run(capsys, "eval", copy / "fold_0", "--split", "train", "--no-figures", *option)[0] == 0
        assert metrics(copy / "fold_0" / "eval" / "train")["decoding"]["from"] == "config"  # type: ignore[index]


def test_the_search_is_told_by_its_tables(folds: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    copy = tmp_path / "fold_0"
    shutil.copytree(folds / "fold_0", copy)
    code, out, _ = run(capsys, "eval", copy, "--fit", "--no-figures")
    assert code == 0
    assert f"fitted {copy / 'checkpoints' / 'best.pt'}: temperature" in out
    fit = Fit.from_plain(load_checkpoint(copy / "checkpoints" / "best.pt").decoding)
    assert fit is not None
    by_threshold = pd.read_csv(copy / "eval" / "val" / "threshold.csv").set_index("threshold")
    by_size = pd.read_csv(copy / "eval" / "val" / "area.csv").set_index("min_pixels")
    best = by_threshold["tgs_score"].max()
    assert by_threshold.loc[fit.threshold, "tgs_score"] == best
    assert by_size.loc[fit.min_pixels, "tgs_score"] == by_size["tgs_score"].max() == best


def test_predict_uses_the_fit_unless_told_otherwise(
    folds: Path, salt_root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(folds, copy)
    every = ("binary", 1.0, 0.0, (), 0, "val", ("x",))  # at threshold 0 all is salt
    inputs = salt_root / "test" / "images"

    def salt(name: str, *options: object) -> float:
        assert run(capsys, "predict", copy, inputs, "-o", tmp_path / name, *options)[0] == 0
        return float(np.mean([read_image(p)[0].raw == 255 for p in (tmp_path / name).glob("*_class.png")]))

    path = copy / "fold_0" / "checkpoints" / "last.pt"
    checkpoint = load_checkpoint(path)
    checkpoint.decoding = Fit(*every).to_plain()
    save_checkpoint(path, checkpoint)
    assert error(capsys, "predict", copy, inputs, "-o", tmp_path / "half") == (
        2,
        "1 of 2 checkpoints hold no fit for decoding, the others do in "
        f"{copy / 'fold_1' / 'checkpoints' / 'last.pt'}: fit them with `seepseg eval RUN --fit` "
        "(folds: with --split oof), or use none with --no-fit",
    )
    assert error(capsys, "eval", copy, "--split", "oof")[1].startswith("1 of 2 checkpoints hold no fit for decoding")
    assert salt("no-fit", "--no-fit") < 1
    assert salt("own", "--threshold", 1) < 1
    other = copy / "fold_1" / "checkpoints" / "last.pt"
    second = load_checkpoint(other)
    second.decoding = checkpoint.decoding
    save_checkpoint(other, second)
    assert salt("fitted", "--uncertainty") == 1
    unsure = [read_image(p)[0].raw[0] for p in sorted((tmp_path / "fitted").glob("*_uncertainty.png"))]
    assert len(unsure) == 4
    # Half-trained networks are unsure, and a salt picture has no no-data.
    assert 0 < np.mean(unsure) < 255 > np.max(unsure)


def test_folds_that_do_not_belong_together(folds: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(folds, copy)
    assert error(capsys, "eval", copy)[1].startswith("holds folds, not one run")
    assert error(capsys, "eval", copy / "fold_0", "--split", "oof")[1].startswith("holds no folds")
    assert error(capsys, "eval", copy, "--split", "oof", "--fold", 0)[1].startswith("oof is of all folds")
    assert error(capsys, "eval", copy, "--fit", "--no-fit")[1].startswith("a fit would not be used")
    assert error(capsys, "eval", copy / "fold_0", "--fit", "--split", "train") == (
        2,
        "decoding is fitted on validation tiles only in --fit: give --split val, or --split oof",
    )
    shutil.copy(copy / "fold_0" / "splits.csv", copy / "fold_1" / "splits.csv")
    assert error(capsys, "eval", copy, "--split", "oof")[1].startswith("20 tiles are held out by two folds (")
    last = copy / "fold_1" / "checkpoints" / "last.pt"
    checkpoint = load_checkpoint(last)
    checkpoint.epoch = 7
    save_checkpoint(last, checkpoint)
    assert "different epochs (fold_0 1, fold_1 7)" in error(capsys, "eval", copy, "--split", "oof")[1]
    last.unlink()
    assert error(capsys, "eval", copy, "--split", "oof")[1].startswith(f"no checkpoint in {copy / 'fold_1'}")
    shutil.rmtree(copy / "fold_1")
    assert error(capsys, "eval", copy, "--split", "oof")[1].startswith("1 of 2 folds are there")
