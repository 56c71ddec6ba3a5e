"""The training loop: epochs of steps, validation, checkpoints; exact under resume and under several processes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from seepseg.errors import InterruptedRun
from seepseg.machine.progress import Tick
from seepseg.runs.checkpoint import save_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.training.board import Board, epoch_line, pictures_due, tile_panels
from seepseg.training.curves import Curves
from seepseg.training.distributed import any_rank, rank, world
from seepseg.training.epoch import close_epoch, gather_buffers, train_epoch, validate
from seepseg.training.guard import StopSignal, advice_on_memory
from seepseg.training.progress import Progress, finished, out_of_patience, stage_over
from seepseg.training.state import Trainer, enter_stage, to_checkpoint


def run_loop(trainer: Trainer, folder: RunFolder, stop: StopSignal, tell: Callable[[str], None], tick: Tick) -> None:
    """Train to the end of the last stage, leaving checkpoints, metrics.csv and TensorBoard in the folder.

    Raises:
        NonFiniteLossError: the loss is NaN or infinite; the message names the tiles.
        InterruptedRun: a signal came; the state is saved.
        ResourceError: memory gave out.
    """
    config, progress = trainer.config, trainer.progress
    begun, saved = progress.epoch, time.monotonic()

    def after_step() -> None:
        nonlocal saved
        tick(progress.batch, trainer.steps_per_epoch)
        if any_rank(stop.number is not None, trainer.device):
            interrupt(trainer, folder, stop)
        if time.monotonic() - saved > 60 * config.train.checkpoint_minutes and world() == 1:
            save_checkpoint(folder.last, to_checkpoint(trainer))
            saved = time.monotonic()

    def before_val_batch() -> None:
        # Validation of a large set outlasts the patience of whoever sent the signal. Resumed, it is done again.
        if stop.number is not None and world() == 1:
            interrupt(trainer, folder, stop)

    with advice_on_memory(trainer), opened_board(folder, progress) as board:
        while not finished(config, progress):
            speed = train_epoch(trainer, after_step)
            gather_buffers(trainer)
            curves = Curves() if pictures_due(config.train, progress.epoch + 1) else None
            val = validate(trainer, before_val_batch, curves.see if curves else None)
            row, better = close_epoch(trainer, val, speed)
            counts = curves.total() if curves else None
            if board:
                # Before the checkpoint: killed in between, the epoch is done again and its first events are hidden.
                board.row(row, progress.epoch)
                if counts is not None:
                    board.panels(tile_panels(trainer), progress.epoch)
                    board.confusion(val.matrix, trainer.data.classes, progress.epoch)
                    board.curves(counts, trainer.data.classes, progress.epoch)
                tell(epoch_line(config, progress, row))
            if stage_over(config, progress) and not finished(config, progress):
                line = next_stage(trainer)
                if board:
                    tell(line)
            if rank() == 0:
                save(trainer, folder, better)
            saved = time.monotonic()
        if board and progress.epoch > begun:
            board.recipe(config, progress)
        if board and out_of_patience(config, progress):
            tell(f"stopped early: no better score for {config.train.early_stopping} epochs")


def next_stage(trainer: Trainer) -> str:
    """Go on to the next stage: another loss, a fresh optimiser and schedule, the same weights; a line that says so."""
    config, progress = trainer.config, trainer.progress
    early = " early" if out_of_patience(config, progress) else ""
    progress.begin_next_stage()
    enter_stage(trainer)
    stage, number = trainer.stage, progress.stage
    return f"stage {number} ended{early}; stage {number + 1}: {stage.loss.name}, {stage.epochs} epochs"


def save(trainer: Trainer, folder: RunFolder, better: bool) -> None:
    """Leave the state at the end of an epoch, and as the best where it is that."""
    # Best before last: killed in between, the epoch is done again and writes the same best.
    if better:
        save_checkpoint(folder.best, to_checkpoint(trainer, resumable=False))
    save_checkpoint(folder.last, to_checkpoint(trainer))
    folder.write_metrics(trainer.progress.rows)


def interrupt(trainer: Trainer, folder: RunFolder, stop: StopSignal) -> NoReturn:
    """Save and raise InterruptedRun."""
    saved = "state saved"
    if world() == 1:
        save_checkpoint(folder.last, to_checkpoint(trainer))
    else:
        # Each process holds partial sums of its own.
        saved = "the last full epoch is saved"
    raise InterruptedRun(stop.number or 15, f"stopped by a signal, {saved}", folder.root, "go on with --resume")


@contextmanager
def opened_board(folder: RunFolder, progress: Progress) -> Iterator[Board | None]:
    """TensorBoard for a `with` block, in the first process only; metrics.csv is brought up to date with it."""
    if rank():
        yield None
        return
    if progress.rows:
        # A kill may have come between the checkpoint and the table.
        folder.write_metrics(progress.rows)
    board = Board(folder.board, progress.epoch + 1)
    try:
        yield board
    finally:
        board.close()
