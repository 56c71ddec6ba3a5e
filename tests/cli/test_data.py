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
    # One scene of four validates, of 6 × 6 tiles.
    code, out, err = run(capsys, "data", "check", config)
    assert (code, err) == (0, "")
    parts = f"({n - 36} train, 36 val)"
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


def oil(root: Path, names: list[str], labels: int | None = 1, dtype: type = np.uint8) -> None:
    """Tiles `names` in a folder and a config c.yaml; half of each mask is the label, None for no masks."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        tifffile.imwrite(root / "images" / f"{name}.tif", np.full((16, 16), number + 1, dtype))
        if labels is not None:
            mask = np.zeros((16, 16), np.uint8)
            mask[:8] = labels
            tifffile.imwrite(root / "images" / f"{name}_m.tif", mask)
    (root / "c.yaml").write_text(
        f"data: {{source: tiles, root: {root}, mask_suffix: _m, split: {{val_fraction: 0.5}},\n"
        "  classes: [{name: oil, values: [1]}], name_pattern: '^(?P<group>[a-z]+)(?P<index>[0-9]+)$'}\n"
        "model: {name: unet, channels: [8, 16], num_res_units: 0, head: binary}\nloss: dice_bce\n"
        "train: {epochs: 1, batch_size: 2, panels_every: 0}\nruntime: {device: cpu, amp: 'off', threads: 1}\n"
    )


SCENES = ["a1", "a2", "b1", "b2"]


def test_check_says_ok_of_what_can_be_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    oil(tmp_path, SCENES)
    ok = "ok: 4 tiles of 2 scenes, 4 labelled (2 train, 2 val), 1 foreground classes\n"
    assert run(capsys, "data", "check", tmp_path / "c.yaml") == (0, ok, "")
    doubt = "warning: 100% of band 1, zeros apart, is above 0, as linear backscatter is: set data.scaling.kind\n"
    assert run(capsys, "data", "check", tmp_path / "c.yaml", "-s", "data.scaling.kind=db") == (0, ok, doubt)


@pytest.mark.parametrize(
    ("names", "labels", "overrides", "code", "says"),
    [
        (SCENES, None, [], 3, "none of 4 tiles has a mask in {root}/images: training needs labels: set data.labels or"),
        (SCENES, 1, ["data.mask_suffix=_mask", "data.name_pattern=null"], 3, "none of 8 tiles has a mask in"),
        (["a1", "a2", "a3"], 1, [], 2, "all tiles are of one scene (a) in data.split: "),
        (["a1"], 1, [], 2, "all tiles are of one scene (a) in data.split: "),
        (["a1"], 1, ["data.split.by=random"], 2, "the val part is empty in data.split: "),
        (SCENES, 1, ["data.split.val=c"], 2, "scene 'c' is not in the data in data.split.val: the scenes are a, b"),
        (SCENES, 1, ["data.split.test=[a,c]"], 2, "scene 'c' is not in the data in data.split.test: "),
        (SCENES, 1, ["data.split.val=[a,b]"], 2, "the train part is empty in data.split: "),
        (SCENES, 1, ["data.split.folds=3"], 2, "3 folds of 2 scenes in data.split.folds: "),
        (SCENES, 0, [], 2, "no training tile holds oil in data.split: "),
        (SCENES, 2, [], 3, "unknown label value 2 (128 pixels) in {root}/images/a1_m.tif: "),
        (SCENES, 1, ["data.bands=[1,2]"], 3, "no band 2"),
    ],
)  # fmt: skip
def test_check_says_in_one_line_why_it_cannot_be_trained_on(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    names: list[str],
    labels: int | None,
    overrides: list[str],
    code: int,
    says: str,
) -> None:
    oil(tmp_path, names, labels)
    words = [word for pair in overrides for word in ("-s", pair)]
    got, out, err = run(capsys, "data", "check", tmp_path / "c.yaml", *words)
    lines = [line for line in err.splitlines() if not line.startswith("warning: ")]
    assert (got, out, len(lines)) == (code, "", 1), err
    assert lines[0].startswith(f"error: {says}".format(root=tmp_path))


def test_every_command_on_data_warns_of_names_that_say_no_scene(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    oil(tmp_path, ["a-1", "a-2", "b-1", "b-2"])
    warning = "4 of 4 names do not match data.name_pattern"
    for words in (["data", "check"], ["data", "split"], ["data", "stats"], ["train", "--run", "run"]):
        code, out, err = run(capsys, *words, "c.yaml")
        assert code == 0, err
        assert f"warning: {warning}" in out + err, words
    assert run(capsys, "data", "report", "c.yaml", "-o", "page")[0] == 0
    assert warning in Path("page/report.html").read_text()


def test_tiles_of_different_types_and_a_validation_part_without_foreground_are_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    oil(tmp_path, ["a1", "a2", "a3"])
    oil(tmp_path, ["b1"], labels=0, dtype=np.uint16)
    code, _, err = run(capsys, "data", "check", tmp_path / "c.yaml", "-s", "data.split.val=b")
    assert code == 0
    assert "warning: 3 tiles of uint8, 1 tiles of uint16: one scaling fits" in err
    assert "warning: no pixel of the validation tiles is foreground" in err
