from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import tifffile
import torch
from rasterio.transform import Affine

from seepseg.config import Predict, Scaling
from seepseg.data.scaling import measure_scaling
from seepseg.errors import DataError
from seepseg.inference.predictor import Predictor
from seepseg.inference.stream import Member
from seepseg.mapping.jobs import Job
from seepseg.mapping.outputs import Report, Wanted
from seepseg.mapping.scene import predict_scene
from seepseg.mapping.tiles import predict_tiles
from seepseg.models.build import build_model
from seepseg.runs.fit import Fit
from tests.mapping.toy import SCALING, SIZES, files, picture, recipe, toy

PLAIN = Wanted(vectors=(), quicklook=False)


def predict(source: Path, out: Path, wanted: Wanted = PLAIN, **decoding: object) -> Report:
    job = Job(source, source.stem, out, False)
    return predict_scene(job, toy(decoding=Predict(**{"window": 64} | decoding)), wanted)


@pytest.mark.parametrize("shape", SIZES)
def test_any_size_comes_out_as_it_went_in(tmp_path: Path, shape: tuple[int, int]) -> None:
    raw = picture(shape)
    tifffile.imwrite(tmp_path / "x.tif", raw)
    report = predict(tmp_path / "x.tif", tmp_path / "out", Wanted(probabilities=True, vectors=()))
    assert [p.name for p in report.outputs] == ["x_class.tif", "x_prob.tif", "x_quicklook.png"]
    # Logit 0 (raw 100) is a draw, which the background wins.
    assert np.array_equal(tifffile.imread(tmp_path / "out" / "x_class.tif").reshape(shape), raw > 100)
    with rasterio.open(tmp_path / "out" / "x_prob.tif") as source:
        assert (source.count, *source.shape) == (2, *shape)
        assert np.allclose(source.read().sum(0), 1, atol=1e-6)


def test_no_data_and_nan_come_out_as_255_and_spread_nowhere(tmp_path: Path) -> None:
    raw = picture((80, 90)).astype(np.float32)
    raw[:10], raw[20, 30], raw[21, 31] = 0, np.nan, np.inf
    tifffile.imwrite(tmp_path / "x.tif", raw)
    predict(tmp_path / "x.tif", tmp_path / "out", Wanted(probabilities=True, vectors=()))
    classes = tifffile.imread(tmp_path / "out" / "x_class.tif")
    hidden = ~np.isfinite(raw) | (raw == 0)
    assert hidden.sum() == 902
    assert np.array_equal(classes == 255, hidden)
    assert np.array_equal(classes[~hidden], raw[~hidden] > 100)
    with rasterio.open(tmp_path / "out" / "x_prob.tif") as source:
        assert np.array_equal(np.isnan(source.read(1)), hidden)


def test_a_map_lies_where_its_scene_lies_and_says_what_made_it(tmp_path: Path) -> None:
    transform = Affine(10, 0, 400_000, 0, -10, 3_100_000)
    profile = {"driver": "GTiff", "height": 700, "width": 50, "count": 1, "dtype": "uint16", "crs": "EPSG:32616"}
    with rasterio.open(tmp_path / "x.tif", "w", transform=transform, nodata=0, **profile) as target:
        target.write(picture((700, 50)), 1)
    predict(tmp_path / "x.tif", tmp_path / "out")
    with rasterio.open(tmp_path / "out" / "x_class.tif") as source:
        assert source.transform == transform
        assert source.crs.to_epsg() == 32616
        assert source.nodata == 255
        assert source.tags()["CLASS_1"] == "salt"
        assert source.tags()["SEEPSEG_MODEL"] == "toy"
        assert source.colormap(1)[255] == (0, 0, 0, 0)
        assert source.overviews(1) == [2]
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_the_same_scene_gives_the_same_bytes_whatever_the_batch(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", picture((700, 600)))
    every = Wanted(probabilities=True, vectors=())
    predict(tmp_path / "x.tif", tmp_path / "a", every)
    predict(tmp_path / "x.tif", tmp_path / "b", every)
    predict(tmp_path / "x.tif", tmp_path / "c", every, batch_size=3)
    assert files(tmp_path / "a") == files(tmp_path / "b") == files(tmp_path / "c")


@pytest.mark.parametrize("amp", ["off", "bf16"])
def test_bytes_do_not_depend_on_the_number_of_threads(tmp_path: Path, amp: str) -> None:
    tifffile.imwrite(tmp_path / "x.tif", picture((300, 250)))
    config = recipe(source="seep", root="x", classes="salt")
    config = config.model_copy(update={"runtime": config.runtime.model_copy(update={"amp": amp})})
    torch.manual_seed(0)
    model = build_model(config.model, 1, 2).eval()
    member = Member(Predictor(model, config, torch.device("cpu")), SCALING)
    ensemble = replace(toy(decoding=Predict(window=64)), members=(member,))
    before = torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            job = Job(tmp_path / "x.tif", "x", tmp_path / str(threads), False)
            predict_scene(job, ensemble, Wanted(probabilities=True, vectors=()))
    finally:
        torch.set_num_threads(before)
    assert files(tmp_path / "1") == files(tmp_path / "3")


def test_a_scene_unlike_the_training_set_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    seen = rng.integers(80, 120, (1, 64, 64)).astype(np.uint16)
    valid = np.ones((64, 64), bool)
    scaling = measure_scaling(Scaling(basis="fixed", range=(0, 200)), [("a", seen, valid)], 1, {})
    tifffile.imwrite(tmp_path / "like.tif", rng.integers(80, 120, (100, 80)).astype(np.uint16))
    # every value 60 higher: the histogram lies 60 / 200 = .3 of the range away
    tifffile.imwrite(tmp_path / "unlike.tif", rng.integers(140, 180, (100, 80)).astype(np.uint16))
    reports = {
        name: predict_scene(Job(tmp_path / f"{name}.tif", name, tmp_path / "out", False), toy(scaling=scaling), PLAIN)
        for name in ("like", "unlike")
    }
    assert not reports["like"].warnings
    assert reports["like"].facts["distance_from_training"] < 0.02
    (warning,) = reports["unlike"].warnings
    assert "check calibration" in warning
    assert reports["unlike"].facts["distance_from_training"] == pytest.approx(0.3, abs=0.02)


def test_what_the_mask_covers_is_left_out(tmp_path: Path) -> None:
    raw = picture((90, 70))
    mask = np.zeros((90, 70), np.uint8)
    mask[30:40, 5:60] = 1
    tifffile.imwrite(tmp_path / "x.tif", raw)
    tifffile.imwrite(tmp_path / "land.tif", mask)
    predict(tmp_path / "x.tif", tmp_path / "out", Wanted(vectors=(), quicklook=False, mask=tmp_path / "land.tif"))
    classes = tifffile.imread(tmp_path / "out" / "x_class.tif")
    assert np.array_equal(classes, np.where(mask, 255, raw > 100))


def test_a_scene_without_a_valid_pixel(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((100, 70), np.uint16))
    predict(tmp_path / "x.tif", tmp_path / "out", Wanted(vectors=()))
    assert (tifffile.imread(tmp_path / "out" / "x_class.tif") == 255).all()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_scene_that_breaks_on_the_way_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.tif"
    with rasterio.open(
        path, "w", driver="GTiff", height=600, width=64, count=1, dtype="uint16", compress="deflate", blockysize=16
    ) as target:
        target.write(picture((600, 64)) // 50, 1)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(DataError, match="is damaged"):
        predict(path, tmp_path / "out", Wanted(probabilities=True))
    assert not list((tmp_path / "out").rglob("*"))


@pytest.mark.parametrize("as_tile", [False, True])
def test_maps_are_decoded_and_calibrated_as_fitted_and_say_how_unsure_they_are(tmp_path: Path, as_tile: bool) -> None:
    raw = picture((60, 50))
    raw[:5] = 0
    tifffile.imwrite(tmp_path / "x.tif", raw)
    fit = Fit("binary", 0.5, 0.6, (), 0, "val", ())
    ensemble = replace(toy(decoding=fit.onto(Predict(window=64))), fit=fit)
    job = Job(tmp_path / "x.tif", "x", tmp_path / "out", False)
    wanted = Wanted(probabilities=True, uncertainty=True, vectors=(), quicklook=False)
    report = predict_tiles([job], ensemble, wanted)[0] if as_tile else predict_scene(job, ensemble, wanted)
    assert isinstance(report, Report)
    assert [p.name for p in report.outputs] == ["x_class.tif", "x_prob.tif", "x_uncertainty.tif"]
    # Logit raw/100 − 1, divided by a temperature of one half.
    p = 1 / (1 + np.exp(-2 * (raw / 100 - 1)))
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    seen = raw > 0
    assert np.array_equal(tifffile.imread(tmp_path / "out" / "x_class.tif"), np.where(seen, p >= 0.6, 255))
    with rasterio.open(tmp_path / "out" / "x_uncertainty.tif") as source:
        assert (source.count, source.dtypes, source.nodata) == (1, ("uint8",), 255)
        unsure = source.read(1)
    assert np.array_equal(unsure == 255, ~seen)
    assert np.allclose(unsure[seen], 254 * entropy[seen], atol=0.6)
    with rasterio.open(tmp_path / "out" / "x_prob.tif") as source:
        assert np.allclose(source.read(2)[seen], p[seen], atol=1e-5)


@pytest.mark.parametrize("sampled", [0, 2])
def test_a_scene_may_be_scaled_by_its_own_limits(tmp_path: Path, sampled: int) -> None:
    """From its lowest value to its highest, wherever valid rows lie among those that are read to measure them."""
    raw = np.random.default_rng(0).integers(1000, 3001, (1024, 8)).astype(np.uint16)
    valid = np.arange(1024) // 4 % 4 == sampled  # of 256 chunks of 4 rows, every fourth is read first
    raw[~valid] = 0
    raw[4 * sampled, :2] = 1000, 3000
    tifffile.imwrite(tmp_path / "x.tif", raw)
    own = Scaling(basis="scene", range=(0, 100))
    ensemble = toy(recipe(nodata=0, scaling=own.model_dump()), replace(SCALING, config=own, limits=None))
    predict_scene(Job(tmp_path / "x.tif", "x", tmp_path / "out", False), ensemble, PLAIN)
    classes = tifffile.imread(tmp_path / "out" / "x_class.tif").reshape(raw.shape)
    assert (classes[~valid] == 255).all()
    assert np.array_equal(classes[valid], raw[valid] > 2000)
