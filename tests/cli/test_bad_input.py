"""Bad input, as a user meets it: the exit code and one line that says what, where and how to fix."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from seepseg.config import dump
from seepseg.runs.folder import RunFolder
from seepseg.training.run import train
from tests.command import run
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
    train(config, RunFolder(folder), echo=lambda line: None)
    return folder


def error(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit code and line of a command that must fail, and that says so in nothing but one line."""
    code, _, err = run(capsys, *arguments)
    lines = [line for line in err.splitlines() if not line.startswith("failed: ")]
    assert len(lines) == 1, err
    assert re.fullmatch(r"error: .+ in .+: .+", lines[0]), err
    return code, lines[0].removeprefix("error: ")


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


def of_type(dtype: str) -> Callable[[Path], object]:
    return lambda path: tifffile.imwrite(path, np.zeros((64, 64), dtype))


def nan(path: Path) -> None:
    values = np.ones((64, 64), np.float32)
    values[3, 4:6] = np.nan
    tifffile.imwrite(path, values)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.write_bytes(b"II*"), "3 bytes"),
        (header_only, "directory"),
        (cut_short, "cut short"),
        (png, "no header"),
        (pages, "data.page"),
        (rgb, "data.bands"),
        (of_type("int32"), "int32"),
        (of_type("float64"), "float64"),
        (of_type("bool"), "bool"),
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
        3, f"mask holds float32 values in {mask}: save class values as uint8, or give at_least")  # fmt: skip
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
        3, "no such data folder in /nowhere: put the data there, or give -s data.root=FOLDER")  # fmt: skip
    (tmp_path / "empty" / IMAGES).mkdir(parents=True)
    code, line = error(capsys, "data", "check", config, "-s", f"data.root={tmp_path / 'empty'}")
    assert (code, line.startswith("no TIFF, PNG or JPEG tiles in ")) == (3, True)


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
        2, f"run folder exists in {trained}: give --resume to continue, or another --run DIR")  # fmt: skip
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
    code, out, _ = run(capsys, "predict", trained, one, "-o", tmp_path / "out")
    assert (code, out.startswith("0 of 1 predicted, 1 done before")) == (0, True)
    code, line = error(capsys, "predict", trained, one, "-o", tmp_path / "out", "--threshold", "0.9")
    assert (code, line.startswith("output exists, and was not made with this model")) == (2, True)
    assert run(capsys, "predict", trained, one, "-o", tmp_path / "out", "--threshold", "0.9", "--overwrite")[0] == 0
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


def test_a_mask_of_three_bands_is_refused(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rgb(first(tree, MASKS))
    assert error(capsys, "data", "check", tree.parent / "c.yaml") == (
        3, f"mask: is a picture in colours (RGB) in {first(tree, MASKS)}: give a one-band mask of class values",
    )  # fmt: skip


def test_unknown_labels_are_counted(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.zeros((64, 64), np.uint8)
    labels[0, :3], labels[1, :5] = 9, 200
    mask = first(tree, MASKS)
    tifffile.imwrite(mask, labels)
    # The pixels must hold data to be counted at all: labels outside the swath are read as well.
    code, line = error(capsys, "data", "check", tree.parent / "c.yaml")
    assert code == 3
    assert line.startswith(f"unknown label values 9 (3 pixels), 200 (5 pixels) in {mask}: the values are 0, 1, 2,")
    ignored = ["-s", "data.ignore_values=[9, 200]", "-s", "data.split.allow_missing_classes=true"]
    assert run(capsys, "data", "check", tree.parent / "c.yaml", *ignored)[0] == 0


def test_twenty_missing_masks_are_named_and_the_rest_counted(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = (tree / IMAGES / first(tree).name).read_bytes()
    for number in range(23):
        (tree / IMAGES / f"900099.{number:06d}.tif").write_bytes(pixels)
    named = ", ".join(f"900099.{number:06d}" for number in range(20))
    assert error(capsys, "data", "check", tree.parent / "c.yaml") == (
        3,
        f"23 images without a mask ({named} and 3 more) in {tree / MASKS}: add or remove the odd ones",
    )


def test_masks_without_an_image(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = first(tree)
    gone.unlink()
    assert error(capsys, "data", "check", tree.parent / "c.yaml") == (
        3, f"1 masks without an image ({gone.stem}) in {tree / IMAGES}: add or remove the odd ones")  # fmt: skip


def test_equal_names_in_a_folder_below(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / IMAGES / "sub").mkdir()
    shutil.copy(first(tree), tree / IMAGES / "sub")
    code, line = error(capsys, "data", "check", tree.parent / "c.yaml")
    assert code == 3
    assert line.startswith("1 images without a mask (sub/")


def test_parts_that_cannot_be_trained_on(tree: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = tree.parent / "c.yaml"
    code, line = error(capsys, "train", config, "--run", tmp_path / "r", "-s", "data.split.val_fraction=0")
    assert (code, line.startswith("the val part is empty in data.split: ")) == (2, True)
    blank = tmp_path / "blank"
    shutil.copytree(tree, blank)
    for mask in (blank / MASKS).iterdir():
        tifffile.imwrite(mask, np.zeros((64, 64), np.uint8))
    arguments = ["train", config, "--run", tmp_path / "r", "-s", f"data.root={blank}"]
    assert error(capsys, *arguments) == (
        2,
        "no training tile holds seep 1, seep 2, seep 3, seep 4, seep 5, seep 6, seep 7 in data.split: "
        "choose other scenes or another seed, or give -s data.split.allow_missing_classes=true",
    )
    assert not (tmp_path / "r" / "checkpoints").exists()


def test_a_scene_on_two_sides_is_refused_unless_allowed(
    tree: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    stems = [p.stem for p in sorted((tree / IMAGES).iterdir())]
    leaking = stems[0].split(".")[0]
    rows = [f"{s},{'val' if i == 0 else 'train'}" for i, s in enumerate(stems)]
    table = tmp_path / "s.csv"
    table.write_text("\n".join(["id,split", *rows]) + "\n")
    more = ["-s", "data.split.by=file", "-s", f"data.split.file={table}", "-s", "data.split.allow_missing_classes=true"]
    code, line = error(capsys, "data", "split", tree.parent / "c.yaml", *more)
    assert code == 3
    assert line.startswith(f"scenes on two sides of the split ({leaking}) in {table}: keep a scene in one part")
    allowed = ["-s", "data.split.allow_leak=true"]
    assert run(capsys, "data", "split", tree.parent / "c.yaml", *more, *allowed)[0] == 0


def test_nan_stops_training_unless_it_is_declared(
    tree: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    victim = sorted((tree / IMAGES).iterdir())[3]
    nan(victim)
    arguments = ["train", tmp_path / "c.yaml", "--run", tmp_path / "run", "-s", "train.epochs=1",
                 "-s", "data.split.allow_missing_classes=true", "-s", "data.split.by=random"]  # fmt: skip
    assert error(capsys, *arguments) == (
        3, f"2 pixels are NaN or infinite in {victim}: fix the file, or give -s data.nodata=nan")  # fmt: skip
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    assert run(capsys, *arguments, "-s", "data.nodata=nan")[0] == 0
    assert run(capsys, "predict", tmp_path / "run", victim, "-o", tmp_path / "out")[0] == 0
    predicted = tifffile.imread(tmp_path / "out" / f"{victim.stem}_class.tif")
    # Two of the 4096 pixels are NaN, at row 3, columns 4 and 5; they spread to no other.
    assert np.argwhere(predicted == 255).tolist() == [[3, 4], [3, 5]]


def test_configs_that_are_not_configs(tree: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    twice = tmp_path / "twice.yaml"
    twice.write_text("seed: 1\ndata: {source: seep, root: x}\nseed: 2\n")
    assert error(capsys, "data", "check", twice) == (
        2, f"key 'seed' is given twice in {twice}, line 3: fix the YAML")  # fmt: skip
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("sede: 1\ndata: {source: seep, root: x}\ntrain: {epochs: many, batch_sise: 3}\n")
    code, line = error(capsys, "data", "check", wrong)
    assert code == 2
    for part in (
        "unknown key sede (did you mean seed?)",
        "train.epochs: ",
        "train.batch_sise (did you mean batch_size",
    ):
        assert part in line
    missing, folder = tmp_path / "none.yaml", tmp_path
    assert error(capsys, "train", missing) == (
        2,
        f"no such config in {missing}: give a YAML file or the name of a shipped recipe; "
        "`seepseg config list` shows the recipes",
    )
    code, line = error(capsys, "train", folder)
    assert (code, line.startswith(f"is a folder, not a config in {folder}: ")) == (2, True)
    (tmp_path / "list.yaml").write_text("- 1\n")
    assert error(capsys, "data", "check", tmp_path / "list.yaml")[0] == 2
    # YAML 1.1 would read these words as truth values.
    assert error(capsys, "data", "check", tmp_path / "c.yaml", "-s", "runtime.amp=on")[1].startswith(
        "runtime.amp: 'on' is not one of 'auto', 'bf16', 'fp16' or 'off' in "
    )
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\0\0")
    assert error(capsys, "data", "check", tmp_path / "bytes.yaml")[0] == 2
    assert error(capsys, "data", "check", tmp_path / "c.yaml", "-s", "seed")[0] == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there(trained: Path, tree: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    says = (2, "device 'cuda' is not there in runtime.device: this machine has cpu; use auto")
    assert error(capsys, "train", tmp_path / "c.yaml", "--run", tmp_path / "r", "--device", "cuda") == says
    assert error(capsys, "eval", trained, "--device", "cuda") == says
    assert error(capsys, "predict", trained, first(tree), "-o", tmp_path / "out", "--device", "cuda") == says
    assert not (tmp_path / "out").exists()


def test_a_file_where_a_folder_is_wanted(
    trained: Path, tree: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    assert error(capsys, "train", tmp_path / "c.yaml", "--run", taken)[0] == 2
    assert error(capsys, "predict", trained, first(tree), "-o", taken)[0] in (2, 3)
    assert error(capsys, "eval", trained, "--no-figures", "-o", taken)[0] in (2, 3)
    assert error(capsys, "data", "split", tmp_path / "c.yaml", "-o", taken)[0] in (2, 3)
    assert taken.read_text() == "mine"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_that_may_not_be_written(
    trained: Path, tree: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    assert error(capsys, "predict", trained, first(tree), "-o", locked / "out")[0] in (2, 3)


@pytest.mark.parametrize("command", ["eval", "predict"])
def test_checkpoints_of_others_are_refused_and_run_nothing(
    command: str, seep_root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    class Attack:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "pwned"),)

    more = [first(seep_root), "-o", tmp_path / "out"] if command == "predict" else []
    for number, content in enumerate((Attack(), {"state_dict": {}}, [1, 2])):
        path = tmp_path / f"{number}.pt"
        torch.save(content, path)
        code, line = error(capsys, command, path, *more)
        assert (code, line.startswith(f"not a seepseg checkpoint, or cut short in {path}: ")) == (3, True)
        # Even with a trailer that fits, its content is only data.
        body = path.read_bytes()
        path.write_bytes(body + b"seepseg-sha256:" + hashlib.sha256(body).digest())
        code, line = error(capsys, command, path, *more)
        assert (code, line.startswith("not a seepseg checkpoint (")) == (3, True)
    assert not (tmp_path / "pwned").exists()
    assert error(capsys, command, tmp_path / "none.pt", *more)[0] in (2, 3)


def test_a_damaged_checkpoint_is_not_scored(trained: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    content = bytearray((trained / "checkpoints" / "best.pt").read_bytes())
    content[len(content) // 2] ^= 4
    (tmp_path / "best.pt").write_bytes(content)
    assert error(capsys, "eval", tmp_path / "best.pt") == (
        3, f"damaged: the SHA-256 does not match in {tmp_path / 'best.pt'}: restore the file from a copy")  # fmt: skip


def test_bad_salt_tables(salt_root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = tmp_path / "salt"
    shutil.copytree(salt_root, root)
    config = tmp_path / "c.yaml"
    config.write_text(f"data: {{source: tgs, root: {root}, masks: rle}}\nmodel: {{name: unet, head: softmax}}\n")
    table = root / "train.csv"
    header, row, *rest = table.read_text().splitlines()
    name = row.split(",")[0]
    for runs in ("1 5 9", "0 3", "10200 5", "1 5 3 2", "9 2 1 2", "1 x"):
        table.write_text("\n".join([header, f"{name},{runs}", *rest]))
        code, line = error(capsys, "data", "check", config)
        assert (code, f" in {name} of train.csv: " in line) == (3, True)
    table.write_text("\n".join([header, row, row, *rest]))
    assert error(capsys, "data", "check", config) == (
        3, f"1 ids are repeated ({name}) in {table}: keep one row for each id")  # fmt: skip
    table.write_text("\n".join([header, *rest]))
    assert error(capsys, "data", "check", config) == (
        3, f"1 images without a mask ({name}) in {table}: add or remove the odd ones")  # fmt: skip
    Image.fromarray(np.zeros((101, 101), np.uint8)).save(root / "train" / "images" / f"{name}.png")
    (root / "train" / "images" / f"{name}.png").write_bytes((root / "train.csv").read_bytes())
    code, line = error(capsys, "data", "check", config, "-s", "data.masks=png")
    assert (code, line.startswith("not an image, ")) == (3, True)


def test_archives_that_cannot_be_trusted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEPSEG_CACHE", str(tmp_path / "cache"))
    config, path = tmp_path / "c.yaml", tmp_path / "competition_data.zip"
    config.write_text(f"data: {{source: tgs, root: {path}}}\nmodel: {{name: unet, head: softmax}}\n")
    link = zipfile.ZipInfo("train/images")
    link.external_attr = 0o120777 << 16
    for member, content, says in (
        ("../../evil.png", b"1", "member '../../evil.png' would land outside its folder"),
        ("/evil.png", b"1", "member '/evil.png' would land outside its folder"),
        (link, b"/etc", "member 'train/images' is a symbolic link"),
        ("bomb.csv", bytes(2**27), "unpacks to 10"),
    ):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(member, content)
        code, line = error(capsys, "data", "check", config)
        assert (code, line.startswith(says), f" in {path}: " in line) == (3, True, True), line
        assert sorted(p.name for p in tmp_path.iterdir()) == ["c.yaml", "competition_data.zip"]
    path.write_bytes(b"no archive at all")
    assert error(capsys, "data", "check", config) == (
        3, f"not a ZIP archive, the file is of an unknown kind in {path}: give a folder, or a .zip")  # fmt: skip
