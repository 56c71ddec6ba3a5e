"""seepseg zones: reads prediction folders, makes the map of seep zones."""

from __future__ import annotations

from pathlib import Path

import click

from seepseg.cli.options import FILE, progress, quiet_option, refuse_unused, relative, warn
from seepseg.cli.record import made


@click.command()
@click.argument("folders", nargs=-1, type=FILE, required=True, metavar="OUT...")
@click.option("-o", "--out", type=FILE, required=True, help="Folder for the zones; give it again for the next run.")
@click.option(
    "--radius", type=click.FloatRange(0, min_open=True), help="Of a zone, metres.  [default: 1500; 50 pixels]"
)
@click.option("--bathymetry", type=FILE, help="Raster of elevations, negative below the sea: the radius by depth.")
@click.option("--cell", type=click.FloatRange(0, min_open=True), help="Of recurrence.tif.  [default: a third of it]")
@click.option("--min-passes", type=click.IntRange(1), default=2, show_default=True, help="That must have seen a zone.")
@click.option(
    "--false-share",
    type=click.FloatRange(0, 1),
    default=0.2,
    show_default=True,
    help="Of zones that chance alone would make, at most; 1 keeps all.",
)
@click.option("--frame", type=click.Choice(["map", "rows-columns"]), default="map", show_default=True)
@click.option("--shifts", type=FILE, help="CSV of scene, column and row to add to a scene's own, for rows-columns.")
@click.option(
    "--images",
    "--align",
    "images",
    type=FILE,
    help="Folder with the images of the scenes: points that stay bright are flagged; in rows-columns, shifts by them.",
)
@click.option(
    "--wind",
    type=FILE,
    multiple=True,
    metavar="FILE|image",
    help="CSV of scene and wind_speed, or GRIB or netCDF with u10 and v10; or image. Repeatable.",
)
@click.option("--wind-direction", type=click.FloatRange(0, 360), help="That it comes from, for --wind image.")
@click.option("--wind-range", default="2:10", show_default=True, metavar="LOW:HIGH", help="That shows slicks, m/s.")
@click.option("--incidence", default="20:45", show_default=True, metavar="LOW:HIGH", help="That shows them, degrees.")
@click.option(
    "--near",
    type=FILE,
    multiple=True,
    help="What else it could be: CSV of lon, lat, name, kind, time, or a vector layer. Repeatable.",
)
@click.option(
    "--near-reach", type=click.FloatRange(0, min_open=True), default=5000.0, show_default=True, help="Metres."
)
@click.option("--near-hours", type=click.FloatRange(0), default=3.0, show_default=True, help="Hours around an image.")
@quiet_option
def command(
    folders: tuple[Path, ...],
    out: Path,
    radius: float | None,
    bathymetry: Path | None,
    cell: float | None,
    min_passes: int,
    false_share: float,
    frame: str,
    shifts: Path | None,
    images: Path | None,
    wind: tuple[Path, ...],
    wind_direction: float | None,
    wind_range: str,
    incidence: str,
    near: tuple[Path, ...],
    near_reach: float,
    near_hours: float,
    quiet: bool,
) -> None:
    """Where slicks come back: seep zones of the prediction folders OUT, and how often each was seen when it could be.

    Leaves zones.gpkg, zones.csv, history.csv, recurrence.tif, what is new since the last run, and a page to send.

    \b
    seepseg zones out/ -o zones
    seepseg zones out/ -o zones --wind era5_2024.grib
    """
    from seepseg.atlas.labels import labelled, write_labels
    from seepseg.atlas.page import write_map_page
    from seepseg.conditions.judges import judges_of, parse_range
    from seepseg.errors import ConfigError
    from seepseg.geo.frame import PIXELS, read_shifts
    from seepseg.geo.nearby import read_nearby
    from seepseg.zones.options import Options
    from seepseg.zones.run import make_zones

    unmet = not near and "give --near"
    refuse_unused(wind_range=not wind and "give --wind", near_reach=unmet, near_hours=unmet)
    pixels = frame == PIXELS
    if shifts and not pixels:
        raise ConfigError(f"goes with --frame {PIXELS} only", "--shifts", "leave it out")
    if shifts and images:
        raise ConfigError("both would say where scenes lie", "--shifts and --images", "leave one out")
    if near and pixels:
        raise ConfigError(f"needs scenes on a map, not --frame {PIXELS}", "--near", "leave it out")
    shown = parse_range(wind_range, "--wind-range", 100), parse_range(incidence, "--incidence", 90)
    options = Options(
        radius=radius or (50.0 if pixels else 1500.0),
        cell=cell,
        min_passes=min_passes,
        false_share=false_share,
        pixels=pixels,
        shifts=read_shifts(shifts) if shifts else {},
        images=images,
        bathymetry=bathymetry,
        judges=judges_of(wind, *shown, wind_direction),
        near=read_nearby(near, near_reach, near_hours) if near else None,
    )
    with progress("reading", None, quiet) as tick:
        summary = make_zones(folders, out, options, tick, (write_map_page, write_labels))
    warn(*summary.warnings)
    tables, passes = summary.tables, len(summary.passes)
    scenes = sum(len(one.scenes) for one in summary.passes)
    new = len(tables.zones) if summary.new_zones is None else summary.new_zones
    rejected = f"; {len(tables.rejected)} more rejected" if len(tables.rejected) else ""
    made(out, out / "zones.gpkg", out / "page" / "index.html")
    made(zones=len(tables.zones), new_zones=new, slicks=len(tables.slicks), passes=passes, scenes=scenes)
    click.echo(
        f"{len(tables.zones)} zones ({new} new{rejected}) of {len(tables.slicks)} slicks in {passes} passes"
        f" ({scenes} scenes), in {relative(out)}/; observed means: {tables.basis}"
    )
    if near:
        zones, slicks = (int(table["near_m"].notna().sum()) for table in (tables.zones, tables.slicks))
        where = relative(out / "nearby.csv")
        click.echo(f"within {near_reach:g} m of what is near: {zones} zones and {slicks} slicks, in {where}")
    click.echo(f"to send: the folder {relative(out / 'page')}/, which opens offline with index.html")
    if reviewed := labelled(summary):
        click.echo(f"reviewed: {len(reviewed)} scenes, as labels for training in {relative(out / 'labels.gpkg')}")
