"""Resuming a run: what may change, and the checkpoint to continue from."""

from __future__ import annotations

from collections.abc import Sequence

from seepseg.config import Config, load, plain
from seepseg.config.read import dotted
from seepseg.errors import CheckpointError, ConfigError
from seepseg.runs.checkpoint import Checkpoint, load_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.training.progress import Progress

RESUMABLE = (
    "runtime.device", "runtime.workers", "runtime.threads", "runtime.compile", "train.epochs", "objects", "tracking",
)  # fmt: skip
"""Keys that may change when a run is resumed, with stages also the epochs of the last.

Object classifiers are trained after all folds, so they can be added or changed later.
"""


def resumed_config(folder: RunFolder, overrides: Sequence[str]) -> Config:
    """The folder's own config with the overrides of a resumed run.

    Raises:
        ConfigError: there is no run in the folder, or an override changes more than `RESUMABLE`.
    """
    if not folder.config.exists():
        raise ConfigError("no run to resume", folder.root, "start it without --resume")
    before, after = load(folder.config), load(folder.config, overrides)
    last = [f"stages.{len(before.stages) - 1}.epochs"] if before.stages else []
    allowed = (*RESUMABLE, *last)
    if changed := [key for key in differing(before, after) if not key.startswith(allowed)]:
        old, new = (dotted(plain(config)).get(changed[0]) for config in (before, after))
        raise ConfigError(
            f"{changed[0]} is {old!r} in the run and {new!r} now",
            folder.root,
            f"a resumed run may change only {', '.join(allowed)}",
        )
    return after


def differing(one: Config, other: Config) -> list[str]:
    """The keys, with dots, whose values in two configs are not the same."""
    old, new = dotted(plain(one)), dotted(plain(other))
    return sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))


def checkpoint_to_resume(folder: RunFolder) -> Checkpoint | None:
    """The checkpoint to resume from; None where there is none yet.

    Raises:
        CheckpointError: it is damaged, or holds no state of its training, as best.pt, or another.
    """
    if not folder.last.exists():
        return None
    checkpoint = load_checkpoint(folder.last)
    if not checkpoint.training:
        fix = f"restore last.pt, or start another run from this network with --init {folder.last}"
        raise CheckpointError("holds weights only, as best.pt does, not the state of its training", folder.last, fix)
    try:
        Progress.from_plain(checkpoint.training["progress"])
        if type(checkpoint.training["world"]) is not int:
            raise TypeError("a number of processes that is none")
    except (KeyError, TypeError, ValueError) as error:
        what = f"not the state of a training that seepseg writes ({error})"
        raise CheckpointError(what, folder.last, "restore it from a copy") from None
    return checkpoint
