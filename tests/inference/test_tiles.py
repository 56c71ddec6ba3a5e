from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image

from seepseg.config import Scaling
from seepseg.errors import DataError
from seepseg.inference.jobs import plan
from seepseg.inference.scene import Report, Wanted
from seepseg.inference.tiles import predict_tiles, tile_limits
from tests.inference.toy import SCALING, SIZES, picture, recipe, toy


@pytest.mark.parametrize("shape", SIZES)
def test_a_png_of_any_size_gives_a_mask_of_0_and_255(tmp_path: Path, shape: tuple[int, int]) -> None:
    raw = picture(shape).astype(np.uint8)
    Image.fromarray(raw).save(tmp_path / "x.png")
    (report,) = predict_tiles(plan([str(tmp_path / "x.png")], tmp_path / "out"), toy(recipe(nodata=None)), Wanted(), {})
    assert isinstance(report, Report)
    # Logit 0 (raw 100) is a draw, which the background wins.
    assert np.array_equal(np.asarray(Image.open(tmp_path / "out" / "x_class.png")), np.where(raw > 100, 255, 0))


def test_tiles_of_several_sizes_are_batched_and_a_broken_one_spoils_no_other(tmp_path: Path) -> None:
    raws = {f"t{i}": picture(shape) for i, shape in enumerate([(40, 40), (33, 50), (40, 40), (50, 33)])}
    (tmp_path / "in").mkdir()
    for name, raw in raws.items():
        tifffile.imwrite(tmp_path / "in" / f"{name}.tif", raw)
    (tmp_path / "in" / "t9.tif").write_bytes(b"II*\0")
    jobs = plan([str(tmp_path / "in")], tmp_path / "out")
    *reports, broken = predict_tiles(jobs, toy(), Wanted(probabilities=True), {})
    assert isinstance(broken, DataError)
    assert all(isinstance(r, Report) for r in reports)
    for name, raw in raws.items():
        assert np.array_equal(tifffile.imread(tmp_path / "out" / f"{name}_class.tif"), raw > 100)
        with rasterio.open(tmp_path / "out" / f"{name}_prob.tif") as source:
            assert np.allclose(source.read().sum(0), 1, atol=1e-6)


def test_loose_tiles_of_one_scene_are_measured_together(tmp_path: Path) -> None:
    # The dark half holds 1–100, the bright half 101–200; alone each would be stretched to the full range.
    raw = np.arange(1, 201, dtype=np.uint16).repeat(10).reshape(2, 100, 10)
    for index in (0, 1):
        tifffile.imwrite(tmp_path / f"scene.{index}.tif", raw[index])
    scene = Scaling(basis="scene", range=(0, 100))
    ensemble = toy(recipe(scaling=scene.model_dump(mode="json")), replace(SCALING, config=scene, limits=None))
    jobs = plan([str(tmp_path / "*.tif")], tmp_path / "out")
    predict_tiles(jobs, ensemble, Wanted(), tile_limits(jobs, ensemble))
    dark, bright = (tifffile.imread(tmp_path / "out" / f"scene.{i}_class.tif") for i in (0, 1))
    assert not dark.any()
    assert bright.all()
