"""seepseg eval: reads a run and labelled tiles (or two folders of rasters), makes scores."""

from __future__ import annotations

from pathlib import Path

import click

from seepseg.cli.options import FILE, device_option, quiet_option


@click.command()
@click.argument("run", type=FILE, required=False)
@click.option(
    "--split",
    type=click.Choice(["val", "test", "train", "all", "oof"]),
    default="val",
    show_default=True,
    help="oof: every tile by the fold that has not seen it, pooled.",
)
@click.option("--data", "data_root", type=FILE, help="Score all labelled tiles below this root instead of a split.")
@click.option("--per-class", is_flag=True, help="Print a row for every class.")
@click.option("--tta", is_flag=True, help="Average over the config's test-time flips (predict.tta).")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Foreground where 1 − P(background) reaches this.")
@click.option("--fit", is_flag=True, help="First fit temperature, threshold, offsets and least size on validation.")
@click.option("--no-fit", is_flag=True, help="Decode as the config says, not as an earlier --fit found.")
@click.option("--fold", type=int, help="One fold of a run with folds.")
@click.option("--predictions", type=FILE, help="Folder of class rasters to score, made by anything.")
@click.option("--truth", type=FILE, help="Folder of truth rasters for --predictions.")
@click.option(
    "--classes",
    type=click.Choice(["seep", "seep_binary", "salt"]),
    default="seep",
    show_default=True,
    help="Class table for --predictions.",
)
@click.option("-o", "--out", type=FILE, help="Where to write.  [default: RUN/eval/SPLIT]")
@click.option("--no-figures", is_flag=True, help="Tables only.")
@click.option("--report", is_flag=True, help="Write report.html as well: everything on one page that opens offline.")
@click.option("--maps", is_flag=True, help="Keep the predicted maps too: maps/, a PNG a tile.")
@click.option("--profile", is_flag=True, help="Say how much of the time the network took.")
@device_option
@quiet_option
def command(
    run: Path | None,
    split: str,
    data_root: Path | None,
    per_class: bool,
    tta: bool,
    threshold: float | None,
    fit: bool,
    no_fit: bool,
    fold: int | None,
    predictions: Path | None,
    truth: Path | None,
    classes: str,
    out: Path | None,
    no_figures: bool,
    report: bool,
    maps: bool,
    profile: bool,
    device: str | None,
    quiet: bool,
) -> None:
    """Dice, IoU, precision and recall of RUN on a split, from one confusion matrix over all its pixels.

    \b
    seepseg eval runs/seep_multiclass --per-class --report
    seepseg eval runs/salt --split oof --fit
    seepseg eval runs/seep_multiclass --data OTHER_ROOT --per-class -o scores
    seepseg eval --predictions DIR --truth DIR --per-class
    """
    from seepseg.classes import TABLES
    from seepseg.cli.options import fold_folder, print_table, progress, relative, runtime_for
    from seepseg.errors import ConfigError
    from seepseg.evaluation import printing
    from seepseg.evaluation.evaluate import Options, evaluate_folds, evaluate_run
    from seepseg.evaluation.fitting import told
    from seepseg.evaluation.rasters import evaluate_rasters
    from seepseg.machine.device import set_threads
    from seepseg.runs.checkpoint import load_checkpoint
    from seepseg.runs.fit import Fit
    from seepseg.runs.folder import RunFolder, find_checkpoint, find_checkpoints

    if (predictions is None) != (truth is None) or (run is None) == (predictions is None):
        raise ConfigError("what to score is not clear", "eval", "give RUN, or --predictions DIR with --truth DIR")
    if fit and (no_fit or threshold is not None):
        raise ConfigError("a fit is made and not to be used", "--fit", "leave out --no-fit and --threshold")
    if predictions and report:
        raise ConfigError("--report shows tiles of a run", "eval", "give RUN instead of --predictions")
    if predictions and maps:
        raise ConfigError("the maps are there already", "--maps", "leave it out with --predictions")
    how = Options(threshold, not no_fit, not no_figures, profile, report, maps)
    if predictions and truth:
        where = out
        summary = evaluate_rasters(predictions, truth, TABLES[classes], out)
    else:
        assert run is not None
        oof = split == "oof"
        if oof and (fold is not None or data_root is not None):
            raise ConfigError("oof is of all folds and their own data", "--split oof", "leave out --fold and --data")
        root = fold_folder(run, fold)
        path = find_checkpoints(root)[0] if oof else find_checkpoint(root)
        recipe = load_checkpoint(path)
        runtime = runtime_for(recipe.config.runtime, device)
        set_threads(runtime)
        with progress("scoring", None, quiet) as tick:
            if oof:
                where = out or RunFolder(run).eval("oof")
                summary = evaluate_folds(run, runtime, tta=tta, out=where, fit=fit, how=how, tick=tick)
            else:
                folder = RunFolder(path.parent.parent if path.parent.name == "checkpoints" else path.parent)
                name = f"data-{data_root.resolve().name}" if data_root else split
                where = out or folder.eval(name)
                summary = evaluate_run(
                    recipe,
                    folder,
                    runtime,
                    split=name,
                    data_root=data_root,
                    tta=recipe.config.predict.tta if tta else "none",
                    out=where,
                    fit_into=path if fit else None,
                    how=how,
                    tick=tick,
                )
    frame = printing.per_class(summary)
    print_table(frame if per_class else frame.tail(2), f"{summary['split']}: {summary['n_tiles']} tiles")
    if per_class and "references" in summary:
        print_table(printing.references(summary), "what scores are worth")
    for line in printing.lines(summary):
        click.echo(line)
    if fit and run is not None:
        for made in find_checkpoints(run) if split == "oof" else [path]:
            found = Fit.from_plain(load_checkpoint(made).decoding)
            assert found
            click.echo(f"fitted {relative(made)}: {told(found)}; used on other tiles, and by predict")
    if where:
        page = (", report.html" if report else "") + (", maps" if maps else "")
        click.echo(f"written: {relative(where)}/ (metrics.json, per_class.csv, confusion.csv, figures{page})")
