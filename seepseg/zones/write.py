"""What a folder of zones holds: one GeoPackage of four layers, and every table as CSV."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from seepseg.classes import COLORS, ClassTable, SegClass
from seepseg.figures.style import GRAY, qgis_style, recurrence_style, with_choices
from seepseg.geo.frame import Field, Frame
from seepseg.geo.vector import Layer, write_layers
from seepseg.io.atomic import write_text
from seepseg.io.table import csv_text
from seepseg.passes.record import outlines_of
from seepseg.passes.scenes import Pass, Scene
from seepseg.review.edits import PACKAGE, VERDICTS, Edits, sums_of
from seepseg.zones.cluster import Disc

BATCH = 20_000
"""Outlines of slicks, about, that are in memory at once."""


@dataclass(frozen=True)
class Tables:
    """All that is known at the end.

    Attributes:
        frame: common coordinates.
        found: the zones, as found, but for those rejected.
        zones: rows of `zone_table`, but for those that a user has rejected.
        rejected: these.
        slicks: all slicks: scene, pass, zone (NA for none), columns of polygons, x and y of the middle.
        passes: one row per pass.
        history: rows of `history_of`, zones by their numbers.
        outlines: borders (k, 2) of the scenes of each pass.
        basis: what "observed" rests on, in words.
    """

    frame: Frame
    found: Sequence[Disc]
    zones: pd.DataFrame
    rejected: pd.DataFrame
    slicks: pd.DataFrame
    passes: pd.DataFrame
    history: pd.DataFrame
    outlines: Sequence[Sequence[Field]]
    basis: str


def write_tables(out: Path, tables: Tables) -> None:
    """Write zones.csv, rejected.csv, origins.csv, slicks.csv, passes.csv and history.csv."""
    for name, table in [
        ("zones", tables.zones.assign(observed_means=tables.basis)),
        ("rejected", tables.rejected),
        ("origins", origin_table(tables)),
        ("slicks", tables.slicks),
        ("passes", tables.passes),
        ("history", tables.history),
    ]:
        write_text(out / f"{name}.csv", csv_text(table, float_format="%.6g" if name == "history" else None))


def origin_table(tables: Tables) -> pd.DataFrame:
    """One row for each slick of a zone: the point that is taken for its origin, x and y of the frame."""
    ids = tables.zones["zone"].to_numpy()
    sizes = [len(zone.slicks) for zone in tables.found]
    xy = np.concatenate([np.empty((0, 2)), *(zone.origins for zone in tables.found)])
    slick = np.concatenate([np.empty(0, np.int64), *(zone.slicks for zone in tables.found)])
    columns = ["scene", "pass", "acquired", "object", "class", "class_name", "is_origin"]
    columns += [name for name in map(str, tables.slicks) if name.startswith("near_")]
    table = tables.slicks.iloc[slick][columns]
    places = tables.frame.lonlat(xy)
    names = ("lon", "lat") if tables.frame.crs else ("column", "row")
    distance = np.hypot(*(xy - np.repeat(tables.zones[["x", "y"]].to_numpy(np.float64), sizes, axis=0)).T)
    table = table.assign(
        zone=np.repeat(ids, sizes), x=xy[:, 0], y=xy[:, 1], offset_m=distance, **dict(zip(names, places.T, strict=True))
    )
    return tables.frame.named(table.reset_index(drop=True))


def write_package(
    out: Path, tables: Tables, scenes: Sequence[Scene], classes: Sequence[str], edits: Edits
) -> NDArray[np.uint32]:
    """Write zones.gpkg with the layers zones and rejected (discs), origins (points), slicks and passes (outlines).

    Returns:
        Checksums of the polygons of slicks as predicted, in their order.
    """
    table = ClassTable(tuple(SegClass(n, (i,), COLORS[(i - 1) % len(COLORS)]) for i, n in enumerate(classes, 1)))
    crs, origins = tables.frame.crs, origin_table(tables)
    centres = np.array([zone.centre for zone in tables.found]).reshape(-1, 2)
    discs = np.asarray(shapely.buffer(shapely.points(centres), [zone.radius for zone in tables.found]))
    places = tables.rejected[["x", "y", f"radius_{tables.frame.unit}"]].to_numpy(np.float64)
    gone = np.asarray(shapely.buffer(shapely.points(places[:, :2]), places[:, 2]))
    points = np.asarray(shapely.points(origins[["x", "y"]].to_numpy(np.float64)))
    footprints = [shapely.union_all(shapely.make_valid(shapely.polygons(parts))) for parts in tables.outlines]

    choices, sums = {"verdict": VERDICTS, "class_new": classes}, np.zeros(len(tables.slicks), np.uint32)

    def layers() -> Iterator[Layer]:
        style = with_choices(recurrence_style(), choices)
        yield Layer("zones", discs, tables.zones, crs, description=tables.basis, style=style)
        yield Layer("rejected", gone, tables.rejected, crs, style=with_choices(recurrence_style(GRAY), choices))
        yield Layer("origins", points, origins, crs, kind="Point", style=qgis_style(table, "marker"))
        yield from _slicks(tables, scenes, with_choices(qgis_style(table), choices), edits, sums)
        yield Layer("passes", _areas(footprints), tables.passes, crs)

    write_layers(out / PACKAGE, layers())
    return sums


def _slicks(
    tables: Tables, scenes: Sequence[Scene], style: str, edits: Edits, sums: NDArray[np.uint32]
) -> Iterator[Layer]:
    """The layer of slicks in parts of bounded size, scene by scene; checksums of those predicted are filled in."""
    of_scene = tables.slicks.groupby("scene", sort=False).indices
    parts, rows = list[NDArray[Any]](), list[pd.DataFrame]()
    for scene in [*scenes, None]:
        at = of_scene.get(scene.name, np.empty(0, np.int64)) if scene else np.empty(0, np.int64)
        shapes = _areas(outlines_of(scene, tables.frame) if scene and len(at) else np.empty(0, object))
        sums[at] = sums_of(shapes)
        name, slicks = scene.name if scene else None, tables.slicks.iloc[at]
        table, shapes = edits.drawn(name, slicks, shapes, {s.name for s in scenes} if scene is None else ())
        parts.append(shapes)
        rows.append(table)
        if scene is None or sum(map(len, parts)) >= BATCH:
            filled = [one for one in rows if len(one)] or rows[:1]
            every = pd.concat(filled, ignore_index=True)
            yield Layer("slicks", np.concatenate(parts), every, tables.frame.crs, style=style)
            parts, rows = [], []


def _areas(shapes: Any) -> Any:
    """Polygons and multi-polygons; what is neither, as of a footprint that crosses itself, by its polygons only."""
    return np.array(
        [
            s
            if s.geom_type in ("Polygon", "MultiPolygon")
            else shapely.MultiPolygon([p for p in shapely.get_parts(s) if p.geom_type == "Polygon"])
            for s in shapes
        ],
        object,
    )


def pass_table(
    passes: Sequence[Pass],
    areas: Sequence[float],
    seen: Sequence[int],
    medians: Mapping[str, Sequence[float]],
    frame: Frame,
) -> pd.DataFrame:
    """One row per pass, in their order: when, by what, of which scenes, km² observed, slicks seen, and medians."""
    square = 1e6 if frame.crs else 1
    rows = [
        {
            "pass": one.name,
            "acquired": one.identity.acquired,
            "platform": one.identity.platform,
            "relative_orbit": one.identity.relative_orbit,
            "direction": one.identity.direction,
            "scenes": "; ".join(scene.name for scene in one.scenes),
            "observed_km2": round(area / square, 3),
            "slicks": count,
        }
        for one, area, count in zip(passes, areas, seen, strict=True)
    ]
    table = pd.DataFrame(rows).astype({"relative_orbit": "Int64"})
    return frame.named(table).assign(**{name: np.round(values, 2) for name, values in medians.items()})


def write_alerts(out: Path, table: pd.DataFrame, short: dict[str, Any]) -> None:
    """Write new_since.csv and alerts.json."""
    write_text(out / "new_since.csv", csv_text(table))
    write_text(out / "alerts.json", json.dumps(short, indent=1) + "\n")
