"""Whether a run trains with a compiled network: settled when it begins, as its weights depend on it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seepseg.config import Config, UNetModel
from seepseg.errors import ConfigError
from seepseg.machine.device import compiler_missing
from seepseg.runs.checkpoint import Checkpoint
from seepseg.training.distributed import world

if TYPE_CHECKING:
    from seepseg.training.state import Trainer

SAVED, SECONDS = 0.12, 0.75
"""The share of a step that compiling saves a U-Net on a CPU, and what it costs for each weight tensor (measured)."""
GAIN = 1.05
"""A compiled step must be so many times as fast before `auto` takes it."""


def compiled(model: nn.Module, device: torch.device) -> nn.Module:
    """A network that compiles itself for each shape of images it meets; it has no weights but those of `model`.

    Raises:
        ConfigError: there is no compiler.
    """
    if missing := compiler_missing(device):
        raise ConfigError(f"compiling needs {missing}", "runtime.compile", "install it, or set runtime.compile=off")
    network: nn.Module = torch.compile(model, dynamic=False)  # type: ignore[assignment]  # stubs: a function
    return network


def kept_mode(config: Config, checkpoint: Checkpoint | None) -> Config:
    """The config of a run; `auto` becomes the mode of the checkpoint it continues from."""
    if config.runtime.compile != "auto" or not checkpoint:
        return config
    return _with_mode(config, checkpoint.config.runtime.compile == "on")


def settle(trainer: Trainer) -> str:
    """Settle whether a run compiles, in the trainer and its config, and compile; a line that says what and why.

    Raises:
        ConfigError: the config wants it, and the compiler fails.
    """
    mode, device = trainer.config.runtime.compile, trainer.device
    steps = trainer.steps_per_epoch * sum(stage.epochs for stage in trainer.stages)
    if mode == "on":
        try:
            seconds = _seconds(trainer, trainer.network)
        except Exception as error:
            advice = "set runtime.compile=off"
            raise ConfigError(f"the network cannot be compiled ({_said(error)})", "runtime.compile", advice) from error
        return f"compiled in {seconds:.0f} s"
    trainer.config = _with_mode(trainer.config, False)
    if mode == "off":
        return "not compiled"
    if not isinstance(trainer.config.model, UNetModel) or device.type != "cpu" or world() > 1:
        return "not compiled: auto does so for the U-Net, in one process on a CPU"
    if missing := compiler_missing(device):
        return f"not compiled: this needs {missing}"
    eager = min(_seconds(trainer, trainer.model) for _ in range(2))
    cost = SECONDS * len(list(trainer.model.parameters()))
    if steps * SAVED * eager < 2 * cost:
        return f"not compiled: {steps} steps, and it pays after some {_rounded(cost / (SAVED * eager))} (estimated)"
    network = compiled(trainer.model, device)
    try:
        cost = _seconds(trainer, network)
        rounds = [(_seconds(trainer, trainer.model), _seconds(trainer, network)) for _ in range(5)]
    except Exception as error:
        return f"not compiled: the compiler fails ({_said(error)})"
    eager, fast = (min(times) for times in zip(*rounds, strict=True))
    if eager < GAIN * fast:
        return f"not compiled: tried in {cost:.0f} s, and a step is {eager / fast:.2f} times as fast"
    trainer.config = _with_mode(trainer.config, True)
    trainer.network = trainer.parallel = network
    pays = f"pays after {_rounded(cost / (eager - fast))} of {steps} steps"
    return f"compiled in {cost:.0f} s: a step is {eager / fast:.2f} times as fast, which {pays}"


def _seconds(trainer: Trainer, network: nn.Module) -> float:
    """How long a pass forward and back takes, on images as a whole batch has them; nothing of it remains."""
    model, device = trainer.model, trainer.device
    buffers = [buffer.clone() for buffer in model.buffers()]
    network.train()
    images = torch.zeros(trainer.batch_shape, device=device).contiguous(memory_format=torch.channels_last)
    begin = time.perf_counter()
    with torch.autocast(device.type, trainer.dtype, enabled=trainer.dtype is not None):
        logits: Tensor = network(images)
    logits.float().square().mean().backward()  # type: ignore[no-untyped-call]
    seconds = time.perf_counter() - begin
    model.zero_grad(set_to_none=True)
    for buffer, before in zip(model.buffers(), buffers, strict=True):
        buffer.copy_(before)
    return seconds


def _with_mode(config: Config, compiles: bool) -> Config:
    runtime = config.runtime.model_copy(update={"compile": "on" if compiles else "off"})
    return config.model_copy(update={"runtime": runtime})


def _said(error: Exception) -> str:
    """The first line of an error, or its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:120]


def _rounded(steps: float) -> int:
    """Steps to two digits."""
    return int(float(f"{steps:.2g}"))
