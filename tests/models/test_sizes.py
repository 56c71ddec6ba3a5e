"""Images of any size through networks that take some: shapes, frames and chains, by hand and for any size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seepseg.config import NetworkInput, UNetModel, parse
from seepseg.errors import ConfigError
from seepseg.models.build import build_model
from seepseg.models.fuse import fused
from seepseg.models.sizes import AnySize, padded, resized

SIZES = st.integers(1, 300)
INPUTS = [
    None,
    NetworkInput(mode="pad", size=[128]),
    NetworkInput(mode="resize", size=[64]),
    NetworkInput(mode="pad", size=[48, 100]),
    NetworkInput(mode="resize", size=[48, 100]),
]
TREE: dict[str, object] = {"data": {"source": "tgs", "root": "x"}}


class Echo(nn.Module):
    """Gives back what it gets, and remembers it."""

    def forward(self, images: Tensor) -> Tensor:
        self.seen = images
        return images


@pytest.mark.parametrize("config", INPUTS, ids=str)
@given(height=SIZES, width=SIZES)
@settings(max_examples=12)
def test_the_shape_that_goes_in_comes_out(config: NetworkInput | None, height: int, width: int) -> None:
    echo = Echo()
    images = torch.zeros(1, 2, height, width)
    assert AnySize(echo, 32, config)(images).shape == images.shape
    assert all(size % 32 == 0 and size >= 64 for size in echo.seen.shape[2:])


@given(height=SIZES, width=SIZES, size=st.integers(8, 300))
@settings(max_examples=15)
def test_a_frame_leaves_what_it_holds_untouched(height: int, width: int, size: int) -> None:
    images = torch.randn(1, 1, height, width, generator=torch.Generator().manual_seed(height * 301 + width))
    config = NetworkInput.model_validate({"mode": "pad", "size": size})
    assert torch.equal(AnySize(Echo(), 16, config)(images), images)


@given(before=st.integers(0, 40), size=st.integers(1, 20), after=st.integers(0, 40))
@settings(max_examples=40)
def test_padding_is_that_of_numpy(before: int, size: int, after: int) -> None:
    row = np.arange(size, dtype=np.float32)[None]
    ours = padded(torch.from_numpy(row)[None, None], (0, 0, before, after))[0, 0].numpy()
    np.testing.assert_array_equal(ours, np.pad(row, ((0, 0), (before, after)), "reflect"))


@pytest.mark.parametrize(
    ("config", "own", "seen"),
    [
        # filled up to the stride of 32: 101 → 128
        (None, (101, 101), (128, 128)),
        (NetworkInput(size=[128]), (101, 101), (128, 128)),
        (NetworkInput(size=[512]), (101, 101), (512, 512)),
        # larger than the frame: only the stride counts
        (NetworkInput(size=[64]), (101, 33), (128, 64)),
        # 100 is no multiple of 32, so the frame grows to 128
        (NetworkInput(size=[100]), (101, 50), (128, 128)),
        (NetworkInput(mode="resize", size=[256]), (101, 101), (256, 256)),
        (NetworkInput(mode="resize", size=[512]), (101, 60), (512, 512)),
        (NetworkInput(mode="pad", size=[202, 256]), (101, 101), (256, 256)),
        (NetworkInput(mode="resize", size=[202, 256]), (101, 101), (256, 256)),
    ],
    ids=str,
)
def test_what_the_network_sees(config: NetworkInput | None, own: tuple[int, int], seen: tuple[int, int]) -> None:
    echo = Echo()
    AnySize(echo, 32, config)(torch.zeros(1, 1, *own))
    assert echo.seen.shape[2:] == seen


def test_a_chain_that_ends_in_a_frame_holds_the_enlarged_image_in_its_middle() -> None:
    echo = Echo()
    images = torch.rand(1, 1, 101, 101)
    AnySize(echo, 32, NetworkInput(mode="pad", size=[202, 256]))(images)
    # 256 − 202 = 54: 27 on each side
    assert torch.equal(echo.seen[:, :, 27:229, 27:229], resized(images, (202, 202)))
    # The border pixel once: 27 rows above mirror the rows 1 … 27 below it.
    assert torch.equal(echo.seen[:, :, :27], echo.seen[:, :, 28:55].flip(2))


def test_bilinear_by_hand() -> None:
    # Two pixels become four: quarter points, the ends held. 0 1 → 0, .25, .75, 1.
    row = resized(torch.tensor([[[[0.0, 1.0]]]]), (1, 4))
    assert row.flatten().tolist() == [0, 0.25, 0.75, 1]
    # Shrunk from four to two every pixel counts: weights 3 3 1 (of 7) fall on the pixels 0, 1, 2.
    row = resized(torch.tensor([[[[7.0, 0.0, 14.0, 0.0]]]]), (1, 2))
    assert row.flatten().tolist() == pytest.approx([3 + 2, 1 * 0 + 6 + 0])


def test_a_linear_slope_survives_both_ways_away_from_the_border() -> None:
    slope = torch.arange(101.0).expand(1, 1, 101, 101)
    back = AnySize(Echo(), 32, NetworkInput(mode="resize", size=[512]))(slope)
    torch.testing.assert_close(back[..., 2:-2], slope[..., 2:-2], atol=0.01, rtol=0)


@pytest.mark.parametrize("config", INPUTS, ids=str)
def test_an_answer_does_not_depend_on_the_batch(config: NetworkInput | None) -> None:
    torch.manual_seed(0)
    model = build_model(UNetModel(channels=[4, 8, 16], num_res_units=1, input=config), 1, 2).eval()
    images = torch.randn(3, 1, 37, 50)
    with torch.no_grad():
        together = model(images)
        alone = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("config", INPUTS[1:], ids=str)
def test_norms_still_fold(config: NetworkInput) -> None:
    torch.manual_seed(0)
    model = build_model(UNetModel(channels=[4, 8, 16], num_res_units=1, input=config), 1, 2)
    model(torch.randn(2, 1, 64, 64) + 1)  # norms that are not the identity
    images = torch.randn(2, 1, 50, 71)
    with torch.inference_mode():
        lighter = fused(model.eval(), 1)
        assert not any(isinstance(m, nn.BatchNorm2d) for m in lighter.modules())
        torch.testing.assert_close(lighter(images), model(images), rtol=1e-4, atol=1e-5)


def test_every_logit_gets_a_gradient_when_logits_shrink() -> None:
    scale = nn.Parameter(torch.ones(1, 1, 512, 512))

    class Scaled(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images * scale

    AnySize(Scaled(), 32, NetworkInput(mode="resize", size=[512]))(torch.ones(1, 1, 101, 101)).sum().backward()
    assert scale.grad is not None
    assert (scale.grad > 0).all()


def test_weights_have_the_same_names_whatever_the_input() -> None:
    names = {tuple(build_model(UNetModel(channels=[4, 8], input=config), 1, 2).state_dict()) for config in INPUTS}
    assert len(names) == 1


def test_a_size_may_be_one_number_or_a_chain() -> None:
    for size, chain in ((128, [128]), ([202, 256], [202, 256])):
        config = parse(TREE | {"model": {"name": "unet", "input": {"size": size}}}, "test").model.input
        assert config == NetworkInput(mode="pad", size=chain)
    for wrong, says in (
        (4, "model.input.size.0: input should be greater"),
        ("big", "model.input.size.0: "),
        ([], "size: "),
    ):
        with pytest.raises(ConfigError, match=says):
            parse(TREE | {"model": {"name": "unet", "input": {"size": wrong}}}, "test")
