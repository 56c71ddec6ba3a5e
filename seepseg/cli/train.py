"""seepseg train: reads a config and its data, makes a run folder."""

from __future__ import annotations

from pathlib import Path

import click

from seepseg.cli.options import FILE, config_argument, device_option, override_option, quiet_option, with_device


@click.command()
@config_argument
@override_option
@click.option("--run", type=FILE, help="Run folder.  [default: runs/<config's name>]")
@click.option("--fold", type=int, help="Fold to validate on (data.split.folds).")
@click.option("--all-folds", is_flag=True, help="Every fold, one after another, in RUN/fold_0, fold_1 …")
@click.option("--resume", is_flag=True, help="Go on where the run folder stopped, with the folder's own config.")
@click.option("--init", type=FILE, help="Start from the weights of another run (fine-tuning).")
@click.option("--dry-run", is_flag=True, help="A few steps: memory and the time the whole would take. Writes nothing.")
@device_option
@quiet_option
def command(
    config: Path,
    overrides: tuple[str, ...],
    run: Path | None,
    fold: int | None,
    all_folds: bool,
    resume: bool,
    init: Path | None,
    dry_run: bool,
    device: str | None,
    quiet: bool,
) -> None:
    r"""Train CONFIG and leave checkpoints, metrics.csv and TensorBoard logs in a run folder.

    \b
    seepseg train configs/seep_multiclass.yaml -s data.root=DATA
    seepseg train configs/seep_multiclass.yaml --resume
    torchrun --nproc-per-node 2 -m seepseg train CONFIG     (several GPUs)
    """
    from seepseg.cli.options import progress, relative
    from seepseg.config import load
    from seepseg.errors import ConfigError
    from seepseg.runs.folder import RunFolder
    from seepseg.training.objects import fit_object_classifiers
    from seepseg.training.run import dry_run as try_out
    from seepseg.training.run import resumed_config, train

    chosen = with_device(overrides, device)
    root = run or Path("runs") / config.stem
    recipe = load(config, chosen)
    if dry_run:
        for key, value in try_out(recipe, 0 if all_folds else fold).items():
            click.echo(f"{key.replace('_', ' ')}: {value:.3g}" if isinstance(value, float) else f"{key}: {value}")
        return
    if (all_folds or fold is not None) and not recipe.data.split.folds:
        raise ConfigError(
            "a fold is asked for, but the config has none", "data.split.folds", "set -s data.split.folds=5"
        )
    # Folds lie beside each other below the run, also when only one of them is trained.
    folds = list(range(recipe.data.split.folds or 0)) if all_folds else [fold]
    for k in folds:
        folder = RunFolder(root if k is None else root / f"fold_{k}")
        going_on = resume and (not all_folds or folder.config.exists())
        with progress("epoch", None, quiet) as tick:
            best = train(
                resumed_config(folder, chosen) if going_on else recipe,
                folder,
                fold=k,
                resume=going_on,
                init=init,
                tell=(lambda line: None) if quiet else click.echo,
                tick=tick,
            )
        click.echo(f"best score {best.score:.4f} (epoch {best.epoch}) in {relative(folder.best)}")
    if all_folds and recipe.objects:
        fit_object_classifiers(
            [RunFolder(root / f"fold_{k}") for k in folds], (lambda line: None) if quiet else click.echo
        )
    click.echo(f"next: seepseg eval {root} --per-class")
