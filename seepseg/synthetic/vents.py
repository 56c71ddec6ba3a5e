"""A made-up sea above vents of known rates, as the maps that `seepseg predict` would leave of many passes over it.

No network is run: slicks are drawn as one would outline them, with its errors, among ships' wakes and look-alikes, on
passes that show only a part; quick-looks, where asked for, are made after the maps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from seepseg.classes import ClassTable, SegClass
from seepseg.errors import ConfigError
from seepseg.figures.sheets import QuickLook
from seepseg.geo.identity import MADE_UP, with_identity
from seepseg.geo.place import GEOD, reproject
from seepseg.geo.vector import write_vectors
from seepseg.io.atomic import write_text
from seepseg.io.cog import class_layout, row_writer
from seepseg.io.raster import Georeference, thinned
from seepseg.io.table import csv_text
from seepseg.objects.outlines import touched
from seepseg.synthetic.slicks import smooth_noise

Rng = np.random.Generator
Field = NDArray[np.float64]

CLASSES = ClassTable((SegClass("thick", (1,), "#E69F00"), SegClass("thin", (2,), "#56B4E9")))
EPSG = 32616
LEFT, TOP = 400_000.0, 3_100_000.0
FRAME_OVERLAP = 5_000.0
"""Metres that two frames of one pass share."""
TRIES = 1000
"""Places that are tried for each vent, on average, before there is taken to be none left."""
START = datetime(2024, 1, 1, 5, 26, 23, tzinfo=UTC)


@dataclass(frozen=True)
class Sea:
    """A sea and the passes over it.

    Attributes:
        vents: how many.
        rates: lowest and highest share of passes on which a vent's slick is there; evenly spread in between.
        passes: over it.
        side: of the square, metres.
        pixel: of the maps, metres.
        partial: share of passes that show only a part of it.
        lookalikes, wakes: per pass, on average; look-alikes lie anywhere, wakes along two lanes.
        missed: share of slicks that the map does not have.
        wrong_end, no_end: share of slicks whose origin is put at the other end, or at none.
        apart: metres between two vents, at least.
        lulls: share of passes in a wind too weak or too strong to see a slick; look-alikes are twice as many.
        pictures: whether scenes have quick-looks.
    """

    vents: int = 30
    rates: tuple[float, float] = (0.05, 0.8)
    passes: int = 60
    side: float = 100_000.0
    pixel: float = 100.0
    partial: float = 0.5
    lookalikes: float = 6.0
    wakes: float = 3.0
    missed: float = 0.1
    wrong_end: float = 0.1
    no_end: float = 0.2
    apart: float = 4_000.0
    lulls: float = 0.0
    pictures: bool = False


def plant(sea: Sea, seed: int) -> pd.DataFrame:
    """The vents: x, y (UTM 16 N), lon, lat, rate, and `mapped`, the rate at which a map shows them.

    Raises:
        ConfigError: no place is left for so many.
    """
    rng = np.random.default_rng([seed, 1])
    places = list[Field]()
    for _ in range(TRIES * sea.vents):
        if len(places) == sea.vents:
            break
        place = rng.uniform(0.05, 0.95, 2) * sea.side
        if all(np.hypot(*(place - other)) >= sea.apart for other in places):
            places.append(place)
    if len(places) < sea.vents:
        what = f"{sea.vents} vents {sea.apart:g} m apart do not fit on {0.9 * sea.side:g} m a side"
        raise ConfigError(what, "", "plant fewer, or nearer to each other")
    x, y = np.array(places).reshape(-1, 2).T
    rate = rng.permutation(np.linspace(*sea.rates, sea.vents))
    lon, lat = reproject(f"EPSG:{EPSG}")(np.stack([LEFT + x, TOP - y], axis=1)).T
    columns = {"x": LEFT + x, "y": TOP - y, "lon": lon, "lat": lat, "rate": rate, "mapped": rate * (1 - sea.missed)}
    return pd.DataFrame(columns)


def write_passes(out: Path, sea: Sea, seed: int = 0) -> pd.DataFrame:
    """Write a prediction folder of all passes, `vents.csv` and `wind.csv` in it; returns the vents.

    The same seed gives the same files. Every second pass comes in two frames that overlap.
    """
    vents = plant(sea, seed)
    lines, winds = list[str](), list[dict[str, Any]]()
    for number in range(sea.passes):
        rng = np.random.default_rng([seed, 2, number])
        when = START + timedelta(days=6 * number, minutes=int(rng.integers(0, 3)))
        lull = rng.random() < sea.lulls
        wind = rng.choice([rng.uniform(0.3, 1.8), rng.uniform(10.5, 14)]) if lull else rng.uniform(2.2, 9.5)
        gone = _gone(rng, sea) if rng.random() < sea.partial else shapely.Polygon()
        slicks = [*([] if lull else _seeps(rng, sea, vents)), *_others(rng, sea, 2 if lull else 1)]
        for frame, (top, bottom) in enumerate(_frames(sea, number)):
            name = f"pass{number:04d}" + ("ab"[frame] if number % 2 else "")
            start = when + timedelta(seconds=25 * frame)
            identity: dict[str, str | int] = {
                "acquired": _text(start), "acquired_end": _text(start + timedelta(seconds=25)),
                "platform": "S1A", "mode": "IW", "relative_orbit": 1 + 7 * (number % 3), "direction": "descending",
                "product": f"{MADE_UP}{seed}_{name}",
            }  # fmt: skip
            box = shapely.box(0, top, sea.side, bottom)
            lines.append(_write(out, name, sea, slicks, (box, gone), identity))
            if sea.pictures:
                _picture(out / name, np.random.default_rng([seed, 3, number, frame]), sea, slicks, box.bounds)
            winds.append({"scene": name, "wind_speed": round(float(wind), 2)})
    write_text(out / "manifest.jsonl", "".join(lines))
    write_text(out / "vents.csv", csv_text(vents))
    write_text(out / "wind.csv", csv_text(pd.DataFrame(winds)))
    return vents


def _text(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _frames(sea: Sea, number: int) -> list[tuple[float, float]]:
    """Top and bottom of the frames of a pass."""
    half = sea.side / 2
    return [(0, half + FRAME_OVERLAP / 2), (half - FRAME_OVERLAP / 2, sea.side)] if number % 2 else [(0, sea.side)]


def _gone(rng: Rng, sea: Sea) -> Any:
    """The part of the sea that a pass does not show: beyond a slanting edge, 20 to 60 % of it."""
    share, slant = rng.uniform(0.2, 0.6) * sea.side, rng.uniform(-0.1, 0.1) * sea.side
    edge = shapely.Polygon([(0, 0), (share + slant, 0), (share - slant, sea.side), (0, sea.side)])
    turned = shapely.transform(edge, lambda xy: sea.side - xy) if rng.random() < 0.5 else edge
    return shapely.transform(turned, lambda xy: xy[:, ::-1]) if rng.random() < 0.5 else turned


def _seeps(rng: Rng, sea: Sea, vents: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Slicks of the vents that a map shows: they begin near the vent and drift as wind and current of the day."""
    towards, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 1.6)
    for place, rate in zip(vents[["x", "y"]].to_numpy(), vents["rate"], strict=True):
        if rng.random() < rate and rng.random() >= sea.missed:
            begin = (place - [LEFT, TOP]) * [1, -1] + rng.normal(0, 300, 2)
            length = float(np.clip(rng.lognormal(np.log(3000 * speed), 0.4), 600, 12_000))
            yield _slick(rng, sea, begin, towards + rng.normal(0, 0.3), length, rng.uniform(200, 500), 1)


def _others(rng: Rng, sea: Sea, times: float) -> Iterator[dict[str, Any]]:
    """Look-alikes anywhere, and wakes along two lanes across the sea."""
    for _ in range(rng.poisson(sea.lookalikes * times)):
        length = float(np.clip(rng.lognormal(np.log(2500), 0.6), 500, 12_000))
        yield _slick(rng, sea, rng.uniform(0, sea.side, 2), rng.uniform(0, 2 * np.pi), length, rng.uniform(200, 900), 2)
    for _ in range(rng.poisson(sea.wakes)):
        lane, along = rng.integers(2), rng.uniform(0, sea.side)
        place = np.array([along, sea.side * (0.3 + 0.2 * lane) + 0.2 * along]) + rng.normal(0, 800, 2)
        wake = _slick(rng, sea, place, np.arctan(0.2) + rng.choice([0, np.pi]), rng.uniform(1500, 6000), 200, 2)
        yield wake | {"ship": True}


def _slick(rng: Rng, sea: Sea, begin: Field, towards: float, length: float, width: float, kind: int) -> dict[str, Any]:
    """A band that widens from its beginning, metres from the top left of the sea, and what a map says of it."""
    at = np.linspace(0, 1, 12)
    heading = towards + np.cumsum(rng.normal(0, 0.08, len(at)))
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * length / (len(at) - 1)
    line = begin + np.cumsum(np.concatenate([np.zeros((1, 2)), steps[1:]]), axis=0)
    across = np.stack([-np.sin(heading), np.cos(heading)], axis=1)
    half = width * (0.25 + 0.75 * at)[:, None] / 2 * rng.uniform(0.7, 1.3, (len(at), 1))
    shape = shapely.buffer(shapely.Polygon(np.concatenate([line + across * half, (line - across * half)[::-1]])), 0)
    ends = np.stack([line[0], line[-1]]) + rng.normal(0, sea.pixel, (2, 2))
    chance = rng.random()
    origin = np.full(2, np.nan) if chance < sea.no_end else ends[int(chance < sea.no_end + sea.wrong_end)]
    if rng.random() < 0.2:
        kind = 3 - kind
    return {"shape": shape, "ends": ends, "origin": origin, "class": kind, "length": length, "width": width}


def _write(
    out: Path, name: str, sea: Sea, slicks: list[dict[str, Any]], view: tuple[Any, Any], identity: dict[str, str | int]
) -> str:
    """Write class map and polygons of one frame; returns its line of the manifest."""
    box, gone = view
    shown, extent = shapely.difference(box, gone), box.bounds
    rows, columns = round((extent[3] - extent[1]) / sea.pixel), round((extent[2] - extent[0]) / sea.pixel)
    shapes = shapely.intersection(np.array([s["shape"] for s in slicks], object), shown)
    kept = [(s, g) for s, g in zip(slicks, shapes, strict=True) if g.area >= 4 * sea.pixel**2]

    def pixels(parts: list[Any]) -> NDArray[np.bool_]:
        moved = shapely.transform(np.array(parts, object), lambda xy: (xy - extent[:2]) / sea.pixel)
        return touched(moved, rows, columns)

    classes = np.zeros((rows, columns), np.uint8)
    for kind in (1, 2):
        classes[pixels([g for s, g in kept if s["class"] == kind])] = kind
    if not gone.is_empty:
        classes[pixels([gone])] = 255
    crs = CRS.from_epsg(EPSG).to_wkt()
    transform = (sea.pixel, 0.0, LEFT, 0.0, -sea.pixel, TOP - extent[1])
    layout = class_layout(CLASSES.names, CLASSES.colors, {})
    with row_writer(out / f"{name}_class.tif", Georeference(crs, transform), rows, columns, layout) as writer:
        writer.write(classes)
    to_lonlat = reproject(crs)

    def lonlat(points: list[Field]) -> Field:
        return to_lonlat(np.array(points).reshape(-1, 2) * [1, -1] + [LEFT, TOP])

    areas = np.array([g.area for _, g in kept])
    places = {"": [shapely.get_coordinates(shapely.centroid(g))[0] for _, g in kept]}
    places |= {f"end{i + 1}_": [s["ends"][i] for s, _ in kept] for i in (0, 1)}
    places |= {"origin_": [s["origin"] for s, _ in kept]}
    table = pd.DataFrame(
        {
            "object": np.arange(1, len(kept) + 1),
            "class": np.array([s["class"] for s, _ in kept], np.int64),
            "class_name": np.array([CLASSES.names[s["class"]] for s, _ in kept], object).astype(str),
            "pixels": np.rint(areas / sea.pixel**2).astype(np.int64),
            "mean_probability": np.full(len(kept), 0.9),
            "area_m2": areas,
            "length_m": np.array([s["length"] for s, _ in kept], np.float64),
            "width_m": np.array([s["width"] for s, _ in kept], np.float64),
        }
    )
    for prefix, points in places.items():
        table[f"{prefix}x"], table[f"{prefix}y"] = lonlat(points).T
    table.loc[~np.isfinite(np.array(places["origin_"]).reshape(-1, 2)[:, 0]), ["origin_x", "origin_y"]] = np.nan
    on_map = shapely.transform(np.array([g for _, g in kept], object), lambda xy: xy * [1, -1] + [LEFT, TOP])
    write_vectors(out / f"{name}.gpkg", on_map, with_identity(table, identity), crs)
    outputs = {p: (out / p).stat().st_size for p in (f"{name}_class.tif", f"{name}.gpkg")}
    line = {"name": name, "input": None, "outputs": outputs, "identity": identity, "objects": len(kept), "time": 0.0}
    return json.dumps(line, sort_keys=True) + "\n"


def _picture(scene: Path, rng: Rng, sea: Sea, slicks: list[dict[str, Any]], extent: tuple[float, ...]) -> None:
    """Write the quick-look of a frame: patches of wind, slicks as the map has them, ships ahead of their wakes."""
    classes = thinned(scene.with_name(f"{scene.name}_class.tif"), 1)
    valid, slick = classes != 255, np.isin(classes, (1, 2))
    level = np.exp(0.1 * smooth_noise(rng, classes.shape, 60)) * np.where(slick, 0.4, 1.0)
    image = level * rng.gamma(40, 1 / 40, classes.shape)
    ships = [s["ends"][0] for s in slicks if "ship" in s]
    for column, row in (np.array(ships).reshape(-1, 2) - extent[:2]) / sea.pixel:
        if 1 <= row < len(image) - 1 and 1 <= column < image.shape[1] - 1:
            image[int(row) - 1 : int(row) + 1, int(column) - 1 : int(column) + 1] = 5
    look = QuickLook(*classes.shape)
    look.add_image(0, image, valid)
    look.add_classes(0, classes)
    look.save(scene.with_name(f"{scene.name}_quicklook.png"), CLASSES)


def vents_of(zones: pd.DataFrame, vents: pd.DataFrame) -> tuple[NDArray[np.int64], Field]:
    """The vent that each zone (n) shows, −1 for none, and how far the nearest vent is, metres.

    A zone shows the vent that is nearest to it, when that lies in its disc, and no other zone is nearer to the vent.

    Args:
        zones: with `lon`, `lat`, `radius_m`, as in zones.csv.
        vents: as of `plant`.
    """
    places, n = vents[["lon", "lat"]].to_numpy(), len(vents)
    here = zones[["lon", "lat"]].to_numpy()
    apart = np.array([GEOD.inv(*np.repeat(one[:, None], n, 1), *places.T)[2] for one in here]).reshape(-1, n)
    vent, far = apart.argmin(axis=1), apart.min(axis=1, initial=np.inf)
    own = np.full(len(zones), -1)
    for zone in np.argsort(far, kind="stable").tolist():
        if far[zone] <= zones["radius_m"].iat[zone] and vent[zone] not in own:
            own[zone] = vent[zone]
    return own, far
