from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from seepseg.config import dump
from tests.command import run
from tests.conftest import tiny_config


@pytest.fixture
def config(seep_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The tiny recipe as a file, in the current directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.yaml").write_text(dump(tiny_config(seep_root)))
    return Path("c.yaml")


def test_check_counts_what_it_read(config: Path, seep_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    n = len(list((seep_root / "train_images_256").iterdir()))
    # One scene of four validates, of 8 × 8 tiles.
    code, out, err = run(capsys, "data", "check", config)
    assert (code, err) == (0, "")
    parts = f"({n - 64} train, 64 val)"
    assert out == f"ok: {n} tiles of 4 scenes, {n} labelled {parts}, 7 foreground classes\n"


def test_stats_prints_a_row_a_class_and_writes_tables(
    config: Path, seep_root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "data", "stats", config)
    assert code == 0
    assert "runs/c-data/" in out
    classes = pd.read_csv("runs/c-data/classes.csv")
    assert classes["class"].tolist() == ["background", *(f"seep {i}" for i in range(1, 8))]
    for name in classes["class"]:
        assert name in out
    # Pixels of class 3 counted from the masks themselves; no label lies on no-data in synthetic tiles.
    masks = [tifffile.imread(p) for p in (seep_root / "train_masks_256").iterdir()]
    assert classes["pixels"][3] == sum(int((m == 3).sum()) for m in masks)
    assert classes["tiles"][3] == sum(bool((m == 3).any()) for m in masks)
    assert classes["percent"].sum() == pytest.approx(100)
    assert len(pd.read_csv("runs/c-data/intensity.csv")) == 4
    assert {p.name for p in Path("runs/c-data").iterdir()} == {
        "classes.csv", "classes.png", "examples.png", "intensity.csv", "intensity.png"}  # fmt: skip


def test_stats_of_nothing_but_no_data_is_said(config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = tmp_path / "blank"
    for folder in ("train_images_256", "train_masks_256"):
        (root / folder).mkdir(parents=True)
        tifffile.imwrite(root / folder / "1.1.tif", np.zeros((8, 8), np.uint8))
    assert run(capsys, "data", "stats", config, "-s", f"data.root={root}") == (
        3, "", f"error: no valid pixel in {root}: check data.nodata\n")  # fmt: skip
    assert not Path("runs").exists()


def test_split_prints_shares_and_writes_the_table_training_would(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "data", "split", config, "-o", "out")
    assert (code, err) == (0, "")
    splits = pd.read_csv("out/splits.csv", dtype=str)
    assert set(splits["split"]) == {"train", "val"}
    (held_out,) = set(splits.loc[splits["split"] == "val", "group"])
    assert f"val: {held_out}\n" in out
    assert held_out not in set(splits.loc[splits["split"] == "train", "group"])
    code, out, _ = run(capsys, "data", "split", config, "-o", "mine/parts.csv")
    assert (code, out.splitlines()[-1]) == (0, "written: mine/parts.csv")
    assert Path("mine/parts.csv").read_bytes() == Path("out/splits.csv").read_bytes()


def test_folds_and_random_splits(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    held = []
    more = ["-s", "data.split.folds=2", "-s", "data.split.allow_missing_classes=true"]
    for fold in (0, 1):
        assert run(capsys, "data", "split", config, *more, "--fold", fold, "-o", f"f{fold}")[0] == 0
        table = pd.read_csv(f"f{fold}/splits.csv", dtype=str)
        held.append(set(table.loc[table["split"] == "val", "id"]))
    # Every tile is held out once.
    assert held[0] | held[1] == set(table["id"])
    assert not held[0] & held[1]
    code, _, err = run(capsys, "data", "split", config, "-s", "data.split.by=random")
    assert code == 0
    assert "on both sides of a random split" in err


def test_salt_tiles_are_told_with_coverage_and_flags(
    salt_root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("salt.yaml").write_text(f"data: {{source: tgs, root: {salt_root}}}\nmodel: unet\n")
    code, out, _ = run(capsys, "data", "check", "salt.yaml")
    assert code == 0
    assert "flagged: 1 constant (one grey level all over" in out
    code, out, _ = run(capsys, "data", "stats", "salt.yaml")
    assert code == 0
    assert "tiles by coverage" in out
    assert "constant" in out
    tiles = pd.read_csv("runs/salt-data/tiles.csv", dtype={"id": str})
    assert len(tiles) == 40
    assert (tiles["flag"] == "constant").sum() == 1
    assert ((tiles["coverage"] > 0) == (tiles["coverage_class"] > 0)).all()
    drop = ["-s", "data.drop_flagged=true", "-s", "data.split.by=random", "-s", "data.split.folds=2"]
    assert run(capsys, "data", "split", "salt.yaml", *drop, "-o", ".")[0] == 0
    (flagged,) = tiles.loc[tiles["flag"] == "constant", "id"]
    splits = pd.read_csv("splits.csv", dtype={"id": str}).set_index("id")["split"]
    assert splits[flagged] in ("val", "unused")
    assert set(splits.drop(flagged)) == {"train", "val"}
