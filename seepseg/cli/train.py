"""seepseg train: reads a config and its data, makes a run folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seepseg.cli.options import (
    FILE,
    config_argument,
    device_option,
    override_option,
    progress,
    quiet_option,
    relative,
    speaker,
    with_device,
)
from seepseg.cli.record import made
from seepseg.cli.streams import child_echo
from seepseg.errors import ConfigError, SeepsegError
from seepseg.machine.cores import is_first, is_one_of_several

if TYPE_CHECKING:
    from seepseg.config import Config
    from seepseg.training.folds import Best, FoldRun


@click.command()
@config_argument
@override_option
@click.option("--run", type=FILE, help="Run folder.  [default: runs/<config's name>]")
@click.option("--fold", type=int, help="Fold to validate on (data.split.folds).")
@click.option(
    "--all-folds", is_flag=True, help="Every fold, in RUN/fold_0, fold_1 …; with --resume, those not finished."
)
@click.option("--jobs", type=click.IntRange(1, 1024), default=1, show_default=True, help="Folds to train at a time.")
@click.option("--resume", is_flag=True, help="Continue the run in the folder, with the folder's own config.")
@click.option("--init", type=FILE, help="Start from the weights of another run (fine-tuning).")
@click.option("--dry-run", is_flag=True, help="A few steps, to estimate memory and time. Writes nothing.")
@click.option("--find-lr", is_flag=True, help="Learning-rate range test: a curve in RUN and a suggested optim.lr.")
@device_option
@quiet_option
def command(
    config: Path,
    overrides: tuple[str, ...],
    run: Path | None,
    fold: int | None,
    all_folds: bool,
    jobs: int,
    resume: bool,
    init: Path | None,
    dry_run: bool,
    find_lr: bool,
    device: str | None,
    quiet: bool,
) -> None:
    """Train CONFIG and leave checkpoints, metrics.csv and TensorBoard logs in a run folder.

    CONFIG is a YAML file, or the name of a shipped recipe (`seepseg config list`).

    \b
    seepseg train seep_multiclass -s data.root=DATA
    seepseg train seep_multiclass --resume
    seepseg train salt_unet --all-folds --jobs 2

    Several GPUs; the -- keeps torchrun from reading --run as an option of its own:

    \b
    torchrun --nproc-per-node 2 -m -- seepseg train seep_multiclass --run runs/two
    """
    from seepseg.config import load
    from seepseg.training.folds import plan, plan_one, unheard
    from seepseg.training.objects import settle_object_classifiers

    chosen = with_device(overrides, device)
    root = run or Path("runs") / config.stem
    recipe = load(config, chosen)
    tries = (("--dry-run", dry_run), ("--find-lr", find_lr))
    for this, other, both in (
        ("--fold", "--all-folds", fold is not None and all_folds),
        ("--dry-run", "--find-lr", dry_run and find_lr),
        ("--dry-run", "--init", dry_run and init),
        *((name, "--resume", on and resume) for name, on in tries),
        *((name, "torchrun", on and is_one_of_several()) for name, on in tries),
    ):
        if both:
            raise ConfigError(f"{this} does not go with {other}", "seepseg train", "give one of them")
    if jobs > 1 and not all_folds:
        raise ConfigError("several folds at a time need all folds", "--jobs", "give --all-folds too")
    if dry_run or find_lr:
        first = 0 if all_folds else fold
        _try(recipe, first) if dry_run else _find_rate(recipe, root, first, init)
    elif all_folds:
        runs = plan(recipe, root, resume, chosen, init)
        _say_unheard(config, unheard(recipe, runs))
        made(root, folds=len(runs))
        _train_folds(runs, jobs, quiet)
        settle_object_classifiers(runs[0].config, root, speaker(quiet))
        _say(f"next: seepseg eval {root} --split oof --per-class")
    else:
        one = plan_one(recipe, root, fold, resume, chosen, init)
        _say_unheard(config, unheard(recipe, [one]))
        best = _train_one(one, quiet)
        made(one.root, best_score=best.score, best_epoch=best.epoch)
        _echo(best)
        _say(f"next: seepseg eval {one.root} --per-class")


def _say_unheard(config: Path, keys: Sequence[str]) -> None:
    """Name what a resumed run has otherwise than the config that was given, whose edits do not reach it."""
    if keys:
        some = ", ".join([*keys[:5], "…"][: len(keys)])
        _say(f"going on with the config in the run folder; {config} differs in {some}")


def _train_one(run: FoldRun, quiet: bool) -> Best:
    from seepseg.training.folds import train_fold

    with progress("epoch", None, quiet) as tick:
        return train_fold(run, speaker(quiet), tick)


def _train_folds(runs: Sequence[FoldRun], jobs: int, quiet: bool) -> None:
    """Train the folds that are not finished; with several at a time, an error of one is raised when all have ended."""
    from seepseg.training.folds import train_together

    left = []
    for run in runs:
        if best := run.done():
            _say(f"fold {run.fold} is finished")
            _echo(best)
        else:
            left.append(run)
    if jobs == 1:
        for run in left:
            _echo(_train_one(run, quiet))
        return
    errors: list[SeepsegError] = []
    for run, result in train_together(left, jobs, speaker(quiet, child_echo())):
        if isinstance(result, SeepsegError):
            click.echo(f"fold {run.fold} failed: {result}", err=True)
            errors.append(result)
        else:
            _echo(result)
    if errors:
        raise errors[0]


def _try(recipe: Config, fold: int | None) -> None:
    from seepseg.training.run import dry_run

    cost = dry_run(recipe, fold)
    made(**{key: value for key, value in cost.items() if not isinstance(value, str)})
    for key, value in cost.items():
        click.echo(f"{key.replace('_', ' ')}: {value:.3g}" if isinstance(value, float) else f"{key}: {value}")


def _find_rate(recipe: Config, root: Path, fold: int | None, init: Path | None) -> None:
    from seepseg.runs.folder import RATE_TEST
    from seepseg.training.find_lr import find_rate

    test = find_rate(recipe, root, fold=fold, init=init)
    made(*(root / name for name in RATE_TEST), rates=len(test.rates), suggested_lr=test.suggested)
    click.echo(f"{len(test.rates)} rates tried, {test.rates[0]:.0e} to {test.rates[-1]:.1e}")
    click.echo(f"curve: {relative(root / RATE_TEST[1])}, {RATE_TEST[0]}")
    if test.suggested is None:
        click.echo("the loss never fell: no rate to suggest")
        return
    key = "stages.0.optim.lr" if recipe.stages else "optim.lr"
    click.echo(f"suggested, where the smoothed loss falls fastest: -s {key}={test.suggested:.2g}")


def _say(line: str) -> None:
    """Print a line; of torchrun's processes, one speaks."""
    if is_first():
        click.echo(line)


def _echo(best: Best) -> None:
    made(best.path)
    _say(f"best score {best.score:.4f} (epoch {best.epoch}) in {relative(best.path)}")
