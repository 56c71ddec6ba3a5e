from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seepseg.config import Config, Predict, Scaling, parse
from seepseg.data.scaling import MeasuredScaling
from seepseg.inference import ring
from seepseg.inference.predictor import Predictor
from seepseg.inference.stream import Member, Rows, stream
from seepseg.models.build import build_model

SCALING = MeasuredScaling(Scaling(basis="fixed", range=(0, 1), standardise=False), ((0.0,), (1.0,)), (0.0,), (1.0,))
LOCAL = MeasuredScaling(Scaling(basis="tile", range=(0, 100)), None, (0.0,), (1.0,))


def recipe(head: str = "binary") -> Config:
    data = {"source": "seep", "root": "x", "classes": "salt"}
    return parse(
        {"data": data, "model": {"name": "unet", "head": head}, "loss": "bce", "runtime": {"amp": "off"}}, "test"
    )


class Logit(nn.Module):
    """The logit of a pixel is that of its own value: its probability is the value itself, wherever it lies."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.logit(images[:, :1], eps=1e-6)


class Blur(nn.Module):
    """A 5 × 5 mean: sees two pixels around."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(images[:, :1], 5, 1, 2)


class Held:
    def __init__(self, image: np.ndarray, valid: np.ndarray | None = None) -> None:
        self.image = image
        self.valid = np.ones(image.shape, bool) if valid is None else valid
        self.height, self.width = image.shape
        self.chunk = 70
        self.asked: list[tuple[int, int]] = []

    def read(self, start: int, stop: int) -> Rows:
        self.asked.append((start, stop))
        return Rows(self.image[None, start:stop], self.valid[start:stop])


def member(model: nn.Module, scaling: MeasuredScaling = SCALING) -> Member:
    return Member(Predictor(model.eval(), recipe(), torch.device("cpu")), scaling)


def whole(source: Held, members: list[Member], config: Predict) -> np.ndarray:
    """Foreground probabilities of all strips, which must follow on one another."""
    parts = []
    at = 0
    for strip in stream(source, members, 2, config, every_pixel=True):
        assert strip.start == at
        assert strip.probabilities is not None
        assert np.array_equal(strip.rows.raw[0], source.image[at : at + len(strip.probabilities)])
        at += len(strip.probabilities)
        parts.append(strip.probabilities.numpy())
        foreground = np.where(strip.rows.valid, parts[-1][..., 1] > 0.5, 255)
        assert np.array_equal(strip.classes, foreground)
        assert np.allclose(strip.pixels, strip.probabilities.view(-1, 2)[strip.where])
        assert set(np.flatnonzero(strip.classes == 1)) <= set(strip.where.tolist())
    assert at == source.height
    return np.concatenate(parts)[..., 1]


@settings(max_examples=40)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(16, 80), st.floats(0, 0.8), st.integers(1, 5))
def test_every_pixel_comes_out_where_it_went_in(
    height: int, width: int, window: int, overlap: float, batch: int
) -> None:
    image = np.random.default_rng(0).uniform(0.01, 0.99, (height, width)).astype(np.float32)
    config = Predict(window=window, overlap=overlap, batch_size=batch)
    assert np.allclose(whole(Held(image), [member(Logit())], config), image, atol=1e-5)


def test_a_thousand_pixels_a_side() -> None:
    image = np.random.default_rng(0).uniform(0.01, 0.99, (1000, 997)).astype(np.float32)
    assert np.allclose(whole(Held(image), [member(Logit())], Predict()), image, atol=1e-5)


def test_rows_are_read_once_and_in_order() -> None:
    source = Held(np.zeros((500, 40), np.float32))
    whole(source, [member(Logit())], Predict(window=64, overlap=0.25))
    assert source.asked[0][0] == 0
    assert source.asked[-1][1] == 500
    assert all(a[1] == b[0] for a, b in pairwise(source.asked))


def test_windows_without_a_valid_pixel_are_not_computed() -> None:
    calls: list[int] = []

    class Counting(Logit):
        def forward(self, images: Tensor) -> Tensor:
            calls.append(len(images))
            return super().forward(images)

    valid = np.zeros((64, 256), bool)
    valid[10, 70] = True
    # windows at columns 0, 64, 128, 192 without overlap: only the second holds a valid pixel
    whole(Held(np.full((64, 256), 0.5, np.float32), valid), [member(Counting())], Predict(window=64, overlap=0))
    assert calls == [1]


def test_where_one_window_fits_the_map_is_that_of_two_streams() -> None:
    class Tight(Logit):
        """Has no memory for two windows at once, and refuses the first two streams one of them too."""

        def __init__(self) -> None:
            super().__init__()
            self.refused, self.inside, self.beside = 0, 0, list[int]()

        def forward(self, images: Tensor) -> Tensor:
            if len(images) > 1 or self.refused < 2:
                self.refused += len(images) == 1
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")
            self.inside += 1
            self.beside.append(self.inside)
            time.sleep(0.005)  # so that another stream, if there were one, would come
            self.inside -= 1
            return super().forward(images)

    image = np.random.default_rng(0).uniform(0.01, 0.99, (200, 300)).astype(np.float32)
    config, tight, before = Predict(window=64, overlap=0.25, batch_size=2), Tight(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert np.allclose(whole(Held(image), [member(tight)], config), image, atol=1e-5)
    finally:
        torch.set_num_threads(before)
    # 64 px windows 48 px apart: 4 rows of 6, of which four batches of two had begun when the first was refused.
    assert len(tight.beside) == 24
    assert tight.beside[8:] == [1] * 16


def test_members_are_averaged_each_with_its_own_scaling() -> None:
    image = np.random.default_rng(2).uniform(0.1, 0.9, (50, 60)).astype(np.float32)
    halved = MeasuredScaling(SCALING.config, ((0.0,), (2.0,)), (0.0,), (1.0,))
    got = whole(Held(image), [member(Logit()), member(Logit(), halved)], Predict(window=32))
    assert np.allclose(got, (image + image / 2) / 2, atol=1e-5)


def test_a_scaling_that_looks_around_is_measured_on_each_window() -> None:
    image = np.concatenate([np.tile([0.0, 1.0], (32, 16)), np.tile([0.0, 10.0], (32, 16))], axis=1)
    # each window of 32 has its own limits, 0 … 1 and 0 … 10, so both become 0 and 1
    got = whole(Held(image.astype(np.float32)), [member(Logit(), LOCAL)], Predict(window=32, overlap=0))
    assert np.allclose(got, np.tile([0.0, 1.0], (32, 32)), atol=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 3, 8, 100])
def test_batches_change_nothing(batch: int) -> None:
    image = np.random.default_rng(3).uniform(0, 1, (100, 333)).astype(np.float32)
    one = whole(Held(image), [member(Blur())], Predict(window=48, batch_size=7))
    assert np.array_equal(whole(Held(image), [member(Blur())], Predict(window=48, batch_size=batch)), one)


def test_with_batch_norm_an_invalid_pixel_changes_nothing_outside_the_field_of_view() -> None:
    tree = recipe().model_dump(mode="json") | {"model": {"name": "unet", "channels": [4, 8, 16], "head": "binary"}}
    config = recipe().model_validate(tree)
    torch.manual_seed(0)
    model = build_model(config.model, 1, 2).eval()
    image = np.random.default_rng(4).uniform(0, 1, (160, 150)).astype(np.float32)
    valid = np.ones(image.shape, bool)
    valid[80, 70] = False
    settings = Predict(window=96, overlap=0.25)
    both = [whole(Held(image, v), [member(model)], settings) for v in (np.ones(image.shape, bool), valid)]
    changed = np.argwhere(np.abs(both[0] - both[1]) > 0)
    assert len(changed)
    # Two strided levels of residual units with 3 × 3 convolutions see fewer than 32 pixels around.
    assert np.abs(changed - (80, 70)).max() <= 32


def test_torchs_loops_give_the_map_of_the_compiled_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(5).uniform(0.01, 0.99, (100, 90)).astype(np.float32)
    settings = Predict(window=32, overlap=0.25)
    compiled = whole(Held(image), [member(Logit())], settings)
    monkeypatch.setattr(ring, "add", ring.add_by_torch)
    monkeypatch.setattr(ring, "find", ring.find_by_torch)
    assert np.array_equal(whole(Held(image), [member(Logit())], settings), compiled)


def test_turns_and_members_share_a_ring_and_keep_their_rows_apart() -> None:
    image = np.random.default_rng(6).uniform(0.1, 0.9, (90, 70)).astype(np.float32)
    halved = MeasuredScaling(SCALING.config, ((0.0,), (2.0,)), (0.0,), (1.0,))
    flipping = [Member(Predictor(Logit(), recipe(), torch.device("cpu"), "flips"), s) for s in (SCALING, halved)]
    got = whole(Held(image), flipping, Predict(window=32, overlap=0.6))
    assert np.allclose(got, (image + image / 2) / 2, atol=1e-5)
