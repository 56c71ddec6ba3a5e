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


GRID = np.arange(64, dtype=np.uint8).reshape(8, 8)


def moved(config: Augment, n: int = 60) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Image, mask and validity of a grid of distinct numbers under some seeds."""
    augment = build_augmentation(config)
    image = GRID[None].astype(np.float32) / 100
    return [augment(image, GRID, np.ones(GRID.shape, bool), seed) for seed in range(n)]


def test_rolling_brings_in_on_one_side_what_leaves_on_the_other() -> None:
    shifts = set()
    for image, mask, valid in moved(Augment(roll=0.5)):
        assert valid.all()
        assert np.allclose(image[0], mask / 100)
        (by,) = {k for k in range(8) if np.array_equal(mask, np.roll(GRID, k, 1))}
        shifts.add(by)
    # up to half of 8 columns either way: all eight places
    assert shifts == set(range(8))


def test_a_crop_is_a_window_at_the_size_of_the_whole() -> None:
    kept = set()
    for image, mask, valid in moved(Augment(crop=0.5)):
        assert (mask.shape, image.shape) == ((8, 8), (1, 8, 8))
        assert valid.all()
        # The mask holds whole numbers of the grid, the image values between its window's ends.
        rows, cols = np.unique(mask // 8), np.unique(mask % 8)
        assert np.array_equal(rows, np.arange(rows[0], rows[-1] + 1))
        assert np.array_equal(cols, np.arange(cols[0], cols[-1] + 1))
        assert image.min() * 100 >= mask.min() - 1e-3
        assert image.max() * 100 <= mask.max() + 1e-3
        # and they lie in the same place: a grid step down is 8, so half a pixel is at most 4.5
        assert np.abs(image[0] * 100 - mask).max() <= 4.5 + 1e-3
        kept.add((rows.size, cols.size))
    # shares of .5 to 1 of 8 are 4 to 8 pixels
    assert {side for pair in kept for side in pair} == {4, 5, 6, 7, 8}


def test_brightness_adds_and_contrast_turns_around_the_mean_of_what_is_valid() -> None:
    # Valid pixels .4 and .6 have the mean .5; the invalid one must not count, or the mean would be .33.
    image, mask = np.array([[[0.4, 0.6, 0.0]]], np.float32), np.array([[0, 1, 255]], np.uint8)
    valid = np.array([[True, True, False]])
    spreads, means = [], []
    for seed in range(200):
        new, labels, known = build_augmentation(Augment(contrast=0.5))(image, mask, valid, seed)
        assert new[0, 0, :2].mean() == pytest.approx(0.5, abs=1e-6)
        spreads.append(new[0, 0, 1] - new[0, 0, 0])
        assert (new[0, 0, 2], labels.tolist(), known.tolist()) == (0, mask.tolist(), valid.tolist())
        new = build_augmentation(Augment(brightness=0.2))(image, mask, valid, seed)[0]
        means.append(new[0, 0, :2].mean())
        assert new[0, 0, 1] - new[0, 0, 0] == pytest.approx(0.2, abs=1e-6)
    assert 0.1 <= min(spreads) < 0.13 < 0.27 < max(spreads) <= 0.3  # .2 · (1 ± .5)
    assert 0.3 <= min(means) < 0.35 < 0.65 < max(means) <= 0.7  # .5 ± .2


def test_ten_degrees_are_no_more_than_ten() -> None:
    augment = build_augmentation(Augment(rotate=10))
    line = np.zeros((101, 101), np.uint8)
    line[50] = 1
    slopes = []
    for seed in range(40):
        _, mask, valid = augment(np.zeros((1, 101, 101), np.float32), line, np.ones((101, 101), bool), seed)
        rows, cols = np.nonzero((mask == 1) & valid)
        slopes.append(float(np.degrees(np.arctan(np.polyfit(cols, rows, 1)[0]))))
    assert -10.5 < min(slopes) < -7
    assert 7 < max(slopes) < 10.5


def test_zoom_keeps_shapes() -> None:
    augment = build_augmentation(Augment(zoom=0.3))
    square = np.zeros((101, 101), np.uint8)
    square[30:71, 30:71] = 1
    sides = set()
    for seed in range(20):
        _, mask, _ = augment(np.zeros((1, 101, 101), np.float32), square, np.ones((101, 101), bool), seed)
        height, width = ((mask == 1).any(axis).sum() for axis in (1, 0))
        assert abs(int(height) - int(width)) <= 1
        sides.add(int(height))
    assert min(sides) < 35 < 47 < max(sides)  # 41 · (1 ± .3) is 29 to 53


def test_all_at_once_depends_on_the_seed_alone() -> None:
    everything = Augment(
        preset="hflip", roll=0.3, crop=0.2, rotate=10, zoom=0.1, shift=0.1, brightness=0.1, contrast=0.1, fill="reflect"
    )
    first, again = moved(everything, 5), moved(everything, 5)
    assert all(np.array_equal(a, b) for x, y in zip(first, again, strict=True) for a, b in zip(x, y, strict=True))
    assert len({mask.tobytes() for _, mask, _ in first}) == 5
    assert all(valid.all() and image.dtype == np.float32 for image, _, valid in first)
