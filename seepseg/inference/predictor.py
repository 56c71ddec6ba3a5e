"""The predictor: standardised images in, class probabilities out; validation, eval and predict all go through it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from seepseg.config import Config, Runtime
from seepseg.errors import ResourceError
from seepseg.machine.device import autocast_dtype, choose_device
from seepseg.models.build import build_model
from seepseg.models.fuse import fused
from seepseg.models.head import probabilities
from seepseg.runs.checkpoint import Checkpoint, load_weights

Turn = tuple[int, bool]
"""Quarter turns, then a mirror left to right."""

CORE_PIXELS = 2**18
"""Pixels that one core computes at once: more are not faster, and take more memory."""

TURNS: dict[str, tuple[Turn, ...]] = {
    "none": ((0, False),),
    "hflip": ((0, False), (0, True)),
    "flips": ((0, False), (0, True), (2, False), (2, True)),
    "d4": tuple((k, mirror) for k in range(4) for mirror in (False, True)),
}


class Predictor:
    """A network with its head, device and number format.

    Args:
        model: the network, on `device` and in eval mode while predicting.
        config: its config; reads `model.head` and `runtime`.
        tta: test-time augmentation, a key of `TURNS`; probabilities are averaged over it.
    """

    def __init__(self, model: nn.Module, config: Config, device: torch.device, tta: str = "none") -> None:
        self.model, self.head, self.device = model, config.model.head, device
        self.turns = TURNS[tta]
        self.dtype = autocast_dtype(config.runtime.amp, device)
        self.room: int | None = None
        """The most images that fit in memory at once; None if every batch has fitted so far."""

    @torch.inference_mode()
    def logits(self, images: Tensor, turn: Turn = (0, False)) -> Tensor:
        """Logits (N, C, H, W) float32 of images (N, C, H, W), on the predictor's device; computed on turned images.

        A batch that does not fit in memory is halved until it does; with batch norm the result is the same.

        Raises:
            ResourceError: a single image does not fit.
        """
        images = _turned(images.to(self.device, non_blocking=True), turn)
        size = self.room or at_once(len(images), images.shape[2] * images.shape[3], self.device)
        parts = [self._halving(part) for part in torch.split(images, max(1, size))]
        return _undo(torch.cat(parts) if len(parts) > 1 else parts[0], turn)

    @torch.inference_mode()
    def probabilities(self, images: Tensor, logits: Tensor | None = None) -> Tensor:
        """Probabilities (N, K, H, W) float32, averaged over test-time turns.

        `logits` of the same images, if the caller has them already, save the first pass.
        """
        total = probabilities(self.logits(images) if logits is None else logits, self.head)
        for turn in self.turns[1:]:
            total = total + probabilities(self.logits(images, turn), self.head)
        return total / len(self.turns) if len(self.turns) > 1 else total

    def _forward(self, images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            logits: Tensor = self.model(images)
        return logits.float()

    def _halving(self, images: Tensor) -> Tensor:
        try:
            return self._forward(images)
        except RuntimeError as error:
            # On the CPU torch raises a plain RuntimeError.
            if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
                raise
            if len(images) == 1:
                raise ResourceError(
                    "out of memory on one window",
                    f"device {self.device}",
                    "give --device cpu, or set predict.window smaller",
                ) from None
        half = len(images) // 2
        self.room = min(half, self.room or half)
        return torch.cat([self._halving(part) for part in torch.split(images, half)])


def averaged(probabilities: Sequence[Tensor]) -> Tensor:
    """The mean of the probabilities that several networks give the same pixels, added in their order."""
    return sum(probabilities[1:], probabilities[0]) / len(probabilities)


def at_once(batch_size: int, pixels: int, device: torch.device) -> int:
    """Images of so many pixels that go through a network at once."""
    return min(batch_size, max(1, CORE_PIXELS // pixels)) if device.type == "cpu" else batch_size


def load_predictor(checkpoint: Checkpoint, runtime: Runtime, tta: str, where: object) -> Predictor:
    """The predictor of a checkpoint, with its averaged weights if it has them."""
    config = checkpoint.config.model_copy(update={"runtime": runtime})
    device = choose_device(runtime.device)
    model = build_model(config.model, config.data.n_channels, len(checkpoint.classes))
    load_weights(model, checkpoint.ema or checkpoint.weights, where)
    # On the CPU the network works in the number format by itself.
    dtype = (autocast_dtype(runtime.amp, device) or torch.float32) if device.type == "cpu" else None
    return Predictor(place(fused(model.eval(), config.data.n_channels, dtype), device), config, device, tta)


def place(model: nn.Module, device: torch.device) -> nn.Module:
    """The network on its device and in its memory layout."""
    # torch's stubs do not know the argument.
    placed: nn.Module = model.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def _turned(images: Tensor, turn: Turn) -> Tensor:
    turned = torch.rot90(images, turn[0], (2, 3)) if turn[0] else images
    return turned.flip(3) if turn[1] else turned


def _undo(images: Tensor, turn: Turn) -> Tensor:
    images = images.flip(3) if turn[1] else images
    return torch.rot90(images, -turn[0], (2, 3)) if turn[0] else images
