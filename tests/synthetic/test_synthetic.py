"""Synthetic data: repeatable, in the layouts of the public sets, and like radar where it matters."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image

from seepseg import synthetic
from seepseg.config import load, recipes
from seepseg.data.source import read_mask, read_pixels, source_of
from seepseg.objects.rle import decode


def _files(root: Path) -> dict[str, bytes]:
    return {str(f.relative_to(root)): f.read_bytes() for f in sorted(root.rglob("*")) if f.is_file()}


@pytest.mark.parametrize("seed", range(4))
def test_scene_holds_all_classes_apart_from_each_other(seed: int) -> None:
    image, mask = synthetic.seep_scene(np.random.default_rng(seed), 512, 512)
    assert [image.dtype.name, mask.dtype.name] == ["uint16", "uint8"]
    assert image.shape == mask.shape == (512, 512)
    shares = np.bincount(mask.ravel(), minlength=8) / mask.size
    assert len(shares) == 8
    assert (shares[1:] > 0.003).all()
    assert not mask[image == 0].any()
    assert 0 < (image == 0).mean() < 0.25
    count, objects = cv2.connectedComponents((mask > 0).astype(np.uint8), connectivity=8)
    assert all(len(np.unique(mask[objects == i])) == 1 for i in range(1, count))


def test_slicks_are_darker_than_the_water_around_them() -> None:
    image, mask = synthetic.seep_scene(np.random.default_rng(5), 768, 768)
    for value, slick in synthetic.SLICKS.items():
        inside = mask == value
        near = cv2.dilate(inside.astype(np.uint8), np.ones((15, 15), np.uint8)) > 0
        around = near & (cv2.dilate((mask > 0).astype(np.uint8), np.ones((7, 7), np.uint8)) == 0) & (image > 0)
        damping = image[inside].mean() / np.median(image[around])
        # Soft edges raise the mean inside; the median of 4-look speckle is .92 of its mean.
        assert slick.left - 0.05 < damping < slick.left + 0.25


def test_scene_has_saturated_ships() -> None:
    image, mask = synthetic.seep_scene(np.random.default_rng(1), 512, 512)
    assert 9 < np.count_nonzero(image == synthetic.SATURATED) < 2000
    assert not mask[image == synthetic.SATURATED].any()


@pytest.mark.parametrize("looks", [1.0, 4.0, 16.0])
def test_speckle_has_the_variance_of_its_looks(looks: float) -> None:
    sea = synthetic.speckle(np.random.default_rng(0), np.full((400, 400), 50.0), looks)
    assert sea.mean() == pytest.approx(50, rel=0.01)
    # Variance / mean² of L-look intensity is 1/L.
    assert sea.var() / sea.mean() ** 2 == pytest.approx(1 / looks, rel=0.03)


def test_open_water_of_a_scene_shows_its_looks() -> None:
    image, mask = synthetic.seep_scene(np.random.default_rng(2), 512, 512)
    cells = image.astype(float).reshape(64, 8, 64, 8).swapaxes(1, 2).reshape(-1, 64)
    labels = mask.reshape(64, 8, 64, 8).swapaxes(1, 2).reshape(-1, 64)
    flat = cells[~labels.any(1) & (cells > 0).all(1)]
    # Unbiased variance in 8 × 8 cells; swell adds a little to 1/4; the median over cells is blind to ships.
    ratios = flat.var(1, ddof=1) / flat.mean(1) ** 2
    assert np.median(ratios) == pytest.approx(0.25, rel=0.1)


def test_a_scene_too_small_for_slicks_is_still_a_scene() -> None:
    image, mask = synthetic.seep_scene(np.random.default_rng(0), 64, 64)
    assert image.shape == mask.shape == (64, 64)
    assert not mask.any()


def test_seep_tiles_follow_the_public_layout_and_repeat(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        synthetic.write_seep(tmp_path / name, scenes=2, grid=(3, 4), tile=128, seed=seed)
    first, again, other = (_files(tmp_path / name) for name in "abc")
    assert first == again
    assert first != other
    images = sorted((tmp_path / "a" / "train_images_256").iterdir())
    masks = sorted((tmp_path / "a" / "train_masks_256").iterdir())
    assert [f.name for f in images] == [f.name for f in masks]
    assert {f.name.split(".")[0] for f in images} == {"900001", "900002"}
    assert {f.name.split(".")[1] for f in images} <= {f"{i:06d}" for i in range(12)}
    for image, mask in zip(images, masks, strict=True):
        with tifffile.TiffFile(image) as tiff:
            assert (len(tiff.pages), tiff.pages.first.compression) == (1, tifffile.COMPRESSION.NONE)
        pixels, labels = tifffile.imread(image), tifffile.imread(mask)
        assert [pixels.dtype.name, labels.dtype.name] == ["uint16", "uint8"]
        assert pixels.shape == labels.shape == (128, 128)
        assert pixels.any()
        assert labels.max() <= 7


def test_tiles_are_cells_of_their_scene(tmp_path: Path) -> None:
    synthetic.write_seep(tmp_path, scenes=1, grid=(2, 3), tile=64, seed=9)
    image, mask = synthetic.seep_scene(np.random.default_rng([9, 0]), 128, 192)
    # Index 4 of 3 columns is row 1, column 1.
    assert (tifffile.imread(tmp_path / "train_images_256" / "900001.000004.tif") == image[64:, 64:128]).all()
    assert (tifffile.imread(tmp_path / "train_masks_256" / "900001.000004.tif") == mask[64:, 64:128]).all()


def test_tiles_without_data_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, mask = np.zeros((32, 32), np.uint16), np.zeros((32, 32), np.uint8)
    image[20, 3] = 5
    monkeypatch.setattr(synthetic.sar, "seep_scene", lambda *_: (image, mask))
    synthetic.write_seep(tmp_path, scenes=1, grid=(2, 2), tile=16)
    assert [f.name for f in (tmp_path / "train_images_256").iterdir()] == ["900001.000002.tif"]


def test_written_scene_is_georeferenced_and_repeats(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        synthetic.write_scene(tmp_path / name / "s.tif", rows=300, cols=400, seed=1)
    assert _files(tmp_path / "a") == _files(tmp_path / "b")
    with rasterio.open(tmp_path / "a" / "s.tif") as scene, rasterio.open(tmp_path / "a" / "s_mask.tif") as truth:
        assert (scene.shape, scene.dtypes, scene.nodata) == ((300, 400), ("uint16",), 0)
        assert (scene.crs.to_epsg(), scene.res) == (32616, (10.0, 10.0))
        assert (truth.dtypes, truth.transform, truth.crs) == (("uint8",), scene.transform, scene.crs)
        labels = truth.read(1)
        assert labels.any()
        assert not labels[scene.read(1) == 0].any()


def test_products_repeat_and_their_outlines_lie_on_the_slicks(tmp_path: Path) -> None:
    for name in ("a", "b"):
        synthetic.write_products(tmp_path / name, scenes=2, side=384, seed=1)
    assert _files(tmp_path / "a") == _files(tmp_path / "b")
    (path,) = (tmp_path / "a" / "products").iterdir()
    (new,) = (tmp_path / "a" / "new").iterdir()
    assert (path.name[:32], new.name[:32]) == ("S1B_IW_GRDH_1SDV_20210401T052623", "S1B_IW_GRDH_1SDV_20210413T052623")
    _, labels = synthetic.seep_scene(np.random.default_rng([1, 0]), 384, 384)
    recipe = load(recipes()["demo_sentinel1"], [f"data.root={tmp_path / 'a'}", "data.window=384"])
    source = source_of(recipe.data)
    (tile,) = source.catalog().tiles
    drawn = read_mask(source, tile, (384, 384))
    truth = np.array([0, 3, 1, 1, 3, 3, 1, 2], np.uint8)[labels]
    # Outlines are up to a pixel off.
    assert (drawn == truth).mean() > 0.98
    assert all(((drawn == value) & (truth == value)).sum() > 0.85 * (truth == value).sum() for value in (1, 2, 3))
    raw, valid = read_pixels(source, tile)
    inside = 10 ** (raw[0, (truth == 1) & valid] / 10)
    assert inside.mean() < 0.5 * np.median(10 ** (raw[0, (truth == 0) & valid] / 10))


def test_salt_follows_the_tgs_layout(tmp_path: Path) -> None:
    synthetic.write_salt(tmp_path, tiles=100, test_tiles=5, seed=1)
    with (tmp_path / "train.csv").open(newline="") as file:
        runs = {row["id"]: row["rle_mask"] for row in csv.DictReader(file)}
    with (tmp_path / "depths.csv").open(newline="") as file:
        depths = {row["id"]: int(row["z"]) for row in csv.DictReader(file)}
    tests = {f.stem for f in (tmp_path / "test" / "images").iterdir()}
    assert [len(runs), len(tests)] == [100, 5]
    assert set(depths) == runs.keys() | tests
    constant = 0
    for name, text in runs.items():
        image = np.asarray(Image.open(tmp_path / "train" / "images" / f"{name}.png"))
        mask = np.asarray(Image.open(tmp_path / "train" / "masks" / f"{name}.png"))
        assert image.shape == (101, 101, 3)
        assert (image == image[..., :1]).all()
        assert (decode(text, (101, 101), name) == (mask > 0)).all()
        assert set(np.unique(mask)) in ({0}, {0, 65535})
        # Empty masks are 8-bit, the others 16-bit (Pillow may widen them on reading).
        assert (mask.dtype == np.uint8) == (not text)
        if np.ptp(image) == 0:
            constant += 1
            assert not text
    # 39 of 100 are empty, 2 of those constant.
    assert sum(not text for text in runs.values()) == 39
    assert constant == 2


def test_salt_repeats(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        synthetic.write_salt(tmp_path / name, tiles=6, test_tiles=2, size=64, seed=seed)
    assert _files(tmp_path / "a") == _files(tmp_path / "b")
    assert _files(tmp_path / "a") != _files(tmp_path / "c")
