"""All folds of a config, trained one after another or several at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from seepseg.config import Config, Runtime
from seepseg.errors import SeepsegError
from seepseg.machine.device import with_threads
from seepseg.machine.executors import processes
from seepseg.machine.progress import Echo, Tick, silent
from seepseg.runs.checkpoint import load_checkpoint
from seepseg.runs.find import fold_folders
from seepseg.runs.folder import RunFolder
from seepseg.training.progress import Progress, finished
from seepseg.training.resume import checkpoint_to_resume, resumed_config
from seepseg.training.run import train


@dataclass(frozen=True)
class Best:
    """The best checkpoint of a run: its score, epoch and file."""

    score: float
    epoch: int
    path: Path


@dataclass(frozen=True, eq=False)
class FoldRun:
    """One fold to train: its config, its folder, and whether the folder holds part of it already.

    Equal to itself only: executors keep units in sets, and a config with its lists has no hash.
    """

    config: Config
    root: Path
    fold: int | None
    resume: bool

    def done(self) -> Best | None:
        """The best checkpoint where the fold is trained to its end."""
        folder = RunFolder(self.root)
        if not self.resume or not folder.best.exists():
            return None
        last = checkpoint_to_resume(folder)
        over = last and finished(self.config, Progress.from_plain(last.training["progress"]))
        return best_of(folder) if over else None


def plan_one(config: Config, root: Path, fold: int | None, resume: bool, overrides: Sequence[str]) -> FoldRun:
    """A run without folds, or one fold, which has a folder below the run; resumed, it has its folder's own config.

    Raises:
        ConfigError: an override changes more than a resumed run may.
    """
    folder = root if fold is None else root / f"fold_{fold}"
    return FoldRun(resumed_config(RunFolder(folder), overrides) if resume else config, folder, fold, resume)


def plan(config: Config, root: Path, resume: bool, overrides: Sequence[str]) -> list[FoldRun]:
    """Every fold of a config, in folders below the run; resumed, those already started have their own config.

    The others then have that of the first of these, but for `runtime`, which each settles for itself: all folds are of
    one recipe, whatever its file says by now.

    Raises:
        ConfigError: an override changes more than a resumed run may.
    """
    started = {int(f.name.removeprefix("fold_")) for f in fold_folders(root) if resume and RunFolder(f).config.exists()}
    if started:
        first = plan_one(config, root, min(started), True, overrides).config
        config = first.model_copy(update={"runtime": config.runtime})
    folds = range(config.data.split.folds or 0)
    return [plan_one(config, root, fold, fold in started, overrides) for fold in folds]


def train_fold(run: FoldRun, init: Path | None, echo: Echo, tick: Tick) -> Best:
    """Train a fold to its end; its best checkpoint."""
    folder = RunFolder(run.root)
    train(run.config, folder, fold=run.fold, resume=run.resume, init=init, echo=echo, tick=tick)
    return best_of(folder)


def train_together(
    runs: Sequence[FoldRun], init: Path | None, jobs: int, echo: Echo
) -> Iterator[tuple[FoldRun, Best | SeepsegError]]:
    """Folds with their best checkpoint or their error, as they end, `jobs` at a time, one process each.

    They share the idle cores, unless the config says how many each takes. A fold already started
    keeps its own number: its weights depend on it. `echo` is called there, so it can be pickled.
    """
    threads = max(1, (with_threads(Runtime()).threads or 1) // jobs)
    yield from processes([_with_threads(run, threads) for run in runs], partial(_alone, init=init, echo=echo), jobs)


def best_of(folder: RunFolder) -> Best:
    """The best checkpoint of a run folder."""
    best = load_checkpoint(folder.best)
    assert best.score is not None, "a best checkpoint is one that was scored"
    return Best(best.score, best.epoch, folder.best)


def _with_threads(run: FoldRun, threads: int) -> FoldRun:
    runtime = run.config.runtime
    if run.resume or runtime.threads:
        return run
    return replace(
        run, config=run.config.model_copy(update={"runtime": runtime.model_copy(update={"threads": threads})})
    )


def _alone(run: FoldRun, init: Path | None, echo: Echo) -> Best | SeepsegError:
    """`train_fold` in a process of its own; an error is returned, so that the other folds continue."""
    try:
        return train_fold(run, init, lambda line: echo(f"fold {run.fold}  {line}"), silent)
    except SeepsegError as error:
        return error
