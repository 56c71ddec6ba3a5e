"""The order in which to look at slicks: first those whose label would teach most."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from seepseg.errors import ConfigError, DataError, listed
from seepseg.figures.sheets import cut_quicklook
from seepseg.geo.place import Place, place_of
from seepseg.geo.vector import read_polygons, read_vectors
from seepseg.io.atomic import write_text
from seepseg.io.raster import raster_header, thinned
from seepseg.io.table import csv_text
from seepseg.machine.progress import Tick, silent
from seepseg.pages.page import Section, as_rows, paragraph, table, write_page
from seepseg.pages.template import fill
from seepseg.passes.scenes import Scene, find_scenes, named
from seepseg.review.edits import KEY, NO_SEEP, PACKAGE, read_edits
from seepseg.zones.since import read_state

SHOWN = 100
"""Slicks with a picture on the page, at most."""
FINEST = 2000
"""Pixels a side to which rasters of uncertainty are thinned, about."""
NEEDED = [*KEY, "class_name", "mean_probability", "area_m2"]
COLUMNS = ["rank", "score", "doubt", "rarity", "uncertainty", "scene_score", *NEEDED]


def rank(
    folders: Sequence[Path], reviewed: Path | None = None, tick: Tick = silent
) -> tuple[pd.DataFrame, list[Scene], list[str]]:
    """All slicks without a verdict in the order of their score (`COLUMNS`); the scenes; what the user should know.

    The score is the mean of what is known of: doubt (1 − mean probability); rarity of the class (0 where all are of it,
    1 where it is the only one); uncertainty at a point inside, where `predict` wrote it. `scene_score` is the sum over
    a scene: where a look teaches most.

    Raises:
        ConfigError: there is nothing to rank.
        DataError: outputs cannot be read, or lack a column.
    """
    scenes, warnings = find_scenes(folders)
    if reviewed:
        if not (reviewed / PACKAGE).is_file():
            raise ConfigError(f"no {PACKAGE}", reviewed, "give a folder that `seepseg zones` made")
        state = read_state(reviewed)
        scenes = named(scenes, state.names if state else {})
    tables, astray = [], list[str]()
    for done, scene in enumerate(scenes, 1):
        shapes, slicks, crs = read_polygons(scene.vectors)
        slicks["scene"] = scene.name
        if missing := [name for name in NEEDED if name not in slicks]:
            raise DataError(f"has no column {missing[0]}", scene.vectors, "predict the scene again")
        if len(slicks):
            path = scene.beside(f"_uncertainty{scene.raster.suffix}")
            there = _uncertainty(path, shapes, slicks, crs) if path.is_file() else np.full(len(slicks), np.nan)
            astray += [] if there is not None else [scene.name]
            tables.append(slicks[NEEDED].assign(uncertainty=np.nan if there is None else there))
        tick(done, len(scenes))
    if astray:
        what = "the rasters have no georeference as the polygons have, so uncertainty does not count, and no picture"
        warnings.append(f"{what} is cut: predict with --format tif: {listed(astray)}")
    every = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*NEEDED, "uncertainty"])
    shares = every["class"].map(every["class"].value_counts(normalize=True))
    every["doubt"] = 1 - every["mean_probability"].astype(float)
    every["rarity"] = -np.log(shares.astype(float)) / np.log(max(len(every), 2))
    every["score"] = every[["doubt", "rarity", "uncertainty"]].astype(float).mean(axis=1)
    if reviewed:
        known = pd.MultiIndex.from_frame(_judged(reviewed))
        every = every[~pd.MultiIndex.from_frame(every[[*KEY]].astype(object)).isin(known)]
    if every.empty:
        raise ConfigError("no slick without a verdict", ", ".join(map(str, folders)), "predict more scenes")
    every = every.sort_values(["score", *KEY], ascending=[False, True, True, True], ignore_index=True)
    every["scene_score"] = every.groupby("scene")["score"].transform("sum")
    return every.assign(rank=np.arange(1, len(every) + 1))[COLUMNS].round(4), scenes, warnings


def _judged(reviewed: Path) -> pd.DataFrame:
    """What names the slicks (`KEY`) that have a verdict, or belong to a zone that is rejected."""
    said = read_edits(reviewed).table
    rejected = said.loc[(said["what"] == "zone") & said["verdict"].isin(NO_SEEP), "zone"].dropna().astype(int)
    of_zone = [np.empty((0, len(KEY)), object)]
    if len(rejected):
        _, slicks, _ = read_vectors(reviewed / PACKAGE, "slicks")
        if "zone" in slicks:
            of_zone.append(slicks.loc[slicks["zone"].isin(set(rejected)), [*KEY]].to_numpy(object))
    own = said.loc[said["verdict"].notna() & (said["what"] != "zone"), [*KEY]].to_numpy(object)
    return pd.DataFrame(np.concatenate([own, *of_zone]), columns=[*KEY])


def write_queue(path: Path, queue: pd.DataFrame, scenes: Sequence[Scene]) -> None:
    """Write the table, and beside it an HTML page of the first slicks with pictures cut from quick-looks."""
    write_text(path, csv_text(queue))
    first, of_name = queue.head(SHOWN), {scene.name: scene for scene in scenes}
    figures = []
    for name, rows in first.groupby("scene", sort=False):
        pictures = _pictures(of_name[str(name)], rows)
        figures += [(int(row["rank"]), picture) for (_, row), picture in zip(rows.iterrows(), pictures, strict=True)]
    said = [f"{r.rank}: {r.scene}, object {r.object}, {r.class_name}, score {r.score:.2f}" for r in first.itertuples()]
    tiles = [(base64.b64encode(picture).decode(), said[number - 1]) for number, picture in sorted(figures) if picture]
    sections = [
        Section("Pictures", fill(TILES, tiles=tiles) if tiles else paragraph("No quick-looks are there.")),
        Section("Queue", table(as_rows(first), path.name, text=("scene", "class_name"))),
    ]
    what = f"The first {len(first)} of {len(queue)} slicks without a verdict: what a look would teach most comes first."
    write_page(path.with_suffix(".html"), "What to look at", what, sections)


TILES = (
    '<div class="tiles">{% for jpeg, caption in tiles %}<figure class="tile"><span class="picture">'
    '<img alt="" src="data:image/jpeg;base64,{{ jpeg }}"></span><figcaption>{{ caption }}</figcaption></figure>'
    "{% endfor %}</div>"
)


def _uncertainty(
    path: Path, shapes: NDArray[np.object_], slicks: pd.DataFrame, crs: str | None
) -> NDArray[np.float64] | None:
    """Uncertainty (n), 0 to 1, at a point inside each polygon; None where the raster does not say where they are."""
    header, height, width = raster_header(path)
    inside = shapely.get_coordinates(shapely.point_on_surface(shapes))
    points = _pixels(place_of(header), (height, width), slicks, crs, inside)
    if points is None:
        return None
    few = thinned(path, max(1, max(height, width) // FINEST))
    at = points[:, ::-1] / [height, width] * few.shape
    row, column = np.clip(at, 0, np.array(few.shape) - 1).astype(int).T
    return np.where(few[row, column] == 255, np.nan, few[row, column] / 254)


def _pixels(
    place: Place, size: tuple[int, int], slicks: pd.DataFrame, crs: str | None, xy: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Column and row (n, 2) of points of polygons in a raster; None where they are on a map, and it is nowhere.

    A PNG is nowhere. That polygons are in pixels shows in their areas, as GeoJSON cannot say that it has no CRS.
    """
    if place.crs is None or crs is None:
        return None if slicks["area_m2"].notna().any() else xy
    if CRS(crs) != CRS(place.crs):  # GeoJSON is longitude and latitude
        xy = np.stack(Transformer.from_crs(crs, place.crs, always_xy=True).transform(*xy.T), axis=1)
    return place.pixels_of(xy, *size)


def _pictures(scene: Scene, rows: pd.DataFrame) -> list[bytes]:
    """JPEG of each of some slicks of a scene; empty where there is no quick-look."""
    path = scene.beside("_quicklook.png")
    if not path.is_file():
        return [b""] * len(rows)
    header, height, width = raster_header(scene.raster)
    place = place_of(header)
    shapes, slicks, crs = read_polygons(scene.vectors)
    index = pd.MultiIndex.from_frame(slicks[["object", "class"]])
    at = index.get_indexer(pd.MultiIndex.from_frame(rows[["object", "class"]]))
    found = []
    for shape in shapes[at]:
        points = _pixels(place, (height, width), slicks, crs, shapely.get_coordinates(shape))
        if points is None:
            return [b""] * len(rows)
        low, high = points.min(axis=0), points.max(axis=0)
        cut = cut_quicklook(path, (height, width), (low + high) / 2, float(np.hypot(*(high - low))) / 2, 1.5, 40)
        found.append(cut[0] if cut else b"")
    return found
