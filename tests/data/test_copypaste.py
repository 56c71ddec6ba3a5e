from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from seepseg.config import Augment, Scaling, SeepData
from seepseg.data.augment import build_augmentation
from seepseg.data.copypaste import RIM, Arrays, Bank, Cutout, cut_out, turned
from seepseg.data.dataset import Draw, TileDataset
from seepseg.data.scaling import FittedScaling
from seepseg.data.sources import open_catalog

stream = np.random.default_rng


def tile(seed: int, side: int = 64) -> Arrays:
    """Speckled sea with a no-data corner, ignored pixels, and two objects of random classes and places."""
    rng = np.random.default_rng(seed)
    image = rng.uniform(0.3, 0.7, (1, side, side)).astype(np.float32)
    valid = np.ones((side, side), bool)
    valid[: rng.integers(1, side // 2), : rng.integers(1, side // 2)] = False
    mask = np.where(valid, np.uint8(0), np.uint8(255))
    for _ in range(2):
        y, x, h, w = rng.integers(0, side - 12), rng.integers(0, side - 12), *rng.integers(3, 12, 2)
        box = np.s_[y : y + h, x : x + w]
        image[:, *box] *= 0.5
        mask[box] = np.where(valid[box], rng.integers(1, 4), 255)
    mask[rng.integers(side), rng.integers(side)] = 255
    image[:, ~valid] = 0
    return image, mask, valid


CUTOUTS = [cutout for seed in range(40) for cutout in cut_out(*tile(seed))]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_is_pasted_lies_on_valid_sea_away_from_everything(seed: int, number: int) -> None:
    image, mask, valid = tile(number)
    before = image.copy(), mask.copy(), valid.copy()
    new_image, new_mask, new_valid = Bank(CUTOUTS).paste(image, mask, valid, stream(seed))
    # What is given stays as it was, and so does validity.
    assert all(np.array_equal(a, b) for a, b in zip(before, (image, mask, valid), strict=True))
    assert np.array_equal(new_valid, valid)
    pasted = new_mask != mask
    # It came to valid sea ...
    assert (mask[pasted] == 0).all()
    assert valid[pasted].all()
    assert ((new_mask[pasted] > 0) & (new_mask[pasted] < 255)).all()
    # ... its rim too: nothing but sea nearer than RIM.
    if pasted.any():
        near = ndimage.distance_transform_edt(~pasted) < RIM
        assert valid[near].all()
        assert (mask[near] == 0).all()
        # The image changes there and nowhere else.
        assert not ((new_image != image)[0] & ~near).any()
        # One object, whole: its pixels are those of a cutout.
        counts = sorted(np.unique(new_mask[pasted], return_counts=True)[1].tolist())
        assert counts in [sorted(np.unique(c.mask[c.mask > 0], return_counts=True)[1].tolist()) for c in CUTOUTS]
    assert 0 <= new_image.min() <= new_image.max() <= 1


def test_most_tiles_have_room() -> None:
    changed = sum(not np.array_equal(Bank(CUTOUTS).paste(*tile(k), stream(k))[1], tile(k)[1]) for k in range(60))
    assert changed > 45


def test_objects_at_the_edge_or_beside_others_are_not_whole() -> None:
    image = np.full((1, 60, 60), 0.5, np.float32)
    mask = np.zeros((60, 60), np.uint8)
    mask[RIM : RIM + 4, 20:24] = 1  # whole: 4 × 4 pixels, its rim just fits
    mask[RIM - 1 : RIM + 3, 40:44] = 2  # one row too near to the edge
    mask[30:34, 20:24] = 3  # four pixels of sea between these two, so the nearest is 5 away: too near
    mask[30:34, 28:32] = 4
    mask[50:53, 50:53] = 5  # nine pixels: too small
    (found,) = cut_out(image, mask, np.ones((60, 60), bool))
    assert found.mask.shape == (4 + 2 * RIM, 4 + 2 * RIM)
    assert (found.mask == 1).sum() == 16
    assert (found.mask > 0).sum() == 16


def test_brightness_and_spread_are_those_of_the_new_sea() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((40, 40), np.uint8)
    mask[15:25, 15:25] = 1
    # The object is three spreads darker than its sea: .5 ± .05 against .35.
    image = rng.normal(0.5, 0.05, (1, 40, 40)).astype(np.float32)
    image[0, 15:25, 15:25] -= 0.15
    bank = Bank(cut_out(image, mask, np.ones((40, 40), bool)))
    sea = rng.normal(0.7, 0.03, (1, 80, 80)).astype(np.float32)
    new, where, _ = bank.paste(sea, np.zeros((80, 80), np.uint8), np.ones((80, 80), bool), stream(3))
    assert (where > 0).sum() == 100
    # In the new sea, .7 ± .03, three spreads darker is .61; the spread is that of 100 pixels, so ± .006.
    assert new[0][where > 0].mean() == pytest.approx(0.61, abs=0.02)
    assert new[0][where > 0].std() == pytest.approx(0.03, abs=0.01)


def test_eight_positions() -> None:
    cutout = Cutout(np.arange(6, dtype=np.float32).reshape(1, 2, 3), np.arange(6, dtype=np.uint8).reshape(2, 3))
    positions = [turned(cutout, turn) for turn in range(8)]
    assert len({(p.mask.shape, p.mask.tobytes()) for p in positions}) == 8
    assert all(np.array_equal(p.image[0], p.mask) for p in positions)


def test_rare_classes_come_as_often_as_others() -> None:
    def one(value: int) -> Cutout:
        mask = np.zeros((16, 16), np.uint8)
        mask[7:9, 7:9] = value
        return Cutout(np.full((1, 16, 16), 0.5, np.float32), mask)

    bank = Bank([one(1)] * 50 + [one(2)])
    sea = np.full((1, 20, 20), 0.5, np.float32), np.zeros((20, 20), np.uint8), np.ones((20, 20), bool)
    drawn = [int(bank.paste(*sea, stream(seed))[1].max()) for seed in range(200)]
    # 200 fair draws: 100 ± 7
    assert 70 < drawn.count(2) < 130


def test_a_tile_too_small_or_an_empty_bank_changes_nothing() -> None:
    small = np.full((1, 5, 5), 0.5, np.float32), np.zeros((5, 5), np.uint8), np.ones((5, 5), bool)
    assert Bank(CUTOUTS).paste(*small, stream(0))[0] is small[0]
    assert Bank([]).paste(*small, stream(0))[0] is small[0]


def test_the_dataset_pastes_as_often_as_asked_and_only_into_draws_with_a_seed(seep_root: Path) -> None:
    def dataset(share: float, training: bool = True) -> TileDataset:
        data = SeepData(root=seep_root, augment=Augment(copy_paste=share))
        scaling = FittedScaling(Scaling(basis="fixed", range=(0, 65535)), ((0.0,), (65535.0,)), (0.0,), (1.0,))
        return TileDataset(
            open_catalog(data), data, scaling, {}, build_augmentation(data.augment) if training else None
        )

    never, half, always, validation = dataset(0), dataset(0.5), dataset(1), dataset(1, training=False)
    draws = [Draw(i, 100 + i) for i in range(40)]

    def changed(other: TileDataset) -> int:
        return sum(not torch.equal(other[d]["mask"], never[d]["mask"]) for d in draws)

    assert changed(always) > changed(half) > 0
    assert changed(validation) == 0
    assert torch.equal(always[Draw(0)]["mask"], never[Draw(0)]["mask"])
    # A draw alone decides, whatever was drawn before.
    again = dataset(1)
    assert all(torch.equal(again[d]["image"], always[d]["image"]) for d in reversed(draws[:5]))


def test_what_is_pasted_where_says_nothing_about_the_augmentation(tmp_path: Path) -> None:
    sea = np.random.default_rng(0).integers(24000, 40000, (64, 64)).astype(np.uint16)
    seep = np.zeros((64, 64), np.uint8)
    seep[30:34, 30:34] = 1
    for folder, planes in (("images", (sea, sea)), ("masks", (seep, 0 * seep))):
        (tmp_path / f"train_{folder}_256").mkdir()
        for number, plane in enumerate(planes, 1):
            tifffile.imwrite(tmp_path / f"train_{folder}_256" / f"1.{number}.tif", plane)
    data = SeepData(root=tmp_path, augment=Augment(copy_paste=1, contrast=0.3))
    scaling = FittedScaling(Scaling(basis="fixed", range=(0, 65535)), ((0.0,), (65535.0,)), (0.0,), (1.0,))
    dataset = TileDataset(open_catalog(data), data, scaling, {}, build_augmentation(data.augment))
    # The tile of sea alone, with the one object there is.
    samples = [dataset[Draw(1, seed)] for seed in range(300)]
    rows = [int((s["mask"] == 1).any(1).nonzero()[0, 0]) for s in samples]
    contrast = [float(s["image"].std()) for s in samples]
    # Of two independent numbers the correlation over 300 draws is 0 ± .06; with one stream for both it was 1.00.
    assert abs(np.corrcoef(rows, contrast)[0, 1]) < 0.2
