"""The state of a training: what a step reads and changes, saved to a checkpoint and restored."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from seepseg.config import Config, Stage
from seepseg.data.dataset import Draw
from seepseg.data.loader import in_batches
from seepseg.errors import CheckpointError, ConfigError
from seepseg.inference.score import Sums
from seepseg.losses.build import Loss, build_loss
from seepseg.machine.device import autocast_dtype
from seepseg.runs.checkpoint import Checkpoint, load_weights
from seepseg.training.compiled import compiled
from seepseg.training.distributed import side_by_side, world
from seepseg.training.optim import average_weights, build_optimizer
from seepseg.training.prepare import TrainingData
from seepseg.training.progress import Progress, stages_of


class Trainer:
    """One network, its optimiser and its data.

    Attributes:
        model: the network that names the weights, and is validated, averaged and saved.
        network: the same as it trains: compiled, where the config says so.
        parallel: `network`, under several processes wrapped in DDP.
        ema: its averaged weights, where the config has `train.ema_decay`.
        stages: trained one after the other.
        loss, optimizer: of the current stage.
        dtype, scaler: number format of the forward pass, and the loss scaler of float16.
        progress: where the run stands.
        sums: of the training batches of the current epoch.
    """

    parallel: nn.Module
    loss: Loss
    optimizer: torch.optim.Optimizer

    def __init__(self, config: Config, data: TrainingData, model: nn.Module, device: torch.device) -> None:
        size = config.train.batch_size
        if size % world():
            raise ConfigError(
                f"batch size {size} on {world()} processes",
                "train.batch_size",
                "give a multiple of the number of processes",
            )
        if len(data.train) < world():
            raise ConfigError(
                f"fewer training tiles ({len(data.train)}) than processes ({world()})",
                config.data.root,
                "start fewer processes, or give more tiles",
            )
        self.config, self.data, self.model, self.device = config, data, model, device
        self.network = compiled(model, device) if config.runtime.compile == "on" else model
        self.parallel = side_by_side(self.network) if world() > 1 else self.network
        self.ema = average_weights(model, config.train.ema_decay) if config.train.ema_decay else None
        self.dtype = autocast_dtype(config.runtime.amp, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self.stages = stages_of(config)
        self.steps_per_epoch = len(in_batches([Draw(0)] * len(data.train), size, drop_last=True))
        self.progress = Progress()
        self.sums = Sums.empty(len(data.classes))
        enter_stage(self)

    @cached_property
    def batch_shape(self) -> tuple[int, ...]:
        """(N, C, H, W) of a whole batch of tiles like the first; only batches of this shape are compiled for."""
        share = min(self.config.train.batch_size, len(self.data.train)) // world()
        return (share, *self.data.train[Draw(0)]["image"].shape)

    @property
    def stage(self) -> Stage:
        """The current stage."""
        return self.stages[self.progress.stage]

    @property
    def predicts(self) -> nn.Module:
        """The network that is validated and will predict: the averaged one where there is one."""
        return self.ema.module if self.ema else self.model


def enter_stage(trainer: Trainer) -> None:
    """Give the trainer the loss of its current stage and a fresh optimiser; weights and their average stay."""
    head, classes = trainer.config.model.head, len(trainer.data.classes)
    trainer.loss = build_loss(trainer.stage.loss, head, classes).to(trainer.device)
    trainer.optimizer = build_optimizer(trainer.model, trainer.stage.optim)


def to_checkpoint(trainer: Trainer, *, resumable: bool = True) -> Checkpoint:
    """The state as a checkpoint, with what only resuming needs where `resumable`."""
    progress, sums, ema = trainer.progress, trainer.sums, trainer.ema
    training: dict[str, Any] = {
        "world": world(),
        "progress": dict(vars(progress)),
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.scaler.state_dict(),
        "updates": int(ema.n_averaged) if ema else 0,
        "sums": {
            "matrix": sums.matrix.tolist(),
            "tiles": sums.tiles.tolist(),
            "n_tiles": sums.n_tiles,
            "floats": sums.floats,
        },
    }
    return Checkpoint(
        trainer.config,
        trainer.data.classes,
        trainer.data.scaling,
        trainer.model.state_dict(),
        ema.module.state_dict() if ema else None,
        {},
        training if resumable else {},
        progress.best,
        progress.epoch,
    )


def restore(trainer: Trainer, checkpoint: Checkpoint, where: object) -> None:
    """Restore the state that `to_checkpoint` saved.

    Raises:
        CheckpointError: it is of another network, or not such a state.
    """
    start_from(trainer, checkpoint, where)
    load_weights(trainer.model, checkpoint.weights, where)
    try:
        _restore_training(trainer, checkpoint.training)
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise CheckpointError(
            f"the state of its training is not what seepseg writes ({reason})", where, "restore the file from a copy"
        ) from None


def _restore_training(trainer: Trainer, state: dict[str, Any]) -> None:
    sums = state["sums"]
    if not all(isinstance(row, dict) for row in sums["floats"].values()):
        raise ValueError("rows that are no tables")
    trainer.progress = Progress.from_plain(state["progress"])
    enter_stage(trainer)
    trainer.optimizer.load_state_dict(state["optimizer"])
    for parameter, values in trainer.optimizer.state.items():
        if any(isinstance(v, torch.Tensor) and v.shape not in (parameter.shape, ()) for v in values.values()):
            raise ValueError("an optimiser of another network")
    trainer.scaler.load_state_dict(state["scaler"])
    if trainer.ema:
        trainer.ema.n_averaged.fill_(state["updates"])
    trainer.sums = Sums(
        np.array(sums["matrix"], np.int64), np.array(sums["tiles"], np.int64), sums["n_tiles"], 0, sums["floats"]
    )


def start_from(trainer: Trainer, checkpoint: Checkpoint, where: object) -> None:
    """Take only the weights of a checkpoint, the averaged ones where it has them."""
    weights = checkpoint.ema or checkpoint.weights
    load_weights(trainer.model, weights, where)
    if trainer.ema:
        load_weights(trainer.ema.module, weights, where)
