"""The training loop: epochs of steps, validation, checkpoints; exact under resume and under several processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import NoReturn

from seepseg.errors import InterruptedRun
from seepseg.machine.progress import Echo, Tick
from seepseg.machine.signals import StopSignal
from seepseg.machine.threads import errors_once
from seepseg.runs.checkpoint import save_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.runs.tracking import tracked
from seepseg.training.board import Board, epoch_line, hyper_parameters, numbers_of, pictures_due, tile_panels
from seepseg.training.curves import PixelCounts, draw_training
from seepseg.training.distributed import any_rank, rank, world
from seepseg.training.epoch import close_epoch, gather_buffers, train_epoch, validate
from seepseg.training.progress import finished, out_of_patience, stage_over
from seepseg.training.state import Trainer, enter_stage, to_checkpoint
from seepseg.training.step import advice_on_memory


def run_loop(trainer: Trainer, folder: RunFolder, stop: StopSignal, echo: Echo, tick: Tick) -> None:
    """Train to the end of the last stage, leaving checkpoints, metrics.csv, curves.png and TensorBoard in the folder.

    Raises:
        NonFiniteLossError: the loss is NaN or infinite; the message names the tiles.
        InterruptedRun: a signal came; the state is saved.
        ResourceError: memory ran out.
    """
    config, progress = trainer.config, trainer.progress
    first, saved = progress.epoch, time.monotonic()

    def after_step() -> None:
        nonlocal saved
        tick(progress.batch, trainer.steps_per_epoch)
        if any_rank(stop.number is not None, trainer.device):
            interrupt(trainer, folder, stop)
        if time.monotonic() - saved > 60 * config.train.checkpoint_minutes and world() == 1:
            save_last(trainer, folder)
            saved = time.monotonic()

    def before_val_batch() -> None:
        # Validating a large set may take longer than the sender of the signal waits. When resumed, it is done again.
        if stop.number is not None and world() == 1:
            interrupt(trainer, folder, stop)

    with advice_on_memory(trainer), opened_board(trainer, folder, echo) as board:
        while not finished(config, progress):
            speed = train_epoch(trainer, after_step)
            gather_buffers(trainer)
            pixels = PixelCounts() if pictures_due(config.train, progress.epoch + 1) else None
            val = validate(trainer, before_val_batch, pixels.update if pixels else None)
            row, better = close_epoch(trainer, val, speed)
            counts = pixels.compute() if pixels else None
            if board:
                folder.check_there()
                # Before the checkpoint: killed in between, the epoch is done again and its first events are hidden.
                board.row(row, progress.epoch)
                if counts is not None:
                    board.panels(tile_panels(trainer), progress.epoch)
                    board.confusion(val.matrix, trainer.data.classes, progress.epoch)
                    board.curves(counts, trainer.data.classes, progress.epoch)
                    draw_curves(trainer, folder)
                echo(epoch_line(config, progress, row))
            if stage_over(config, progress) and not finished(config, progress):
                line = next_stage(trainer)
                if board:
                    echo(line)
            if rank() == 0:
                save(trainer, folder, better)
            saved = time.monotonic()
        if board and progress.epoch > first:
            board.recipe(config, progress)
        if board and out_of_patience(config, progress):
            echo(f"stopped early: no better score for {config.train.early_stopping} epochs")


def next_stage(trainer: Trainer) -> str:
    """Begin the next stage (its loss, a fresh optimiser and schedule, the same weights); a line that says so."""
    config, progress = trainer.config, trainer.progress
    early = " early" if out_of_patience(config, progress) else ""
    progress.begin_next_stage()
    enter_stage(trainer)
    stage, number = trainer.stage, progress.stage
    return f"stage {number} ended{early}; stage {number + 1}: {stage.loss.name}, {stage.epochs} epochs"


def save(trainer: Trainer, folder: RunFolder, better: bool) -> None:
    """Save the state at the end of an epoch, also as the best where it is."""
    # Best before last: killed in between, the epoch is done again and writes the same best.
    if better:
        save_checkpoint(folder.best, to_checkpoint(trainer, resumable=False))
    save_last(trainer, folder)
    folder.write_metrics(trainer.progress.rows)


def save_last(trainer: Trainer, folder: RunFolder) -> None:
    """Save the state to resume from; ResourceError where the folder is no more."""
    folder.check_there()
    save_checkpoint(folder.last, to_checkpoint(trainer))


def interrupt(trainer: Trainer, folder: RunFolder, stop: StopSignal) -> NoReturn:
    """Save and raise InterruptedRun."""
    saved = "state saved"
    if world() == 1:
        save_last(trainer, folder)
    else:
        # Each process holds partial sums of its own.
        saved = "the last full epoch is saved"
    raise InterruptedRun(stop.number or 15, f"stopped by a signal, {saved}", folder.root, "continue with --resume")


@contextmanager
def opened_board(trainer: Trainer, folder: RunFolder, echo: Echo) -> Iterator[Board | None]:
    """TensorBoard for a `with` block, in the first process only; curves.png is drawn when the block ends.

    With `tracking.mlflow`, MLflow gets its numbers too, at first those that it lacks of the epochs before.
    """
    if rank():
        yield None
        return
    progress, place = trainer.progress, trainer.config.tracking.mlflow
    if progress.rows:
        # A kill may have come between the checkpoint and the table.
        folder.write_metrics(progress.rows)
    with ExitStack() as stack:
        stack.callback(draw_curves, trainer, folder)
        stack.enter_context(errors_once())
        board = stack.enter_context(closing(Board(folder.board, progress.epoch + 1)))
        if place:
            board.send = stack.enter_context(tracked(place, folder, hyper_parameters(trainer.config), echo))
            for row in progress.rows:
                board.send(numbers_of(row), int(row["epoch"]))
        yield board


def draw_curves(trainer: Trainer, folder: RunFolder) -> None:
    """Draw curves.png, where an epoch is finished."""
    progress = trainer.progress
    if progress.rows and folder.config.exists():
        draw_training(folder.curves, progress.rows, progress.best_epoch, len(trainer.data.classes))
