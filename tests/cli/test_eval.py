from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from PIL import Image

from seepseg.config import parse
from seepseg.data.source import read_mask, read_pixels, source_of
from seepseg.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.training.run import train
from tests.command import error, run
from tests.conftest import tiny_config
from tests.inference.test_scene_objects import asks

SCORES = ("dice", "iou", "precision", "recall")


@pytest.fixture(scope="module")
def seep_run(seep_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A seep run after one epoch."""
    folder = tmp_path_factory.mktemp("runs") / "seep"
    data = {"source": "seep", "root": str(seep_root), "split": {"val_fraction": 0.25}, "grid": {"9000": 8}}
    config = tiny_config(seep_root, data=data, train={"epochs": 1, "batch_size": 8, "panels_every": 0})
    train(config, RunFolder(folder), echo=lambda line: None)
    return folder


@pytest.fixture(scope="module")
def salt_run(salt_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A salt run after one epoch."""
    folder = tmp_path_factory.mktemp("runs") / "salt"
    config = parse(
        {
            "data": {"source": "tgs", "root": str(salt_root), "split": {"by": "random"}, "scaling": {"basis": "tile"}},
            "model": {"name": "unet", "channels": [8, 16, 32], "num_res_units": 1, "head": "binary"},
            "loss": "dice_bce",
            "train": {"epochs": 1, "batch_size": 8, "panels_every": 0},
            "runtime": {"device": "cpu", "amp": "off", "threads": 1},
        },
        "test",
    )
    train(config, RunFolder(folder), echo=lambda line: None)
    return folder


@pytest.mark.parametrize("classified", [False, True])
def test_a_folder_of_tiles_is_predicted_as_it_is_scored(
    seep_root: Path, seep_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], classified: bool
) -> None:
    # Cells of a scene are shown their neighbours in both: those in the folder, or in the split.
    if classified:
        seep_run = shutil.copytree(seep_run, tmp_path / "run")
        best = seep_run / "checkpoints" / "best.pt"
        classifier = asks("log_area", np.log1p(40), 5, 2)
        save_checkpoint(best, replace(load_checkpoint(best), objects=classifier.to_plain()))
    splits = pd.read_csv(seep_run / "splits.csv", dtype=str)
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
        for name in splits["id"][splits["split"] == "val"]:
            shutil.copy(seep_root / f"train_{folder}_256" / f"{name}.tif", tmp_path / folder)
    assert run(capsys, "predict", seep_run, tmp_path / "images", "-o", tmp_path / "made")[0] == 0
    code, out, _ = run(capsys, "eval", seep_run, "-o", tmp_path / "a", "--maps")
    assert code == 0
    assert ("classes of objects by the classifier" in out) == classified
    rasters = ["--predictions", tmp_path / "made", "--truth", tmp_path / "masks"]
    assert run(capsys, "eval", *rasters, "-o", tmp_path / "b")[0] == 0
    # The maps that were kept are those that were scored.
    rasters[1] = tmp_path / "a" / "maps"
    assert run(capsys, "eval", *rasters, "-o", tmp_path / "c")[0] == 0
    scored, made, kept = (pd.read_csv(tmp_path / k / "confusion.csv", index_col=0) for k in "abc")
    assert scored.equals(made)
    assert scored.equals(kept)
    assert scored.iloc[:, 1:].to_numpy().sum() > 0
    # Evaluated again without, none are left that are not of these scores.
    assert run(capsys, "eval", seep_run, "-o", tmp_path / "a")[0] == 0
    assert not any((tmp_path / "a" / "maps").iterdir())
    if classified:
        # As the classifier says, objects are of class 2 or 5, whatever the network gives.
        assert set(scored.columns[scored.sum() > 0]) <= {"background", "seep 2", "seep 5"}


def test_scores_of_a_run_as_table_and_files(seep_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "eval", seep_run, "--per-class")
    assert (code, err) == (0, "")
    where = seep_run / "eval" / "val"
    metrics = json.loads((where / "metrics.json").read_text())
    splits = pd.read_csv(seep_run / "splits.csv", dtype=str)
    assert metrics["split"] == "val"
    assert metrics["n_tiles"] == (splits["split"] == "val").sum()
    assert tuple(metrics["foreground"]) == SCORES
    assert set(metrics["macro"]) == {"dice", "iou"}
    assert "tgs_score" not in metrics
    for value, row in enumerate(metrics["classes"], 1):
        assert set(row) == {"value", "name", *SCORES, "support_pixels", "support_tiles"}
        assert (row["value"], row["name"]) == (value, f"seep {value}")
        assert row["name"] in out
        for score in SCORES:
            assert row[score] is None or 0 <= row[score] <= 1
    table = pd.read_csv(where / "per_class.csv")
    assert table["name"].tolist() == [*(f"seep {i}" for i in range(1, 8)), "macro", "foreground"]
    confusion = pd.read_csv(where / "confusion.csv", index_col=0)
    assert confusion.shape == (8, 8)
    # A row of the matrix holds the pixels of one class of truth: its support.
    assert confusion.iloc[1:].sum(axis=1).tolist() == [c["support_pixels"] for c in metrics["classes"]]
    for picture in ("tiles.png", "confusion.png"):
        assert (where / picture).stat().st_size > 1000


def test_without_per_class_only_the_means_are_printed(
    seep_run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, out, _ = run(capsys, "eval", seep_run, "--no-figures", "-o", tmp_path / "s")
    assert code == 0
    assert "macro" in out
    assert "foreground" in out
    assert "seep 1" not in out
    assert not (tmp_path / "s" / "tiles.png").exists()


def test_a_report_is_written_when_asked_for(seep_run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = run(capsys, "eval", seep_run, "--report", "--no-figures", "-o", tmp_path)
    assert (code, err) == (0, "")
    assert "report.html)" in out
    page = (tmp_path / "report.html").read_text()
    for title in ("Headline", "Confusion", "Objects", "Training", "Tiles", "Config"):
        assert f"<h2>{title}</h2>" in page
    shown = pd.read_csv(tmp_path / "gallery.csv", dtype={"tile": str})
    assert shown["tile"].is_unique
    # A network of one epoch is not sure of everything, and a mean of 1 − the highest of eight is below 7/8.
    assert shown["doubt"].between(0, 7 / 8).all() and shown["doubt"].max() > 0
    assert not (tmp_path / "tiles.png").exists()
    assert error(capsys, "eval", "--predictions", tmp_path, "--truth", tmp_path, "--report")[0] == 2


def test_parts_and_other_data(
    seep_run: Path, seep_root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    splits = pd.read_csv(seep_run / "splits.csv", dtype=str)

    def n_tiles(*arguments: object) -> int:
        assert run(capsys, "eval", seep_run, "--no-figures", "-o", tmp_path / "s", *arguments)[0] == 0
        return int(json.loads((tmp_path / "s" / "metrics.json").read_text())["n_tiles"])

    assert n_tiles("--split", "train") == (splits["split"] == "train").sum()
    assert n_tiles("--split", "all") == len(splits)
    assert n_tiles("--data", seep_root) == len(splits)
    code, line = error(capsys, "eval", seep_run, "--split", "test")
    assert (code, line.startswith("the test part is empty in ")) == (2, True)
    assert error(capsys, "eval", seep_run, "--data", tmp_path / "none")[0] == 3


def test_threshold_decides_how_much_is_foreground(
    seep_run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def foreground(threshold: float) -> dict[str, float | None]:
        arguments = ["--threshold", threshold, "--no-figures", "-o", tmp_path / "s"]
        assert run(capsys, "eval", seep_run, *arguments)[0] == 0
        scores: dict[str, float | None] = json.loads((tmp_path / "s" / "metrics.json").read_text())["foreground"]
        return scores

    # At 0 every pixel is foreground, so none is missed.
    assert foreground(0)["recall"] == 1
    assert foreground(1)["recall"] == 0


@pytest.fixture
def published(
    seep_run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[[int, Callable[[torch.Tensor], torch.Tensor]], dict[str, float]]:
    """`as_published` of the run at a batch size, its weights changed."""
    shutil.copytree(seep_run, tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "best.pt"
    made = load_checkpoint(path)

    def scores(batch_size: int, change: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, float]:
        save_checkpoint(path, changed(made, batch_size, change))
        code, out, _ = run(capsys, "eval", tmp_path / "run", "--no-figures")
        found: dict[str, float] = json.loads((tmp_path / "run/eval/val/metrics.json").read_text())["as_published"]
        told = f"soft Dice {found['soft_dice_batch16']:.3f}, soft IoU {found['soft_iou_batch16']:.3f}"
        assert (code, told in out) == (0, True)
        return found

    return scores


def changed(made: Checkpoint, batch_size: int, change: Callable[[torch.Tensor], torch.Tensor]) -> Checkpoint:
    predict = made.config.predict.model_copy(update={"batch_size": batch_size})
    weights, ema = ({k: change(v) for k, v in (part or {}).items()} for part in (made.weights, made.ema))
    return replace(made, config=made.config.model_copy(update={"predict": predict}), weights=weights, ema=ema or None)


def test_scores_as_published_are_those_of_a_network_that_says_one_half_everywhere(
    seep_run: Path, published: Callable[..., dict[str, float]]
) -> None:
    data = load_checkpoint(seep_run / "checkpoints" / "best.pt").config.data
    splits = RunFolder(seep_run).read_splits()
    source = source_of(data)
    catalog = source.catalog().subset(set(splits.loc[splits["split"] == "val", "id"]))
    # What is no data counts nowhere.
    known = [read_mask(source, tile, (64, 64))[read_pixels(source, tile).valid] for tile in catalog.tiles]
    dice, iou = [], []
    for start in range(0, len(known), 16):
        batch = np.concatenate(known[start : start + 16])
        seen, counted = int((batch > 0).sum()), batch.size
        # p = 1/2: Σ p·y is half of the seen, Σ p half of all that count.
        dice.append((seen + 1) / (counted / 2 + seen + 1))
        iou.append((seen / 2 + 1) / (counted / 2 + seen / 2 + 1))
    assert len(dice) > 1
    found = published(5, torch.zeros_like)
    assert found == pytest.approx({"soft_dice_batch16": np.mean(dice), "soft_iou_batch16": np.mean(iou)})


def test_scores_as_published_do_not_know_the_batches_of_the_network(published: Callable[..., dict[str, float]]) -> None:
    assert published(3, torch.clone) == pytest.approx(published(16, torch.clone), rel=1e-6)


def test_salt_has_the_tgs_score(salt_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "eval", salt_run, "--per-class", "--tta", "--no-figures")
    assert code == 0
    metrics = json.loads((salt_run / "eval" / "val" / "metrics.json").read_text())
    assert 0 <= metrics["tgs_score"] <= 1
    assert f"TGS score {metrics['tgs_score']:.4f} (95 % " in out
    assert [c["name"] for c in metrics["classes"]] == ["salt"]


def write(folder: Path, **rasters: list[list[int]]) -> Path:
    folder.mkdir()
    for name, values in rasters.items():
        tifffile.imwrite(folder / f"{name}.tif", np.array(values, np.uint8))
    return folder


def test_rasters_are_scored_as_by_hand(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    truth = write(
        tmp_path / "truth",
        a=[[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 0, 0], [2, 2, 0, 0]],
        b_mask=[[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]],
    )
    made = write(
        tmp_path / "made",
        a_class=[[0, 1, 1, 1], [0, 0, 1, 255], [2, 1, 0, 3], [2, 0, 0, 0]],
        b_class=[[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    )
    arguments = ["--predictions", made, "--truth", truth, "--per-class", "-o", tmp_path / "s"]
    code, out, _ = run(capsys, "eval", *arguments)
    assert code == 0
    metrics = json.loads((tmp_path / "s" / "metrics.json").read_text())
    assert (metrics["split"], metrics["n_tiles"]) == ("rasters", 2)
    one, two, three, four = metrics["classes"][:4]
    # The pixel called 255 counts nowhere. Class 1: truth 3 + 1 pixels, 3 hit, 1 missed (b); 2 too many (one on
    # background, one on class 2): Dice 2·3/(2·3 + 2 + 1) = 6/9, IoU 3/6, precision 3/5, recall 3/4.
    assert [one[k] for k in SCORES] == pytest.approx([6 / 9, 3 / 6, 3 / 5, 3 / 4])
    assert (one["support_pixels"], one["support_tiles"]) == (4, 2)
    # Class 2: 4 pixels, 2 hit, 2 missed, none too many: Dice 4/6, IoU 2/4, precision 1, recall 2/4.
    assert [two[k] for k in SCORES] == pytest.approx([4 / 6, 2 / 4, 1, 2 / 4])
    assert (two["support_pixels"], two["support_tiles"]) == (4, 1)
    # Class 3 is only predicted: 0, not absent. Class 4 is nowhere: null, and out of the mean.
    assert (three["dice"], three["iou"], three["support_pixels"]) == (0, 0, 0)
    assert (four["dice"], four["support_pixels"]) == (None, 0)
    assert metrics["macro"]["dice"] == pytest.approx((6 / 9 + 4 / 6 + 0) / 3)
    assert metrics["macro"]["iou"] == pytest.approx((3 / 6 + 2 / 4 + 0) / 3)
    # Any foreground: both 3 + 3 (one under another class's name), too many 1 + 1, missed 1 + 1.
    assert [metrics["foreground"][k] for k in SCORES] == pytest.approx([12 / 16, 6 / 10, 6 / 8, 6 / 8])
    rows = [line for line in out.splitlines() if "seep" in line]
    assert len(rows) == 7
    assert "0.667" in rows[0]
    assert "n/a" in rows[3]


def test_rasters_that_cannot_be_scored(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    truth = write(tmp_path / "truth", a=[[0, 1]], b=[[0, 1]])
    made = write(tmp_path / "made", a=[[0, 1]])
    assert error(capsys, "eval", "--predictions", made, "--truth", truth) == (
        3,
        f"1 truth rasters have no prediction (b) in {made}: predict them, or remove them from --truth",
    )
    tifffile.imwrite(made / "b.tif", np.zeros((3, 2), np.uint8))
    assert error(capsys, "eval", "--predictions", made, "--truth", truth) == (
        3, f"prediction is 3×2, truth 1×2 in {made / 'b.tif'}: give rasters of the same size")  # fmt: skip
    tifffile.imwrite(made / "b.tif", np.array([[0, 9]], np.uint8))
    assert error(capsys, "eval", "--predictions", made, "--truth", truth) == (
        3,
        f"prediction holds class 9, the class table has 7 in {made / 'b.tif'}: choose the class table with --classes",
    )
    for option in (
        ["--split", "test"],
        ["--tta"],
        ["--threshold", 0.5],
        ["--fold", 0],
        ["--maps"],
        ["--device", "cpu"],
    ):
        code, line = error(capsys, "eval", "--predictions", made, "--truth", truth, *option)
        assert (code, line) == (2, f"rasters are scored as they are in {option[0]}: leave it out, or give RUN")
    assert (
        error(capsys, "eval", "run", "--classes", "salt")[1]
        == "a run has its own class table in --classes: leave it out"
    )
    assert error(capsys, "eval", "--predictions", made)[0] == 2
    assert error(capsys, "eval")[0] == 2
    assert error(capsys, "eval", "run", "--predictions", made, "--truth", truth)[0] == 2
    assert error(capsys, "eval", "--predictions", tmp_path / "none", "--truth", truth)[0] == 3


def test_salt_masks_of_any_white_are_scored(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for folder, white in (("truth", 255), ("made", 1)):
        (tmp_path / folder).mkdir()
        for name, row in (("a", [1, 1, 0, 0]), ("b", [0, 0, 0, 0])):
            Image.fromarray(np.array([row], np.uint8) * white).save(tmp_path / folder / f"{name}.png")
    arguments = ["--predictions", tmp_path / "made", "--truth", tmp_path / "truth", "--classes", "salt"]
    code, out, _ = run(capsys, "eval", *arguments, "-o", tmp_path / "s")
    assert code == 0
    # One tile is hit exactly, in the other both are empty: each scores 1.
    assert "TGS score 1.0000\n" in out
    assert json.loads((tmp_path / "s" / "metrics.json").read_text())["foreground"]["dice"] == 1


def test_the_class_table_of_rasters_is_named_or_in_a_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    truth = write(tmp_path / "labelsTr", a=[[0, 2, 3]])
    made = write(tmp_path / "made", a=[[0, 2, 1]])
    arguments = ("eval", "--predictions", made, "--truth", truth, "--per-class")
    labels = {"background": 0, "oil": 1, "ship": 2, "ignore": 3}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    (tmp_path / "other.json").write_text(json.dumps({"labels": labels | {"wake": 3, "ignore": 4}}))
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert [name in out for name in ("oil", "ship", "seep 1")] == [True, True, False]
    assert "wake" in run(capsys, *arguments, "--classes", tmp_path / "other.json")[1]
    assert "seep 7" in run(capsys, *arguments, "--classes", "seep")[1]
    own = "data: {source: tiles, root: x, classes: [{name: any, values: [1, 2, 3]}]}\nloss: bce\ntrain: {epochs: 1}\n"
    (tmp_path / "own.yaml").write_text(own + "model: {name: unet, channels: [8, 16], head: binary}\n")
    # Values 2 and 3 are merged into class 1, which the map has where truth is 3, and calls 2 where it is 2.
    assert error(capsys, *arguments, "--classes", tmp_path / "own.yaml")[1].startswith("prediction holds class 2")
    assert error(capsys, *arguments, "--classes", "none")[0] == 2
    (tmp_path / "other.json").write_text("{}")
    assert error(capsys, *arguments, "--classes", tmp_path / "other.json") == (
        2, f"{tmp_path / 'other.json'} has no labels in --classes: give a dataset.json of nnU-Net 2, or a config",
    )  # fmt: skip
