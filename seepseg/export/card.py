"""MODEL_CARD.md: what was trained on what, how good it is, what its scores mean, and where it ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import seepseg
from seepseg.classes import ClassTable, SegClass
from seepseg.config import Split
from seepseg.errors import DataError
from seepseg.export.contract import Contract
from seepseg.export.onnx_file import OPSET
from seepseg.io.documents import parse_json
from seepseg.runs.checkpoint import Checkpoint
from seepseg.runs.find import folds_of
from seepseg.runs.folder import RunFolder
from seepseg.splits.parts import MEANS


@dataclass(frozen=True)
class Card:
    """What goes into the card.

    Attributes:
        name: of the run.
        licence: SPDX identifier; None where nobody has said.
        checked: the comparison with `predict`, in words.
        files: of the export, each with what it is.
        size: of the graph's images; None where no graph is exported.
    """

    name: str
    licence: str | None
    checked: str
    files: Mapping[str, str]
    size: tuple[int, int] | None


def card_text(card: Card, checkpoints: Sequence[Checkpoint], folder: RunFolder, contract: Contract) -> str:
    """The card as Markdown, with the head that model hubs read.

    Raises:
        DataError: scores of the run are damaged.
    """
    first = checkpoints[0]
    config = first.config
    networks = f"{len(checkpoints)} networks, averaged," if len(checkpoints) > 1 else "A network"
    head = ["---", f"license: {card.licence or 'unknown'}", "library_name: seepseg",
            "tags: [image-segmentation, remote-sensing]", "---"]  # fmt: skip
    sections = [
        "\n".join(head),
        f"# {card.name}",
        f"{networks} for semantic segmentation: `{config.model.name}`, head `{config.model.head}`, "
        f"{_epochs(checkpoints)}. Trained and exported by seepseg {seepseg.__version__}.",
        _titled("Input and output", _interface(card, first.classes, contract)),
        _titled("Classes", _classes(first.classes)),
        _titled("Data", _data(first, folder)),
        _titled("Scores", _scores(folder, config.data.split, len(checkpoints))),
        _titled("Limits", [f"- Not in the graph: {line}." for line in contract.left_out]
                + ["- Other sensors, resolutions and regions than those of the training data have not been tested."]),
        _titled("Same as `seepseg predict`?", [card.checked]),
        _titled("Files", [f"- `{name}`: {text}" for name, text in card.files.items()]),
        _titled("Licence", [card.licence or "Not stated. Ask whoever gave you this folder before you pass it on."]),
    ]  # fmt: skip
    return "\n\n".join(sections) + "\n"


def _titled(title: str, lines: Iterable[str]) -> str:
    return "\n".join([f"## {title}", "", *lines])


def _epochs(checkpoints: Sequence[Checkpoint]) -> str:
    epochs = sorted({c.epoch for c in checkpoints})
    return f"epochs trained: {' and '.join(map(str, epochs))}"


def _interface(card: Card, classes: ClassTable, contract: Contract) -> Iterator[str]:
    height, width = card.size or ("H", "W")
    bands = len(contract.bands)
    yield f"- `image`, float32 (N, {bands}, {height}, {width}), any N: {contract.pixels}; {', '.join(contract.bands)}."
    if contract.limits:
        yield f"- `limits`, float32 (N, 2, {bands}): {contract.limits}."
    yield f"- No data: a pixel where a band is {contract.no_data}."
    yield f"- `probabilities`, float32 (N, {len(classes)}, {height}, {width}): of the classes, background first."
    if not contract.deepness:
        yield f"- `classes`, uint8 (N, {height}, {width}): the class of each pixel, 255 = no data."
    if card.size:
        yield f"- Scaling, network and decoding are in the graph. ONNX opset {OPSET}."


def _classes(classes: ClassTable) -> Iterator[str]:
    yield "| index | name | labels |"
    yield "|---|---|---|"
    yield f"| 0 | background | {', '.join(map(str, classes.background_values))} |"
    for index, c in enumerate(classes.foreground, 1):
        yield f"| {index} | {c.name} | {_labels(c)} |"


def _labels(c: SegClass) -> str:
    return f"from {c.at_least:g}" if c.at_least is not None else ", ".join(map(str, c.values))


def _data(checkpoint: Checkpoint, folder: RunFolder) -> Iterator[str]:
    data = checkpoint.config.data
    yield f"- Source: `{data.source}`, folder `{data.root.name}`."
    yield f"- Division: by {data.split.by}" + (f", {data.split.folds} folds." if data.split.folds else ".")
    for run in (folder, *folds_of(folder.root)):
        if run.splits.exists():
            for part, rows in run.read_splits().groupby("split"):
                fold = "" if run is folder else f"{run.root.name}, "
                yield f"- {fold}{part}: tiles {len(rows)}, scenes {rows['group'].nunique()}."


def _scores(folder: RunFolder, split: Split, networks: int) -> Iterator[str]:
    written = sorted(folder.root.glob("eval/*/metrics.json"))
    if not written:
        yield "Not evaluated: `seepseg eval` before `seepseg export` puts scores here."
        return
    for path in written:
        try:
            yield from list(_table(path))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise DataError("is no table of scores", path, "run `seepseg eval` again") from None
    yield MEANS[split.by]
    if networks > 1 and any(path.parent.name == "oof" for path in written):
        yield (
            "Scores out of fold (oof) are of single networks, each on tiles it has not seen. This model is their mean,"
            " and has no score of its own here: each of these tiles trained some of its networks."
        )
    yield (
        "Intervals are 95 % of a bootstrap over scenes (TGS score: tiles), or over blocks where such were held out;"
        " without one there were too few of them."
    )


def _table(path: Path) -> Iterator[str]:
    scores = parse_json(path.read_bytes())
    intervals: dict[str, dict[str, Any]] = scores.get("intervals", {})
    yield f"{path.parent.name}, {scores['n_tiles']} tiles:"
    yield ""
    yield "| | Dice | 95 % | IoU | pixels of truth |"
    yield "|---|---|---|---|---|"
    rows = [(c["name"], str(c["value"]), c) for c in scores["classes"]]
    rows += [("macro mean", "macro", scores["macro"]), ("foreground", "foreground", scores["foreground"])]
    for name, key, row in rows:
        interval, support = _interval(intervals.get(f"dice/{key}")), row.get("support_pixels", "")
        yield f"| {name} | {_number(row['dice'])} | {interval} | {_number(row['iou'])} | {support} |"
    yield ""
    whole = [
        f"{name} {_number(row[key])}" + (f" ({text})" if (text := _interval(intervals.get(drawn))) != "n/a" else "")
        for name, drawn, row, key in _whole(scores)
        if row.get(key) is not None
    ]
    if whole:
        yield f"Outlines and objects: {', '.join(whole)}."
        yield ""
    if (tgs := scores.get("tgs_score")) is not None:
        yield f"TGS score {tgs:.4f} ({_interval(intervals.get('tgs_score'))})."
        yield ""


def _whole(scores: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any], str]]:
    """Name, name of the interval, table and key of scores that vague outlines hardly change; none in salt."""
    if scores.get("tgs_score") is not None:
        return
    objects = scores.get("objects", {})
    yield "surface Dice at 2 px", "surface_dice", scores.get("surface_dice", {}), "2 px"
    yield "object F1 at IoU ≥ .25", "objects/f1", objects, "f1_iou25"
    if len(scores["classes"]) > 1:
        yield "class accuracy of found objects", "objects/class_accuracy", objects, "class_accuracy_iou25"
        yield "class F1 by root area", "objects/class_f1", objects, "class_f1"


def _interval(interval: Mapping[str, Any] | None) -> str:
    if interval is None or interval["low"] is None:
        return "n/a"
    return f"{interval['low']:.3f}–{interval['high']:.3f}"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
