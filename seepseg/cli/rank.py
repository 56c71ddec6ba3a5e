"""seepseg rank: reads prediction folders, makes a queue of slicks to look at."""

from __future__ import annotations

from pathlib import Path

import click

from seepseg.cli.options import FILE, progress, quiet_option, relative, warn
from seepseg.cli.record import made


@click.command()
@click.argument("folders", nargs=-1, type=FILE, required=True, metavar="OUT...")
@click.option("-o", "--out", type=FILE, required=True, help="CSV of the queue; a page of pictures goes beside it.")
@click.option("--reviewed", type=FILE, help="Folder of zones: slicks with a verdict there are left out.")
@quiet_option
def command(folders: tuple[Path, ...], out: Path, reviewed: Path | None, quiet: bool) -> None:
    """In which order to look at the slicks of OUT: doubtful and uncertain ones and rare classes first.

    \b
    seepseg rank out/ -o queue.csv --reviewed zones
    """
    from seepseg.atlas.rank import rank, write_queue
    from seepseg.errors import ConfigError

    if out.suffix != ".csv":
        raise ConfigError("is not a .csv file", out, "give -o queue.csv")
    with progress("reading", None, quiet) as tick:
        queue, scenes, warnings = rank(folders, reviewed, tick)
    write_queue(out, queue, scenes)
    warn(*warnings)
    made(out, out.with_suffix(".html"), slicks=len(queue), scenes=queue["scene"].nunique())
    click.echo(f"{len(queue)} slicks of {queue['scene'].nunique()} scenes, in {relative(out)} and {out.stem}.html")
