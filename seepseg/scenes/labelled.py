"""Scenes with their labels: masks of their size, or polygons laid over them."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from seepseg.archives.unpacked import data_root
from seepseg.classes import ClassTable
from seepseg.config import ScenesData
from seepseg.errors import DataError, listed
from seepseg.geo import identity
from seepseg.geo.identity import Identity
from seepseg.geo.land import draw_land
from seepseg.geo.place import place_of
from seepseg.geo.polygons import Drawing, Located, drawing_over
from seepseg.io.image import open_image
from seepseg.io.raster import Georeference
from seepseg.scenes.files import Labelling, labelling, scene_files, scene_name
from seepseg.scenes.images import Window, opened
from seepseg.scenes.labels import Layer

PARTS = ("", "train", "val", "test", "unused")
"""What a polygon of the extent says of a split, in its column split; "" where nothing is asked."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene: its file, size and place, and what labels it.

    Attributes:
        truth: the file that does; None where it is all background, or not labelled.
        drawn: its polygons by class index; None where `truth` is a mask.
        background: whether no pixel is foreground, though no file says so.
        extent: the file of polygons beyond which nothing is labelled.
        within: its polygons, their values one more than the index of `PARTS`.
        land: land and a margin of sea, where they are left out.
    """

    path: Path
    height: int
    width: int
    georeference: Georeference
    truth: Path | None = None
    drawn: Drawing | None = None
    background: bool = False
    extent: Path | None = None
    within: Drawing | None = None
    land: Drawing | None = None

    def part(self, window: Window) -> str:
        """The part that most pixels of a window belong to: train, val or test, unused where none does."""
        row, column, height, width = window
        height, width = min(height, self.height - row), min(width, self.width - column)
        if not self.within:
            return "unused"
        counts = np.bincount(self.within.window(row, column, height, width).ravel(), minlength=6)[2:5]
        return PARTS[1 + int(counts.argmax())] if counts.any() else "unused"

    def beyond(self, window: Window, part: str) -> NDArray[np.bool_] | None:
        """Pixels of a window beyond the extent of its labels, or of a part of it; None where there is no extent."""
        return self.within.window(*window) != 1 + PARTS.index(part) if self.within else None

    @property
    def pixel_size(self) -> float | None:
        """Side in metres of a pixel in its middle; None without georeference."""
        place = place_of(self.georeference)
        middle = np.array([[self.width / 2, self.height / 2]])
        return float(np.sqrt(abs(np.linalg.det(place.metric(middle)[0])))) if place.crs else None


def read_scenes(data: ScenesData, classes: ClassTable) -> tuple[dict[str, Scene], tuple[str, ...]]:
    """The scenes of a data set by name, in order, and warnings; no pixel is read.

    Raises:
        DataError: none, or two of one name; labels that belong to none, or do not fit theirs; `data.land`, and one
            without a place.
    """
    root = data_root(data.root, data.images[0])
    files, scenes = scene_files(data, root), dict[str, Scene]()
    for name, path in sorted(files.items()):
        with opened(data, path, verify=False) as image:
            scenes[name] = Scene(path, image.height, image.width, image.georeference, land=_land(image, data.land))
    for pattern in data.background:
        if not fnmatch.filter(scenes, pattern):
            what = f"scene {pattern!r} is not in the data"
            raise DataError(what, "data.background", f"the scenes are {listed(list(scenes))}")
    truths, extents = (labelling(data, root, kind, files) for kind in ("labels", "extent"))
    warnings = [*truths.warnings, *extents.warnings]
    if data.scenes and not data.scenes.is_file():
        warnings.append(f"data.scenes {data.scenes} is not there: when scenes were taken may stay unknown")
    scenes = {name: _within(scene, name, extents, by_part=data.split.by == "extent") for name, scene in scenes.items()}
    beyond = [name for name, scene in scenes.items() if extents.of and not extents.named and not scene.within]
    if beyond:
        warnings.append(f"the polygons of data.extent do not reach {listed(beyond)}: nothing there is labelled")
    for name in [name for name in scenes if name not in beyond]:
        seen = extents.named and name in extents.of
        scenes[name] = _labelled(scenes[name], name, truths.of, data, classes, seen=seen)
    without = [name for name, scene in scenes.items() if not (scene.truth or scene.background) and name not in beyond]
    if 0 < len(without) < len(scenes):
        named = f"{len(without)} of {len(scenes)} scenes ({listed(without[:3])} …)"
        warnings.append(f"{named} have no labels and do not count: name those without foreground in data.background")
    return scenes, tuple(warnings)


def identities(table: Path | None, scenes: Mapping[str, Scene]) -> dict[str, Identity]:
    """Which acquisition each scene is, by its tags, its name, and what a table says, if it is there.

    In the table, folders and suffixes of scenes do not count.
    """
    rows = identity.read_scenes(table) if table and table.is_file() else {}
    said = {scene_name(Path(text)): row for text, row in rows.items()}
    return {
        name: identity.identity_of(scene.georeference.tags, name, said.get(name, {})) for name, scene in scenes.items()
    }


def _land(scene: Located, margin: float | None) -> Drawing | None:
    try:
        return None if margin is None else draw_land(scene, margin)
    except DataError as error:
        raise DataError(error.what, error.where, "set data.land=null, or leave the scene out") from None


def _within(scene: Scene, name: str, extents: Labelling, *, by_part: bool) -> Scene:
    """A scene with the extent of its labels, where there is one and it reaches the scene."""
    extent = extents.of.get(name)
    if not isinstance(extent, Layer):
        return scene
    parts = extent.column("split").tolist() if by_part else [""] * len(extent.shapes)
    if unknown := [str(part) for part in parts if part not in PARTS[by_part:]]:
        what = f"unknown split {unknown[0]!r} ({len(unknown)} polygons)"
        raise DataError(what, extent.path, f"use {', '.join(PARTS[1:])}")
    values = np.array([1 + PARTS.index(part) for part in parts], np.uint8)
    within = drawing_over(scene, extent.shapes, values, extent.crs, extent.path)
    if within.touches(scene.height, scene.width):
        return replace(scene, extent=extent.path, within=within)
    if extents.named:
        raise _elsewhere(name, extent)
    return scene


def _labelled(
    scene: Scene, name: str, truths: Mapping[str, Path | Layer], data: ScenesData, classes: ClassTable, *, seen: bool
) -> Scene:
    """A scene with its mask or polygons; without, it is background where it was `seen`, or the config says so."""
    truth = truths.get(name)
    seen = seen or any(fnmatch.fnmatchcase(name, pattern) for pattern in data.background)
    if isinstance(truth, Path):
        _check_mask(truth, scene)
        return replace(scene, truth=truth)
    if truth is None or (seen and not len(truth.shapes)):
        return replace(scene, background=seen)
    if not len(truth.shapes):
        fix = f"remove it or, if nothing in {name} is foreground, name the scene in data.background"
        raise DataError("holds no polygon", truth.path, fix)
    indices = truth.classes(data.attribute, classes)
    drawn = drawing_over(scene, truth.shapes, indices, truth.crs, truth.path)
    if not drawn.touches(scene.height, scene.width):
        raise _elsewhere(name, truth)
    return replace(scene, truth=truth.path, drawn=drawn)


def _check_mask(path: Path, scene: Scene) -> None:
    """Raise DataError where a mask cannot be read, differs in size from its scene, or says that it lies elsewhere."""
    with open_image(path, labels=True, verify=False) as mask:
        one, other = mask.georeference, scene.georeference
    if (mask.height, mask.width) != (scene.height, scene.width):
        what = f"mask is {mask.height}×{mask.width}, its scene {scene.height}×{scene.width}"
        raise DataError(what, path, "give a mask of the scene's size, or polygons")
    if one.crs_wkt and other.crs_wkt and one.transform and other.transform:
        opposite = np.array([[0, 0], [scene.width, scene.height]])
        apart = place_of(other).to_pixels(place_of(one).to_map(opposite)) - opposite
        if np.abs(apart).max() > 1:
            what = f"its georeference is up to {np.abs(apart).max():.5g} pixels off that of its scene"
            raise DataError(what, path, "save it on the grid of the scene")


def _elsewhere(name: str, layer: Layer) -> DataError:
    if not len(layer.shapes):
        return DataError(f"holds no polygon for scene {name}", layer.path, "draw one there, or leave the scene out")
    what = f"none of its {len(layer.shapes)} polygons lies on scene {name}"
    left, bottom, right, top = shapely.total_bounds(layer.shapes)
    system = CRS(layer.crs).name if layer.crs else "columns and rows"
    where = f"in {system}, they lie from {left:.7g}, {bottom:.7g} to {right:.7g}, {top:.7g}"
    return DataError(what, layer.path, f"check its coordinate system ({where})")
