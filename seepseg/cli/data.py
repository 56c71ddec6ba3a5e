"""seepseg data: reads a config and its data, and says what is in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seepseg.cli.options import (
    FILE,
    config_argument,
    device_option,
    override_option,
    print_table,
    progress,
    quiet_option,
    relative,
    warn,
)
from seepseg.cli.record import made
from seepseg.errors import ConfigError

if TYPE_CHECKING:
    from pandas import DataFrame

    from seepseg.config import Config
    from seepseg.data.catalog import Catalog


@click.group()
def command() -> None:
    """Check a data set, count its classes, divide it."""


@command.command()
@config_argument
@override_option
@quiet_option
def check(config: Path, overrides: tuple[str, ...], quiet: bool) -> None:
    """Read every image and mask of CONFIG's data, divide them as training would, and say whether that works."""
    from seepseg.config import load
    from seepseg.data.catalog import FLAGS, labelled_of
    from seepseg.models.packaged import weights_file
    from seepseg.splits.parts import shares

    recipe = load(config, overrides)
    weights_file(recipe.model)
    catalog = _counted(recipe, quiet, labelled_of)
    labelled, splits = _divided(recipe, catalog)
    parts = ", ".join(f"{count} {name}" for name, count in splits["split"].value_counts().items())
    made(tiles=len(catalog), scenes=len(catalog.groups()), labelled=len(labelled))
    click.echo(
        f"ok: {len(catalog)} tiles of {len(catalog.groups())} scenes, {len(labelled)} labelled ({parts}), "
        f"{len(catalog.classes) - 1} foreground classes"
    )
    if not shares(labelled, splits).loc["val", list(catalog.classes.names[1:])].any():
        warn("no pixel of the validation tiles is foreground, so they cannot rank models: change data.split")
    for flag, count in catalog.flagged().items():
        click.echo(f"flagged: {count} {flag} ({FLAGS[flag]})")


@command.command()
@config_argument
@override_option
@click.option("-o", "--out", type=FILE, help="Folder for the figures and tables.  [default: runs/<config's name>-data]")
@quiet_option
def stats(config: Path, overrides: tuple[str, ...], out: Path | None, quiet: bool) -> None:
    """Pixels and tiles of each class, the distribution of intensities in each scene, and examples; printed and drawn.

    For salt also the coverage, depth and flag of each tile.
    """
    from seepseg.audit.pictures import SHEET_PARTS, example_rows
    from seepseg.audit.statistics import balance, coverage_classes, flags, intensities, tile_table
    from seepseg.config import load
    from seepseg.data.source import source_of
    from seepseg.figures.plots import save_class_balance, save_intensity
    from seepseg.figures.sheets import save_gallery
    from seepseg.io.atomic import write_text
    from seepseg.io.table import csv_text

    recipe = load(config, overrides)
    source = source_of(recipe.data)
    catalog = _counted(recipe, quiet)
    folder = out or Path("runs") / f"{config.stem}-data"
    classes = balance(catalog)
    histograms, scenes = intensities(catalog, source)
    print_table(classes, f"{len(catalog)} tiles of {len(catalog.groups())} scenes")
    if len(scenes) <= 40:
        print_table(scenes, f"intensity of valid pixels, {', '.join(sorted({h.unit for h in histograms.values()}))}")
    write_text(folder / "classes.csv", csv_text(classes))
    write_text(folder / "intensity.csv", csv_text(scenes))
    counts = classes["pixels"].tolist(), classes["tiles"].tolist()
    save_class_balance(folder / "classes.png", catalog.classes.names, *counts)
    save_intensity(folder / "intensity.png", histograms)
    save_gallery(folder / "examples.png", example_rows(catalog, source), catalog.classes, SHEET_PARTS)
    written = "classes.csv, classes.png, intensity.csv, intensity.png, examples.png"
    if source.per_tile:
        print_table(coverage_classes(catalog), "tiles by coverage, in tenths rounded up")
        if catalog.flagged():
            print_table(flags(catalog), "tiles with a flag")
        write_text(folder / "tiles.csv", csv_text(tile_table(catalog)))
        written += ", tiles.csv"
    made(folder, *(folder / name for name in written.split(", ")), tiles=len(catalog), scenes=len(catalog.groups()))
    click.echo(f"written: {relative(folder)}/ ({written})")


@command.command()
@config_argument
@override_option
@click.option("-o", "--out", type=FILE, help="Folder for the page and tables.  [default: runs/<config's name>-data]")
@quiet_option
def report(config: Path, overrides: tuple[str, ...], out: Path | None, quiet: bool) -> None:
    """One page on CONFIG's data before training: classes, scenes, label problems, duplicates, split.

    Labels and files that `check` stops at are listed instead.
    """
    from seepseg.audit.report import write_dataset_report
    from seepseg.config import load

    recipe = load(config, overrides)
    with progress("reading", None, quiet) as tick:
        page = write_dataset_report(recipe, config.stem, out or Path("runs") / f"{config.stem}-data", tick)
    made(page)
    click.echo(f"written: {relative(page)} and its tables")


@command.command()
@config_argument
@override_option
@click.option("--fold", type=int, help="Fold to hold out (data.split.folds).  [default: 0 where there are folds]")
@click.option("-o", "--out", type=FILE, help="Write the table here: a .csv, or a folder for splits.csv.")
@quiet_option
def split(config: Path, overrides: tuple[str, ...], fold: int | None, out: Path | None, quiet: bool) -> None:
    """Divide the tiles as training would, and print each part's share of every class."""
    from seepseg.config import load
    from seepseg.io.atomic import write_text
    from seepseg.io.table import csv_text
    from seepseg.splits.make import fold_shares
    from seepseg.splits.parts import shares

    recipe = load(config, overrides)
    catalog = _counted(recipe, quiet)
    labelled, splits = _divided(recipe, catalog, fold)
    made(**{f"{part}_tiles": int(count) for part, count in splits["split"].value_counts().items()})
    of_fold = f" of fold {fold or 0}" if recipe.data.split.folds else ""
    print_table(shares(labelled, splits).reset_index(), f"pixels of each class in each part{of_fold}")
    if recipe.data.split.folds and fold is None:
        table = fold_shares(labelled, recipe.data.split, recipe.seed)
        print_table(table, "each fold: its tiles, and the % of each class that it holds out")
    for name in ("val", "test"):
        groups = sorted(splits.loc[splits["split"] == name, "group"].unique())
        if groups and len(groups) <= 20 and recipe.data.split.by == "group":
            click.echo(f"{name}: {', '.join(groups)}")
    if recipe.data.split.by == "random" and len(catalog.groups()) < len(catalog):
        click.echo("note: tiles of one scene are on both sides of a random split; its scores are too high", err=True)
    if out:
        path = out if out.suffix == ".csv" and not out.is_dir() else out / "splits.csv"
        write_text(path, csv_text(splits))
        made(path)
        click.echo(f"written: {relative(path)}")


@command.command()
@config_argument
@override_option
@click.option("-o", "--out", type=FILE, required=True, help="Folder for images, masks, tiles.csv and tiles.yaml.")
@click.option("--overwrite", is_flag=True, help="Write into a folder that is not empty; tiles in it go.")
@quiet_option
def tile(config: Path, overrides: tuple[str, ...], out: Path, overwrite: bool, quiet: bool) -> None:
    """Write the labelled windows of CONFIG's scenes as tile files, for other tools and for `source: tiles`.

    When it was stopped, give the same command again to continue.
    """
    from seepseg.config import load
    from seepseg.data.catalog import labelled_of
    from seepseg.data.scenes import ScenesSource
    from seepseg.data.source import source_of
    from seepseg.export.tiles import RECIPE, write_tiles

    recipe = load(config, overrides)
    source = source_of(recipe.data)
    if not isinstance(source, ScenesSource):
        raise ConfigError(f"{recipe.data.source} are tiles already", "data.source", "use it with source: scenes")
    catalog, splits = _counted(recipe, quiet), None
    try:
        catalog, splits = _divided(recipe, catalog)
    except ConfigError as error:
        warn(f"tiles.csv says no split: {error}")
        catalog = labelled_of(catalog)
    if source.data.stride:
        warn("windows between those that touch (data.stride) are not written: they are for training only")
    with progress("writing", len(catalog), quiet) as tick:
        write_tiles(recipe, source, catalog, splits, out, overwrite=overwrite, tick=tick)
    made(out, out / RECIPE, tiles=len(catalog))
    click.echo(f"written: {len(catalog)} tiles; train with {relative(out / RECIPE)}")


@command.command()
@click.argument("run", type=FILE)
@click.option("-o", "--out", type=FILE, help="Folder for the page and table.  [default: RUN/suspects]")
@device_option
@quiet_option
def suspects(run: Path, out: Path | None, device: str | None, quiet: bool) -> None:
    """Likely annotation errors: where RUN's folds, on tiles they have not seen, contradict the labels.

    Writes a page and suspects.csv, the highest weight first. A run without folds predicts its validation tiles only.
    """
    from seepseg.audit.suspects_report import write_suspects
    from seepseg.machine.device import runtime_for, set_threads
    from seepseg.runs.checkpoint import load_checkpoint
    from seepseg.runs.find import find_checkpoints, run_root

    runtime = runtime_for(load_checkpoint(find_checkpoints(run)[0]).config.runtime, device)
    set_threads(runtime)
    with progress("predicting", None, quiet) as tick:
        page = write_suspects(run, runtime, out or run_root(run) / "suspects", tick)
    made(page, page.parent / "suspects.csv")
    click.echo(f"written: {relative(page)}, suspects.csv")


def _counted(recipe: Config, quiet: bool, refuse: Callable[[Catalog], object] = len) -> Catalog:
    from seepseg.data.scan import with_counts, with_doubts
    from seepseg.data.source import source_of

    source = source_of(recipe.data)
    catalog = source.catalog()
    warn(*catalog.warnings)
    refuse(catalog)  # as training would, before it reads a pixel
    with progress("reading", len(catalog), quiet) as tick:
        counted = with_doubts(source, with_counts(source, catalog, tick))
    warn(*counted.warnings[len(catalog.warnings) :])
    return counted


def _divided(recipe: Config, catalog: Catalog, fold: int | None = None) -> tuple[Catalog, DataFrame]:
    """The labelled tiles, and how training would divide them."""
    from seepseg.data.catalog import labelled_of
    from seepseg.data.frame import with_blocks
    from seepseg.data.source import source_of
    from seepseg.splits.make import divided

    split, labelled = recipe.data.split, with_blocks(source_of(recipe.data), labelled_of(catalog))
    warn(*labelled.warnings[len(catalog.warnings) :])
    splits, more = divided(labelled, split, recipe.seed, 0 if fold is None and split.folds else fold)
    warn(*more)
    return labelled, splits
