from __future__ import annotations

import numpy as np
import pytest

from seepseg.config import Augment
from seepseg.data.augment import build_augmentation

IMAGE = np.arange(6, dtype=np.float32).reshape(1, 2, 3) / 10
MASK = np.arange(6, dtype=np.uint8).reshape(2, 3)
VALID = np.ones((2, 3), bool)


def seen(config: Augment, square: bool = False, n: int = 200) -> set[tuple[int, ...]]:
    """Every arrangement of the mask that some seed gives."""
    mask = np.arange(4, dtype=np.uint8).reshape(2, 2) if square else MASK
    image = mask[None].astype(np.float32) / 10
    augment = build_augmentation(config)
    out = set()
    for seed in range(n):
        new_image, new_mask, valid = augment(image, mask, np.ones(mask.shape, bool), seed)
        # image and mask move together
        assert np.allclose(new_image[0], new_mask / 10)
        assert valid.all()
        out.add(tuple(new_mask.ravel().tolist()))
    return out


def test_presets_give_exactly_their_geometries() -> None:
    as_is, mirrored = (0, 1, 2, 3, 4, 5), (2, 1, 0, 5, 4, 3)
    turned, upside_down = (5, 4, 3, 2, 1, 0), (3, 4, 5, 0, 1, 2)
    assert seen(Augment(preset="none")) == {as_is}
    assert seen(Augment(preset="hflip")) == {as_is, mirrored}
    assert seen(Augment(preset="seep_original")) == {as_is, mirrored, turned, upside_down}
    assert len(seen(Augment(preset="seep"), square=True)) == 8


def test_the_seed_decides_everything() -> None:
    augment = build_augmentation(Augment(preset="seep", gain=0.2, gamma=0.2, speckle=0.3))
    rng = np.random.default_rng(0)
    image, mask = rng.random((1, 16, 16), dtype=np.float32), rng.integers(0, 8, (16, 16)).astype(np.uint8)
    valid = np.ones((16, 16), bool)
    a, b, c = (augment(image, mask, valid, seed)[0] for seed in (5, 5, 6))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert 0 <= a.min() <= a.max() <= 1


def test_speckle_multiplies_each_pixel_and_leaves_the_mask() -> None:
    augment = build_augmentation(Augment(speckle=0.2))
    image = np.full((1, 32, 32), 0.5, np.float32)
    mask = np.zeros((32, 32), np.uint8)
    new, same, _ = augment(image, mask, mask == 0, 1)
    assert 0.4 <= new.min() < new.max() <= 0.6  # .5 · (1 ± .2)
    assert np.unique(new).size > 100
    assert np.array_equal(same, mask)


@pytest.mark.parametrize("fill", ["nodata", "reflect"])
def test_uncovered_pixels_are_nodata_or_reflected(fill: str) -> None:
    augment = build_augmentation(Augment.model_validate({"rotate": 45, "fill": fill}))
    image, mask = np.full((1, 33, 33), 0.5, np.float32), np.ones((33, 33), np.uint8)
    uncovered = 0
    for seed in range(20):
        new, labels, valid = augment(image, mask, np.ones((33, 33), bool), seed)
        uncovered += int((~valid).sum())
        assert (labels[~valid] == 255).all()
        assert (new[0][~valid] == 0).all()
        assert (labels[valid] == 1).all()
    assert (uncovered > 0) == (fill == "nodata")


def test_invalid_pixels_move_with_the_image() -> None:
    valid = VALID.copy()
    valid[0, 0] = False
    mask = np.where(valid, MASK, 255).astype(np.uint8)
    places = set()
    for seed in range(50):
        _, labels, moved = build_augmentation(Augment(preset="hflip"))(IMAGE, mask, valid, seed)
        assert (labels[~moved] == 255).all()
        places.add(tuple(np.argwhere(~moved)[0].tolist()))
    assert places == {(0, 0), (0, 2)}


def test_two_bands_stay_two() -> None:
    image = np.random.default_rng(0).random((2, 8, 8), dtype=np.float32)
    new, _, _ = build_augmentation(Augment(preset="seep", gain=0.1))(
        image, np.zeros((8, 8), np.uint8), np.ones((8, 8), bool), 3
    )
    assert new.shape == (2, 8, 8)
