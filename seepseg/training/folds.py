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
from seepseg.splits.folds import check_fold
from seepseg.training.progress import Progress, finished
from seepseg.training.resume import checkpoint_to_resume, differing, resumed_config
from seepseg.training.run import train

SETTLED = ("threads", "compile")
"""Keys of `runtime` that a start settles for itself."""


@dataclass(frozen=True)
class Best:
    """The best checkpoint of a run: its score, epoch and file."""

    score: float
    epoch: int
    path: Path


@dataclass(frozen=True, eq=False)
class FoldRun:
    """One fold to train: its config, its folder, whether that holds part of it already, and the run it starts from.

    Equal to itself only: executors keep units in sets, and a config with its lists has no hash.
    """

    config: Config
    root: Path
    fold: int | None
    resume: bool
    init: Path | None = None

    def done(self) -> Best | None:
        """The best checkpoint where the fold is trained to its end."""
        folder = RunFolder(self.root)
        if not self.resume or not folder.best.exists():
            return None
        last = checkpoint_to_resume(folder)
        is_over = last and finished(self.config, Progress.from_plain(last.training["progress"]))
        return best_of(folder) if is_over else None


def plan_one(
    config: Config, root: Path, fold: int | None, resume: bool, overrides: Sequence[str], init: Path | None = None
) -> FoldRun:
    """A run without folds, or one fold, which has a folder below the run; resumed, it has its folder's own config.

    Raises:
        ConfigError: there is no such fold, or an override changes more than a resumed run may.
    """
    folder = RunFolder(root if fold is None else root / f"fold_{fold}")
    if not folder.config.exists():
        check_fold(config.data.split, fold)  # a fold that was not named comes before a run that is not there
    config = resumed_config(folder, overrides) if resume else config
    check_fold(config.data.split, fold)
    return FoldRun(config, folder.root, fold, resume, init)


def plan(config: Config, root: Path, resume: bool, overrides: Sequence[str], init: Path | None = None) -> list[FoldRun]:
    """Every fold of a config, in folders below the run; resumed, those already started have their own config.

    The others then have that of the first of these, and start from the same run unless `init` names one; only what a
    start settles for itself, its threads and whether it is compiled, is as the config has it. So all folds are of one
    recipe, whatever its file says by now.

    Raises:
        ConfigError: there are no folds, or an override changes more than a resumed run may.
        DataError: it cannot be read what the first of them was started from.
    """
    begun = [k for k, folder in fold_folders(root).items() if resume and RunFolder(folder).config.exists()]
    if begun:
        first = plan_one(config, root, begun[0], True, overrides)
        own = {key: getattr(config.runtime, key) for key in SETTLED}
        config = first.config.model_copy(update={"runtime": first.config.runtime.model_copy(update=own)})
    check_fold(config.data.split, 0)
    folds = range(config.data.split.folds or 0)
    start = RunFolder(first.root).read_init() if begun and not init and set(folds) - set(begun) else init
    return [plan_one(config, root, k, k in begun, overrides, init if k in begun else start) for k in folds]


def unheard(given: Config, runs: Sequence[FoldRun]) -> list[str]:
    """The keys in which any of the runs that are resumed has another value than the config given, but for `SETTLED`."""
    keys = {key for run in runs if run.resume for key in differing(given, run.config)}
    return sorted(keys - {f"runtime.{key}" for key in SETTLED})


def train_fold(run: FoldRun, echo: Echo, tick: Tick) -> Best:
    """Train a fold to its end; its best checkpoint."""
    folder = RunFolder(run.root)
    train(run.config, folder, fold=run.fold, resume=run.resume, init=run.init, echo=echo, tick=tick)
    return best_of(folder)


def train_together(runs: Sequence[FoldRun], jobs: int, echo: Echo) -> Iterator[tuple[FoldRun, Best | SeepsegError]]:
    """Folds with their best checkpoint or their error, as they end, `jobs` at a time, one process each.

    They share the idle cores, unless the config says how many each takes. A fold already started
    keeps its own number: its weights depend on it. `echo` is called there, so it can be pickled.
    """
    threads = max(1, (with_threads(Runtime()).threads or 1) // jobs)
    yield from processes([_with_threads(run, threads) for run in runs], partial(_alone, echo=echo), jobs)


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


def _alone(run: FoldRun, echo: Echo) -> Best | SeepsegError:
    """`train_fold` in a process of its own; an error is returned, so that the other folds continue."""
    try:
        return train_fold(run, lambda line: echo(f"fold {run.fold}  {line}"), silent)
    except SeepsegError as error:
        return error
