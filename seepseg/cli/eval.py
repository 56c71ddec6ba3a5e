"""seepseg eval: reads a run and labelled tiles (or two folders of rasters), makes scores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from seepseg.cli.options import FILE, device_option, print_table, progress, quiet_option, relative
from seepseg.cli.record import made
from seepseg.io.files import local_path

if TYPE_CHECKING:
    from seepseg.classes import ClassTable
    from seepseg.evaluation.summary import Summary


@dataclass(frozen=True)
class Request:
    """The arguments of the command, as its options name them."""

    run: Path | None
    split: str
    data: Path | None
    per_class: bool
    tta: bool
    threshold: float | None
    fit: bool
    no_fit: bool
    fold: int | None
    predictions: Path | None
    truth: Path | None
    classes: str | None
    out: Path | None
    no_figures: bool
    report: bool
    maps: bool
    device: str | None
    quiet: bool

    @property
    def oof(self) -> bool:
        """Whether every tile is scored by the fold that has not seen it."""
        return self.split == "oof"


@click.command()
@click.argument("run", type=FILE, required=False)
@click.option(
    "--split",
    type=click.Choice(["val", "test", "train", "all", "oof"]),
    default="val",
    show_default=True,
    help="oof: every tile by the fold that has not seen it, pooled.",
)
@click.option("--data", type=FILE, help="Score all labelled tiles below this root instead of a split.")
@click.option("--per-class", is_flag=True, help="Print a row for every class.")
@click.option("--tta", is_flag=True, help="Average over the config's test-time flips (predict.tta).")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Foreground where 1 − P(background) reaches this.")
@click.option("--fit", is_flag=True, help="First fit temperature, threshold, offsets and minimum size on validation.")
@click.option("--no-fit", is_flag=True, help="Decode as the config says, not with an earlier --fit.")
@click.option("--fold", type=int, help="One fold of a run with folds.")
@click.option("--predictions", type=FILE, help="Folder of class rasters to score, made by any tool.")
@click.option("--truth", type=FILE, help="Folder of truth rasters for --predictions.")
@click.option(
    "--classes",
    metavar="seep|seep_binary|salt|CONFIG|JSON",
    help="Class table for --predictions: a name, that of a config, or nnU-Net's dataset.json."
    "  [default: the dataset.json beside --truth, or seep]",
)
@click.option("-o", "--out", type=FILE, help="Where to write.  [default: RUN/eval/SPLIT]")
@click.option("--no-figures", is_flag=True, help="Tables only.")
@click.option("--report", is_flag=True, help="Write report.html as well: everything on one page that opens offline.")
@click.option("--maps", is_flag=True, help="Keep the predicted maps too: maps/, a PNG per tile.")
@device_option
@quiet_option
def command(**arguments: Any) -> None:
    """Dice, IoU, precision and recall of RUN on a split, from one confusion matrix over all its pixels.

    A run of folds is scored out of fold (--split oof), or on tiles new to all of them (--data, or a test part) as the
    ensemble that predict uses.

    \b
    seepseg eval runs/seep_multiclass --per-class --report
    seepseg eval runs/salt --split oof --fit
    seepseg eval runs/seep_best_cpu --data OTHER_ROOT --tta --per-class
    seepseg eval --predictions DIR --truth DIR --per-class
    """
    request = Request(**arguments)
    _check(request)
    if request.run:
        _score_run(request, request.run)
    else:
        _score_rasters(request)


def _check(request: Request) -> None:
    """Raise ConfigError where options contradict each other."""
    from seepseg.errors import ConfigError

    rasters = request.predictions is not None
    if rasters != (request.truth is not None) or rasters == (request.run is not None):
        raise ConfigError("what to score is not clear", "eval", "give RUN, or --predictions DIR with --truth DIR")
    if request.fit and (request.no_fit or request.threshold is not None):
        raise ConfigError("a fit would not be used", "--fit", "leave out --no-fit and --threshold")
    if request.fit and (request.split not in ("val", "oof") or request.data):
        raise ConfigError("decoding is fitted on validation tiles only", "--fit", "give --split val, or --split oof")
    if request.oof and (request.fold is not None or request.data):
        raise ConfigError("oof is of all folds and their own data", "--split oof", "leave out --fold and --data")
    of_runs = {
        "--split": request.split != "val", "--data": request.data, "--tta": request.tta, "--fit": request.fit,
        "--threshold": request.threshold is not None, "--no-fit": request.no_fit, "--fold": request.fold is not None,
        "--report": request.report, "--maps": request.maps, "--device": request.device,
    }  # fmt: skip
    if unused := [name for name, given in of_runs.items() if rasters and given]:
        raise ConfigError("rasters are scored as they are", unused[0], "leave it out, or give RUN")
    if request.classes and not rasters:
        raise ConfigError("a run has its own class table", "--classes", "leave it out")


def _score_rasters(request: Request) -> None:
    from seepseg.evaluation.rasters import evaluate_rasters

    assert request.predictions and request.truth
    classes = _class_table(request.classes, request.truth)
    figures = not request.no_figures
    summary = evaluate_rasters(request.predictions, request.truth, classes, request.out, figures=figures)
    made(tiles=summary.n_tiles)
    _print_scores(summary, request)
    if request.out:
        _print_written(request.out, request)


def _class_table(text: str | None, truth: Path) -> ClassTable:
    """The class table that is named, or in the file that is given."""
    from seepseg.classes import TABLES
    from seepseg.config import load
    from seepseg.config.nnunet import DESCRIPTION, described_table

    beside = truth.absolute().parent / DESCRIPTION
    if text is None and beside.is_file():
        text = str(beside)
    if text is None or text in TABLES:
        return TABLES[text or "seep"]
    return described_table(Path(text)) if text.endswith(".json") else load(local_path(text)).data.class_table()


def _score_run(request: Request, run: Path) -> None:
    from dataclasses import replace

    from seepseg.evaluation.evaluate import Options, evaluate
    from seepseg.evaluation.fitting import fit_parts
    from seepseg.evaluation.printing import decoding_text
    from seepseg.inference.labelled import open_parts
    from seepseg.metrics.grades import FEWEST, grades_text
    from seepseg.runs.find import fold_folder
    from seepseg.runs.folder import RunFolder

    root = fold_folder(run, request.fold)
    parts = open_parts(root, request.split, request.device, data_root=request.data, tta=request.tta)
    split = f"data-{request.data.resolve().name}" if request.data else request.split
    of_folds = request.oof or bool(parts[0].others)
    where = request.out or (RunFolder(run) if of_folds else parts[0].folder).eval(split)
    options = Options(
        threshold=request.threshold,
        fitted=not request.no_fit,
        figures=not request.no_figures,
        report=request.report,
        maps=request.maps,
    )
    with progress("scoring", None, request.quiet) as tick:
        searches = fit_parts(parts, where, tick) if request.fit else []
        if searches:
            parts = [replace(part, fit=search.fit) for part, search in zip(parts, searches, strict=True)]
        summary = evaluate(parts, split, where, options, tick)
    made(tiles=summary.n_tiles)
    _print_scores(summary, request)
    for part, search in zip(parts, searches, strict=False):
        click.echo(f"fitted {relative(part.path)}: {decoding_text(search.fit)}; used on other tiles, and by predict")
        if search.fit.polygons:
            few = f"no grades of polygons: they take {FEWEST} of them or more, in several scenes"
            click.echo(grades_text(search.fit.grades) if search.fit.grades else few)
        if search.warning():
            click.echo(f"note: {search.warning()}", err=True)
    _print_written(where, request)


def _print_scores(summary: Summary, request: Request) -> None:
    from seepseg.evaluation import printing
    from seepseg.evaluation.tables import reference_table

    frame = printing.per_class(summary)
    print_table(frame if request.per_class else frame.tail(2), f"{summary.split}: {summary.n_tiles} tiles")
    if request.per_class and summary.evidence:
        print_table(reference_table(summary.evidence), "reference rows on the same tiles")
    for line in printing.lines(summary):
        click.echo(line)


def _print_written(where: Path, request: Request) -> None:
    names = ["metrics.json", "per_class.csv", "confusion.csv"]
    figures = [] if request.no_figures else ["confusion.png", "tiles.png"] if request.run else ["confusion.png"]
    names += [*figures, *["report.html"] * request.report, *["maps"] * request.maps]
    made(where, *(where / name for name in names))
    click.echo(f"written: {relative(where)}/ ({', '.join(names)})")
