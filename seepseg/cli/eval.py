"""seepseg eval: reads a run and labelled tiles (or two folders of rasters), makes scores."""

from __future__ import annotations

from pathlib import Path

import click

from seepseg.cli.options import FILE, device_option, quiet_option


@click.command()
@click.argument("run", type=FILE, required=False)
@click.option("--split", type=click.Choice(["val", "test", "train", "all"]), default="val", show_default=True)
@click.option("--data", "data_root", type=FILE, help="Score all labelled tiles below this root instead of a split.")
@click.option("--per-class", is_flag=True, help="Print a row for every class.")
@click.option("--tta", is_flag=True, help="Average over the config's test-time flips (predict.tta).")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Foreground where 1 − P(background) reaches this.")
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
@device_option
@quiet_option
def command(
    run: Path | None,
    split: str,
    data_root: Path | None,
    per_class: bool,
    tta: bool,
    threshold: float | None,
    fold: int | None,
    predictions: Path | None,
    truth: Path | None,
    classes: str,
    out: Path | None,
    no_figures: bool,
    report: bool,
    device: str | None,
    quiet: bool,
) -> None:
    r"""Dice, IoU, precision and recall of RUN on a split, from one confusion matrix over all its pixels.

    \b
    seepseg eval runs/seep_multiclass --per-class --report
    seepseg eval runs/seep_multiclass --data OTHER_ROOT --per-class -o scores
    seepseg eval --predictions DIR --truth DIR --per-class
    """
    from seepseg.classes import TABLES
    from seepseg.cli.options import fold_folder, print_table, progress, relative, runtime_for
    from seepseg.errors import ConfigError
    from seepseg.evaluation.evaluate import evaluate_rasters, evaluate_run
    from seepseg.evaluation.tables import table
    from seepseg.inference.device import set_threads
    from seepseg.runs.checkpoint import load_checkpoint
    from seepseg.runs.folder import RunFolder, find_checkpoint

    if (predictions is None) != (truth is None) or (run is None) == (predictions is None):
        raise ConfigError("what to score is not clear", "eval", "give RUN, or --predictions DIR with --truth DIR")
    if predictions and report:
        raise ConfigError("--report shows tiles of a run", "eval", "give RUN instead of --predictions")
    if predictions and truth:
        where = out
        summary = evaluate_rasters(predictions, truth, TABLES[classes], out)
    else:
        assert run is not None
        path = find_checkpoint(fold_folder(run, fold))
        checkpoint = load_checkpoint(path)
        folder = RunFolder(path.parent.parent if path.parent.name == "checkpoints" else path.parent)
        name = f"data-{data_root.resolve().name}" if data_root else split
        where = out or folder.eval(name)
        runtime = runtime_for(checkpoint.config.runtime, device)
        set_threads(runtime)
        with progress("scoring", None, quiet) as tick:
            summary = evaluate_run(
                checkpoint,
                folder,
                runtime,
                split=name if data_root else split,
                data_root=data_root,
                tta=checkpoint.config.predict.tta if tta else "none",
                threshold=threshold,
                out=where,
                figures=not no_figures,
                report=report,
                tick=tick,
            )
    frame = table(summary)
    shown = frame if per_class else frame.tail(2)
    print_table(shown, f"{summary['split']}: {summary['n_tiles']} tiles")
    if summary.get("tgs_score") is not None:
        click.echo(f"TGS score {summary['tgs_score']:.4f}")
    if where:
        page = ", report.html" if report else ""
        click.echo(f"written: {relative(where)}/ (metrics.json, per_class.csv, confusion.csv, figures{page})")
