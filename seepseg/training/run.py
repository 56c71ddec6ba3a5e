"""A training run from config to best checkpoint; reads top to bottom."""

from __future__ import annotations

import time
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import torch

from seepseg.config import Config, dump
from seepseg.errors import ConfigError
from seepseg.inference.predictor import place
from seepseg.io.atomic import write_text
from seepseg.machine.cores import check_workers, cores
from seepseg.machine.device import choose_device, deterministic, memory_gib, set_threads, with_threads
from seepseg.machine.progress import Echo, Tick, silent
from seepseg.machine.signals import stop_signals
from seepseg.models.build import build_model
from seepseg.models.encoder_weights import start_encoder
from seepseg.models.packaged import weights_file
from seepseg.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from seepseg.runs.find import find_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.runs.tracking import check_tracking
from seepseg.splits.folds import check_fold
from seepseg.training.board import monitored
from seepseg.training.compiled import kept_mode, settle
from seepseg.training.distributed import barrier, device_name, process_group, rank, world
from seepseg.training.epoch import train_batches
from seepseg.training.loop import run_loop
from seepseg.training.prepare import TrainingData, prepare
from seepseg.training.progress import stages_of
from seepseg.training.resume import checkpoint_to_resume
from seepseg.training.state import Trainer, restore, start_from, to_checkpoint
from seepseg.training.step import advice_on_memory, train_step


def train(
    config: Config,
    folder: RunFolder,
    *,
    fold: int | None = None,
    resume: bool = False,
    init: Path | None = None,
    echo: Echo = print,
    tick: Tick = silent,
) -> Checkpoint:
    """Train a config in a run folder, or resume the run in it; the best checkpoint.

    Args:
        config: the recipe; with `resume`, the folder's own (see `resumed_config`).
        fold: the fold to validate on, for configs with folds.
        init: a run whose weights to start from.
        tick: called after each batch with the batches done of the epoch.

    Raises:
        SeepsegError: a child that says what is wrong (see DESIGN: exit codes).
    """
    check_tracking(config.tracking)
    check_workers(config.runtime.workers)
    with ExitStack() as stack:
        stack.enter_context(process_group(config.runtime.device))
        if rank() == 0:
            if not resume:
                folder.refuse_existing()
            stack.enter_context(folder.locked())
        device = choose_device(device_name(config.runtime.device))
        if device.type == "cuda":
            # NCCL sends objects, and waits, on the current device, which is the first GPU in every process.
            torch.cuda.set_device(device)
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        if not resume and device.type == "cpu":
            config = config.model_copy(update={"runtime": with_threads(config.runtime)})
        set_threads(config.runtime)
        if config.runtime.deterministic:
            stack.enter_context(deterministic())
        checkpoint = checkpoint_to_resume(folder) if resume else None
        if checkpoint and checkpoint.training.get("world") != world():
            raise ConfigError(
                f"the run was trained by {checkpoint.training['world']} processes, now there are {world()}",
                folder.root,
                "start as many as before",
            )
        if resume and not (checkpoint or init):
            init = folder.read_init()
        start = load_checkpoint(find_checkpoint(init)) if init and not checkpoint else None
        if not (checkpoint or start):
            weights_file(config.model)  # before all data are read
        splits = folder.read_splits() if resume and folder.splits.exists() else None
        data = prepare(config, fold, splits, checkpoint.scaling if checkpoint else None)
        # Before the folder is made: an error here must not leave one. A checkpoint holds all weights, so the file of
        # encoder weights may be gone by now.
        config = kept_mode(config, checkpoint)
        trainer = assemble(config, data, device, pretrained=not (checkpoint or start), echo=echo)
        mode = settle(trainer)
        config = trainer.config
        if checkpoint:
            restore(trainer, checkpoint, folder.last)
        elif start:
            start_from(trainer, start, init)
        if rank() == 0:
            if checkpoint:
                write_text(folder.config, dump(config))
            else:
                folder.create(config, init)
            folder.write_splits(data.splits)
            if start:
                # Killed before its first checkpoint, the run resumes from these weights, whatever became of that file.
                save_checkpoint(folder.last, to_checkpoint(trainer))
            echo(f"{summary(config, data, device)}\n{mode}")
            for warning in data.train.catalog.warnings:
                echo(f"warning: {warning}")
            if not data.val.catalog.pixels()[:, 1:].any():
                echo(
                    f"warning: no pixel of the {len(data.val)} validation tiles is foreground, so {monitored(config)} "
                    "cannot say which epoch is the best: change data.split"
                )
        barrier()
        if config.runtime.workers:
            # Before signals are caught: it may take minutes, and interrupting it loses nothing.
            data.train.preload()
            data.val.preload()
        stop = stack.enter_context(stop_signals())
        run_loop(trainer, folder, stop, echo, tick)
        barrier()  # the first process may still be writing
    return load_checkpoint(folder.best)


def assemble(
    config: Config,
    data: TrainingData,
    device: torch.device,
    *,
    pretrained: bool = True,
    echo: Echo = lambda line: None,
) -> Trainer:
    """The trainer of a config: network, loss, optimiser and data, freshly initialised from the seed.

    Args:
        pretrained: read `model.encoder_weights`, where the config names some.
        echo: called with one line about what it filled.
    """
    torch.manual_seed(config.seed)
    model = build_model(config.model, config.data.n_channels, len(data.classes))
    report = start_encoder(model, config.model) if pretrained else None
    if report and rank() == 0:
        echo(str(report))
    return Trainer(config, data, place(model, device), device)


def dry_run(config: Config, fold: int | None) -> dict[str, float | str]:
    """What a run, or one fold of it, would cost: batch, memory (NaN: unknown) and time, from a few real steps."""
    check_fold(config.data.split, fold)
    check_workers(config.runtime.workers)
    device = choose_device(config.runtime.device)
    set_threads(with_threads(config.runtime))
    trainer = assemble(config, prepare(config, fold), device)
    seconds, loss = [], 0.0
    with advice_on_memory(trainer):
        for batch in islice(train_batches(trainer), 4):
            begin = time.perf_counter()
            loss = train_step(trainer, batch)
            seconds.append(time.perf_counter() - begin)
    step = sorted(seconds[1:] or seconds)[len(seconds[1:]) // 2]
    one = "one fold" if config.data.split.folds else "the run"
    return {
        "device": str(device),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "batch": "×".join(map(str, batch.image.shape)),
        "loss": loss,
        "memory_gib": memory_gib(device),
        "seconds_per_step": step,
        "steps": trainer.steps_per_epoch * config.train.epochs,
        "hours": step * trainer.steps_per_epoch * config.train.epochs / 3600,
        "hours cover": f"the training steps of {one}; not validation, nor waiting for data",
    }


def summary(config: Config, data: TrainingData, device: torch.device) -> str:
    """One line of what is about to be trained."""
    threads = f" with {torch.get_num_threads()} of {cores()} threads" if device.type == "cpu" else ""
    losses = " then ".join(stage.loss.name for stage in stages_of(config))
    return (
        f"{config.model.name} ({config.model.head}), {losses}, {len(data.train)} training and "
        f"{len(data.val)} validation tiles, {config.train.epochs} epochs on {device}{threads}"
    )
