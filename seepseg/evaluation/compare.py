"""Two runs on the same tiles: which is better, by how much, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.errors import ConfigError, DataError, listed
from seepseg.figures.plots import save_differences
from seepseg.io.atomic import write_text
from seepseg.io.raster import as_data_error
from seepseg.io.table import csv_text, read_frame
from seepseg.metrics.bootstrap import (
    MIN_CLUSTERS,
    Difference,
    paired_difference,
    paired_mean_difference,
    paired_scores,
)
from seepseg.metrics.confusion import defined, matrix_scores
from seepseg.metrics.whole import count_names, whole_scores
from seepseg.runs.folder import RunFolder

_WRONG = (ValueError, LookupError, TypeError, OverflowError, OSError)
"""What pandas and NumPy raise about a table that is none of `seepseg eval`."""

HEADLINES = {
    "dice/foreground": "foreground Dice",
    "dice/macro": "macro Dice",
    "iou/foreground": "foreground IoU",
    "iou/macro": "macro IoU",
    "class_accuracy": "class accuracy",
}
WHOLE = {
    "surface_dice": "surface Dice at 2 px",
    "objects/f1": "object F1 at IoU ≥ .25",
    "objects/class_accuracy": "class accuracy of found objects",
    "objects/class_f1": "class F1 by root area",
}


@dataclass(frozen=True)
class Row:
    """A score of A and of B, and B minus A; `clusters` are what the bootstrap draws: scenes, blocks or tiles."""

    score: str
    a: float | None
    b: float | None
    difference: Difference
    clusters: str = "scenes"


def compare(a: Path, b: Path, split: str) -> list[Row]:
    """The scores of two runs, the one that decides first.

    Scenes are drawn with replacement, the same for both, so what makes a scene hard for both cancels out. Of runs that
    held out blocks of ground these are drawn, and of the TGS score tiles.

    Args:
        a, b: run folders that were evaluated, or folders that `seepseg eval -o` wrote.
        split: which evaluation of theirs.

    Raises:
        ConfigError: one of them was not evaluated on the split.
        DataError: they differ in scenes, classes, truth, or in what is drawn.
    """
    folders = evaluated(a, split), evaluated(b, split)
    keys, classes, matrices = zip(*(read_matrices(f / "matrices.csv") for f in folders), strict=True)
    if classes[0] != classes[1]:
        raise DataError(
            f"the class tables differ ({listed(classes[0][1:])}; {listed(classes[1][1:])})", b, "compare like with like"
        )
    if keys[0].keys() != keys[1].keys():
        raise DataError(
            "only one of the two runs has its scores by block of ground",
            b,
            f"if both held out blocks, score both again: seepseg eval RUN --split {split}",
        )
    for kind, own in keys[0].items():
        _same(own, keys[1][kind], f"{kind}s", b)
    clusters = f"{[*keys[0]][-1]}s"
    names = HEADLINES | {f"dice/{i}": f"Dice of {name}" for i, name in enumerate(classes[0]) if i}
    if len(classes[0]) == 2:
        # With one class the others repeat these.
        names = {"dice/foreground": "Dice", "iou/foreground": "IoU"}
    values = [{k: defined(float(v[0])) for k, v in matrix_scores(m.sum(0)[None]).items()} for m in matrices]
    differences = paired_difference(*matrices)
    rows = [Row(name, values[0][k], values[1][k], differences[k], clusters) for k, name in names.items()]
    rows += _whole_rows(folders, len(classes[0]), [*keys[0]])
    if (folders[0] / "tiles.csv").exists():
        rows.insert(0, _tgs_row(folders, b))
    return rows


def verdict(row: Row, names: tuple[str, str]) -> str:
    """One line on a score: which run is better, by how much, how sure."""
    difference = row.difference
    if difference.value is None:
        return f"{row.score} is not defined in both"
    better = names[1] if difference.value > 0 else names[0]
    by = f"{better} is better in {row.score} by {abs(difference.value):.4f}"
    if difference.low is None or difference.high is None or difference.b_better is None:
        few = f"{difference.clusters} {row.clusters}; an interval needs {MIN_CLUSTERS}"
        return f"{by if difference.value else f'no difference in {row.score}'}; how sure that is cannot be said ({few})"
    interval = f"95 % interval {difference.low:+.4f} to {difference.high:+.4f}"
    if difference.low <= 0 <= difference.high:
        return f"no difference can be shown in {row.score}: B − A is {difference.value:+.4f}, {interval}"
    share = difference.b_better if difference.value > 0 else 1 - difference.b_better
    return f"{by}, in {share:.0%} of the draws; B − A: {interval}"


def table(rows: Sequence[Row]) -> pd.DataFrame:
    """The rows as compare.csv holds them; columns of intervals only where there are any."""
    frame = pd.DataFrame([{"score": r.score, "a": r.a, "b": r.b} | asdict(r.difference) for r in rows])
    frame = frame.rename(columns={"value": "difference"})
    return frame.drop(columns=[c for c in ("low", "high", "b_better") if frame[c].isna().all()])


def write_comparison(folder: Path, rows: Sequence[Row], names: tuple[str, str]) -> None:
    """Write compare.csv and compare.png."""
    write_text(folder / "compare.csv", csv_text(table(rows), na_rep="n/a"))
    bars = [(r.score, r.difference.value, r.difference.low, r.difference.high) for r in rows]
    save_differences(folder / "compare.png", bars, names)


def evaluated(run: Path, split: str) -> Path:
    """The folder that holds the scores of a run on a split.

    Raises:
        ConfigError: there is none.
    """
    for folder in (run, RunFolder(run).eval(split)):
        if (folder / "matrices.csv").exists():
            return folder
    raise ConfigError(f"not evaluated on {split}", run, f"run: seepseg eval {run} --split {split}")


def read_matrices(path: Path) -> tuple[dict[str, list[str]], list[str], NDArray[np.int64]]:
    """Names by what they are of, names of the classes, and confusion matrices (S, K, K), from matrices.csv.

    Names are sorted. They are of scenes and, where blocks of ground were held out, of blocks. What comes last is drawn,
    and the matrices are of these.

    Raises:
        DataError: it is no such table, or lacks cells of a matrix.
    """
    with as_data_error(path, _WRONG):
        texts = dict.fromkeys(("scene", "block", "truth", "prediction"), str)
        frame = read_frame(path, dtype=texts, keep_default_na=False)
        kinds = [kind for kind in ("scene", "block") if kind == "scene" or kind in frame]
        keys, classes = {kind: sorted(set(frame[kind])) for kind in kinds}, list(dict.fromkeys(frame["truth"]))
        count = len(frame[kinds].drop_duplicates())
        if len(frame) != count * len(classes) ** 2:
            raise ValueError(f"{len(frame)} rows for {count} {kinds[-1]}s and {len(classes)} classes")
        stack = np.zeros((len(keys[kinds[-1]]), len(classes), len(classes)), np.int64)
        places = [frame[column].map({n: i for i, n in enumerate(order)}) for column, order in
                  ((kinds[-1], keys[kinds[-1]]), ("truth", classes), ("prediction", classes))]  # fmt: skip
        np.add.at(stack, tuple(places), frame["pixels"])
    return keys, classes, stack


def _numbers(path: Path, keys: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Sums of columns of a table of `seepseg eval` by the last of its columns of texts; DataError where it is none."""
    with as_data_error(path, _WRONG):
        frame = read_frame(path, dtype=dict.fromkeys(keys, str), keep_default_na=False).set_index([*keys])
        if not frame.index.is_unique:
            raise ValueError(f"a {keys[-1]} twice")
        return frame[[*columns]].astype(np.float64).groupby(level=keys[-1]).sum()


def _whole_rows(folders: tuple[Path, Path], n_classes: int, keys: Sequence[str]) -> list[Row]:
    """Scores of outlines and whole objects, where both were evaluated by a version that counts them by scene."""
    if not all((folder / "counts.csv").exists() for folder in folders):
        return []
    counts = [_numbers(f / "counts.csv", keys, count_names(n_classes)).to_numpy() for f in folders]
    values = [{k: defined(float(v[0])) for k, v in whole_scores(c.sum(0)[None]).items()} for c in counts]
    differences = paired_scores(counts[0], counts[1], whole_scores)
    names_of = {k: name for k, name in WHOLE.items() if n_classes > 2 or "class" not in k}
    return [Row(name, values[0][k], values[1][k], differences[k], f"{keys[-1]}s") for k, name in names_of.items()]


def _tgs_row(folders: tuple[Path, Path], where: Path) -> Row:
    a, b = (_numbers(f / "tiles.csv", ["tile"], ["tgs_score"]) for f in folders)
    _same(list(a.index), list(b.index), "tiles", where)
    scores = [frame["tgs_score"].to_numpy() for frame in (a, b)]
    return Row("TGS score", scores[0].mean(), scores[1].mean(), paired_mean_difference(*scores), "tiles")


def _same(one: list[str], other: list[str], what: str, where: Path) -> None:
    differing = sorted(set(one) ^ set(other))
    if differing:
        raise DataError(
            f"the two runs were scored on different {what} ({listed(differing)})", where, "evaluate both on the same"
        )
