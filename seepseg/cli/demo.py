"""seepseg demo: makes synthetic data and runs the whole workflow on it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from seepseg.cli.options import FILE, override_option, print_table, progress, quiet_option, relative, speaker
from seepseg.cli.record import made
from seepseg.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

MARK = ".seepseg-demo"
"""Says that a folder was made by the demo, so that the next demo may replace it."""
OFTEN = 0.15
"""Share of passes on which a vent shows a slick from which on its zone should be found."""


@click.command()
@click.option("--salt", is_flag=True, help="Salt tiles instead of seeps.")
@click.option("--sentinel1", is_flag=True, help="Sentinel-1 products and polygons drawn on a map, to maps in UTM.")
@click.option("--zones", is_flag=True, help="Forty passes over vents of known rates, to seep zones and a page to send.")
@click.option("-o", "--out", type=FILE, default=Path("demo"), show_default=True, help="Folder to make.")
@override_option
@quiet_option
def command(salt: bool, sentinel1: bool, zones: bool, out: Path, overrides: tuple[str, ...], quiet: bool) -> None:
    """Generate data, train, evaluate per class, predict, and list the results. Minutes, no download, no GPU."""
    if salt + sentinel1 + zones > 1:
        raise ConfigError("give one of --salt, --sentinel1 and --zones")
    if zones:
        if overrides:
            raise ConfigError("--zones trains nothing", "--set", "leave it out")
        _zones(out / "zones", quiet)
        return
    from seepseg import synthetic
    from seepseg.config import load, recipes
    from seepseg.evaluation.evaluate import Options, evaluate
    from seepseg.evaluation.printing import per_class
    from seepseg.geo.grid import parse_grid
    from seepseg.inference.labelled import open_labelled
    from seepseg.mapping.batch import Execution, predict_batch
    from seepseg.mapping.jobs import plan
    from seepseg.mapping.outputs import Wanted
    from seepseg.mapping.units import Recipe
    from seepseg.runs.folder import RunFolder
    from seepseg.training.run import train

    kind = "salt" if salt else "sentinel1" if sentinel1 else "seep"
    begin, root = time.monotonic(), out / kind
    _begin(root)
    recipe = load(recipes()[f"demo_{kind}"], [f"data.root={root / 'data'}", *overrides])
    what = "Sentinel-1 products and polygons" if sentinel1 else f"{kind} data"
    click.echo(f"1/4 synthetic {what} in {relative(root / 'data')}/")
    if salt:
        synthetic.write_salt(root / "data", seed=recipe.seed)
        inputs = [str(root / "data" / "test" / "images")]
    elif sentinel1:
        synthetic.write_products(root / "data", seed=recipe.seed)
        inputs = [str(root / "data" / "new")]
    else:
        synthetic.write_seep(root / "data", seed=recipe.seed)
        synthetic.write_scene(root / "scene.tif", rows=768, cols=768, seed=recipe.seed + 1000)
        inputs = [str(root / "scene.tif")]
    click.echo("2/4 training")
    folder = RunFolder(root / "run")
    with progress("epoch", None, quiet) as tick:
        train(recipe, folder, fold=0 if recipe.data.split.folds else None, echo=speaker(quiet), tick=tick)
    click.echo("3/4 scoring tiles that training never saw")
    tiles_to_score = [open_labelled(folder.best, recipe.runtime, "val")]
    summary = evaluate(tiles_to_score, "val", folder.eval("val"), Options(report=True))
    print_table(per_class(summary), f"{summary.split}: {summary.n_tiles} tiles")
    if summary.tgs_score is not None:
        click.echo(f"TGS score {summary.tgs_score:.4f}")
    click.echo("4/4 predicting")
    maps = root / "maps"
    wanted = Wanted(grid=parse_grid("utm") if sentinel1 else None)
    how = Recipe((folder.best,), recipe.runtime, recipe.predict, False, wanted)
    predict_batch(plan(inputs, maps), how, maps, Execution(strict=True))
    if sentinel1:
        print_table(_largest(maps / "findings.csv"), f"the largest slicks of {relative(maps)}/findings.gpkg")
    scores, tiles = folder.eval("val"), relative(folder.eval("val") / "tiles.png")
    click.echo(
        f"\ndone in {time.monotonic() - begin:.0f} s; look at\n"
        f"  report   {relative(scores / 'report.html')}\n"
        f"  table    {relative(scores / 'per_class.csv')}\n"
        f"  figures  {relative(scores / 'confusion.png')}, {tiles}\n"
        f"  maps     {relative(maps)}/{' (in UTM: *_map.tif)' * sentinel1}\n"
        f"  curves   seepseg monitor {relative(folder.root)}"
    )


def _largest(findings: Path) -> pd.DataFrame:
    """The largest polygons of each class, with time and place."""
    import pandas as pd

    columns = ["acquired", "class_name", "area_m2", "x", "y", "mean_probability"]
    ranked = pd.read_csv(findings).sort_values(["class_name", "area_m2"], ascending=[True, False])
    return ranked.groupby("class_name").head(2)[columns]


def _zones(root: Path, quiet: bool) -> None:
    """Maps of a made-up sea, as `predict` would leave them; their zones by `seepseg zones`, against the truth."""
    import pandas as pd

    from seepseg.cli.zones import command as find_zones
    from seepseg.synthetic.vents import Sea, write_passes

    begin, sea, maps = time.monotonic(), Sea(passes=40, lulls=0.15, pictures=True), root / "maps"
    _begin(root)
    click.echo(f"1/3 maps of {sea.passes} passes over {sea.vents} vents, with errors, in {relative(maps)}/")
    vents = write_passes(maps, sea)
    click.echo("2/3 seepseg zones")
    wind, found = (maps / "wind.csv",), root / "zones"
    click.get_current_context().invoke(find_zones, folders=(maps,), out=found, wind=wind, quiet=quiet)
    click.echo("3/3 against the planted vents")
    for line in _against(pd.read_csv(found / "zones.csv"), vents, sea.passes):
        click.echo(f"  {line}")
    click.echo(
        f"\ndone in {time.monotonic() - begin:.0f} s; look at\n"
        f"  page     {relative(found / 'page' / 'index.html')}\n"
        f"  map      {relative(found / 'zones.gpkg')}\n"
        f"  table    {relative(found / 'zones.csv')}\n"
        f"  truth    {relative(maps / 'vents.csv')}"
    )


def _against(zones: pd.DataFrame, vents: pd.DataFrame, passes: int) -> list[str]:
    """What of the planted truth the zones say, a line each."""
    import numpy as np

    from seepseg.metrics.rates import wilson
    from seepseg.synthetic.vents import vents_of

    vent, far = vents_of(zones, vents)
    real, often = vent >= 0, (vents["rate"] >= OFTEN).to_numpy()
    found, own = np.isin(np.arange(len(vents)), vent), zones[real]
    rates = vents["mapped"].to_numpy()[vent[real]]
    seen = (own["n_seen"] + own["n_seen_unobserved"]).to_numpy()
    blind_low, blind_high = wilson(seen, np.full(len(own), passes))
    inside, blind = (own["lower"] <= rates) & (rates <= own["upper"]), (blind_low <= rates) & (rates <= blind_high)
    middle = f", in the median {np.median(far[real]):.0f} m off" if len(own) else ""
    return [
        f"found: {found[often].sum()} of {often.sum()} vents with a slick on {100 * OFTEN:g} % of passes or more,"
        f" {found[~often].sum()} of {(~often).sum()} rarer ones{middle}",
        f"false: {(~real).sum()} of {len(zones)} zones",
        f"true rate in the interval of 95 %: {inside.sum()} of {len(own)} zones;"
        f" {blind.sum()} if every pass counted as observed",
    ]


def _begin(root: Path) -> None:
    """Make the folder of a demo anew."""
    from seepseg.io.atomic import write_text

    if root.exists():
        if not (root / MARK).exists():
            raise ConfigError("folder exists and is not a demo's", root, "give another -o")
        shutil.rmtree(root)
    write_text(root / MARK, "made by seepseg demo\n")
    made(root)
