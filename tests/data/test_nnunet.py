from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from seepseg.config import NnunetData, parse
from seepseg.data.scan import with_counts
from seepseg.data.source import inspect_pixels, open_pixels, read_mask, read_pixels, source_of
from seepseg.errors import DataError
from seepseg.synthetic import write_nnunet
from tests.command import error, run

LABELS = {"background": 0, "oil": 1, "ignore": 2}


def save(path: Path, pixels: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    array = np.array(pixels, np.uint8)
    if path.suffix == ".png":
        Image.fromarray(array).save(path)
    else:
        tifffile.imwrite(path, array)


def tree(root: Path, *cases: str, channels: int = 2, ending: str = ".png") -> Path:
    """Cases of 2 × 3 pixels: channel c of the k-th is 10·k + c everywhere, its labels are 0 1 2 / 0 0 0."""
    for k, case in enumerate(cases):
        for c in range(channels):
            save(root / "imagesTr" / f"{case}_{c:04d}{ending}", np.full((2, 3), 10 * k + c))
        save(root / "labelsTr" / f"{case}{ending}", [[0, 1, 2], [0, 0, 0]])
    names = {str(c): f"channel {c}" for c in range(channels)}
    said = {"channel_names": names, "labels": LABELS, "file_ending": ending, "numTraining": len(cases)}
    (root / "dataset.json").write_text(json.dumps(said))
    return root


def source(root: Path, **more: Any) -> Any:
    return source_of(NnunetData.model_validate({"root": root, **more}))


def levels(pixels: NDArray[Any]) -> list[list[int]]:
    return [sorted(set(plane.ravel().tolist())) for plane in pixels]


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_channels_are_bands_and_cases_are_scenes(tmp_path: Path, ending: str) -> None:
    own = source(tree(tmp_path, "b", "a", channels=3, ending=ending))
    catalog = own.catalog()
    assert [(t.id, t.group, t.cell) for t in catalog.tiles] == [("a", "a", None), ("b", "b", None)]
    assert catalog.warnings == ()
    first, second = catalog.tiles
    assert levels(read_pixels(own, second).raw) == [[0], [1], [2]]  # b was written first
    assert levels(read_pixels(own, first).raw) == [[10], [11], [12]]
    with open_pixels(own, first.image) as image:
        assert levels(image.rows(0, 1).raw) == [[10], [11], [12]]
        assert (image.bands, image.height, image.width) == (3, 2, 3)
    assert inspect_pixels(own, first.image).bands == 3
    # A change of any channel is one of the tile.
    assert {p.name for p in first.files} == {f"a_000{c}{ending}" for c in range(3)} | {f"a{ending}"}
    assert read_mask(own, first, (2, 3)).tolist() == [[0, 1, 255], [0, 0, 0]]
    assert [t.pixels for t in with_counts(own, catalog).tiles] == [(4, 1)] * 2


def test_some_of_the_channels(tmp_path: Path) -> None:
    own = source(tree(tmp_path, "a", channels=3), bands=[3, 1])
    (tile,) = own.catalog().tiles
    assert levels(read_pixels(own, tile).raw) == [[2], [0]]


def test_the_channels_of_a_picture_may_be_in_one_file(tmp_path: Path) -> None:
    tree(tmp_path, "a", channels=3)
    for c in (1, 2):
        (tmp_path / "imagesTr" / f"a_{c:04d}.png").unlink()
    Image.fromarray(np.full((2, 3, 3), (7, 8, 9), np.uint8)).save(tmp_path / "imagesTr" / "a_0000.png")
    own = source(tmp_path)
    (tile,) = own.catalog().tiles
    assert levels(read_pixels(own, tile).raw) == [[7], [8], [9]]


def test_a_pattern_says_which_cases_are_of_one_scene(tmp_path: Path) -> None:
    own = source(
        tree(tmp_path, "x_r0c0", "x_r0c1", "y_r0c0"), name_pattern=r"^(?P<group>.)_r(?P<row>\d)c(?P<column>\d)$"
    )
    assert [(t.group, t.cell) for t in own.catalog().tiles] == [("x", (0, 0)), ("x", (0, 1)), ("y", (0, 0))]
    assert own.tile(tmp_path / "imagesTs" / "z_r2c1_0000.png", "z_r2c1").cell == (2, 1)


def test_labelled_test_images_are_asked_for(tmp_path: Path) -> None:
    tree(tmp_path, "a")
    save(tmp_path / "imagesTs" / "a_0000.png", [[1]])
    save(tmp_path / "imagesTs" / "a_0001.png", [[2]])
    save(tmp_path / "labelsTs" / "a.png", [[1]])
    own = source(tmp_path, images=["imagesTr", "imagesTs"], masks=["labelsTr", "labelsTs"])
    assert [t.id for t in own.catalog().tiles] == ["imagesTr/a", "imagesTs/a"]


def config(root: Path, tmp_path: Path) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(
        f"data: {{source: nnunet, root: {root}, split: {{val_fraction: 0.5}}}}\n"
        "model: {name: unet, channels: [4, 8], head: binary}\nloss: bce\ntrain: {epochs: 1, batch_size: 4}\n"
        "runtime: {device: cpu, amp: 'off', threads: 1}\n"
    )
    return path


def test_what_is_wrong_with_a_case_is_one_line_of_data_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tree(tmp_path / "set", "a", "b")
    own, images = config(root, tmp_path), root / "imagesTr"
    assert run(capsys, "data", "check", own)[:2] == (
        0, "ok: 2 tiles of 2 scenes, 2 labelled (1 train, 1 val), 1 foreground classes\n",
    )  # fmt: skip
    (images / "b_0001.png").rename(images / "c_0001.png")
    code, line = error(capsys, "data", "check", own)
    assert (code, line) == (
        3, f"case b has no channel b_0001.png in {images}: add the file, or remove the case from both folders",
    )  # fmt: skip
    (images / "c_0001.png").rename(images / "b_0001.png")
    save(root / "labelsTr" / "b.png", [[0, 1, 7], [0, 0, 7]])
    code, line = error(capsys, "data", "check", own)
    assert code == 3
    assert line.startswith(f"unknown label value 7 (2 pixels) in {root / 'labelsTr' / 'b.png'}: the values are 0, 1, 2")
    save(root / "labelsTr" / "b.png", [[0, 1]])
    assert error(capsys, "data", "check", own)[1].startswith("mask is 1×2, image 2×3 in")
    save(images / "b_0001.png", [[0, 1]])
    assert error(capsys, "data", "check", own) == (
        3, f"is 1×2, channel b_0000.png 2×3 in {images / 'b_0001.png'}: save all channels of an image in one size",
    )  # fmt: skip
    (root / "labelsTr" / "b.png").unlink()
    assert error(capsys, "data", "check", own)[1].startswith("1 images without a mask (b)")


def test_channels_of_two_types_are_refused(tmp_path: Path) -> None:
    tree(tmp_path, "a", ending=".tif")
    tifffile.imwrite(tmp_path / "imagesTr" / "a_0001.tif", np.zeros((2, 3), np.float32))
    own = source(tmp_path)
    with pytest.raises(DataError, match=r"holds float32, channel a_0000.tif uint8 in .*a_0001.tif"):
        read_pixels(own, own.catalog().tiles[0])


def test_pixels_that_one_channel_does_not_know_are_no_data(tmp_path: Path) -> None:
    tree(tmp_path, "a", ending=".tif")
    for c, raw in enumerate(([[0, 5]], [[5, 6]])):
        tifffile.imwrite(
            tmp_path / "imagesTr" / f"a_{c:04d}.tif", np.array(raw, np.uint8), extratags=[(42113, 2, 0, "6" * c, True)]
        )
    own = source(tmp_path)
    # 6 is no data in the second channel only; the first has no such value.
    assert read_pixels(own, own.catalog().tiles[0]).valid.tolist() == [[True, False]]


def test_a_run_trains_predicts_and_is_scored_as_nnunet_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "Dataset001_Sea"
    write_nnunet(root, scenes=2, test_scenes=1, side=128)
    tree_ = {
        "data": {"source": "nnunet", "root": str(root), "name_pattern": r"^(?P<group>scene\d)_(?P<index>\d+)$",
                 "grid": {"": 3}, "nodata": 0, "split": {"val_fraction": 0.5}},
        "model": {"name": "unet", "channels": [4, 8], "head": "softmax"}, "loss": "ce",
        "train": {"epochs": 1, "batch_size": 4, "panels_every": 0},
        "runtime": {"device": "cpu", "amp": "off", "threads": 1},
    }  # fmt: skip
    assert parse(tree_, "test").data.class_table().names == ("background", "seep", "spill", "look-alike")
    (tmp_path / "own.yaml").write_text(json.dumps(tree_))
    assert run(capsys, "train", tmp_path / "own.yaml", "--run", tmp_path / "run", "-q")[0] == 0
    assert run(capsys, "eval", tmp_path / "run", "--no-figures")[0] == 0
    maps = tmp_path / "maps"
    code, out, err = run(capsys, "predict", tmp_path / "run", root / "imagesTs", "-o", maps)
    assert code == 0, err
    # One input a case, called as it, and not one a channel.
    assert out.startswith("9 of 9 predicted")
    assert sorted(p.name for p in maps.glob("*.png")) == [f"scene2_{k:02d}_class.png" for k in range(9)]
    # Another second channel is another input.
    (root / "imagesTs" / "scene2_04_0001.png").write_bytes((root / "imagesTs" / "scene2_05_0001.png").read_bytes())
    assert run(capsys, "predict", tmp_path / "run", root / "imagesTs", "-o", maps)[1].startswith("1 of 9 predicted")
    scores = run(capsys, "eval", "--predictions", maps, "--truth", root / "labelsTs", "--per-class")
    assert scores[0] == 0
    assert "look-alike" in scores[1]
