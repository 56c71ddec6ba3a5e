"""Two runs on the same tiles: which is better, by how much, and how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.errors import ConfigError, DataError, listed
from seepseg.evaluation.conclusions import read_matrices
from seepseg.figures import save_differences
from seepseg.io.atomic import write_text
from seepseg.metrics.bootstrap import Difference, matrix_scores, paired_difference, paired_mean_difference
from seepseg.runs.folder import RunFolder

HEADLINES = {"dice/foreground": "foreground Dice", "dice/macro": "macro Dice", "class_accuracy": "class accuracy"}

TGS = "TGS score"

Floats = NDArray[np.float64]


def compare(a: Path, b: Path, split: str) -> pd.DataFrame:
    """A row a score: its value in A and in B, B − A with its 95 % interval, and how sure it is that B is better.

    Scenes are drawn with replacement, the same for both (the TGS score: tiles), so what makes a scene hard for both
    cancels out.

    Args:
        a, b: run folders that were evaluated, or folders that `seepseg eval -o` wrote.
        split: which evaluation of theirs.

    Raises:
        ConfigError: one of them was not evaluated on the split.
        DataError: they differ in scenes, classes or truth.
    """
    folders = evaluated(a, split), evaluated(b, split)
    scenes, classes, matrices = zip(*(read_matrices(f / "matrices.csv") for f in folders), strict=True)
    if classes[0] != classes[1]:
        raise DataError(
            f"the class tables differ ({listed(classes[0][1:])}; {listed(classes[1][1:])})", b, "compare like with like"
        )
    _same(scenes[0], scenes[1], "scenes", b)
    values = [{k: float(v[0]) for k, v in matrix_scores(m.sum(0)[None]).items()} for m in matrices]
    names = HEADLINES | {f"dice/{i}": f"Dice of {name}" for i, name in enumerate(classes[0]) if i}
    differences = paired_difference(*matrices)
    if len(classes[0]) == 2:
        # With one class these say nothing that foreground Dice does not.
        names = {"dice/foreground": "Dice"}
    rows = [_row(names[k], values[0][k], values[1][k], differences[k]) for k in names]
    if (folders[0] / "tiles.csv").exists():
        first, second = (
            pd.read_csv(f / "tiles.csv", dtype={"tile": str}, keep_default_na=False).set_index("tile") for f in folders
        )
        _same(list(first.index), list(second.index), "tiles", b)
        one, other = (f["tgs_score"].sort_index().to_numpy(np.float64) for f in (first, second))
        rows.insert(0, _row(TGS, one.mean(), other.mean(), paired_mean_difference(one, other)))
    return pd.DataFrame(rows)


def verdict(frame: pd.DataFrame, names: tuple[str, str]) -> str:
    """One line on the first score: which run is better, by how much, how sure."""
    row = frame.iloc[0]
    if pd.isna(row["difference"]):
        return f"{row['score']} is not defined in both"
    better = names[1] if row["difference"] > 0 else names[0]
    if row["difference"] == 0:
        return f"no difference in {row['score']}"
    by = f"{better} is better in {row['score']} by {abs(row['difference']):.4f}"
    if pd.isna(row["low"]):
        return f"{by}; n/a how sure ({row['clusters']} {'tiles' if row['score'] == TGS else 'scenes'})"
    share = row["b_better"] if row["difference"] > 0 else 1 - row["b_better"]
    sure = "" if row["low"] > 0 or row["high"] < 0 else ", which may be chance: the 95 % interval holds 0"
    return f"{by}, in {share:.0%} of the draws{sure}"


def write_comparison(folder: Path, frame: pd.DataFrame, names: tuple[str, str]) -> None:
    """Write compare.csv and compare.png."""
    write_text(folder / "compare.csv", frame.to_csv(index=False, na_rep="n/a"))
    rows: list[dict[str, Any]] = [
        {str(k): None if isinstance(v, float) and np.isnan(v) else v for k, v in row.items()}
        for row in frame.to_dict("records")
    ]
    save_differences(folder / "compare.png", rows, names)


def evaluated(run: Path, split: str) -> Path:
    """The folder with the scores of a run on a split.

    Raises:
        ConfigError: there is none.
    """
    for folder in (run, RunFolder(run).eval(split)):
        if (folder / "matrices.csv").exists():
            return folder
    raise ConfigError(f"not evaluated on {split}", run, f"run: seepseg eval {run} --split {split}")


def _row(name: str, a: float, b: float, difference: Difference) -> dict[str, Any]:
    return {
        "score": name,
        "a": a,
        "b": b,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "b_better": difference.b_better,
        "clusters": difference.clusters,
    }


def _same(one: list[str], other: list[str], what: str, where: Path) -> None:
    odd = sorted(set(one) ^ set(other))
    if odd:
        raise DataError(
            f"the two runs were scored on different {what} ({listed(odd)})", where, "evaluate both on the same"
        )
