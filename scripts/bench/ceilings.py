"""The scores of truth itself, changed a little: what labels as loose as those of seeps allow at most.

    python scripts/bench/ceilings.py [--eval RUN/eval/oof] -s data.root=SEEP

All labelled tiles of `seep_best_cpu`. With --eval, also the two-family accuracy of a scored run.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.config import find_config, load
from seepseg.data.catalog import labelled_of
from seepseg.data.scan import with_counts
from seepseg.data.source import read_mask, read_pixels, source_of
from seepseg.evaluation.accumulate import Accumulator
from seepseg.evaluation.printing import interval_text, whole_objects
from seepseg.evaluation.summary import Decoded, summarise
from seepseg.inference.score import Sums, TileResult
from seepseg.metrics.baseline import most_common_class, one_class, shifted

FAMILY = (4, 5)
"""Classes that are seen around each other, and the others not around them (docs/lab/seep-data.md)."""
Classes = NDArray[np.uint8]


def families(matrix: NDArray[np.int64]) -> float:
    """Share of the pixels that are foreground in truth and prediction whose predicted class is of the true family."""
    own = np.isin(np.arange(1, len(matrix)), FAMILY)
    return float(matrix[1:, 1:][own[:, None] == own].sum() / matrix[1:, 1:].sum())


def main() -> None:
    """Print a row for each way to change truth."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-s", "--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--eval", type=Path, help="A folder that `seepseg eval` wrote.")
    arguments = parser.parse_args()
    source = source_of(load(find_config(Path("seep_best_cpu")), arguments.set).data)
    catalog = with_counts(source, labelled_of(source.catalog()))
    common = most_common_class(catalog.pixels().sum(0))
    rows: dict[str, Callable[[Classes], Classes]] = {
        "perfect outlines, one class": lambda truth: one_class(truth, common),
        "truth shifted by (1, 1)": shifted,
    }
    for name, change in rows.items():
        counts, total = Accumulator(catalog), Sums.empty(len(catalog.classes))
        for tile in catalog.tiles:
            valid = read_pixels(source, tile).valid
            truth = np.where(valid, read_mask(source, tile, valid.shape), np.uint8(IGNORE))
            made = np.where(truth == IGNORE, truth, change(truth)).astype(np.uint8)
            planes = np.eye(len(catalog.classes), dtype=np.float32)[np.where(made == IGNORE, 0, made)].transpose(
                2, 0, 1
            )
            sums = Sums.of_tile(truth, made, len(catalog.classes))
            total += sums
            counts.update(TileResult(tile.id, np.zeros((1, *truth.shape), np.float32), truth, made, planes, sums))
        evidence = counts.compute(Decoded("config", "network", None, None, None, None))
        summary = summarise(total, catalog.classes, name, per_tile=False, evidence=evidence)
        print(f"{name}: foreground Dice {summary.foreground.dice:.3f}, macro Dice {summary.macro.dice:.3f}")
        for score, interval, value in whole_objects(summary):
            print(f"  {score} {value:.3f} ({interval_text(summary.interval(interval))})")
        print(f"  two-family accuracy {families(total.matrix):.3f}")
    if arguments.eval:
        matrix = pd.read_csv(arguments.eval / "confusion.csv", index_col=0).to_numpy(np.int64)
        print(f"{arguments.eval}: two-family accuracy {families(matrix):.3f}")


if __name__ == "__main__":
    main()
