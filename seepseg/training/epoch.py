"""One epoch: its batches, its validation, and its row of metrics.csv."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from torch import Tensor

from seepseg.data.dataset import Draw
from seepseg.data.loader import Batch, epoch_draws, in_batches, load_batches
from seepseg.inference.predictor import Predictor
from seepseg.inference.score import Decoding, Sums, score
from seepseg.machine.ahead import ahead
from seepseg.training.board import monitored, part_row
from seepseg.training.distributed import rank, same_buffers, sum_over_ranks, world
from seepseg.training.progress import Row
from seepseg.training.state import Trainer
from seepseg.training.step import train_step


def train_epoch(trainer: Trainer, after_step: Callable[[], None]) -> float:
    """Train on the rest of the current epoch; the speed in tiles per second.

    `after_step` is called after each batch and may raise.
    """
    progress, begin, first = trainer.progress, time.perf_counter(), trainer.progress.batch
    for batch in train_batches(trainer):
        train_step(trainer, batch)
        progress.batch += 1
        after_step()
    return (progress.batch - first) * trainer.config.train.batch_size / (time.perf_counter() - begin)


def train_batches(trainer: Trainer) -> Iterator[Batch]:
    """The batches left of the current epoch; each process takes its share of every batch."""
    trainer.parallel.train()
    config, train, progress = trainer.config, trainer.data.train, trainer.progress
    draws = epoch_draws(train.catalog, config.data.sampling, config.seed, progress.epoch)
    batches = in_batches(draws, config.train.batch_size, drop_last=True)[progress.batch :]
    shares = [b[rank() :: world()] for b in batches]
    loader = load_batches(train, shares, config.runtime.workers, pin=trainer.device.type == "cuda")
    # Without workers, a thread makes the next batch while the network trains on this one.
    return loader if config.runtime.workers else ahead(loader)


def validate(
    trainer: Trainer, before_batch: Callable[[], None], on_batch: Callable[[Tensor, Tensor], None] | None
) -> Sums:
    """Sums over the validation tiles with the averaged weights; the processes share the tiles.

    Args:
        trainer: the network and its data.
        before_batch: called before each batch; may raise.
        on_batch: called with probabilities (N, K, H, W) and masks (N, H, W) of this process's batches.
    """
    config, val = trainer.config, trainer.data.val
    trainer.predicts.eval()
    predictor = Predictor(trainer.predicts, config, trainer.device)
    # Fixed blocks of the catalog's order, whatever the number of processes.
    blocks = in_batches([Draw(i) for i in range(len(val))], config.predict.batch_size, drop_last=False)
    shares = [(i, b) for i, b in enumerate(blocks) if i % world() == rank()]
    loader = load_batches(val, [b for _, b in shares], 0)

    def numbered() -> Iterator[tuple[int, Batch]]:
        for (number, _), batch in zip(shares, loader, strict=True):
            before_batch()
            yield number, batch

    classes = len(trainer.data.classes)
    decoding = Decoding(config.predict)
    return sum_over_ranks(score(predictor, numbered(), classes, decoding, trainer.loss, on_batch=on_batch))


def close_epoch(trainer: Trainer, val: Sums, tiles_per_second: float) -> tuple[Row, bool]:
    """The row of the epoch just trained and validated, and whether its score is the best; progress moves on.

    Of two equal scores the earlier is the best.
    """
    progress, classes = trainer.progress, trainer.data.classes
    progress.epoch, progress.batch = progress.epoch + 1, 0
    sums = trainer.sums
    train = sum_over_ranks(Sums(sums.matrix, sums.tiles, sums.n_tiles, 0, sums.floats))
    trainer.sums = Sums.empty(len(classes))
    row = {
        "epoch": float(progress.epoch),
        "stage": float(progress.stage + 1),
        "lr": trainer.optimizer.param_groups[0]["lr"],
        "tiles_per_second": tiles_per_second,
        "skipped_batches": float(progress.skipped),
    }
    row |= part_row("train", train, classes) | part_row("val", val, classes)
    progress.val_losses.append(row["val/loss"])
    progress.rows.append(row)
    current = row.get(monitored(trainer.config), 0.0)
    better = progress.best is None or current > progress.best
    if better:
        progress.best, progress.best_epoch = current, progress.epoch
    return row, better


def gather_buffers(trainer: Trainer) -> None:
    """Give every process the batch-norm statistics of the first, so that all validate the same network."""
    same_buffers(trainer.model, *([trainer.ema] if trainer.ema else []))
