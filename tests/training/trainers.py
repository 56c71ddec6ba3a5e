"""Trainers of the tiny recipe that tests share."""

from __future__ import annotations

from itertools import islice

import torch

from seepseg.config import Config
from seepseg.inference.score import Sums
from seepseg.training.epoch import train_batches, validate
from seepseg.training.prepare import prepare
from seepseg.training.run import assemble
from seepseg.training.state import Trainer
from seepseg.training.step import train_step


def trainer_of(config: Config) -> Trainer:
    return assemble(config, prepare(config, None), torch.device("cpu"))


def trained(config: Config, steps: int) -> Trainer:
    trainer = trainer_of(config)
    for batch in islice(train_batches(trainer), steps):
        train_step(trainer, batch)
        trainer.progress.batch += 1
    return trainer


def quiet(line: str) -> None:
    pass


def validated(trainer: Trainer) -> Sums:
    return validate(trainer, lambda: None, None)
