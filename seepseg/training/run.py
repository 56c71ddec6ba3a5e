"""A training run from config to best checkpoint; reads top to bottom."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch

from seepseg.classes import ClassTable
from seepseg.config import Config, dump, load, plain
from seepseg.data.augment import build_augmentation
from seepseg.data.catalog import Catalog
from seepseg.data.dataset import TileDataset
from seepseg.data.scaling import FittedScaling, Limits, fit_scaling, group_limits
from seepseg.data.sources import open_catalog, read_image, with_counts
from seepseg.data.splits import make_splits, part
from seepseg.errors import ConfigError, DataError
from seepseg.inference.device import choose_device, set_threads
from seepseg.inference.predictor import place
from seepseg.io.atomic import write_text
from seepseg.losses.build import build_loss
from seepseg.models.build import build_model
from seepseg.models.encoder_weights import start_encoder
from seepseg.runs.checkpoint import Checkpoint, load_checkpoint
from seepseg.runs.folder import RunFolder, find_checkpoint, folder_lock
from seepseg.training.distributed import barrier, device_name, process_group, rank, world
from seepseg.training.guard import be_deterministic, stop_signals
from seepseg.training.loop import Trainer

RESUMABLE = ("runtime.device", "runtime.workers", "train.epochs")
"""What may change between two parts of one run; anything else would be another run."""


@dataclass(frozen=True)
class TrainingData:
    """The two parts a run reads, its scaling, and the split they come from."""

    train: TileDataset
    val: TileDataset
    scaling: FittedScaling
    classes: ClassTable
    splits: pd.DataFrame


def train(
    config: Config,
    folder: RunFolder,
    *,
    fold: int | None = None,
    resume: bool = False,
    init: Path | None = None,
    tell: Callable[[str], None] = print,
    tick: Callable[[int, int], None] = lambda done, of: None,
) -> Checkpoint:
    """Train a config in a run folder, or go on where the folder stopped; the best checkpoint.

    Args:
        config: the recipe; with `resume`, the folder's own one (see `resumed_config`).
        fold: the fold to validate on, for configs with folds.
        init: a run whose weights to start from.
        tell: takes each line meant for the user.
        tick: called after each batch with how many of the epoch are done.

    Raises:
        SeepsegError: a child that says what is wrong (see DESIGN: exit codes).
    """
    with ExitStack() as stack:
        stack.enter_context(process_group())
        if rank() == 0:
            if not resume:
                folder.refuse_existing()
            stack.enter_context(folder_lock(folder.root))
        device = choose_device(device_name(config.runtime.device))
        set_threads(config.runtime)
        if config.runtime.deterministic:
            be_deterministic()
        checkpoint = load_checkpoint(folder.last) if resume and folder.last.exists() else None
        if checkpoint and checkpoint.training["world"] != world():
            raise ConfigError(
                f"the run was trained by {checkpoint.training['world']} processes, now there are {world()}",
                folder.root,
                "start as many as before",
            )
        splits = folder.read_splits() if resume and folder.splits.exists() else None
        data = prepare(config, fold, splits, checkpoint.scaling if checkpoint else None)
        # Before the folder: a mistake found here must not leave one. A checkpoint brings all weights, so the file that
        # they once started from may be gone.
        trainer = assemble(config, data, device, pretrained=not (checkpoint or init), tell=tell)
        if rank() == 0:
            if not resume:
                folder.create(config)
            elif checkpoint:
                write_text(folder.config, dump(config))
            folder.write_splits(data.splits)
        barrier()
        if checkpoint:
            trainer.restore(checkpoint, folder.last)
        elif init:
            trainer.start_from(load_checkpoint(find_checkpoint(init)), init)
        if rank() == 0:
            tell(summary(config, data, device))
        stop = stack.enter_context(stop_signals())
        trainer.fit(folder, stop, tell, tick)
    return load_checkpoint(folder.best)


def prepare(
    config: Config, fold: int | None, splits: pd.DataFrame | None = None, scaling: FittedScaling | None = None
) -> TrainingData:
    """Catalog, split, scaling and the two datasets; splits and scaling of an earlier part of the run are obeyed."""
    catalog = with_counts(labelled(open_catalog(config.data)), config.data)
    if splits is None:
        splits = make_splits(catalog, config.data.split, config.seed, fold)
    elif set(splits["id"]) != {t.id for t in catalog.tiles}:
        raise DataError("the tiles are not those the run began with", config.data.root, "restore them to resume")
    parts = {name: catalog.subset(part(splits, name)) for name in ("train", "val")}
    limits: dict[str, Limits] = {}
    if scaling is None:
        images = ((t.group, *read_image(t.image, config.data)) for t in parts["train"].tiles)
        scaling = fit_scaling(config.data.scaling, images, len(parts["train"]))
    if config.data.scaling.basis == "scene":
        limits = group_limits(
            config.data.scaling, ((t.group, *read_image(t.image, config.data)) for t in catalog.tiles)
        )
    augmentation = build_augmentation(config.data.augment)
    train_set = TileDataset(parts["train"], config.data, scaling, limits, augmentation)
    return TrainingData(
        train_set, TileDataset(parts["val"], config.data, scaling, limits), scaling, catalog.classes, splits
    )


def labelled(catalog: Catalog) -> Catalog:
    """The tiles whose truth is known.

    Raises:
        DataError: there is none.
    """
    known = catalog.subset([t.id for t in catalog.tiles if t.labelled])
    if not len(known):
        raise DataError("no labelled tile", "data", "training needs masks; set data.masks")
    return known


def assemble(
    config: Config,
    data: TrainingData,
    device: torch.device,
    *,
    pretrained: bool = True,
    tell: Callable[[str], None] = lambda line: None,
) -> Trainer:
    """The trainer of a config: network, loss, optimiser and data, freshly initialised from the seed.

    Args:
        pretrained: read `model.encoder_weights`, where the config names them.
        tell: takes one line about what they filled.
    """
    torch.manual_seed(config.seed)
    model = build_model(config.model, config.data.n_channels, len(data.classes))
    report = start_encoder(model, config.model) if pretrained else None
    if report and rank() == 0:
        tell(str(report))
    model = place(model, config.runtime, device)
    loss = build_loss(config.loss, config.model.head, len(data.classes)).to(device)
    return Trainer(config, data.classes, data.scaling, model, loss, data.train, data.val, device)


def dry_run(config: Config, fold: int | None = None) -> dict[str, float | str]:
    """What a run would cost, from a few real steps: batch, memory, seconds a step and for the whole."""
    device = choose_device(config.runtime.device)
    set_threads(config.runtime)
    trainer = assemble(config, prepare(config, fold), device)
    seconds, loss = [], 0.0
    for batch in trainer.first_batches(4):
        begin = time.perf_counter()
        loss = trainer.step(batch)
        seconds.append(time.perf_counter() - begin)
    step = sorted(seconds[1:] or seconds)[len(seconds[1:]) // 2]
    return {
        "device": str(device),
        "parameters": sum(p.numel() for p in trainer.model.parameters()),
        "batch": "×".join(map(str, batch.image.shape)),
        "loss": loss,
        "memory_gib": memory_gib(device),
        "seconds_per_step": step,
        "steps": trainer.steps_per_epoch * config.train.epochs,
        "hours": step * trainer.steps_per_epoch * config.train.epochs / 3600,
    }


def memory_gib(device: torch.device) -> float:
    """Most memory held so far, on the GPU or by this process, in GiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def resumed_config(folder: RunFolder, overrides: list[str]) -> Config:
    """The folder's own config with overrides that a resumed run may have.

    Raises:
        ConfigError: there is no run in the folder, or an override changes more than `RESUMABLE`.
    """
    if not folder.config.exists():
        raise ConfigError("no run to resume", folder.root, "start it without --resume")
    before, after = load(folder.config), load(folder.config, overrides)
    old, new = flat(plain(before)), flat(plain(after))
    changed = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k) and k not in RESUMABLE)
    if changed:
        key = changed[0]
        raise ConfigError(
            f"{key} is {old.get(key)!r} in the run and {new.get(key)!r} now",
            folder.root,
            f"a resumed run may change only {', '.join(RESUMABLE)}",
        )
    return after


def flat(tree: object, prefix: str = "") -> dict[str, object]:
    """Dotted keys of a tree of dicts."""
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {k: v for name, below in tree.items() for k, v in flat(below, f"{prefix}.{name}".strip(".")).items()}


def summary(config: Config, data: TrainingData, device: torch.device) -> str:
    """One line of what is about to be trained."""
    return (
        f"{config.model.name} ({config.model.head}), {config.loss.name}, {len(data.train)} training and "
        f"{len(data.val)} validation tiles, {config.train.epochs} epochs on {device}"
    )
