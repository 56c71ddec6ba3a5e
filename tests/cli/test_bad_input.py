"""Bad input, as a user meets it: the exit code and one line that says what, where and how to mend."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from seepseg.config import dump
from seepseg.runs.folder import RunFolder
from seepseg.training.run import train
from tests.command import error, run
from tests.conftest import tiny_config

IMAGES, MASKS = "train_images_256", "train_masks_256"


@pytest.fixture
def tree(seep_root: Path, tmp_path: Path) -> Path:
    """A copy of twelve tiles that a test may spoil, and `c.yaml` beside it."""
    root = tmp_path / "data"
    for folder in (IMAGES, MASKS):
        (root / folder).mkdir(parents=True)
        files = sorted((seep_root / folder).iterdir())
        for file in files[:: len(files) // 12][:12]:
            shutil.copy(file, root / folder / file.name)
    (tmp_path / "c.yaml").write_text(dump(tiny_config(root)))
    return root


@pytest.fixture(scope="module")
def trained(seep_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder after one epoch."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = tiny_config(seep_root, train={"epochs": 1, "batch_size": 8, "panels_every": 0})
    train(config, RunFolder(folder), tell=lambda line: None)
    return folder


def first(root: Path, folder: str = IMAGES) -> Path:
    return sorted((root / folder).iterdir())[0]


def header_only(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:8])


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3000])


def png(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))


def pages(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((2, 64, 64), np.uint16), photometric="minisblack")


def rgb(path: Path) -> None:
    tifffile.imwrite(path, np.zeros((64, 64, 3), np.uint16), photometric="rgb")


def of_type(dtype: str) -> Callable[[Path], None]:
    return lambda path: tifffile.imwrite(path, np.zeros((64, 64), dtype))


def nan(path: Path) -> None:
    values = np.ones((64, 64), np.float32)
    values[3, 4:6] = np.nan
    tifffile.imwrite(path, values)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: p.write_bytes(b""), "empty"),
        (header_only, "directory"),
        (cut_short, "cut short"),
        (png, "PNG"),
        (pages, "data.page"),
        (rgb, "data.bands"),
        (of_type("int32"), "int32"),
        (of_type("complex64"), "amplitude"),
        (nan, "2 pixels are NaN or infinite"),
        (lambda p: (p.unlink(), os.mkfifo(p)), "pipe"),
    ],
)
def test_a_bad_image_is_named_with_the_way_out(
    tree: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], object], says: str
) -> None:
    victim = first(tree)
    spoil(victim)
    code, line = error(capsys, "data", "check", tree.parent / "c.yaml")
    assert code == 3
    assert says in line
    assert f" in {victim}: " in line


def test_masks_that_do_not_fit(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, mask = tree.parent / "c.yaml", first(tree, MASKS)
    good = mask.read_bytes()
    tifffile.imwrite(mask, np.zeros((32, 64), np.uint8))
    assert error(capsys, "data", "check", config) == (
        3, f"mask is 32×64, image 64×64 in {mask}: give a mask of the image's size")  # fmt: skip
    labels = np.zeros((64, 64), np.uint8)
    labels[0, :3] = 255
    tifffile.imwrite(mask, labels)
    code, line = error(capsys, "data", "check", config)
    assert (code, "unknown label value 255 (3 pixels)" in line) == (3, True)
    tifffile.imwrite(mask, np.zeros((64, 64), np.float32))
    assert error(capsys, "data", "check", config) == (
        3, f"mask holds float32 values in {mask}: save class values as uint8")  # fmt: skip
    mask.unlink()
    code, line = error(capsys, "data", "check", config)
    assert (code, f"1 images without a mask ({mask.stem})" in line) == (3, True)
    mask.write_bytes(good)
    (first(tree).parent / f"{first(tree).stem}.tiff").write_bytes(good)
    code, line = error(capsys, "data", "check", config)
    assert (code, f"two images are named {mask.stem!r}" in line) == (3, True)


def test_data_that_is_not_there(tree: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tree.parent / "c.yaml"
    assert error(capsys, "data", "check", config, "-s", "data.root=/nowhere") == (
        3, "no such data folder in /nowhere: give -s data.root=FOLDER")  # fmt: skip
    (tmp_path / "empty" / IMAGES).mkdir(parents=True)
    code, line = error(capsys, "data", "check", config, "-s", f"data.root={tmp_path / 'empty'}")
    assert (code, line.startswith("no TIFF tiles in ")) == (3, True)


def test_tiles_of_odd_sizes_and_without_data_train_and_predict(
    tree: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    images = sorted((tree / IMAGES).iterdir())
    for path, size, value in zip(
        images, ((1, 1), (7, 7), (101, 101), (64, 64), (64, 64)), (9, 9, 9, 0, 500), strict=False
    ):
        tifffile.imwrite(path, np.full(size, value, np.uint16))
        tifffile.imwrite(tree / MASKS / path.name, np.zeros(size, np.uint8))
    run_folder = tmp_path / "run"
    more = ["-s", "data.split.allow_missing_classes=true", "-s", "train.epochs=1", "-s", "data.split.by=random"]
    assert run(capsys, "train", tmp_path / "c.yaml", "--run", run_folder, *more)[0] == 0
    assert run(capsys, "eval", run_folder, "--split", "all", "--per-class")[0] == 0
    assert run(capsys, "predict", run_folder, tree / IMAGES, "-o", tmp_path / "out")[0] == 0
    for path in images:
        predicted = tifffile.imread(tmp_path / "out" / f"{path.stem}_class.tif")
        image = tifffile.imread(path)
        assert predicted.shape == image.shape
        assert ((predicted == 255) == (image == 0)).all()


def test_config_mistakes(
    tree: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tree.parent / "c.yaml"
    code, line = error(capsys, "train", config, "-s", "train.epoch=3", "-s", "optim.lr=fast")
    assert code == 2
    assert "unknown key train.epoch (did you mean epochs?)" in line
    assert "optim.lr: input should be a valid number" in line
    assert error(capsys, "train", tmp_path / "none.yaml")[0] == 2
    assert error(capsys, "train", tmp_path)[0] == 2
    assert error(capsys, "train", config, "--fold", "1")[0] == 2
    code, line = error(capsys, "train", config, "--device", "cuda:77")
    assert code == 2
    assert line.startswith("device 'cuda:77' is not there in runtime.device: this machine has cpu")


def test_a_run_folder_is_never_overwritten(trained: Path, capsys: pytest.CaptureFixture[str], tree: Path) -> None:
    config = tree.parent / "c.yaml"
    before = (trained / "metrics.csv").read_bytes()
    assert error(capsys, "train", config, "--run", trained) == (
        2, f"run folder exists in {trained}: give --resume to go on, or another --run DIR")  # fmt: skip
    code, line = error(capsys, "train", config, "--run", trained, "--resume", "-s", "optim.lr=0.5")
    assert (code, line.startswith("optim.lr is 0.001 in the run and 0.5 now")) == (2, True)
    assert (trained / "metrics.csv").read_bytes() == before


def test_damaged_and_foreign_checkpoints(
    trained: Path, capsys: pytest.CaptureFixture[str], seep_root: Path, tmp_path: Path
) -> None:
    content = (trained / "checkpoints" / "best.pt").read_bytes()
    broken = tmp_path / "broken.pt"
    scene = first(seep_root)
    for bad, says in (
        (content[:-100], "not a seepseg checkpoint, or cut short"),
        (content[:5000] + bytes([content[5000] ^ 1]) + content[5001:], "damaged: the SHA-256 does not match"),
        (b"", "not a seepseg checkpoint, or cut short"),
    ):
        broken.write_bytes(bad)
        code, line = error(capsys, "predict", broken, scene, "-o", tmp_path / "out")
        assert (code, line.startswith(f"{says} in {broken}")) == (3, True)
    assert error(capsys, "eval", tmp_path / "nothing")[0] == 2
    assert not (tmp_path / "out").exists()


def test_one_bad_input_of_three_is_put_aside(
    trained: Path, capsys: pytest.CaptureFixture[str], tree: Path, tmp_path: Path
) -> None:
    inputs = sorted((tree / IMAGES).iterdir())[:3]
    cut_short(inputs[1])
    out = tmp_path / "out"
    code, line = error(capsys, "predict", trained, *inputs, "-o", out)
    assert (code, line.startswith("1 of 3 inputs failed in ")) == (4, True)
    (failure,) = [json.loads(text) for text in (out / "failures.jsonl").read_text().splitlines()]
    assert failure["input"] == str(inputs[1])
    assert "cut short" in failure["error"]
    assert sorted(p.name for p in out.glob("*.tif")) == [f"{p.stem}_class.tif" for p in (inputs[0], inputs[2])]
    assert error(capsys, "predict", trained, *inputs, "-o", tmp_path / "strict", "--strict")[0] == 3


def test_outputs_that_would_collide_or_overwrite(
    trained: Path, capsys: pytest.CaptureFixture[str], tree: Path, tmp_path: Path
) -> None:
    one = first(tree)
    (tmp_path / "other").mkdir()
    twin = shutil.copy(one, tmp_path / "other" / one.name)
    code, line = error(capsys, "predict", trained, one, twin, "-o", tmp_path / "out")
    assert (code, "would both be written to" in line) == (2, True)
    assert not (tmp_path / "out").exists()
    code, line = error(capsys, "predict", trained, tree / IMAGES, "-o", tree / IMAGES)
    assert (code, line.startswith("the output folder lies in the input folder")) == (2, True)
    assert run(capsys, "predict", trained, one, "-o", tmp_path / "out")[0] == 0
    assert error(capsys, "predict", trained, one, "-o", tmp_path / "out")[0] == 2
    assert run(capsys, "predict", trained, one, "-o", tmp_path / "out", "--overwrite")[0] == 0
    (tmp_path / "file").write_text("")
    code, _ = error(capsys, "predict", trained, one, "-o", tmp_path / "file")
    assert code == 2


def test_metrics_json_is_what_the_readme_says(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "eval", trained, "--per-class")
    assert code == 0
    assert "foreground" in out
    metrics = json.loads((trained / "eval" / "val" / "metrics.json").read_text())
    assert {"split", "n_tiles", "foreground", "macro", "classes"} <= metrics.keys()
    assert [c["value"] for c in metrics["classes"]] == list(range(1, 8))
    assert set(metrics["classes"][0]) == {"value", "name", "dice", "iou", "precision", "recall", "support_pixels",
                                          "support_tiles"}  # fmt: skip


def test_scores_of_any_rasters_by_hand(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, values in (("truth", [[0, 1], [2, 2]]), ("made", [[1, 1], [2, 0]])):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", np.array(values, np.uint8))
    arguments = ["--predictions", tmp_path / "made", "--truth", tmp_path / "truth", "-o", tmp_path / "scores"]
    assert run(capsys, "eval", *arguments)[0] == 0
    metrics = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    # class 1: tp 1, fp 1, fn 0 → 2/3; class 2: tp 1, fp 0, fn 1 → 2/3; foreground: both 2, false 1, missed 1 → 4/6
    assert metrics["classes"][0]["dice"] == pytest.approx(2 / 3)
    assert metrics["macro"]["dice"] == pytest.approx(2 / 3)
    assert metrics["foreground"]["dice"] == pytest.approx(4 / 6)
    assert metrics["classes"][6]["dice"] is None
