"""The page and the tables of a data set before training: what is in it, what is odd, how it is divided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from seepseg.classes import IGNORE
from seepseg.config import Config, SeepData
from seepseg.data.catalog import Catalog
from seepseg.data.mosaic import assemble, columns_of
from seepseg.data.sources import open_catalog, read_image, read_labels
from seepseg.data.splits import make_splits, shares
from seepseg.data.stats import balance, intensities
from seepseg.errors import SeepsegError
from seepseg.evaluation.borders import border_problems
from seepseg.evaluation.charts import bars, ridges
from seepseg.evaluation.duplicates import ALIKE, Pair, duplicates
from seepseg.evaluation.inspection import SMALL, Look, Problem, inspect, known_indices
from seepseg.evaluation.page import (
    Rows,
    Section,
    cards,
    folded,
    paragraph,
    read_rows,
    shown,
    source_line,
    table,
    write_page,
)
from seepseg.evaluation.pictures import Group, Picture, gallery
from seepseg.figures import stretch
from seepseg.io.atomic import write_text

LISTED = 100
"""Rows of a long table on the page; its file has all."""

PICTURED = 24
"""Tiles with problems, and examples, that are shown."""

MAP_SIDE = 640
"""Longest side of the map of a scene, pixels."""

COVERAGE = (0.0, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Limits of the shares of foreground that tiles are counted by."""

KINDS = {
    "unreadable": "The file cannot be read; training would stop here.",
    "not finite": "NaN or infinite pixels that are not declared as no data; training would stop here.",
    "value outside the table": "Label values that the class table does not know; training would stop here.",
    "labelled on no data": "Foreground where the image holds nothing; not learned from.",
    "ends at a tile border": "An object stops where the neighbouring tile begins.",
    "class changes at a tile border": "An object goes on in the neighbouring tile under another class.",
    "one-pixel object": "Foreground of one pixel: a slip of the pen, or the rest of an outline.",
}


@dataclass(frozen=True)
class _Data:
    """Everything the page is made of."""

    recipe: Config
    catalog: Catalog
    looks: Sequence[Look]
    problems: Sequence[Problem]
    pairs: Sequence[Pair]
    parts: dict[str, str]
    split_error: str
    folder: Path


def write_dataset_report(
    recipe: Config, title: str, folder: Path, tick: Callable[[int, int], None] = lambda done, of: None
) -> Path:
    """report.html of the data of a config, and beside it the tables that every number on it stands in.

    tiles.csv, classes.csv, scenes.csv, intensity.csv, coverage.csv, problems.csv, duplicates.csv, and, where the data
    can be divided, splits.csv and shares.csv. Labels and files that training would stop at are listed instead.

    Raises:
        DataError: there are no tiles, or images and masks do not pair up.
    """
    opened = open_catalog(recipe.data)
    found = inspect(opened, recipe.data, tick)
    classes = opened.classes
    problems = [*found.problems]
    if isinstance(recipe.data, SeepData):
        problems += border_problems(found.looks, recipe.data.grid, classes)
    order = list(KINDS)
    problems.sort(key=lambda p: (order.index(p.kind), -p.pixels, p.tile))
    catalog = Catalog(tuple(look.tile for look in found.looks), classes)
    parts, split_error = _divide(recipe, catalog, folder)
    data = _Data(
        recipe, catalog, found.looks, problems, duplicates(found.looks), parts, split_error, folder
    )  # fmt: skip
    for name, frame in _tables(data).items():
        write_text(folder / f"{name}.csv", frame.to_csv(index=False, na_rep="n/a"))
    sections = [
        Section("Overview", _overview(data)),
        Section("Classes", _classes(data)),
        Section("Label problems", _problems(data)),
        Section("Duplicates", _duplicates(data)),
        Section("Split", _split(data)),
        Section("Scenes", _scenes(data)),
        Section("Intensity", _intensity(data)),
        Section("Pictures", _pictures(data)),
        Section("Tiles", _tiles(data)),
    ]
    write_page(folder / "report.html", title, f"{len(opened):,} tiles in {recipe.data.root}", sections)
    return folder / "report.html"


def _divide(recipe: Config, catalog: Catalog, folder: Path) -> tuple[dict[str, str], str]:
    """Part of each labelled tile as training would divide them, or why it could not; writes splits.csv, shares.csv."""
    labelled = catalog.subset([t.id for t in catalog.tiles if t.labelled])
    if not len(labelled):
        return {}, "no labelled tile"
    try:
        splits = make_splits(labelled, recipe.data.split, recipe.seed, 0 if recipe.data.split.folds else None)
    except SeepsegError as error:
        return {}, str(error)
    write_text(folder / "splits.csv", splits.to_csv(index=False))
    write_text(folder / "shares.csv", shares(labelled, splits).reset_index().to_csv(index=False))
    return dict(zip(splits["id"].astype(str), splits["split"].astype(str), strict=True)), ""


def _tables(data: _Data) -> dict[str, pd.DataFrame]:
    names = data.catalog.classes.names
    tiles = []
    for look in data.looks:
        pixels = look.tile.pixels or (0,) * len(names)
        tiles.append(
            {
                "tile": look.tile.id,
                "scene": look.tile.group,
                "split": data.parts.get(look.tile.id, ""),
                "height": look.shape[0],
                "width": look.shape[1],
                "nodata_percent": 100 * (1 - look.valid),
                "low": look.low,
                "mean": look.mean,
                "high": look.high,
                "foreground_percent": 100 * sum(pixels[1:]) / max(sum(pixels), 1) if look.tile.labelled else None,
                **{name: n if look.tile.labelled else None for name, n in zip(names[1:], pixels[1:], strict=True)},
            }
        )
    frame = pd.DataFrame(tiles)
    readable = replace(data.catalog, tiles=tuple(look.tile for look in data.looks if look.mean is not None))
    of_values = intensities(readable, data.recipe.data) if len(readable) else ({}, np.zeros(2), pd.DataFrame())
    histograms, edges, quantiles = of_values
    long = [(g, edges[i], edges[i + 1], share) for g, held in histograms.items() for i, share in enumerate(held)]
    return {
        "tiles": frame,
        "classes": balance(data.catalog),
        "scenes": _by_scene(frame, names),
        "intensity": quantiles,
        "histograms": pd.DataFrame(long, columns=["group", "low", "high", "share"]),
        "coverage": _coverage(frame),
        "problems": pd.DataFrame([asdict(p) for p in data.problems], columns=list(Problem.__dataclass_fields__)),
        "duplicates": pd.DataFrame(
            [
                asdict(p) | {"parts": "/".join(data.parts.get(t, "?") for t in (p.tile, p.other))}
                for p in data.pairs
            ],
            columns=[*Pair.__dataclass_fields__, "parts"],
        ),
    }  # fmt: skip


def _by_scene(tiles: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    columns = ["scene", "tiles", "nodata_percent", "foreground_percent", *names[1:]]
    if tiles.empty or tiles["scene"].nunique() == len(tiles):  # every tile for itself: tiles.csv says it all
        return pd.DataFrame(columns=columns)
    area = tiles["height"] * tiles["width"]
    sums = tiles.assign(area=area, missing=area * tiles["nodata_percent"] / 100).groupby("scene")
    out = sums[list(names[1:])].sum()
    held = sums["area"].sum() - sums["missing"].sum()
    out.insert(0, "tiles", sums.size())
    out.insert(1, "nodata_percent", 100 * sums["missing"].sum() / sums["area"].sum())
    out.insert(2, "foreground_percent", 100 * out[list(names[1:])].sum(axis=1) / held.clip(lower=1))
    return out.reset_index()[columns]


def _coverage(tiles: pd.DataFrame) -> pd.DataFrame:
    """Labelled tiles by their share of foreground: none, then up to each limit."""
    share = pd.to_numeric(tiles["foreground_percent"]).dropna().to_numpy() / 100 if len(tiles) else np.zeros(0)
    which = np.searchsorted(COVERAGE, share, side="left")
    labels = ["none", *(f"up to {100 * limit:g} %" for limit in COVERAGE[1:])]
    return pd.DataFrame({"foreground": labels, "tiles": np.bincount(which, minlength=len(labels))[: len(labels)]})


def _overview(data: _Data) -> str:
    looks, labelled = data.looks, [look for look in data.looks if look.tile.labelled]
    groups = len({look.tile.group for look in looks})
    empty = sum(not sum((look.tile.pixels or (0,))[1:]) for look in labelled)
    pixels = data.catalog.pixels().sum(0)
    missing = sum((1 - look.valid) * look.shape[0] * look.shape[1] for look in looks)
    total = sum(look.shape[0] * look.shape[1] for look in looks)
    sizes = Counter(look.shape for look in looks).most_common(1)
    exact = sum(pair.kind == "exact" for pair in data.pairs)
    facts = [
        ("tiles", shown(len(looks)), f"{len(labelled):,} labelled; {groups:,} scenes or groups"),
        ("commonest size", "×".join(map(str, sizes[0][0])) if sizes else "n/a", f"{sizes[0][1] if sizes else 0:,} tiles"),
        ("foreground", f"{100 * pixels[1:].sum() / max(pixels.sum(), 1):.2f} %", "of the labelled pixels"),
        ("tiles without foreground", shown(empty), f"of {len(labelled):,}; they teach what is not one"),
        ("no data", f"{100 * missing / max(total, 1):.2f} %", "of all pixels"),
        ("tiles of one value", shown(sum(look.constant for look in looks)), "nothing to see in them"),
        ("label problems", shown(len(data.problems)), "listed below"),
        ("duplicates", shown(exact), f"and {len(data.pairs) - exact:,} pairs that look alike"),
    ]  # fmt: skip
    return cards(facts) + source_line("tiles.csv", "classes.csv", "problems.csv", "duplicates.csv")


def _classes(data: _Data) -> str:
    classes, rows = data.catalog.classes, read_rows(data.folder / "classes.csv")
    coverage = read_rows(data.folder / "coverage.csv")
    colors = [c.color for c in classes.foreground]
    foreground = [row for row in rows if row["class"] in classes.names[1:]]
    charts = bars("Pixels", [r["class"] for r in foreground], [int(r["pixels"]) for r in foreground], colors, "pixels")
    charts += bars("Tiles", [r["class"] for r in foreground], [int(r["tiles"]) for r in foreground], colors, "tiles")
    charts += bars(
        "Tiles by their share of foreground",
        [row["foreground"] for row in coverage],
        [int(row["tiles"]) for row in coverage],
        [""] * len(coverage),
        "tiles",
    )
    swatches = {c.name: c.color for c in classes.foreground}
    counts = [n for n in (int(row["pixels"]) for row in foreground) if n]
    note = ""
    if len(counts) > 1:
        note = paragraph(f"The commonest class has {max(counts) / min(counts):,.0f} times the pixels of the rarest.")
    return (
        f'<div class="charts">{charts}</div>{note}'
        + table(rows, "classes.csv", text=("class",), swatches=swatches)
        + source_line("coverage.csv")
    )


def _problems(data: _Data) -> str:
    rows = read_rows(data.folder / "problems.csv")
    if not rows:
        return paragraph("None found.") + source_line("problems.csv")
    counts = Counter(row["kind"] for row in rows)
    listed = [{"kind": k, "found": str(counts[k]), "meaning": m} for k, m in KINDS.items() if counts[k]]
    text = ("kind", "tile", "scene", "name", "detail", "meaning")
    worst: list[dict[str, str]] = []
    for kind in KINDS:  # some of every kind, so that a frequent one hides no other
        worst += [row for row in rows if row["kind"] == kind][: LISTED // len(counts)]
    more = f" ({len(worst)} of {len(rows):,})" if len(worst) < len(rows) else ""
    return table(listed, "problems.csv", text=text) + table(
        worst, "problems.csv", text=text, caption=f"Where they are, the largest of each kind first{more}."
    )


def _duplicates(data: _Data) -> str:
    rows = read_rows(data.folder / "duplicates.csv")
    note = (
        "Exact: the same pixels. Near: pictures of 32 × 32 blocks, less their slope, correlate by "
        f"{ALIKE:g} or more; look before believing it. Tiles of one value are left out."
    )
    crossing = [r for r in rows if r["kind"] == "exact" and len(set(r["parts"].split("/"))) > 1]
    warning = f"{len(crossing)} exact duplicates lie in two parts of the split: scores would flatter."
    found = table(_first(rows), "duplicates.csv", text=("kind", "tile", "other", "same_mask", "parts"))
    none = paragraph("None found.") + source_line("duplicates.csv")
    return paragraph(note, "muted") + (paragraph(warning, "warn") if crossing else "") + (found or none)


def _split(data: _Data) -> str:
    if data.split_error:
        return paragraph(f"Training could not divide these tiles: {data.split_error}", "warn")
    rows = read_rows(data.folder / "shares.csv")
    names = data.catalog.classes.names
    total = {name: sum(int(row[name]) for row in rows) for name in names}
    parts = [
        {"split": row["split"], "tiles": row["tiles"], "groups": row["groups"]}
        | {f"{n}_%": f"{100 * int(row[n]) / total[n]:.1f}" if total[n] else "n/a" for n in names}
        for row in rows
    ]
    note = "Each part's share of every class, in percent of its pixels; a class that a part lacks cannot be learned"
    folds = f" (fold 0 of {data.recipe.data.split.folds})" if data.recipe.data.split.folds else ""
    counts = folded("In pixels", table(rows, "shares.csv", text=("split",)))
    return paragraph(f"{note}, or scored, there{folds}.", "muted") + table(parts, "shares.csv", text=("split",)) + counts


def _scenes(data: _Data) -> str:
    rows = read_rows(data.folder / "scenes.csv")
    return table(_first(rows), "scenes.csv", text=("scene",))


def _intensity(data: _Data) -> str:
    rows = read_rows(data.folder / "histograms.csv")
    if not rows:
        return ""
    groups: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        groups.setdefault(row["group"], []).append(row)
    first = next(iter(groups.values()))
    edges = [float(row["low"]) for row in first] + [float(first[-1]["high"])]
    chart = ridges(
        "Values of valid pixels, each row to its own peak",
        [(group, [float(row["share"]) for row in held]) for group, held in groups.items()],
        edges,
        "value",
    )
    return chart + source_line("histograms.csv") + table(
        read_rows(data.folder / "intensity.csv"), "intensity.csv", text=("group",)
    )  # fmt: skip


def _tiles(data: _Data) -> str:
    rows = read_rows(data.folder / "tiles.csv")
    some = f"{len(rows):,} tiles" + (f", the first {LISTED}" if len(rows) > LISTED else "")
    return folded(some, table(_first(rows), "tiles.csv", text=("tile", "scene", "split")))


def _first(rows: Rows) -> Rows:
    return rows[:LISTED]


def _pictures(data: _Data) -> str:
    classes, by_id = data.catalog.classes, {look.tile.id: look for look in data.looks}
    groups = [Group("Scenes", "Tiles of one scene put together, made small; grey cells are missing.", _maps(data))]
    kinds: dict[str, Problem] = {}
    chosen: list[Problem] = []
    for kind in KINDS:
        of_kind = [p for p in data.problems if p.kind == kind and p.tile in by_id and kind not in ("unreadable",)]
        chosen += of_kind[: max(1, PICTURED // 6)]
    for problem in chosen:
        kinds.setdefault(problem.tile, problem)
    odd = [_picture(data, by_id[t], f"{t} · {p.kind} · {p.name} {p.detail}".strip()) for t, p in kinds.items()]
    groups.append(Group("Tiles with label problems", "The largest of each kind.", odd))
    twins = [
        _picture(data, by_id[name], f"{name} · {pair.kind} {number}, {pair.similarity:.3f}")
        for number, pair in enumerate(data.pairs[: PICTURED // 4], 1)
        for name in (pair.tile, pair.other)
    ]
    groups.append(Group("Duplicates and look-alikes", "Two by two.", twins))
    if not groups[0].pictures:
        groups.append(Group("Examples", "From no foreground to the most, at even steps.", _examples(data)))
    return gallery(groups, classes, side=MAP_SIDE) + (source_line("tiles.csv", "problems.csv", "duplicates.csv"))


def _maps(data: _Data) -> list[Picture]:
    grid = data.recipe.data.grid if isinstance(data.recipe.data, SeepData) else {}
    scenes: dict[str, dict[int, Look]] = {}
    for look in data.looks:
        if look.tile.index is not None:
            scenes.setdefault(look.tile.group, {})[look.tile.index] = look
    pictures = []
    for scene, cells in sorted(scenes.items()):
        columns = columns_of(scene, grid)
        if columns is None:
            continue
        stack = np.stack([look.small for look in cells.values()])
        # One stretch for the whole scene, so that its tiles join.
        gray = stretch(stack.reshape(-1, SMALL), np.isfinite(stack).reshape(-1, SMALL)).reshape(stack.shape)
        image = assemble(dict(zip(cells, gray, strict=True)), columns, missing=128)
        truth = assemble({index: look.small_mask for index, look in cells.items()}, columns, missing=IGNORE)
        pictures.append(Picture(f"{scene} · {len(cells)} tiles", image, truth))
    return pictures


def _examples(data: _Data) -> list[Picture]:
    labelled = [look for look in data.looks if look.tile.labelled and not look.constant]
    ranked = sorted(labelled, key=lambda look: (sum((look.tile.pixels or ())[1:]), look.tile.id))
    steps = np.unique(np.linspace(0, len(ranked) - 1, PICTURED).round().astype(int)) if ranked else []
    return [_picture(data, ranked[i], ranked[i].tile.id) for i in steps]


def _picture(data: _Data, look: Look, caption: str) -> Picture:
    raw, valid = read_image(look.tile.image, data.recipe.data)
    labels = read_labels(look.tile, look.shape)
    if labels is None:
        truth = np.full(look.shape, IGNORE, np.uint8)
    else:
        truth = known_indices(labels, data.catalog.classes, rle=look.tile.rle is not None)[0]
    return Picture(caption, stretch(raw[0], valid), truth)

