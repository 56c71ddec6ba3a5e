"""Which folders and checkpoints a RUN of the command line means."""

from __future__ import annotations

from pathlib import Path

from seepseg.config import load
from seepseg.errors import ConfigError
from seepseg.runs.folder import RunFolder


def fold_folder(run: Path, fold: int | None) -> Path:
    """The folder of one fold of a run, or of the run; ConfigError where there is no such fold."""
    if fold is None:
        return run
    folder = run / f"fold_{fold}"
    if not folder.is_dir():
        raise ConfigError(f"no fold {fold}", run, "train it with --fold")
    return folder


def find_checkpoint(run: Path) -> Path:
    """The checkpoint a RUN means: a .pt file itself, else the folder's best, else its last.

    For a fold with an object classifier it is the last, which holds the classifier: that was trained on its weights.

    Raises:
        ConfigError: there is none.
    """
    if run.is_file():
        return run
    folder = RunFolder(run)
    for candidate in (folder.last, folder.best) if _holds_objects(folder) else (folder.best, folder.last):
        if candidate.exists():
            return candidate
    if fold_folders(run):
        raise ConfigError(
            "holds folds, not one run",
            run,
            f"give one of them, for example {run / 'fold_0'} (eval: or --split oof or test, or --data ROOT)",
        )
    raise ConfigError("no checkpoint", run, "give a run folder that `seepseg train` made, or a .pt file")


def _holds_objects(folder: RunFolder) -> bool:
    """Whether the last checkpoint holds an object classifier; it is read only where the config has `objects`."""
    from seepseg.runs.checkpoint import load_checkpoint

    config = load(folder.config) if folder.config.exists() else None
    return bool(config and config.objects and folder.last.exists() and load_checkpoint(folder.last).objects)


def find_checkpoints(run: Path) -> list[Path]:
    """The checkpoints a RUN means: the last ones of its folds where it has folds, else that of `find_checkpoint`.

    An ensemble of folds, and their pooled scores, take the weights at a fixed length: the best epoch of a fold is
    chosen on the tiles it is scored on.
    """
    return [fold.last for fold in folds_of(run)] or [find_checkpoint(run)]


def run_root(run: Path) -> Path:
    """The folder of the run or fold that a RUN means, a .pt file in it or itself."""
    if not run.is_file():
        return run
    return run.parent.parent if run.parent.name == "checkpoints" else run.parent


def folds_of(run: Path) -> list[RunFolder]:
    """The folders of the folds of a run, in order; empty for a run without folds.

    Raises:
        ConfigError: one of them is without a checkpoint.
    """
    folds = [RunFolder(folder) for folder in fold_folders(run).values()]
    for fold in folds:
        if not fold.last.exists():
            raise ConfigError("no checkpoint", fold.root, "train the fold to its end with `seepseg train … --resume`")
    return folds


def fold_folders(run: Path) -> dict[int, Path]:
    """fold_0, fold_1, … by number, in order; a copy of one, fold_0_old, is none."""
    found = {path.name: path for path in run.glob("fold_*") if path.is_dir()}
    numbers = [int(name[5:]) for name in found if name[5:].isdecimal()]
    return {k: found[f"fold_{k}"] for k in sorted(numbers) if f"fold_{k}" in found}
