from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from seepseg.config import Predict, Scaling
from seepseg.errors import DataError
from seepseg.inference.predictor import Predictor
from seepseg.inference.stream import Rows
from seepseg.mapping.jobs import Job, plan
from seepseg.mapping.outputs import Report, Wanted
from seepseg.mapping.tiles import predict_tiles
from seepseg.mapping.units import cut_units
from tests.inference.test_scene_objects import asks
from tests.mapping.toy import SCALING, SIZES, WIDER, pair, picture, recipe, toy


@pytest.mark.parametrize("shape", SIZES)
def test_a_png_of_any_size_gives_a_mask_of_0_and_255(tmp_path: Path, shape: tuple[int, int]) -> None:
    raw = picture(shape).astype(np.uint8)
    Image.fromarray(raw).save(tmp_path / "x.png")
    (report,) = predict_tiles(plan([str(tmp_path / "x.png")], tmp_path / "out"), toy(recipe(nodata=None)), Wanted())
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
    *reports, broken = predict_tiles(jobs, toy(), Wanted(probabilities=True))
    assert isinstance(broken, DataError)
    assert all(isinstance(r, Report) for r in reports)
    for name, raw in raws.items():
        assert np.array_equal(tifffile.imread(tmp_path / "out" / f"{name}_class.tif"), raw > 100)
        with rasterio.open(tmp_path / "out" / f"{name}_prob.tif") as source:
            assert np.allclose(source.read().sum(0), 1, atol=1e-6)


def test_loose_tiles_of_one_scene_are_measured_together(tmp_path: Path) -> None:
    # The dark half holds 1–100, the bright half 101–200; alone each would be stretched to the full range.
    raw = np.arange(1, 201, dtype=np.uint16).repeat(10).reshape(2, 50, 20)
    for index in (0, 1):
        tifffile.imwrite(tmp_path / f"scene.{index}.tif", raw[index])
    scene = Scaling(basis="scene", range=(0, 100))
    scaling, one_by_one = replace(SCALING, config=scene, limits=None), Predict(window=64, batch_size=1)
    ensemble = toy(recipe(scaling=scene.model_dump(mode="json")), scaling, one_by_one)
    jobs = plan([str(tmp_path / "*.tif")], tmp_path / "out")
    # One unit, so that a further tile of the scene, which moves its limits, has all of them done again.
    (unit,) = cut_units(jobs, ensemble)
    predict_tiles(unit.jobs, ensemble, Wanted())
    dark, bright = (tifffile.imread(tmp_path / "out" / f"scene.{i}_class.tif") for i in (0, 1))
    assert not dark.any()
    assert bright.all()


class Spread(nn.Module):
    """One logit: the mean of the 5 × 5 pixels around, nothing beyond the image."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.avg_pool2d(images, 5, 1, 2)


def cells(folder: Path, plane: NDArray[np.uint16], size: int, columns: int) -> list[Job]:
    """A plane as tiles of a scene, and the jobs for them."""
    folder.mkdir()
    rows, cols = plane.shape[0] // size, plane.shape[1] // size
    for r, c in product(range(rows), range(cols)):
        part = plane[r * size : (r + 1) * size, c * size : (c + 1) * size]
        tifffile.imwrite(folder / f"scene.{r * columns + c:03d}.tif", part)
    return plan([str(folder)], folder.parent / "out")


def test_cells_of_a_scene_are_predicted_as_one(tmp_path: Path) -> None:
    raw = picture((48, 48))
    jobs = cells(tmp_path / "in", raw, 16, 3)
    ensemble = toy(recipe(grid={"scene": 3}), decoding=Predict(window=64, margin=2, batch_size=2))
    (member,) = ensemble.members
    predictor = Predictor(Spread(), recipe(), torch.device("cpu"))
    ensemble = replace(ensemble, members=(replace(member, predictor=predictor),))
    whole = Spread()(torch.from_numpy(member.image(Rows(raw[None], np.ones(raw.shape, bool))))[None])[0, 0].numpy()
    decided = abs(whole) > 1e-6  # a draw is anybody's
    done: list[int] = []
    (unit,) = cut_units(jobs, ensemble)
    predict_tiles(unit.jobs, ensemble, Wanted(), done.append)
    assert done == [2, 4, 6, 8, 9]
    found = {job.name: tifffile.imread(job.class_raster) for job in jobs}
    assembled = np.block([[found[f"scene.{r * 3 + c:03d}"] for c in range(3)] for r in range(3)])
    assert decided.mean() > 0.99
    assert np.array_equal(assembled[decided], whole[decided] > 0)
    # Without neighbours, what lies along the borders differs.
    alone = replace(ensemble, config=Predict(window=64, margin=0))
    predict_tiles(unit.jobs, alone, Wanted())
    assert not np.array_equal(tifffile.imread(jobs[4].class_raster), found[jobs[4].name])


def test_an_object_across_cells_is_decided_once(tmp_path: Path) -> None:
    raw = np.full((16, 48), 60, np.uint16)
    raw[4:8, 10:40] = 150  # 120 pixels, at most 64 in one tile
    raw[12:14, 2:6] = 150
    jobs = cells(tmp_path / "in", raw, 16, 3)
    # Whatever is larger than 100 pixels stays, the rest is a false alarm.
    ensemble = replace(toy(recipe(grid={"scene": 3})), objects=asks("log_area", np.log1p(100), 1, 0, 2))
    predict_tiles(jobs, ensemble, Wanted())
    assembled = np.hstack([tifffile.imread(job.class_raster) for job in jobs])
    assert assembled[4:8, 10:40].all()
    assert assembled.sum() == 120


@pytest.mark.parametrize("shown", [0, 1])
def test_objects_of_cells_are_described_as_the_member_scales_whose_classifier_it_is(tmp_path: Path, shown: int) -> None:
    raw = np.full((16, 32), 60, np.uint16)
    raw[4:8, 10:20] = 150
    jobs = cells(tmp_path / "in", raw, 16, 2)
    ensemble = pair(SCALING, WIDER, recipe(grid={"scene": 2}))
    # The sea is 60 of 200 to the first member, 60 of 400 to the second.
    predict_tiles(jobs, replace(ensemble, objects=asks("sea_level", 0.2, 1, 0, 2), shown=shown), Wanted())
    found = np.hstack([tifffile.imread(job.class_raster) for job in jobs])
    assert found.sum() == (40 if shown == 0 else 0)


def test_a_second_file_for_a_cell_cuts_no_object_of_the_scene(tmp_path: Path) -> None:
    raw = np.full((16, 32), 60, np.uint16)
    raw[4:8, 6:26] = 150  # 40 pixels in each of two tiles
    jobs = cells(tmp_path / "in", raw, 16, 2)
    tifffile.imwrite(tmp_path / "in" / "scene.0.tif", raw[:, :16])
    jobs = plan([str(tmp_path / "in")], tmp_path / "out")
    ensemble = replace(toy(recipe(grid={"scene": 2})), objects=asks("log_area", np.log1p(60), 1, 0, 2))
    predict_tiles(jobs, ensemble, Wanted())
    found = {job.name: int((tifffile.imread(job.class_raster) == 1).sum()) for job in jobs}
    # Two of three are the object of 80 pixels; the third is looked at alone.
    assert sorted(found.values()) == [0, 40, 40]


@pytest.mark.parametrize("pattern", ["", "*/*.tif"])
def test_scenes_of_one_name_in_two_folders_are_two(tmp_path: Path, pattern: str) -> None:
    # The dark one holds 1–100, the bright one 101–200; each is stretched to the full range, and half of it is above.
    raw = np.arange(1, 201, dtype=np.uint16).repeat(10).reshape(2, 50, 20)
    for index, folder in enumerate("ab"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        tifffile.imwrite(tmp_path / "in" / folder / f"scene.{index}.tif", raw[index])
    scene = Scaling(basis="scene", range=(0, 100))
    ensemble = toy(recipe(scaling=scene.model_dump(mode="json")), replace(SCALING, config=scene, limits=None))
    jobs = plan([str(tmp_path / "in" / pattern)], tmp_path / "out")
    for unit in cut_units(jobs, ensemble):
        predict_tiles(unit.jobs, ensemble, Wanted())
    assert [tifffile.imread(job.class_raster).mean() for job in jobs] == [0.5, 0.5]


def test_a_broken_cell_is_no_data_to_its_neighbours(tmp_path: Path) -> None:
    raw = picture((16, 48))
    jobs = cells(tmp_path / "in", raw, 16, 3)
    jobs[1].source.write_bytes(b"II*\0")
    ensemble = toy(recipe(grid={"scene": 3}))
    reports = predict_tiles(jobs, ensemble, Wanted())
    assert [isinstance(r, Report) for r in reports] == [True, False, True]
    assert np.array_equal(tifffile.imread(jobs[0].class_raster), raw[:, :16] > 100)


def test_units_hold_the_cells_of_a_scene_or_a_batch_of_others(tmp_path: Path) -> None:
    for name in ("a.0", "a.1", "a.2", "b.0", "b.1", "c.0", "d"):
        tifffile.imwrite(tmp_path / f"{name}.tif", picture((8, 8)))
    jobs = plan([str(tmp_path / "*.tif")], tmp_path / "out")
    units = cut_units(jobs, toy(recipe(grid={"a": 3, "b": 3}), decoding=Predict(window=64, batch_size=2)))
    assert [[job.name for job in unit.jobs] for unit in units] == [["a.0", "a.1", "a.2"], ["b.0", "b.1"], ["c.0", "d"]]


def test_a_tile_of_another_type_than_those_of_training_is_warned_about(tmp_path: Path) -> None:
    for name, dtype in (("scene.0", np.uint16), ("scene.1", np.uint8)):
        tifffile.imwrite(tmp_path / f"{name}.tif", picture((16, 16)).astype(dtype))
    ensemble = toy(scaling=replace(SCALING, dtypes=("uint16",)))
    reports = predict_tiles(plan([str(tmp_path / "*.tif")], tmp_path / "out"), ensemble, Wanted())
    warnings = [report.warnings for report in reports if isinstance(report, Report)]
    assert warnings == [[], ["pixels are uint8, those of the training tiles uint16"]]
