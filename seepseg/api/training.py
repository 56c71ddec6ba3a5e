"""Training from a program."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seepseg.api.model import Model
from seepseg.config import load
from seepseg.errors import ConfigError
from seepseg.io.files import local_path
from seepseg.machine.progress import Tick, silent
from seepseg.training.folds import plan, plan_one, train_fold
from seepseg.training.objects import settle_object_classifiers

logger = logging.getLogger("seepseg")


def train(
    config: str | os.PathLike[str] | Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    *,
    run: str | os.PathLike[str] | None = None,
    fold: int | None = None,
    all_folds: bool = False,
    resume: bool = False,
    init: str | os.PathLike[str] | None = None,
    device: str | None = None,
    progress: Tick = silent,
) -> Model:
    """The model of a config, trained: what `seepseg train` does; its lines go to the log "seepseg" at level INFO.

    Examples:
        >>> import seepseg
        >>> overrides = {"train.epochs": 1, "train.batch_size": 4, "model.channels": [8, 16, 32]}
        >>> model = seepseg.train("demo_seep", overrides, run="runs/short")
        >>> model.run.name, model.config["train"]["epochs"]
        ('short', 1)
        >>> seepseg.train("demo_seep", {"train.epoch": 1})
        Traceback (most recent call last):
        seepseg.errors.ConfigError: unknown key train.epoch (did you mean epochs?) ...

    Args:
        config: a YAML file, the name of a shipped recipe, or a mapping of the same keys.
        overrides: dotted keys and their values, laid over it one after the other, as `-s` on the command line:
            `{"loss": "focal_tversky", "loss.gamma": 2}`.
        run: the run folder; `runs/<name of the config>` unless given, and needed for a mapping.
        fold: the fold to validate on, for configs with folds; its folder is `fold_<k>` below the run.
        all_folds: train every fold, and the classifier of objects where the config has one.
        resume: continue the run in the folder, with the folder's own config; with all folds, those not finished.
        init: start from the weights of another run.
        device: "auto", "cpu", "cuda" or "cuda:1"; the config's unless given.
        progress: called with the batches done of an epoch, and of how many.

    Raises:
        ConfigError: a key or value is wrong (all are listed at once), or the folder exists.
        DataError: the data are not what they should be.
        NonFiniteLossError: the loss is NaN or infinite.
        ResourceError: memory or disk ran out.
        LockedError: another process trains there.
        InterruptedRun: Ctrl-C or SIGTERM; the state is saved, and `resume` continues.
    """
    if fold is not None and all_folds:
        raise ConfigError("fold does not go with all_folds", "train", "give one of them")
    named = None if isinstance(config, Mapping) else local_path(os.fspath(config))
    if run is None and named is None:
        raise ConfigError("a config that is a mapping names no run", "train", "give run")
    root = Path("runs") / named.stem if run is None and named else local_path(os.fspath(run or ""))
    chosen = _overrides({**(overrides or {}), **({"runtime.device": device} if device else {})})
    recipe = load(config if isinstance(config, Mapping) else named or Path(), chosen)
    start = None if init is None else local_path(os.fspath(init))
    if not all_folds:
        one = plan_one(recipe, root, fold, resume, chosen, start)
        train_fold(one, _log, progress)
        return Model(one.root, one.config.runtime.device)
    folds = plan(recipe, root, resume, chosen, start)
    for one in folds:
        if not one.done():
            train_fold(one, _log, progress)
    settle_object_classifiers(folds[0].config, root, _log)
    return Model(root, folds[0].config.runtime.device)


def _log(line: str) -> None:
    warning = line.startswith("warning: ")
    logger.log(logging.WARNING if warning else logging.INFO, line.removeprefix("warning: "))


def _overrides(values: Mapping[str, Any]) -> list[str]:
    """Overrides as the command line has them: JSON is YAML."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            # It would replace the whole node, defaults for the keys it leaves out.
            fix = f'give dotted keys: {{"{key}.{next(iter(value), "name")}": …}}'
            raise ConfigError(f"the override {key} is a mapping", "train", fix)
    return [f"{key}={json.dumps(value, default=_plain)}" for key, value in values.items()]


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy as those of Python, and all else as text: paths."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
