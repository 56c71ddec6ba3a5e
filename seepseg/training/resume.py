"""Resuming a run: what may change, and the checkpoint to continue from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from seepseg.config import Config, load, plain
from seepseg.errors import CheckpointError, ConfigError
from seepseg.runs.checkpoint import Checkpoint, load_checkpoint
from seepseg.runs.folder import RunFolder
from seepseg.training.progress import Progress

PROGRESS = {field.name for field in fields(Progress)}
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
    old, new = dotted(plain(before)), dotted(plain(after))
    changed = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k) and not k.startswith(allowed))
    if changed:
        key = changed[0]
        raise ConfigError(
            f"{key} is {old.get(key)!r} in the run and {new.get(key)!r} now",
            folder.root,
            f"a resumed run may change only {', '.join(allowed)}",
        )
    return after


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
    begun = checkpoint.training.get("progress")
    if type(checkpoint.training.get("world")) is not int or not isinstance(begun, dict) or begun.keys() != PROGRESS:
        raise CheckpointError("not the state of a training that seepseg writes", folder.last, "restore it from a copy")
    return checkpoint


def dotted(tree: object, prefix: str = "") -> dict[str, object]:
    """The leaves of a tree of dicts and lists of dicts, by dotted key."""
    if isinstance(tree, list) and tree and all(isinstance(item, dict) for item in tree):
        tree = {str(i): item for i, item in enumerate(tree)}
    if not isinstance(tree, dict):
        return {prefix: tree}
    return {k: v for name, below in tree.items() for k, v in dotted(below, f"{prefix}.{name}".strip(".")).items()}
