"""What a data set holds, as tables: gathered in one pass over its tiles, before any training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from seepseg.audit.borders import border_problems
from seepseg.audit.duplicates import Pair, duplicates
from seepseg.audit.inspection import KINDS, Problem, TileFacts, inspect
from seepseg.audit.statistics import balance, band_names, intensities
from seepseg.config import Config
from seepseg.data.catalog import Catalog
from seepseg.data.frame import with_blocks
from seepseg.data.source import source_of
from seepseg.errors import SeepsegError
from seepseg.io.atomic import write_text
from seepseg.io.table import csv_text
from seepseg.machine.progress import Tick, silent
from seepseg.splits.make import divided
from seepseg.splits.parts import shares

COVERAGE = (0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Limits of the shares of foreground that tiles are counted by."""


@dataclass(frozen=True)
class DatasetFacts:
    """The facts of a data set, from one pass over its tiles.

    Attributes:
        recipe: the config that names it.
        catalog: the tiles that can be read, with their class counts.
        tiles: what each of them holds.
        problems: of labels and files, by kind, the largest first.
        pairs: duplicates.
        parts: train, val or test of each labelled tile; empty where the data cannot be divided.
        split_error: why not.
    """

    recipe: Config
    catalog: Catalog
    tiles: Sequence[TileFacts]
    problems: Sequence[Problem]
    pairs: Sequence[Pair]
    parts: dict[str, str]
    split_error: str


def gather(recipe: Config, folder: Path, tick: Tick = silent) -> DatasetFacts:
    """The facts of the data of a config; their tables are written into `folder`.

    tiles.csv, classes.csv, scenes.csv, intensity.csv, histograms.csv, coverage.csv, problems.csv, duplicates.csv, and,
    where the data can be divided, splits.csv and shares.csv. Labels and files that training would stop at are listed
    instead.

    Raises:
        DataError: there are no tiles, or images and masks do not pair up.
    """
    source = source_of(recipe.data)
    opened = source.catalog()
    inspection = inspect(opened, source, tick)
    problems = [*inspection.problems, *border_problems(inspection.tiles, opened.classes)]
    order = list(KINDS)
    problems.sort(key=lambda p: (order.index(p.kind), -p.pixels, p.tile))
    catalog = replace(opened, tiles=tuple(facts.tile for facts in inspection.tiles))
    parts, split_error, warnings = _divide(recipe, catalog, folder)
    catalog = replace(catalog, warnings=(*catalog.warnings, *warnings))
    data = DatasetFacts(recipe, catalog, inspection.tiles, problems, duplicates(inspection.tiles), parts, split_error)
    for name, frame in _tables(data).items():
        write_text(folder / f"{name}.csv", csv_text(frame, na_rep="n/a"))
    return data


def _divide(recipe: Config, catalog: Catalog, folder: Path) -> tuple[dict[str, str], str, list[str]]:
    """Part of each labelled tile as training would divide them, or why it could not, and warnings.

    Writes splits.csv and shares.csv.
    """
    labelled = catalog.subset([t.id for t in catalog.tiles if t.labelled])
    if not len(labelled):
        return {}, "no labelled tile", []
    split = recipe.data.split
    try:
        labelled = with_blocks(source_of(recipe.data), labelled)
        splits, more = divided(labelled, split, recipe.seed, 0 if split.folds else None)
    except SeepsegError as error:
        return {}, str(error), [*labelled.warnings[len(catalog.warnings) :]]
    write_text(folder / "splits.csv", csv_text(splits))
    write_text(folder / "shares.csv", csv_text(shares(labelled, splits), index=True))
    parts = dict(zip(splits["id"].astype(str), splits["split"].astype(str), strict=True))
    return parts, "", [*labelled.warnings[len(catalog.warnings) :], *more]


def _tables(data: DatasetFacts) -> dict[str, pd.DataFrame]:
    names, source = data.catalog.classes.names, source_of(data.recipe.data)
    bands, tiles = band_names(source), []
    for facts in data.tiles:
        pixels, labelled = facts.tile.pixels or (0,) * len(names), facts.tile.labelled
        tiles.append(
            {
                "tile": facts.tile.id,
                "scene": facts.tile.group,
                "split": data.parts.get(facts.tile.id, ""),
                "height": facts.shape[0],
                "width": facts.shape[1],
                "nodata_percent": 100 * (1 - facts.valid),
                **_values(facts, bands),
                "foreground_percent": 100 * sum(pixels[1:]) / max(sum(pixels), 1) if labelled else None,
                **{pixels_of(name): n if labelled else None for name, n in zip(names[1:], pixels[1:], strict=True)},
            }
        )
    frame = pd.DataFrame(tiles)
    pairs = [
        asdict(p)
        | {
            "same_mask": "yes" if p.same_mask else "no",
            "parts": "/".join(data.parts.get(t, "?") for t in (p.tile, p.other)),
        }
        for p in data.pairs
    ]
    readable = replace(data.catalog, tiles=tuple(facts.tile for facts in data.tiles if facts.mean is not None))
    histograms, quantiles = intensities(readable, source) if len(readable) else ({}, pd.DataFrame())
    long = [
        (scene, band or "1", edges[i], edges[i + 1], share)
        for band, (scenes, edges, _) in histograms.items()
        for scene, shares in scenes.items()
        for i, share in enumerate(shares)
    ]
    return {
        "tiles": frame,
        "classes": balance(data.catalog),
        "scenes": _by_scene(frame, names, data.tiles),
        "intensity": quantiles,
        "histograms": pd.DataFrame(long, columns=["group", "band", "low", "high", "share"]),
        "coverage": _coverage(frame),
        "problems": pd.DataFrame([asdict(p) for p in data.problems], columns=list(Problem.__dataclass_fields__)),
        "duplicates": pd.DataFrame(pairs, columns=[*Pair.__dataclass_fields__, "parts"]),
    }


def _values(facts: TileFacts, bands: Sequence[str]) -> dict[str, float | None]:
    """Lowest value, mean and highest of each band of a tile, as columns."""
    return {
        f"{what}_{band}" if band else what: values[k] if values else None
        for k, band in enumerate(bands)
        for what, values in (("low", facts.low), ("mean", facts.mean), ("high", facts.high))
    }


def pixels_of(name: str) -> str:
    """The column with the pixels of a class: classes may be called as other columns are."""
    return f"{name} pixels"


def _by_scene(tiles: pd.DataFrame, names: Sequence[str], facts: Sequence[TileFacts]) -> pd.DataFrame:
    """A row per scene; its foreground is a share of the labelled pixels, n/a where there are none."""
    classes = [*map(pixels_of, names[1:])]
    columns = ["scene", "tiles", "nodata_percent", "foreground_percent", *classes]
    if tiles.empty or tiles["scene"].nunique() == len(tiles):  # every tile for itself: tiles.csv says it all
        return pd.DataFrame(columns=columns)
    area, labelled = [one.area for one in facts], [sum(one.tile.pixels or ()) for one in facts]
    missing = area * tiles["nodata_percent"] / 100
    sums = tiles.assign(area=area, labelled=labelled, missing=missing).groupby("scene")
    out, counted = sums[classes].sum(), sums["labelled"].sum()
    out.insert(0, "tiles", sums.size())
    out.insert(1, "nodata_percent", 100 * sums["missing"].sum() / sums["area"].sum())
    out.insert(2, "foreground_percent", 100 * out[classes].sum(axis=1) / counted.where(counted > 0))
    return out.reset_index()[columns]


def _coverage(tiles: pd.DataFrame) -> pd.DataFrame:
    """Labelled tiles by their share of foreground: none, then up to each limit."""
    share = pd.to_numeric(tiles["foreground_percent"]).dropna().to_numpy() / 100 if len(tiles) else np.zeros(0)
    which = np.searchsorted(COVERAGE, share, side="left")
    labels = ["none", *(f"up to {100 * limit:g} %" for limit in COVERAGE[1:])]
    return pd.DataFrame({"foreground": labels, "tiles": np.bincount(which, minlength=len(labels))[: len(labels)]})
