"""seepseg predict: reads runs and images, makes maps, polygons and findings."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seepseg.api.inputs import WIDEST_MARGIN, with_table
from seepseg.cli.options import FILE, device_option, progress, quiet_option, refuse_unused, relative, warn
from seepseg.cli.record import made
from seepseg.errors import ConfigError
from seepseg.machine.cores import cores

if TYPE_CHECKING:
    from seepseg.classes import ClassTable
    from seepseg.mapping.batch import Outcome
    from seepseg.mapping.jobs import Job

MANY = click.IntRange(1, 1024)
"""Processes or threads: far more of them use up those that the system has. `config.Runtime` has the same bounds."""


def _shard(context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, int]:
    part, _, of = text.partition("/")
    if not re.fullmatch(r"\d{1,9}/\d{1,9}", text, re.ASCII) or not 1 <= int(part) <= int(of):
        raise click.BadParameter(f"{text[:40]!r} is not I/N with 1 ≤ I ≤ N, for example 2/4")
    return int(part), int(of)


def _metres(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    with suppress(ValueError):
        if text is None or 0 <= float(text) <= WIDEST_MARGIN:
            return None if text is None else float(text)
    raise ConfigError(f"{text!r} is not metres from 0 to {WIDEST_MARGIN}", "--land", "without a number, put it last")


@click.command()
@click.argument("run", type=FILE)
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--out", type=FILE, required=True, help="Folder for the outputs.")
@click.option("--with", "others", type=FILE, multiple=True, help="Another run to average with. Repeatable.")
@click.option("--fold", type=int, help="One fold of a run with folds.  [default: all, averaged]")
@click.option("--tta", is_flag=True, help="Average over the config's test-time flips (predict.tta).")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Foreground where 1 − P(background) reaches this.")
@click.option("--probabilities", is_flag=True, help="Also write <stem>_prob.tif, one band per class.")
@click.option("--uncertainty", is_flag=True, help="Also write <stem>_uncertainty.tif, 0 (sure) to 254, 255 = no data.")
@click.option("--no-fit", is_flag=True, help="Decode as the config says, not with the fit of `seepseg eval --fit`.")
@click.option("--no-polygons", is_flag=True, help="No polygons and no findings.")
@click.option(
    "--vectors",
    type=click.Choice(["gpkg", "geojson", "fgb", "parquet"]),
    multiple=True,
    default=["gpkg"],
    show_default=True,
    help="Format of polygons: GeoPackage, GeoJSON, FlatGeobuf, GeoParquet. Repeatable.",
)
@click.option("--mask", type=FILE, help="Raster or polygons of what to leave out, outside the area of interest say.")
@click.option(
    "--land",
    metavar="[METRES]",
    is_flag=False,
    flag_value="1000",
    callback=_metres,
    help="Leave out land, by outlines of 1:10,000,000, and so many metres of sea along it; 1000 without a number.",
)
@click.option("--scenes", type=FILE, help="CSV of when and by what scenes were taken.  [default: data.scenes]")
@click.option(
    "--format",
    "image_format",
    type=click.Choice(["auto", "tif", "png", "tgs-csv"]),
    default="auto",
    show_default=True,
    help="Of class rasters; auto is that of the input, tgs-csv adds submission.csv.",
)
@click.option(
    "--grid",
    metavar="EPSG[:METRES]|utm",
    help="Also write <stem>_map.tif, the class map on a map grid of this projection and pixel size. utm is the zone of"
    " the scene; pixels are as large as its own, rounded.",
)
@click.option(
    "--stac", is_flag=True, help="Also describe all maps as STAC: <stem>_stac.json of each, and catalog.json."
)
@click.option("--overwrite", is_flag=True, help="Do everything again, whatever is in the output folder.")
@click.option("--strict", is_flag=True, help="Stop at the first input that cannot be read.")
@click.option("--shard", metavar="I/N", default="1/1", callback=_shard, help="Only the I-th of N, for job arrays.")
@click.option("--executor", type=click.Choice(["serial", "processes", "dask"]), default="serial", show_default=True)
@click.option("--workers", type=MANY, default=cores, help="Of processes and local Dask clusters.")
@click.option("--threads", type=MANY, help="CPU threads of a worker.  [default: CPUs over workers]")
@click.option("--scheduler", help="Address of a Dask scheduler.  [default: a local cluster]")
@device_option
@quiet_option
def command(
    run: Path,
    inputs: tuple[str, ...],
    out: Path,
    others: tuple[Path, ...],
    fold: int | None,
    tta: bool,
    threshold: float | None,
    probabilities: bool,
    uncertainty: bool,
    no_fit: bool,
    no_polygons: bool,
    vectors: tuple[str, ...],
    mask: Path | None,
    land: float | None,
    scenes: Path | None,
    image_format: str,
    grid: str | None,
    stac: bool,
    overwrite: bool,
    strict: bool,
    shard: tuple[int, int],
    executor: str,
    workers: int,
    threads: int | None,
    scheduler: str | None,
    device: str | None,
    quiet: bool,
) -> None:
    """Class maps of INPUTS (files, folders, quoted globs) by RUN, a run folder or a .pt file.

    TIFF in, GeoTIFF out with its georeference: <stem>_class.tif, 255 = no data. PNG or JPEG in, PNG out. Scenes, and
    tiles with a georeference, also get polygons and a quick-look. When it was stopped, give the same command again to
    continue.

    \b
    seepseg predict runs/seep_multiclass SCENES/ -o out
    """
    from seepseg.geo.grid import parse_grid
    from seepseg.mapping.jobs import check_inputs, plan

    refuse_unused(
        workers=executor == "serial" and "give --executor processes or dask",
        scheduler=executor != "dask" and "give --executor dask",
        vectors=no_polygons and "leave out --no-polygons",
    )
    tgs = image_format == "tgs-csv"
    image_format = "png" if tgs else image_format
    jobs = plan(inputs, out, image_format)
    check_inputs(jobs, mask)
    if "parquet" in vectors:
        from seepseg.geo.parquet import check_parquet

        check_parquet("--vectors parquet")
    map_grid = None if grid is None else parse_grid(grid)

    # What follows takes seconds to import: a wrong input is reported before.
    from seepseg.machine.device import runtime_for
    from seepseg.mapping.batch import Execution, predict_batch
    from seepseg.mapping.findings import check_submission, write_submission
    from seepseg.mapping.jobs import with_channels
    from seepseg.mapping.outputs import Wanted
    from seepseg.mapping.units import Recipe
    from seepseg.runs.checkpoint import load_checkpoint
    from seepseg.runs.find import find_checkpoints, fold_folder

    paths = tuple(path for r in (fold_folder(run, fold), *others) for path in find_checkpoints(r))
    checkpoint = load_checkpoint(paths[0])
    first = checkpoint.config
    jobs = with_channels(jobs, first.data)
    if tgs:
        check_submission(jobs, checkpoint.classes)
    if table := scenes or first.data.scenes:
        jobs = with_table(jobs, table, must=scenes is not None, warn=warn)
    if land is None and (left_out := getattr(first.data, "land", None)) is not None:
        warn(f"the run has seen no land: leave it out with --land {left_out:g}, as in training")
    config = first.predict if threshold is None else first.predict.model_copy(update={"threshold": threshold})
    if threads is None and executor != "serial":
        threads = max(1, cores() // workers)
    runtime = runtime_for(first.runtime, device).model_copy(update={"threads": threads})
    wanted = Wanted(
        probabilities=probabilities,
        vectors=() if no_polygons else tuple(dict.fromkeys(f".{name}" for name in vectors)),
        mask=mask,
        land=land,
        uncertainty=uncertainty,
        image_format=image_format,
        grid=map_grid,
    )
    how = Execution(executor, workers, scheduler, shard, overwrite, strict)
    # A threshold on the command line is for probabilities as the network gives them.
    recipe = Recipe(paths, runtime, config, tta, wanted, fitted=threshold is None and not no_fit)
    with progress("predicting", None, quiet) as tick:
        result = predict_batch(jobs, recipe, out, how, tick)
    # Whatever fails from here on, so much is done.
    made(out, inputs=len(jobs), predicted=result.done, before=result.before, failed=len(result.failures))
    _describe(jobs, result, out, checkpoint.classes if stac else None)
    if tgs:
        submission = write_submission(jobs, out)
        made(submission)
        click.echo(f"submission: {relative(submission)}")
    _tell(result, len(jobs), out, how.name)


def _describe(jobs: list[Job], result: Outcome, out: Path, classes: ClassTable | None) -> None:
    """Write the STAC catalog of what is done; without classes, remove one of maps that have been made anew."""
    from seepseg.stac.catalog import CATALOG, remove_catalog, write_catalog

    if classes is None:
        if result.done and (out / CATALOG).exists():
            remove_catalog(jobs, out)
        return
    count, timeless = write_catalog(jobs, result.read, out, classes, result.tags)
    made(out / CATALOG)
    click.echo(f"catalog: {relative(out / CATALOG)}, {count} items")
    if timeless:
        warn(f"{timeless} items have no time, and span all of it: give --scenes with the column acquired")


def _tell(result: Outcome, count: int, out: Path, shard: str) -> None:
    """Print the result of `count` inputs; raise an error where some failed: of resources, if a worker died."""
    from seepseg.errors import SHOWN, ResourceError, SomeFailedError
    from seepseg.mapping.batch import alike

    manifest, listing = out / f"manifest{shard}.jsonl", out / f"failures{shard}.jsonl"
    tables = (manifest, listing, *(out / name for name in ("findings.gpkg", "findings.csv", "scenes.csv")))
    made(*(path for path in tables if path.exists()))
    warnings = ((source, f"{source}: {text}") for source, text in result.warnings)
    for line in alike(warnings, relative(manifest)):
        warn(line)
    if result.placed:
        words = "classes of objects with those of their place"
        click.echo(f"{words}: {sum(result.placed)} of {len(result.placed)} inputs, counts in {relative(manifest)}")
    before = f", {result.before} done before" if result.before else ""
    click.echo(f"{result.done} of {count} predicted{before}, in {relative(out)}/")
    if result.failures:
        for line in alike(((f["input"], f["error"]) for f in result.failures), relative(listing))[:SHOWN]:
            click.echo(f"failed: {line}", err=True)
        what, again = f"{len(result.failures)} of {count} inputs failed", "and run the same command again"
        if any(f["exit_code"] == ResourceError.exit_code for f in result.failures):
            raise ResourceError(f"{what}, some as their worker died", listing, f"see whether memory ran out, {again}")
        raise SomeFailedError(what, listing, f"fix or remove them {again}")
