"""seepseg compare: reads the evaluations of two runs and says which is better, and how sure that is."""

from __future__ import annotations

from pathlib import Path

import click

from seepseg.cli.options import FILE, print_table, relative
from seepseg.cli.record import made


@click.command()
@click.argument("run_a", type=FILE)
@click.argument("run_b", type=FILE)
@click.option("--split", default="val", show_default=True, help="Which evaluation of theirs: val, test, all, oof.")
@click.option("-o", "--out", type=FILE, help="Where to write.  [default: RUN_B/eval/SPLIT/against-RUN_A]")
def command(run_a: Path, run_b: Path, split: str, out: Path | None) -> None:
    """Is RUN_B better than RUN_A? A paired bootstrap over the scenes, blocks or salt tiles of both.

    \b
    seepseg eval runs/base && seepseg eval runs/mine
    seepseg compare runs/base runs/mine
    """
    from seepseg.evaluation.compare import compare, evaluated, table, verdict, write_comparison

    rows = compare(run_a, run_b, split)
    names = (run_a.resolve().name, run_b.resolve().name)
    if names[0] == names[1]:
        names = (str(run_a), str(run_b))
    where = out or evaluated(run_b, split) / f"against-{run_a.resolve().name}"
    write_comparison(where, rows, names)
    # Not the names as headings: two runs may share one, or be named like another column.
    columns = {"a": "A", "b": "B", "difference": "B − A", "b_better": "B better"}
    print_table(table(rows).rename(columns=columns), f"A = {names[0]}, B = {names[1]}")
    click.echo(verdict(rows[0], names))
    made(where / "compare.csv", where / "compare.png")
    click.echo(f"written: {relative(where)}/ (compare.csv, compare.png)")
