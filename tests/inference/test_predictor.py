from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seepseg.config import parse
from seepseg.errors import ConfigError, ResourceError
from seepseg.inference.predictor import TURNS, Predictor
from seepseg.machine.device import autocast_dtype, choose_device

CONFIG = parse({"data": {"source": "seep", "root": "x"}, "model": {"name": "unet", "head": "sigmoid"},
                "loss": "dice_bce", "runtime": {"amp": "off"}}, "test")  # fmt: skip


CPU_FULL = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")


class Echo(nn.Module):
    """Logits equal to the image; refuses more than `room` images at once, as a full GPU does."""

    def __init__(self, room: int = 99, full: RuntimeError | None = None) -> None:
        super().__init__()
        self.room, self.full = room, full or torch.OutOfMemoryError()
        self.batches: list[int] = []

    def forward(self, images: Tensor) -> Tensor:
        self.batches.append(len(images))
        if len(images) > self.room:
            raise self.full
        return images


@pytest.mark.parametrize("tta", TURNS)
@pytest.mark.parametrize("size", [(5, 5), (4, 7)])
def test_every_turn_is_undone(tta: str, size: tuple[int, int]) -> None:
    image = torch.randn(2, 1, *size)
    likely = Predictor(Echo(), CONFIG, torch.device("cpu"), tta).probabilities(image)
    assert torch.allclose(likely[:, 1:], torch.sigmoid(image), atol=1e-6)


def test_all_eight_turns_are_different() -> None:
    image = torch.arange(6.0).view(1, 1, 2, 3)
    from seepseg.inference.predictor import _turned

    assert len({str(_turned(image, turn).tolist()) for turn in TURNS["d4"]}) == 8


@pytest.mark.parametrize("full", [torch.OutOfMemoryError(), CPU_FULL])
def test_without_room_the_batch_is_halved_and_the_answer_stays(full: RuntimeError) -> None:
    image = torch.randn(7, 1, 4, 4)
    network = Echo(2, full)
    tight = Predictor(network, CONFIG, torch.device("cpu"))
    assert torch.equal(Predictor(Echo(), CONFIG, torch.device("cpu")).logits(image), tight.logits(image))
    # 7 do not fit, so 3, 3 and 1 are tried, and of each 3 one by one. The next batch begins with what fitted.
    assert network.batches == [7, 3, 1, 1, 1, 3, 1, 1, 1, 1]
    assert tight.room == 1
    assert torch.equal(tight.logits(image), image)
    assert network.batches[10:] == [1] * 7
    with pytest.raises(ResourceError, match="out of memory on one window"):
        Predictor(Echo(0), CONFIG, torch.device("cpu")).logits(image)


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"device 'gpu' is not there in runtime.device: this machine has cpu"):
        choose_device("gpu")
    assert choose_device("cpu") == torch.device("cpu")


def test_number_formats() -> None:
    cpu = torch.device("cpu")
    assert autocast_dtype("off", cpu) is None
    assert autocast_dtype("bf16", cpu) == torch.bfloat16
    with pytest.raises(ConfigError, match="fp16 does not train on the CPU"):
        autocast_dtype("fp16", cpu)


def test_another_runtime_error_is_not_hidden() -> None:
    with pytest.raises(RuntimeError, match="shapes"):
        Predictor(Echo(0, RuntimeError("shapes differ")), CONFIG, torch.device("cpu")).logits(torch.zeros(2, 1, 4, 4))
