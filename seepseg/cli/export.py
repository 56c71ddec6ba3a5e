"""seepseg export: reads a run, makes a folder that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from seepseg.cli.options import FILE, relative
from seepseg.cli.record import made
from seepseg.errors import ConfigError, SomeFailedError

if TYPE_CHECKING:
    from seepseg.export.run import Exported


@click.command()
@click.argument("run", type=FILE)
@click.option("-o", "--out", type=FILE, required=True, help="Folder for the export.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(["onnx", "safetensors", "torch"]),
    multiple=True,
    help="Repeatable.  [default: all three; onnx with --for]",
)
@click.option("--fold", type=int, help="One fold of a run with folds.  [default: all, averaged]")
@click.option("--each", is_flag=True, help="Each fold on its own, in a folder below DIR.")
@click.option(
    "--for",
    "target",
    type=click.Choice(["deepness"]),
    help="An ONNX file for the Deepness plugin of QGIS, deepness.onnx.",
)
@click.option(
    "--size", type=click.IntRange(16), help="Side of the graph's images, in pixels.  [default: the run's tiles]"
)
@click.option(
    "--limits",
    nargs=2,
    type=float,
    multiple=True,
    metavar="LOW HIGH",
    help="For runs that scale by scene: these limits for all images. Once for each band.",
)
@click.option("--pixel-size", type=click.FloatRange(0, min_open=True), metavar="METRES", help="For the plugin.")
@click.option(
    "--check", type=FILE, metavar="DATA", help="Compare on data below this root.  [default: validation tiles]"
)
@click.option("--license", "licence", metavar="SPDX", help="Of the weights, for the card: CC-BY-4.0 for example.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier export.")
def command(
    run: Path,
    out: Path,
    formats: tuple[str, ...],
    fold: int | None,
    each: bool,
    target: str | None,
    size: int | None,
    limits: tuple[tuple[float, float], ...],
    pixel_size: float | None,
    check: Path | None,
    licence: str | None,
    overwrite: bool,
) -> None:
    """Export RUN, a run folder or a .pt file, for other tools: ONNX, safetensors, torch.

    Scaling, networks (folds averaged), probabilities and decoding are in the graph, which is compared with `seepseg
    predict`. Needs: pip install 'seepseg[export]'.

    \b
    seepseg export runs/seep_multiclass -o model
    seepseg export runs/seep_multiclass -o qgis --for deepness --size 512 --pixel-size 10
    """
    from seepseg.runs.find import find_checkpoints, fold_folder, folds_of, run_root

    if each and fold is not None:
        raise ConfigError("both name folds", "--each and --fold", "give one of them")
    source = fold_folder(run, fold)
    parts = [(out / f.root.name, [f.last], f.root) for f in folds_of(source)] if each else []
    if each and not parts:
        raise ConfigError("has no folds", run, "leave out --each")
    parts = parts or [(out, find_checkpoints(source), run_root(source))]

    # What follows takes seconds to import: a wrong run is reported before.
    from seepseg.export.run import FORMATS, Wanted, export_run

    wanted = Wanted(
        formats=formats or (("onnx",) if target else FORMATS),
        size=size,
        limits=(tuple(low for low, _ in limits), tuple(high for _, high in limits)) if limits else None,
        deepness=target == "deepness",
        pixel_size=pixel_size,
        check=check,
        licence=licence,
        overwrite=overwrite,
    )
    different = []
    for folder, paths, root in parts:
        done = export_run(paths, root, folder, wanted)
        _tell(done, folder)
        different += [relative(folder)] if done.parity and not done.parity.holds else []
    if different:
        raise SomeFailedError("the graph differs from `seepseg predict`", ", ".join(different), "see the lines above")


def _tell(done: Exported, out: Path) -> None:
    contract, (height, width) = done.contract, done.size
    made(out, *(out / name for name in done.files))
    click.echo(f"written: {relative(out)}/ ({', '.join(done.files)})")
    click.echo(f"images: (N, {len(contract.bands)}, {height}, {width}), {contract.pixels}; no data: {contract.no_data}")
    if contract.limits:
        click.echo(f"limits: (N, 2, {len(contract.bands)}), {contract.limits}")
    for line in contract.left_out:
        click.echo(f"not in it: {line}")
    click.echo(f"like `seepseg predict`? {done.checked}")
