"""What the page shows of zones: outlines in few points, a letter per pass, quick-looks, land and a grid of degrees."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from PIL import Image

from seepseg.figures.sheets import cut_quicklook
from seepseg.geo.frame import Field, Frame
from seepseg.geo.land import outlines_near
from seepseg.geo.place import GEOD, counted_from, place_of
from seepseg.io.atomic import write_bytes
from seepseg.io.raster import raster_header
from seepseg.pages.page import as_rows
from seepseg.passes.record import outlines_of
from seepseg.passes.scenes import Pass, Scene
from seepseg.passes.view import REASONS
from seepseg.zones.coverage import Coverage
from seepseg.zones.write import Tables

LISTED = 300
"""Slicks of a zone that the page holds one by one, those of the last passes; others by pass, class and grade."""
OUTLINES, ALL_OUTLINES = 100, 20_000
"""Slicks of a zone and of a page that are drawn, at most."""
PICTURES, ALL_PICTURES = 4, 400
"""Quick-looks of a zone and of a page, at most."""
FINE = 1000
"""Parts of a zone's radius in which places around it are given."""
AROUND = 5.0
"""Radii that a quick-look shows to each side of a zone, where its pixels are fine enough."""
DEGREES = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
"""Between the lines of the grid."""
Box = tuple[float, float, float, float]
"""Least x and y, greatest x and y."""


def drawn_of(zones: int) -> int:
    """Slicks of each zone that are drawn, at most, of so many zones."""
    return max(5, min(OUTLINES, ALL_OUTLINES // max(1, zones)))


def shown_zones(
    tables: Tables, passes: Sequence[Pass], classes: Sequence[str], pictures: Path
) -> Iterator[dict[str, Any]]:
    """What the map shows of each zone, in the order of the table; its quick-looks go to a folder.

    `line` has a letter per pass: S seen and observed, s seen only, o observed and not seen, the number of a reason of
    `REASONS`, or a dot where the pass did not cover the zone. `slicks` are pass, class, confidence in percent, area,
    outline and grade; `merged` the same of several with the highest confidence, all areas, and how many they are.
    """
    number = {one.name: i for i, one in enumerate(passes)}
    scenes = {scene.name: scene for one in passes for scene in one.scenes}
    slicks, of_zone = tables.slicks, tables.history.groupby("zone").indices
    at = slicks["pass"].map(number).to_numpy(np.int64)
    latest = [zone.slicks[np.argsort(-at[zone.slicks], kind="stable")] for zone in tables.found]
    drawn = _outlines(tables, [order[: drawn_of(len(latest))] for order in latest], scenes)
    number_of = {name: i for i, name in enumerate(classes, 1)}
    kinds = slicks["class_new"].map(number_of).fillna(slicks["class"])
    area = "area_m2" if tables.frame.crs else "area_px"
    rows = slicks.assign(kind=kinds.astype(int), at=at, sure=(100 * slicks["mean_probability"]).round().astype(int))
    rows = rows[["at", "kind", "sure", area, "grade"]].set_axis(["at", "kind", "sure", "area", "grade"], axis=1)
    used = set[Path]()
    for zone, order, row in zip(tables.found, latest, as_rows(tables.zones), strict=True):
        history = tables.history.iloc[of_zone.get(int(row["zone"]), [])]
        line = ["."] * len(passes)
        for name, seen, observed, reason in history[["pass", "seen", "observed", "reason"]].itertuples(index=False):
            line[number[name]] = (
                ("S" if observed else "s") if seen else (f"{REASONS.index(reason):x}" if reason else "o")
            )
        first, others = order[:LISTED].tolist(), rows.iloc[order[LISTED:]]
        places = [_rings(drawn[i], zone.centre, zone.radius) if i in drawn else 0 for i in first]
        own = [_entry(one, place) for one, place in zip(rows.iloc[first].itertuples(), places, strict=True)]
        groups = others.groupby(["at", "kind", "grade"], as_index=False)
        merged = groups.agg(sure=("sure", "max"), area=("area", "sum"), n=("sure", "size"))
        kept = dict[int, list[Any]]()
        for i in order.tolist():
            if len(kept) < PICTURES and len(used) < ALL_PICTURES and at[i] not in kept:
                scene = scenes[str(slicks["scene"].iat[i])]
                if picture := _picture(tables.frame, scene, zone.centre, zone.radius):
                    path = pictures / f"zone{row['zone']}-{len(kept) + 1}.jpg"
                    write_bytes(path, [picture[0]])
                    used.add(path)
                    kept[int(at[i])] = [int(at[i]), path.name, *picture[1:]]
        place = [round(float(v), 1) for v in (*zone.centre, zone.radius)]
        shown = {"id": int(row["zone"]), "at": place, "line": "".join(line), "row": row, "slicks": own}
        if len(merged):
            shown["merged"] = [_entry(one, n) for one, n in zip(merged.itertuples(), merged["n"].tolist(), strict=True)]
        yield shown | ({"pictures": list(kept.values())} if kept else {})
    for path in set(pictures.glob("*.jpg")) - used:
        path.unlink(missing_ok=True)


def _entry(one: Any, fifth: Any) -> list[Any]:
    """Pass, class, confidence and area of a slick, an outline or a number, and its grade where it has one."""
    entry = [int(one.at), int(one.kind), int(one.sure), round(float(one.area)), fifth]
    return [*entry, one.grade] if one.grade else entry


def _outlines(tables: Tables, wanted: Sequence[NDArray[np.int64]], scenes: Mapping[str, Scene]) -> dict[int, Any]:
    """The polygons of some slicks by their number, in few points."""
    every = np.concatenate([np.empty(0, np.int64), *wanted])
    first, found = tables.slicks.groupby("scene").indices, dict[int, Any]()
    fine = {i: zone.radius / 40 for zone, own in zip(tables.found, wanted, strict=True) for i in own.tolist()}
    for name, rows in tables.slicks.iloc[every].groupby("scene").indices.items():
        numbers = every[rows]
        shapes = outlines_of(scenes[str(name)], tables.frame)[np.searchsorted(first[name], numbers)]
        simple = shapely.simplify(shapes, [fine[i] for i in numbers.tolist()])
        found |= dict(zip(numbers.tolist(), simple, strict=True))
    return found


def _rings(shape: Any, centre: Field, radius: float) -> list[list[int]]:
    """The outer rings of a polygon: x, y, x, y and so on, in parts of the radius from the centre of its zone."""
    rings = [shapely.get_coordinates(part.exterior) for part in shapely.get_parts(shape) if not part.is_empty]
    return [np.rint((ring[:-1] - centre) / radius * FINE).astype(int).ravel().tolist() for ring in rings]


def _picture(frame: Frame, scene: Scene, centre: Field, radius: float) -> tuple[bytes, float, float, float] | None:
    """The quick-look of a scene around a zone: JPEG, where its middle is and its radius, in parts of its width.

    None where there is no quick-look, or it cannot be read.
    """
    path = scene.beside("_quicklook.png")
    if not path.is_file():
        return None
    header, height, width = raster_header(scene.raster)
    place = place_of(header)
    points = frame.to_pixels(place, (height, width), centre + np.array([[0.0, 0.0], [radius, 0.0]]), scene.name)
    if not np.isfinite(points).all():
        return None
    return cut_quicklook(path, (height, width), points[0], float(np.hypot(*(points[1] - points[0]))), AROUND)


def observed_picture(coverage: Coverage) -> str:
    """How often each cell was observed, as an image of one colour, as opaque as it was often observed (a data URL)."""
    step = -(-max(coverage.observed.shape) // 600)
    counts = coverage.observed[::step, ::step].astype(np.float64)
    alpha = np.where(counts > 0, 25 + 75 * counts / max(1.0, counts.max()), 0).astype(np.uint8)
    picture = np.concatenate([np.full((*alpha.shape, 3), (0, 114, 178), np.uint8), alpha[..., None]], axis=2)
    stream = BytesIO()
    Image.fromarray(picture).save(stream, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def shown_land(frame: Frame, box: Box) -> list[list[int]]:
    """Outlines of land in a box of the frame: x, y, x, y and so on, metres."""
    if not frame.crs:
        return []
    middle, far = frame.lonlat(np.array([[(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], box[:2]]))
    reach = float(GEOD.inv(*middle, *far)[2])
    land = shapely.segmentize(outlines_near(float(middle[0]), float(middle[1]), 1.05 * reach), 0.1)
    land = shapely.transform(land, lambda points: frame.from_lonlat(points, ""))
    land = np.array([s for s in shapely.make_valid(land) if np.isfinite(s.bounds).all()], object)
    # The outlines are cut into cells; a metre more closes the seams between them.
    whole = shapely.intersection(shapely.union_all(shapely.buffer(land, 1.0)), shapely.box(*box))
    simple = shapely.get_parts(shapely.simplify(whole, (box[2] - box[0]) / 2000))
    areas = [part for part in simple if part.geom_type == "Polygon" and not part.is_empty]
    return [np.rint(shapely.get_coordinates(a.exterior)).astype(int).ravel().tolist() for a in areas]


def graticule(frame: Frame, box: Box, more: float) -> list[list[Any]]:
    """Meridians and parallels in a box of the frame and around it.

    Each has its label, where in the box that goes (x, y, or None twice), then x, y, x, y and so on, metres.

    Args:
        frame: on a map; in pixels there are none.
        box: what is labelled.
        more: metres around it.
    """
    if not frame.crs:
        return []
    inner, outer = shapely.box(*box), shapely.buffer(shapely.box(*box), more, join_style="mitre")
    x, y = (np.linspace(outer.bounds[k], outer.bounds[k + 2], 9) for k in (0, 1))
    lon, lat = frame.lonlat(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)).T
    lon = counted_from(lon[40], lon)
    lines = list[list[Any]]()
    for values, others, letters in ((lon, lat, "WE"), (lat, lon, "SN")):
        step = next((d for d in DEGREES if np.ptp(values) / d <= 12), DEGREES[-1])
        along = np.linspace(others.min(), others.max(), 65)
        for value in np.arange(np.ceil(values.min() / step), np.floor(values.max() / step) + 1) * step:
            line = np.stack([np.full(65, value), along][:: 1 if letters == "WE" else -1], axis=1)
            at = (value + 180) % 360 - 180 if letters == "WE" else value
            whole = shapely.LineString(frame.from_lonlat(line, ""))
            labelled = shapely.get_coordinates(shapely.intersection(whole, inner))
            for part in shapely.get_parts(shapely.intersection(whole, outer)):
                place = np.rint(labelled[0]).astype(int).tolist() if len(labelled) else [None, None]
                points = np.rint(shapely.get_coordinates(part)).astype(int).ravel().tolist()
                lines.append([f"{abs(at):g}° {letters[int(at >= 0)]}", *place, *points])
                labelled = labelled[:0]
    return lines
