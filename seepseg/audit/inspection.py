"""One pass over the tiles of a data set before training: what each holds, and what is odd about its labels."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.data.catalog import Catalog, Tile
from seepseg.data.source import Source, area_of, read_pixels
from seepseg.errors import DataError
from seepseg.machine.progress import Tick, silent
from seepseg.objects.components import label_objects

SMALL = 32
"""Side of the small picture kept of every tile, for maps of scenes and to find look-alikes."""

KINDS = {
    "unreadable": "The file cannot be read; training would stop here.",
    "not finite": "NaN or infinite pixels that are not declared as no data; training would stop here.",
    "value outside the table": "Label values that the class table does not list; training would stop here.",
    "labelled on no data": "Foreground where the image holds nothing; not learned from.",
    "ends at a tile border": "An object stops where the neighbouring tile begins.",
    "class changes at a tile border": "An object continues in the neighbouring tile with another class.",
    "one-pixel object": "Foreground of one pixel: a slip in labelling, or the rest of an outline.",
}
"""Kinds of label problems, and what they mean."""

Plane = NDArray[np.uint8]
Values = tuple[float, ...]
"""A number for each band."""


@dataclass(frozen=True)
class Problem:
    """Something odd: what, in which tile, on which class, how many pixels, and more in words."""

    kind: str
    tile: str
    scene: str
    name: str
    pixels: int
    detail: str = ""


@dataclass(frozen=True, eq=False)
class Edges:
    """The four borders of a labelled tile by name (top, bottom, left, right): class indices and object numbers."""

    classes: dict[str, Plane]
    objects: dict[str, NDArray[np.int32]]


@dataclass(frozen=True, eq=False)
class TileFacts:
    """What is kept of one tile.

    Attributes:
        tile: with its pixels of each class counted.
        shape: height, width.
        area: pixels that lie in its scene; a window may reach beyond its edge.
        valid: share of these that hold data.
        low: lowest valid value of each band; None without valid pixels, as `high` and `mean`.
        high: highest.
        mean: mean.
        digest: of the image's type, shape and pixels.
        mask_digest: of the mask's; None when unlabelled.
        small: block means (SMALL, SMALL) of the valid pixels of the first band, NaN where a block has none.
        small_mask: highest class index of each block, `IGNORE` where there is nothing else.
        edges: None when unlabelled.
    """

    tile: Tile
    shape: tuple[int, int]
    area: int
    valid: float
    low: Values | None
    high: Values | None
    mean: Values | None
    digest: str
    mask_digest: str | None
    small: NDArray[np.float32]
    small_mask: Plane
    edges: Edges | None

    @property
    def constant(self) -> bool:
        """Whether all valid pixels are equal (or there are none)."""
        return self.low == self.high


@dataclass
class Inspection:
    """The facts of all readable tiles in the order of the catalog, and the problems seen in single tiles."""

    tiles: list[TileFacts] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def inspect(catalog: Catalog, source: Source, tick: Tick = silent) -> Inspection:
    """What every tile holds; what `with_counts` would stop at is listed instead."""
    inspection = Inspection()
    for done, tile in enumerate(catalog.tiles, 1):
        try:
            facts, problems = _facts(tile, source)
            inspection.tiles.append(facts)
            inspection.problems += problems
        except DataError as error:
            inspection.problems.append(Problem("unreadable", tile.id, tile.group, "", 0, str(error)))
        tick(done, len(catalog))
    return inspection


def shrink(plane: NDArray[Any], how: np.ufunc) -> NDArray[Any]:
    """A plane (H, W) reduced by `how` (np.add, np.maximum, …) over SMALL × SMALL blocks as equal as they can be."""
    rows, cols = (np.arange(SMALL) * side // SMALL for side in plane.shape)
    return np.asarray(how.reduceat(how.reduceat(plane, rows, axis=0), cols, axis=1))


def _facts(tile: Tile, source: Source) -> tuple[TileFacts, list[Problem]]:
    classes = source.classes
    raw, valid = read_pixels(source, tile)
    problems: list[Problem] = []

    def note(kind: str, name: str, pixels: int, detail: str = "") -> None:
        if pixels:
            problems.append(Problem(kind, tile.id, tile.group, name, pixels, detail))

    finite = np.isfinite(raw).all(0)
    note("not finite", "", int((valid & ~finite).sum()), "NaN or infinite, and not declared as no data")
    valid = valid & finite
    labels = source.labels(tile, valid.shape)
    indices = np.full(valid.shape, IGNORE, np.uint8)
    if labels is not None:
        indices, unknown = classes.indices_and_unknown(labels.values)
        for value, pixels in unknown.items():
            note("value outside the table", value, pixels)
        for index, name in enumerate(classes.names[1:], 1):
            note("labelled on no data", name, int(((indices == index) & ~valid).sum()))
        indices[~valid | labels.ignored] = IGNORE
        pixels_of = np.bincount(indices.ravel(), minlength=256)[: len(classes)]
        tile = replace(tile, pixels=tuple(pixels_of.tolist()))
    objects, n_objects = label_objects(indices)
    for row, col in _single_pixels(objects, n_objects):
        note("one-pixel object", classes.names[indices[row, col]], 1, f"row {row}, column {col}")
    band = raw[0].astype(np.float64)
    values = raw[:, valid] if valid.any() else None
    counts = shrink(valid.astype(np.int64), np.add)
    sums = shrink(np.where(valid, band, 0), np.add)
    area = area_of(source, tile, valid.shape)
    facts = TileFacts(
        tile=tile,
        shape=(valid.shape[0], valid.shape[1]),
        area=area,
        valid=float(valid.sum() / area),
        low=None if values is None else tuple(values.min(1).tolist()),
        high=None if values is None else tuple(values.max(1).tolist()),
        mean=None if values is None else tuple(values.mean(1, dtype=np.float64).tolist()),
        digest=_digest(raw),
        mask_digest=None if labels is None else _digest(labels.values),
        small=np.where(counts > 0, sums / np.maximum(counts, 1), np.nan).astype(np.float32),
        small_mask=_small_mask(indices),
        edges=None if labels is None else Edges(_borders(indices), _borders(objects)),
    )
    return facts, problems


def _single_pixels(objects: NDArray[np.int32], count: int) -> Sequence[tuple[int, int]]:
    """Row and column of objects of one pixel; not those on the border, which may continue in the next tile."""
    single = np.bincount(objects.ravel(), minlength=count + 1) == 1
    single[0] = False
    inner = single[objects]
    for border in (np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]):
        inner[border] = False
    return [(int(r), int(c)) for r, c in np.argwhere(inner)]


def _small_mask(indices: Plane) -> Plane:
    highest = shrink(np.where(indices == IGNORE, 0, indices).astype(np.uint8), np.maximum)
    return np.where(shrink(indices, np.minimum) == IGNORE, np.uint8(IGNORE), highest)


def _borders(plane: NDArray[Any]) -> dict[str, NDArray[Any]]:
    sides = {"top": plane[0], "bottom": plane[-1], "left": plane[:, 0], "right": plane[:, -1]}
    return {name: side.copy() for name, side in sides.items()}


def _digest(array: NDArray[np.generic]) -> str:
    head = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(head + np.ascontiguousarray(array).tobytes()).hexdigest()
