from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import ceil, floor
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from seepseg.classes import SEEP, SEEP_BINARY
from seepseg.config import Sampling, Scaling, SeepData
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.dataset import Draw, Sample, TileDataset
from seepseg.data.loader import Batch, collate, epoch_draws, in_batches, load_batches
from seepseg.data.scaling import MeasuredScaling
from seepseg.data.source import source_of
from seepseg.errors import DataError, ResourceError
from seepseg.synthetic import write_seep


def catalog_of(held: list[set[int]]) -> Catalog:
    """A catalog of tiles that hold 10 pixels of each class in their set."""
    rows = [tuple(10 if c in h else 0 for c in range(8)) for h in held]
    return Catalog(tuple(Tile(f"{i}", Path("x"), Path("m"), pixels=r) for i, r in enumerate(rows)), SEEP)


def counts(catalog: Catalog, sampling: Sampling, seed: int, epoch: int = 0) -> list[int]:
    drawn = Counter(d.tile for d in epoch_draws(catalog, sampling, seed, epoch))
    return [drawn[i] for i in range(len(catalog))]


UNIFORM, REPEAT = Sampling(), Sampling(name="repeat_factor", threshold=1.0)


@pytest.mark.parametrize("sampling", [UNIFORM, REPEAT])
def test_an_epoch_is_a_function_of_seed_and_number(sampling: Sampling) -> None:
    catalog = catalog_of([{1}, {1, 2}, set(), {3}] * 8)
    first = epoch_draws(catalog, sampling, 5, 2)
    # What happens between, to any global generator, does not matter.
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    assert epoch_draws(catalog, sampling, 5, 2) == first
    assert epoch_draws(catalog, sampling, 5, 3) != first
    assert epoch_draws(catalog, sampling, 6, 2) != first
    assert len(first) == 32
    # Every draw has its own augmentation, also where a tile comes twice.
    assert len({d.seed for d in first}) == 32


def test_uniform_draws_every_tile_once() -> None:
    assert counts(catalog_of([{1}, {2}, set(), {1, 2}]), UNIFORM, 3) == [1, 1, 1, 1]


def test_rare_classes_are_drawn_more_often_by_hand() -> None:
    # Class 1 is in all 4 tiles (f = 1), class 2 in one (f = 1/4). With threshold 1 the factors are sqrt(1/1) = 1 and
    # sqrt(1/(1/4)) = 2: weights 2, 1, 1, 1, expected draws 4 · 2/5 = 1.6 and 4 · 1/5 = 0.8.
    catalog = catalog_of([{1, 2}, {1}, {1}, {1}])
    n = 2000
    drawn = np.array([counts(catalog, REPEAT, 0, epoch) for epoch in range(n)])
    assert set(drawn[:, 0].tolist()) == {1, 2}
    assert set(drawn[:, 1:].ravel().tolist()) == {0, 1}
    assert drawn.mean(0) == pytest.approx([1.6, 0.8, 0.8, 0.8], abs=0.05)


def test_a_common_class_is_not_repeated() -> None:
    # f = 1/2 for both classes, above the threshold 0.3: all factors are 1.
    catalog = catalog_of([{1}, {2}, {1}, {2}])
    assert counts(catalog, Sampling(name="repeat_factor", threshold=0.3), 1) == [1, 1, 1, 1]


@settings(max_examples=60)
@given(
    held=st.lists(st.sets(st.integers(1, 7)), min_size=1, max_size=40),
    threshold=st.floats(0.01, 1),
    seed=st.integers(0, 2**31 - 1),
)
def test_every_tile_comes_up_floor_or_ceil_of_its_share(held: list[set[int]], threshold: float, seed: int) -> None:
    n = len(held)
    share = {c: sum(c in h for h in held) / n for c in range(1, 8)}
    weight = [max([1.0] + [(threshold / share[c]) ** 0.5 for c in h]) for h in held]
    drawn = counts(catalog_of(held), Sampling(name="repeat_factor", threshold=threshold), seed)
    assert sum(drawn) == n
    for got, w in zip(drawn, weight, strict=True):
        expected = n * w / sum(weight)
        assert floor(expected - 1e-9) <= got <= ceil(expected + 1e-9)


def test_batches_keep_the_order_and_may_drop_the_rest() -> None:
    draws = [Draw(i) for i in range(5)]
    tiles = [[d.tile for d in b] for b in in_batches(draws, 2, drop_last=False)]
    assert tiles == [[0, 1], [2, 3], [4]]
    assert [len(b) for b in in_batches(draws, 2, drop_last=True)] == [2, 2]
    assert [len(b) for b in in_batches(draws[:4], 2, drop_last=True)] == [2, 2]
    # The only batch is never dropped: there would be nothing to learn from.
    assert [len(b) for b in in_batches(draws, 8, drop_last=True)] == [5]
    assert in_batches([], 8, drop_last=True) == []


def sample(name: str, height: int, width: int) -> Sample:
    return Sample(
        image=torch.ones(1, height, width),
        mask=torch.ones(height, width, dtype=torch.int64),
        valid=torch.ones(height, width, dtype=torch.bool),
        id=name,
    )


def test_odd_sizes_are_filled_up_with_no_data() -> None:
    batch = collate([sample("a", 2, 3), sample("b", 1, 4)])
    assert (batch.ids, batch.sizes) == (["a", "b"], [(2, 3), (1, 4)])
    assert batch.image[:, 0].tolist() == [[[1, 1, 1, 0], [1, 1, 1, 0]], [[1, 1, 1, 1], [0, 0, 0, 0]]]
    assert batch.mask.tolist() == [[[1, 1, 1, 255], [1, 1, 1, 255]], [[1, 1, 1, 1], [255, 255, 255, 255]]]
    assert torch.equal(batch.valid, batch.mask == 1)
    assert (batch.image.dtype, batch.mask.dtype, batch.valid.dtype) == (torch.float32, torch.int64, torch.bool)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # of a machine with one core
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order_from_any_number_of_workers(seep_root: Path, workers: int) -> None:
    data = SeepData(root=seep_root)
    scaling = MeasuredScaling(Scaling(basis="fixed", range=(0, 65535)), ((0.0,), (65535.0,)), (0.0,), (1.0,))
    dataset = TileDataset(source_of(data).catalog(), source_of(data), scaling, {})
    tiles = [7, 3, 3, 0, 5]
    loader = load_batches(dataset, in_batches([Draw(i) for i in tiles], 2, drop_last=False), workers)
    batches = list(loader)
    assert [i for b in batches for i in b.ids] == [dataset.catalog.tiles[i].id for i in tiles]
    assert torch.equal(batches[0].image[1], batches[1].image[0])
    assert [len(b.sizes) for b in batches] == [2, 2, 1]


def test_one_tile_is_a_catalog() -> None:
    one = Catalog((Tile("a", Path("x"), Path("m"), pixels=(0, 5)),), SEEP_BINARY)
    assert counts(one, REPEAT, 0) == [1]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_tile_that_vanishes_is_one_line_from_any_number_of_workers(
    seep_root: Path, tmp_path: Path, workers: int
) -> None:
    data = SeepData(root=seep_root)
    scaling = MeasuredScaling(Scaling(basis="fixed", range=(0, 65535)), ((0.0,), (65535.0,)), (0.0,), (1.0,))
    catalog = source_of(data).catalog()
    gone = replace(catalog.tiles[1], image=tmp_path / "gone.tif")
    dataset = TileDataset(replace(catalog, tiles=(catalog.tiles[0], gone)), source_of(data), scaling, {})
    batches = load_batches(dataset, [[Draw(0)], [Draw(1)]], workers)
    assert next(batches).ids == [catalog.tiles[0].id]
    with pytest.raises(DataError) as caught:
        next(batches)
    assert str(caught.value).startswith(f"no such file in {tmp_path / 'gone.tif'}: ")


@pytest.mark.parametrize(
    ("what", "now", "says"),
    [
        ("image", np.zeros((64, 32), np.uint16), "mask is 64×64, image 64×32"),
        ("image", np.zeros((2, 64, 64), np.uint16), "holds 2 pages"),
        ("mask", np.full((64, 64), 99, np.uint8), "unknown label value 99"),
    ],
)
def test_a_tile_that_became_another_since_it_was_counted_is_one_line(
    tmp_path: Path, what: str, now: NDArray[np.generic], says: str
) -> None:
    write_seep(tmp_path, scenes=2, grid=(2, 2), tile=64, seed=0)
    source = source_of(SeepData(root=tmp_path))
    scaling = MeasuredScaling(Scaling(basis="fixed", range=(0, 65535)), ((0.0,), (65535.0,)), (0.0,), (1.0,))
    dataset = TileDataset(source.catalog(), source, scaling, {})
    path = getattr(dataset.catalog.tiles[1], what)
    tifffile.imwrite(path, now, photometric="minisblack")
    with pytest.raises(DataError, match=says) as caught:
        next(load_batches(dataset, [[Draw(1)]], 0))
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_shared_memory_a_worker_says_so(seep_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch shares memory in a thread of the worker that only prints its errors, and the loader waits for ever."""

    def full(batch: Batch) -> Batch:
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)")

    monkeypatch.setattr(Batch, "share_memory", full)
    data = SeepData(root=seep_root)
    scaling = MeasuredScaling(Scaling(basis="fixed", range=(0, 65535)), ((0.0,), (65535.0,)), (0.0,), (1.0,))
    dataset = TileDataset(source_of(data).catalog(), source_of(data), scaling, {})
    assert len(next(load_batches(dataset, [[Draw(0)]], 0)).ids) == 1
    with pytest.raises(ResourceError, match="no room for a batch in /dev/shm"):
        next(load_batches(dataset, [[Draw(0)]], 1))
