"""What counted tiles come to beyond the confusion matrix, and the tables of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
import pandas as pd

from seepseg.classes import ClassTable
from seepseg.evaluation.accumulate import Accumulator
from seepseg.evaluation.summary import (
    Calibration,
    Decoded,
    Evidence,
    Headline,
    Profile,
    Summary,
    class_table,
    headline,
    plain,
)
from seepseg.inference.score import Sums
from seepseg.io.atomic import write_text
from seepseg.metrics.bootstrap import Interval, bootstrap, bootstrap_mean, bootstrap_ratio
from seepseg.metrics.boundary import TOLERANCES
from seepseg.metrics.detection import CRITERIA, Detections, object_scores
from seepseg.metrics.salt_score import batch_scores


def weigh(counts: Accumulator, decoding: Decoded, profile: Profile | None = None) -> Evidence:
    """The evidence of counted tiles."""
    names, per_tile = counts.catalog.classes.names[1:], counts.per_tile
    # In the order of the scenes' names, so that draws do not depend on the order of tiles.
    drawn = bootstrap(np.stack([sums.matrix for _, sums in sorted(counts.scenes.items())]))
    intervals = drawn.intervals | _object_intervals([objects for _, objects in sorted(counts.objects.items())])
    if per_tile:
        intervals["tgs_score"] = bootstrap_mean(np.array([score for _, score in sorted(counts.tgs.items())]))
    return Evidence(
        intervals=intervals,
        lacking=dict(zip(names, drawn.lacking, strict=True)),
        objects=object_scores(reduce(add, counts.objects.values()), names)[0],
        surface_dice={f"{t:g} px": row[0] for t, row in zip(TOLERANCES, counts.surfaces.surface_dice(), strict=True)},
        references=_headlines(counts.references, per_tile),
        as_published=batch_scores(counts.soft),
        calibration={name: Calibration(bins.expected_error()) for name, bins in counts.reliability.items()},
        froc=counts.froc.columns(),
        decoding=decoding,
        by_coverage=_headlines(_by_coverage(counts.coverage), per_tile) if per_tile else None,
        by_flag=_headlines(_by_flag(counts.flags), per_tile) if per_tile else None,
        profile=profile,
    )


def write_scores(folder: Path, sums: Sums, classes: ClassTable, summary: Summary) -> None:
    """Write metrics.json, per_class.csv and confusion.csv."""
    write_text(folder / "metrics.json", json.dumps(summary.to_json(), indent=1) + "\n")
    _write(folder, "per_class", class_table(summary))
    names = list(classes.names)
    frame = pd.DataFrame(sums.matrix, index=pd.Index(names, name="truth"), columns=names)
    write_text(folder / "confusion.csv", frame.to_csv())


def write_evidence(folder: Path, counts: Accumulator, evidence: Evidence) -> None:
    """Write a CSV for each table of counted tiles.

    scenes, matrices (for `seepseg compare`), objects, surface, references, froc and reliability; for salt also tiles,
    coverage and, where tiles are flagged, flags.
    """
    names = counts.catalog.classes.names
    scenes = dict(sorted(counts.scenes.items()))
    _write(folder, "scenes", _table("scene", _headlines(scenes, counts.per_tile)))
    cells = ((s, names[t], names[p], n) for s, sums in scenes.items() for (t, p), n in np.ndenumerate(sums.matrix))
    columns = ["scene", "truth", "prediction", "pixels"]
    _write(folder, "matrices", pd.DataFrame(cells, columns=columns))
    objects = object_scores(reduce(add, counts.objects.values()), names[1:])
    _write(folder, "objects", pd.DataFrame([plain(row) for row in objects]))
    surface = pd.DataFrame(counts.surfaces.surface_dice(), columns=["foreground", *names[1:]])
    _write(folder, "surface", surface.assign(tolerance_px=TOLERANCES))
    _write(folder, "references", _table("row", evidence.references))
    _write(folder, "froc", pd.DataFrame(evidence.froc))
    points = [(name, *point) for name, bins in counts.reliability.items() for point in bins.curve()]
    _write(folder, "reliability", pd.DataFrame(points, columns=["of", "confidence", "came_true", "pixels"]))
    if counts.per_tile:
        _write(folder, "tiles", pd.DataFrame(list(counts.tgs.items()), columns=["tile", "tgs_score"]))
        _write(folder, "coverage", _table("coverage", evidence.by_coverage or {}))
    if evidence.by_flag:
        _write(folder, "flags", _table("tiles_with", evidence.by_flag))


def _object_intervals(scenes: list[Detections]) -> dict[str, Interval]:
    found = CRITERIA.index("iou25")
    counts = [(s.objects, s.found[found], s.right[found], s.false_alarms, s.valid_pixels) for s in scenes]
    objects, hits, right, false_alarms, pixels = np.array([[np.sum(n) for n in row] for row in counts]).T
    return {
        "objects/found": bootstrap_ratio(hits, objects),
        "objects/class_accuracy": bootstrap_ratio(right, hits),
        "objects/false_alarms_per_mpx": bootstrap_ratio(1e6 * false_alarms, pixels),
    }


def _headlines(sums: Mapping[str, Sums], per_tile: bool) -> dict[str, Headline]:
    return {name: headline(one, per_tile=per_tile) for name, one in sums.items()}


def _by_coverage(tenths: Mapping[int, Sums]) -> dict[str, Sums]:
    """Sums by the share of foreground, in words."""
    return {f"{(t - 1) / 10:.1f}–{t / 10:.1f}" if t else "none": tenths[t] for t in sorted(tenths)}


def _by_flag(flags: Mapping[str, Sums]) -> dict[str, Sums]:
    """Sums of all tiles, of those without a flag, and of those with each; nothing where no tile has one."""
    flagged = {flag: flags[flag] for flag in sorted(flags) if flag}
    unflagged = flags[""] if "" in flags else Sums.empty(2)
    return {"all tiles": reduce(add, flags.values()), "without flagged": unflagged, **flagged} if flagged else {}


def _table(kind: str, rows: Mapping[str, Headline]) -> pd.DataFrame:
    return pd.DataFrame([{kind: name} | plain(row) for name, row in rows.items()])


def _write(folder: Path, name: str, frame: pd.DataFrame) -> None:
    write_text(folder / f"{name}.csv", frame.to_csv(index=False, na_rep="n/a"))
