"""The learning-rate range test (Smith 2015, arXiv 1506.01186): how the loss behaves while the rate grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.config import Config
from seepseg.data.loader import Batch
from seepseg.errors import DataError, NonFiniteLossError
from seepseg.figures.plots import save_rate_curve
from seepseg.io.atomic import write_text
from seepseg.io.table import csv_text
from seepseg.machine.cores import check_workers
from seepseg.machine.device import choose_device, set_threads, with_threads
from seepseg.runs.checkpoint import load_checkpoint
from seepseg.runs.find import find_checkpoint
from seepseg.runs.folder import RATE_TEST
from seepseg.splits.folds import check_fold
from seepseg.training.epoch import train_batches
from seepseg.training.prepare import prepare
from seepseg.training.run import assemble
from seepseg.training.state import Trainer, start_from
from seepseg.training.step import advice_on_memory, train_step

LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 150
WIDTH = 3.0
"""Standard deviation, in steps, of the Gaussian that smooths the losses; a step is a factor of 1.13 in the rate."""
EXPLODED = 3.0
"""The sweep ends where the mean of the last `RECENT` losses is this many times its lowest value."""
RECENT = 5


@dataclass(frozen=True)
class RateTest:
    """The rates tried, the loss of the batch at each, the losses smoothed, and the rate they suggest.

    `suggested` is the rate at which the smoothed loss falls fastest per decade of the rate; None where it never falls.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    suggested: float | None


def find_rate(config: Config, folder: Path, *, fold: int | None, init: Path | None) -> RateTest:
    """The range test of a config (of its first stage), on a network that is thrown away.

    Leaves find_lr.csv and find_lr.png in the folder; training may still start in it.

    Args:
        config: the recipe.
        folder: where the two files go.
        fold: the fold whose training part is used, for configs with folds.
        init: a run whose weights to start from.

    Raises:
        DataError: no batch has a label, or the very first loss is not finite.
        ResourceError: memory ran out.
    """
    check_fold(config.data.split, fold)
    check_workers(config.runtime.workers)
    device = choose_device(config.runtime.device)
    set_threads(with_threads(config.runtime))
    trainer = assemble(config, prepare(config, fold), device, pretrained=init is None)
    if init:
        start_from(trainer, load_checkpoint(find_checkpoint(init)), init)
    with advice_on_memory(trainer):
        rates, losses = sweep(lambda batch, lr: train_step(trainer, batch, lr), endless(trainer))
    if not rates:
        raise DataError("not one batch gives a finite loss", config.data.root, "run `seepseg data stats`")
    smoothed = smooth(np.array(losses))
    test = RateTest(rates, losses, smoothed.tolist(), steepest(np.array(rates), smoothed))
    table, figure = (folder / name for name in RATE_TEST)
    write_text(table, csv_text(pd.DataFrame({"lr": rates, "loss": losses, "smoothed": smoothed})))
    save_rate_curve(figure, rates, losses, test.smoothed, test.suggested)
    return test


def sweep(step: Callable[[Batch, float], float], batches: Iterator[Batch]) -> tuple[list[float], list[float]]:
    """Rates from `LOWEST` up, evenly in the logarithm, and the loss that `step` gives at each.

    Ends at `HIGHEST`, or earlier where the loss explodes or is not finite. Batches without labels are skipped.
    """
    rates: list[float] = []
    losses: list[float] = []
    lowest = np.inf
    for lr, batch in zip(np.geomspace(LOWEST, HIGHEST, STEPS), batches, strict=False):
        try:
            loss = step(batch, float(lr))
        except NonFiniteLossError:
            break
        if np.isnan(loss):
            continue
        rates.append(float(lr))
        losses.append(loss)
        recent = float(np.mean(losses[-RECENT:]))
        lowest = min(lowest, recent) if len(losses) >= RECENT else lowest
        if recent > EXPLODED * lowest:
            break
    return rates, losses


def smooth(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Losses (n) smoothed by a Gaussian of `WIDTH` steps; at the ends over the neighbours there are.

    Centred, so that the curve does not lag behind the rate as a running average would.
    """
    steps = np.arange(len(losses))
    weights = np.exp(-0.5 * ((steps[:, None] - steps) / WIDTH) ** 2)
    return np.asarray(weights @ losses / weights.sum(1))


def steepest(rates: NDArray[np.float64], smoothed: NDArray[np.float64]) -> float | None:
    """The rate of the steepest descent per decade, searched up to the lowest loss; None where it never falls."""
    end = int(np.argmin(smoothed)) + 1
    if end < 2:
        return None
    slopes = np.gradient(smoothed, np.log10(rates))[:end]
    return float(rates[int(np.argmin(slopes))]) if slopes.min() < 0 else None


def endless(trainer: Trainer) -> Iterator[Batch]:
    """Training batches, one epoch after another; the progress of the trainer counts them."""
    while True:
        for batch in train_batches(trainer):
            yield batch
            trainer.progress.batch += 1
        trainer.progress.epoch, trainer.progress.batch = trainer.progress.epoch + 1, 0
