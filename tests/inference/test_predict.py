from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image
from rasterio.transform import Affine
from torch import Tensor, nn

from seepseg.classes import SALT
from seepseg.config import Config, Predict, Scaling, parse
from seepseg.data.scaling import FittedScaling
from seepseg.errors import ConfigError, DataError
from seepseg.inference.predict import plan, predict_files, window_probabilities
from seepseg.inference.predictor import Predictor
from seepseg.runs.checkpoint import Checkpoint

SIZES = [(1, 1), (7, 7), (101, 101), (300, 37)]


class Echo(nn.Module):
    """One logit, which is the standardised pixel: foreground where it is above 0."""

    def forward(self, images: Tensor) -> Tensor:
        return images


def recipe(**data: object) -> Config:
    tree: dict[str, Any] = {
        "data": {"source": "seep", "root": "x", "classes": "salt"} | data,
        "model": {"name": "unet", "head": "binary"},
        "loss": "bce",
        "runtime": {"amp": "off", "device": "cpu"},
    }
    return parse(tree, "test")


# Raw 0–200 becomes 0–1, then (x − 0.5) / 0.5: above 100 is foreground.
SCALING = FittedScaling(Scaling(basis="fixed", range=(0, 200)), ((0.0,), (200.0,)), (0.5,), (0.5,))


def run(
    inputs: list[str], out: Path, config: Config | None = None, scaling: FittedScaling = SCALING, **more: bool
) -> list[dict[str, str]]:
    config = config or recipe()
    checkpoint = Checkpoint(config, SALT, scaling, {})
    predictor = Predictor(Echo(), config, torch.device("cpu"))
    return predict_files(plan(inputs, out, False), checkpoint, predictor, Predict(window=64), out, **more)


def picture(shape: tuple[int, int]) -> NDArray[np.uint16]:
    """Pixels from 1 to 200 in no order."""
    return np.random.default_rng(0).integers(1, 201, shape).astype(np.uint16)


# --- what will be predicted ------------------------------------------------------------------------------------------


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def test_a_folder_is_mirrored_and_globs_are_matched(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    touch(folder / "a.tif", folder / "b" / "c.png", folder / "notes.txt", folder / ".seepseg-1.tif")
    jobs = plan([str(folder)], out, False)
    assert [j.class_raster for j in jobs] == [out / "a_class.tif", out / "b" / "c_class.png"]
    assert [j.target for j in plan([str(folder / "*.tif")], out, False)][-1] == out / "a"


def test_two_inputs_with_one_output_are_refused_before_any_work(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x.tif", tmp_path / "b" / "x.tif", tmp_path / "c" / "y.tif", tmp_path / "c" / "y.png")
    for inputs in ([tmp_path / "a" / "x.tif", tmp_path / "b" / "x.tif"], [tmp_path / "c"]):
        with pytest.raises(ConfigError, match="would both be written to") as caught:
            plan([str(i) for i in inputs], tmp_path / "out", True)
        assert caught.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_an_output_that_exists_is_refused_unless_it_may_be_replaced(tmp_path: Path) -> None:
    touch(tmp_path / "x.tif", tmp_path / "out" / "x_class.tif")
    with pytest.raises(ConfigError, match="output exists"):
        plan([str(tmp_path / "x.tif")], tmp_path / "out", False)
    assert len(plan([str(tmp_path / "x.tif")], tmp_path / "out", True)) == 1


@pytest.mark.parametrize("below", ["", "deep/er"])
def test_outputs_may_not_lie_among_the_inputs(tmp_path: Path, below: str) -> None:
    touch(tmp_path / "x.tif")
    with pytest.raises(ConfigError, match="the output folder lies in the input folder"):
        plan([str(tmp_path)], tmp_path / below, False)


def test_nothing_to_predict(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no TIFF or PNG file to predict"):
        plan([str(tmp_path), str(tmp_path / "*.tif")], tmp_path.parent / "out", False)


# --- what comes out --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SIZES)
def test_any_size_comes_out_as_it_went_in(tmp_path: Path, shape: tuple[int, int]) -> None:
    raw = picture(shape)
    tifffile.imwrite(tmp_path / "x.tif", raw)
    assert run([str(tmp_path / "x.tif")], tmp_path / "out", probabilities=True) == []
    classes = tifffile.imread(tmp_path / "out" / "x_class.tif").reshape(shape)
    # Logit 0 (raw 100) is a draw, which the background wins.
    assert np.array_equal(classes, raw > 100)
    with rasterio.open(tmp_path / "out" / "x_prob.tif") as source:
        assert (source.count, *source.shape) == (2, *shape)
        assert np.allclose(source.read().sum(0), 1, atol=1e-6)


@pytest.mark.parametrize("shape", SIZES)
def test_a_png_gives_a_mask_of_0_and_255(tmp_path: Path, shape: tuple[int, int]) -> None:
    raw = picture(shape).astype(np.uint8)
    Image.fromarray(raw).save(tmp_path / "x.png")
    run([str(tmp_path / "x.png")], tmp_path / "out", recipe(nodata=None))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "x_class.png")), np.where(raw > 100, 255, 0))


def test_no_data_and_nan_come_out_as_255(tmp_path: Path) -> None:
    raw = picture((80, 90)).astype(np.float32)
    raw[:10], raw[20, 30], raw[21, 31] = 0, np.nan, np.inf
    tifffile.imwrite(tmp_path / "x.tif", raw)
    run([str(tmp_path / "x.tif")], tmp_path / "out", probabilities=True)
    classes = tifffile.imread(tmp_path / "out" / "x_class.tif")
    hidden = ~np.isfinite(raw) | (raw == 0)
    assert hidden.sum() == 902
    assert np.array_equal(classes == 255, hidden)
    assert np.array_equal(classes[~hidden], raw[~hidden] > 100)
    assert np.array_equal(np.isnan(tifffile.imread(tmp_path / "out" / "x_prob.tif")[0]), hidden)


def test_a_map_lies_where_its_scene_lies(tmp_path: Path) -> None:
    transform = Affine(10, 0, 400_000, 0, -10, 3_100_000)
    profile = {"driver": "GTiff", "height": 70, "width": 50, "count": 1, "dtype": "uint16", "crs": "EPSG:32616"}
    with rasterio.open(tmp_path / "x.tif", "w", transform=transform, nodata=0, **profile) as target:
        target.write(picture((70, 50)), 1)
    run([str(tmp_path / "x.tif")], tmp_path / "out")
    with rasterio.open(tmp_path / "out" / "x_class.tif") as source:
        assert source.transform == transform
        assert source.crs.to_epsg() == 32616
        assert source.nodata == 255
        assert source.tags()["CLASS_1"] == "salt"
        assert source.colormap(1)[255] == (0, 0, 0, 0)


def test_a_damaged_file_spoils_no_other_and_is_listed(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    touch(folder / "a.tif")
    tifffile.imwrite(folder / "b.tif", picture((9, 9)))
    (failure,) = run([str(folder)], out)
    assert failure["input"] == str(folder / "a.tif")
    assert "empty" in failure["error"]
    assert [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()] == [failure]
    assert sorted(p.name for p in out.iterdir()) == ["b_class.tif", "failures.jsonl"]
    with pytest.raises(DataError):
        run([str(folder / "a.tif")], out, strict=True)


def test_loose_tiles_of_one_scene_are_measured_together(tmp_path: Path) -> None:
    # The dark half holds 1–100, the bright half 101–200; alone each would be stretched to the full range.
    raw = np.arange(1, 201, dtype=np.uint16).repeat(10).reshape(2, 100, 10)
    for index in (0, 1):
        tifffile.imwrite(tmp_path / f"scene.{index}.tif", raw[index])
    scene = Scaling(basis="scene", range=(0, 100))
    config = recipe(scaling=scene.model_dump(mode="json"))
    run([str(tmp_path / "*.tif")], tmp_path / "out", config, replace(SCALING, config=scene, limits=None))
    dark, bright = (tifffile.imread(tmp_path / "out" / f"scene.{i}_class.tif") for i in (0, 1))
    assert not dark.any()
    assert bright.all()


def test_windows_blend_to_what_the_whole_image_gives() -> None:
    image = np.random.default_rng(1).normal(size=(1, 150, 90)).astype(np.float32)
    predictor = Predictor(Echo(), recipe(), torch.device("cpu"))
    whole = window_probabilities(image, predictor, Predict(window=256))
    windows = window_probabilities(image, predictor, Predict(window=64, overlap=0.25, batch_size=3))
    torch.testing.assert_close(windows, whole, rtol=0, atol=1e-6)
