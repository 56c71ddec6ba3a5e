from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from seepseg.config import Augment, Scaling, SeepData
from seepseg.data.augment import build_augmentation
from seepseg.data.dataset import Draw, Sample, TileDataset
from seepseg.data.scaling import MeasuredScaling
from seepseg.data.source import source_of
from seepseg.errors import DataError

# Raw 0…65535 becomes 0…1, then minus 0.5 over 0.25.
SCALING = MeasuredScaling(Scaling(basis="fixed", range=(0, 65535)), ((0.0,), (65535.0,)), (0.5,), (0.25,))


def dataset(root: Path, cache_gb: float = 4.0, augment: Augment | None = None) -> TileDataset:
    data = SeepData(root=root, cache_gb=cache_gb)
    augmentation = build_augmentation(augment) if augment else None
    return TileDataset(source_of(data).catalog(), source_of(data), SCALING, {}, augmentation)


def same(a: Sample, b: Sample) -> bool:
    return a["id"] == b["id"] and all(torch.equal(a[k], b[k]) for k in ("image", "mask", "valid"))


AUGMENT = Augment(preset="seep", gain=0.2, speckle=0.2, rotate=20)


def test_a_sample_is_what_the_contract_says(seep_root: Path) -> None:
    samples = dataset(seep_root)
    sample = samples[Draw(0)]
    assert sample["id"] == samples.catalog.tiles[0].id
    assert (sample["image"].dtype, sample["image"].shape) == (torch.float32, (1, 64, 64))
    assert (sample["mask"].dtype, sample["mask"].shape) == (torch.int64, (64, 64))
    assert (sample["valid"].dtype, sample["valid"].shape) == (torch.bool, (64, 64))


def test_pixels_are_scaled_and_invalid_ones_are_nothing(tmp_path: Path) -> None:
    for folder, row in (("train_images_256", [0, 65535, 32768]), ("train_masks_256", [1, 2, 0])):
        (tmp_path / folder).mkdir()
        dtype = np.uint16 if "images" in folder else np.uint8
        tifffile.imwrite(tmp_path / folder / "1.1.tif", np.array([row], dtype))
    sample = dataset(tmp_path)[Draw(0)]
    # 0 is no data; 65535 → 1 → (1 − .5)/.25 = 2; 32768 → .50001 → .00003
    assert sample["image"][0, 0].tolist() == pytest.approx([0, 2, (32768 / 65535 - 0.5) / 0.25], abs=1e-6)
    assert sample["mask"][0].tolist() == [255, 2, 0]
    assert sample["valid"][0].tolist() == [False, True, True]


def test_a_draw_alone_decides_the_sample(seep_root: Path) -> None:
    a, b = dataset(seep_root, augment=AUGMENT), dataset(seep_root, augment=AUGMENT)
    draws = [Draw(3, 11), Draw(5, 12), Draw(3, 13)]
    forward = [a[d] for d in draws]
    backward = [b[d] for d in reversed(draws)][::-1]
    assert all(same(x, y) for x, y in zip(forward, backward, strict=True))
    # The same tile drawn with another seed is another sample; without a seed it is the tile as it is.
    assert not torch.equal(forward[0]["image"], forward[2]["image"])
    assert same(a[Draw(3)], dataset(seep_root)[Draw(3)])


def test_the_cache_changes_nothing(seep_root: Path) -> None:
    cached, plain = dataset(seep_root, 4.0, AUGMENT), dataset(seep_root, 0.0, AUGMENT)
    cached.preload()
    for draw in (Draw(2), Draw(2, 1), Draw(2, 1), Draw(2)):
        assert same(cached[draw], plain[draw])


def test_what_was_drawn_can_be_changed_without_spoiling_the_next(seep_root: Path) -> None:
    samples = dataset(seep_root)
    before = {k: samples[Draw(4)][k].clone() for k in ("image", "mask")}
    drawn = samples[Draw(4)]
    drawn["image"].fill_(9)
    drawn["mask"].fill_(9)
    again = samples[Draw(4)]
    assert torch.equal(again["image"], before["image"])
    assert torch.equal(again["mask"], before["mask"])


def test_uncovered_pixels_are_no_data(seep_root: Path) -> None:
    samples = dataset(seep_root, augment=Augment(rotate=45))
    sample = next(s for s in (samples[Draw(0, seed)] for seed in range(20)) if not s["valid"].all())
    assert (sample["image"][0][~sample["valid"]] == 0).all()
    assert (sample["mask"][~sample["valid"]] == 255).all()


def test_preload_shows_damage(tmp_path: Path) -> None:
    for folder in ("train_images_256", "train_masks_256"):
        (tmp_path / folder).mkdir()
        for name in ("1.1", "1.2"):
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", np.ones((4, 4), np.uint8))
    samples = dataset(tmp_path)
    victim = tmp_path / "train_images_256" / "1.2.tif"
    victim.write_bytes(b"")
    with pytest.raises(DataError, match=r"1\.2\.tif"):
        samples.preload()


def test_preload_ends_where_the_cache_is_full(seep_root: Path) -> None:
    one = dataset(seep_root)
    one[Draw(0)]
    size = sum(plane.nbytes for plane in one._cache[0])
    samples = dataset(seep_root, 3.5 * size / 2**30)
    samples.preload()
    assert len(samples._cache) == 3
