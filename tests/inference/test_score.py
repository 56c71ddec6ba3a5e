from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seepseg.config import BceLoss, Config, Predict, parse
from seepseg.data.loader import Batch
from seepseg.inference.predictor import Predictor
from seepseg.inference.score import Decoding, Sums, TileResult, score
from seepseg.losses.build import build_loss


class Echo(nn.Module):
    """One logit, which is the pixel itself."""

    def forward(self, images: Tensor) -> Tensor:
        return images


PLAIN = Decoding(Predict())


def predictor() -> Predictor:
    tree = {
        "data": {"source": "seep", "root": "x", "classes": "salt"},
        "model": {"name": "unet", "head": "binary"},
        "loss": "bce",
        "runtime": {"amp": "off"},
    }
    config: Config = parse(tree, "test")
    return Predictor(Echo(), config, torch.device("cpu"))


def batch_of(logits: Tensor, mask: Tensor, sizes: list[tuple[int, int]] | None = None, first: int = 0) -> Batch:
    height, width = mask.shape[1:]
    ids = [f"t{first + i}" for i in range(len(mask))]
    return Batch(logits[:, None], mask, mask != 255, ids, sizes or [(height, width)] * len(mask))


def tiles(n: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.randint(0, 2, (n, 12, 9), generator=generator)
    mask[1] = 0
    mask[2, :4] = 255
    return torch.randn(n, 12, 9, generator=generator) + mask.clamp(max=1), mask


def test_the_mean_loss_is_that_of_tiles_with_a_label_in_batches_of_any_size() -> None:
    logits, mask = torch.zeros(4, 2, 2), torch.full((4, 2, 2), 255)
    mask[1] = 1
    loss = build_loss(BceLoss(), "binary", 2)
    for size in (1, 2, 4):
        batches = [(k, batch_of(logits[k : k + size], mask[k : k + size], first=k)) for k in range(0, 4, size)]
        # −log σ(0) = log 2
        assert score(predictor(), batches, 2, PLAIN, loss).means()["loss"] == pytest.approx(np.log(2), abs=1e-6)


def test_one_tile_by_hand() -> None:
    # Truth 1 1 0 0 and one ignored, predicted 1 0 1 0: one hit, one miss, one false alarm, one right background.
    logits, mask = torch.tensor([[[2.0, -2.0, 2.0, -2.0, 9.0]]]), torch.tensor([[[1, 1, 0, 0, 255]]])
    seen: list[TileResult] = []
    loss = build_loss(BceLoss(), "binary", 2)
    sums = score(predictor(), [(0, batch_of(logits, mask))], 2, PLAIN, loss, seen.append)
    assert sums.matrix.tolist() == [[1, 1], [1, 1]]
    assert sums.tiles.tolist() == [1, 1]
    assert (sums.n_tiles, seen[0].prediction.tolist()) == (1, [[1, 0, 1, 0, 255]])
    # IoU = 1 / 3 is below every threshold.
    assert sums.tgs_score == 0
    # −log σ(2) = 0.126928 twice and −log σ(−2) = 2.126928 twice: mean 1.126928.
    means = sums.means()
    assert means["loss"] == pytest.approx(1.126928, abs=1e-6)
    assert means["bce"] == [pytest.approx(1.126928, abs=1e-6)]
    # tp = σ(2) + σ(−2) = 1; fp = 1 and fn = 1 likewise: 2 / (2 + 1 + 1).
    assert means["soft_dice"] == [pytest.approx(0.5)]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_counts_do_not_depend_on_how_tiles_are_batched(size: int) -> None:
    logits, mask = tiles(7)
    whole = score(predictor(), [(0, batch_of(logits, mask))], 2, PLAIN, build_loss(BceLoss(), "binary", 2))
    cut = [
        (number, batch_of(logits[i : i + size], mask[i : i + size], first=i))
        for number, i in enumerate(range(0, 7, size))
    ]
    parts = score(predictor(), cut, 2, PLAIN, build_loss(BceLoss(), "binary", 2))
    assert np.array_equal(parts.matrix, whole.matrix)
    assert np.array_equal(parts.tiles, whole.tiles)
    assert (parts.n_tiles, parts.tgs_tenths) == (whole.n_tiles, whole.tgs_tenths)
    for name in ("bce", "soft_dice"):
        assert parts.means()[name] == pytest.approx(whole.means()[name], rel=1e-5)


def test_shards_merge_in_any_order_to_the_same_bits() -> None:
    logits, mask = tiles(7)
    loss = build_loss(BceLoss(), "binary", 2)
    numbered = [(i, batch_of(logits[i : i + 1], mask[i : i + 1], first=i)) for i in range(7)]
    whole = score(predictor(), numbered, 2, PLAIN, loss)
    even, odd = (score(predictor(), numbered[k::2], 2, PLAIN, loss) for k in (0, 1))
    for merged in (even + odd, odd + even, Sums.empty(2) + odd + even):
        assert np.array_equal(merged.matrix, whole.matrix)
        assert merged.floats == whole.floats
        assert merged.means() == whole.means()


def test_what_fills_up_a_smaller_tile_is_not_scored() -> None:
    logits, mask = torch.ones(1, 4, 4), torch.ones(1, 4, 4, dtype=torch.int64)
    sums = score(predictor(), [(0, batch_of(logits, mask, sizes=[(2, 3)]))], 2, PLAIN)
    assert sums.matrix.tolist() == [[0, 0], [0, 6]]


def test_a_tile_counts_itself() -> None:
    truth, prediction = np.array([[1, 1, 0, 255]], np.uint8), np.array([[1, 0, 0, 1]], np.uint8)
    sums = Sums.of_tile(truth, prediction, 2)
    assert (sums.matrix.tolist(), sums.tiles.tolist(), sums.n_tiles) == ([[1, 0], [1, 1]], [1, 1], 1)
    # IoU 1/2 exceeds no threshold; the background alone, exactly hit, scores 1.
    assert sums.tgs_tenths == 0
    sea = np.zeros((1, 4), np.uint8)
    assert (sums + Sums.of_tile(sea, sea, 2)).tgs_score == 0.5
    # Of more classes there is no TGS score.
    assert Sums.of_tile(sea, sea, 3).tgs_tenths == 0


def test_sums_of_nothing() -> None:
    empty = Sums.empty(3)
    assert empty.means() == {}
    assert empty.tgs_score is None
