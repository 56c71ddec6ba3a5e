"""seepseg predict: reads a run and images, makes class rasters."""

from __future__ import annotations

from pathlib import Path

import click

from seepseg.cli.options import FILE, device_option, quiet_option


@click.command()
@click.argument("run", type=FILE)
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--out", type=FILE, required=True, help="Folder for the outputs.")
@click.option("--fold", type=int, help="One fold of a run with folds.")
@click.option("--tta", is_flag=True, help="Average over the config's test-time flips (predict.tta).")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Foreground where 1 − P(background) reaches this.")
@click.option("--probabilities", is_flag=True, help="Also write <stem>_prob.tif, one band a class.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that exist.")
@click.option("--strict", is_flag=True, help="Stop at the first input that cannot be read.")
@device_option
@quiet_option
def command(
    run: Path,
    inputs: tuple[str, ...],
    out: Path,
    fold: int | None,
    tta: bool,
    threshold: float | None,
    probabilities: bool,
    overwrite: bool,
    strict: bool,
    device: str | None,
    quiet: bool,
) -> None:
    r"""Class maps of INPUTS (files, folders, quoted globs) by RUN, a run folder or a .pt file.

    TIFF in, TIFF out with CRS and transform kept: <stem>_class.tif, 255 = no data. PNG in, PNG out.

    \b
    seepseg predict runs/seep_multiclass SCENE.tif -o out
    """
    from seepseg.cli.options import fold_folder, progress, relative, runtime_for
    from seepseg.errors import SomeFailedError
    from seepseg.inference.device import set_threads
    from seepseg.inference.predict import plan, predict_files
    from seepseg.inference.predictor import load_predictor
    from seepseg.runs.checkpoint import load_checkpoint
    from seepseg.runs.folder import find_checkpoint

    path = find_checkpoint(fold_folder(run, fold))
    checkpoint = load_checkpoint(path)
    jobs = plan(inputs, out, overwrite)
    config = checkpoint.config.predict
    if threshold is not None:
        config = config.model_copy(update={"threshold": threshold})
    runtime = runtime_for(checkpoint.config.runtime, device)
    set_threads(runtime)
    predictor = load_predictor(checkpoint, runtime, config.tta if tta else "none", path)
    with progress("predicting", len(jobs), quiet) as tick:
        failures = predict_files(
            jobs, checkpoint, predictor, config, out, probabilities=probabilities, strict=strict, tick=tick
        )
    click.echo(f"{len(jobs) - len(failures)} of {len(jobs)} predicted, in {relative(out)}/")
    if failures:
        for failure in failures[:20]:
            click.echo(f"failed: {failure['error']}", err=True)
        raise SomeFailedError(
            f"{len(failures)} of {len(jobs)} inputs failed",
            out / "failures.jsonl",
            "mend or remove them and run again with --overwrite",
        )
