"""What a scene shows of the common frame: for each cell, whether slicks could have been seen there, or why not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.geo.frame import Field, Frame, check_size
from seepseg.geo.place import Place, place_of
from seepseg.io.raster import Georeference, thinned
from seepseg.passes.scenes import Scene

REASONS = ("outside", "observed", "no data", "wind", "incidence")
"""What a cell of a view can be, by its code; all but the second are why nothing could be seen there.

A new reason is added at the end: codes are kept on disk.
"""
OUTSIDE, OBSERVED, NO_DATA, WIND, INCIDENCE = range(5)
UNOBSERVABLE = (INCIDENCE, WIND)
"""Reasons that leave a cell of valid sea unobserved."""

TELLS = np.array([0, 3, 1, 2, 2], np.uint8)
"""By code, which of two frames of a pass counts, the one with the higher number: what is observed tells more than why
sea is not, and that more than no data."""

Codes = NDArray[np.uint8]

NODES = 8
"""Cells between those whose place in a scene is computed; between them it is interpolated."""
STRIP = 32 * NODES
"""Rows of cells that are worked on at once."""
SAMPLES = 2**20
"""Cells of a scene, about, of which the median of what is judged is taken."""


@dataclass(frozen=True)
class Nodes:
    """Places in and around a scene, `NODES` cells apart.

    Attributes:
        lonlat: (k, 2) longitude and latitude; NaN in a frame of pixels.
        pixels: (k, 2) column and row in the scene; NaN for what is not on its map.
        place: where the scene lies.
        tags: of its class map.
    """

    lonlat: Field
    pixels: Field
    place: Place
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Judge:
    """What must lie in a range where a slick is to be seen.

    Attributes:
        reason: the code of cells where it does not.
        column: of what it measures in passes.csv, with its unit.
        low, high: the range.
        words: for the user, for example "wind 2–10 m/s by wind.csv".
        measure: (scene, places) → values (k), NaN where unknown; there, a cell is not judged.
        key: names what a scene's values rest on besides its own files.
        source: the option that asks for it: values that are known nowhere are then an error.
    """

    reason: int
    column: str
    low: float
    high: float
    words: str
    measure: Callable[[Scene, Nodes], Field]
    key: Callable[[Scene], str]
    source: str = ""


@dataclass(frozen=True)
class View:
    """A part of the grid of cells.

    Attributes:
        row, column: of its first cell.
        codes: (h, w), numbers of `REASONS`.
        seen: (h, w), True where a slick touches the cell.
        known: (h, w), sum of `bit` of the reasons that were judged there: what they rest on was known.
    """

    row: int
    column: int
    codes: Codes
    seen: NDArray[np.bool_]
    known: Codes

    @property
    def window(self) -> tuple[slice, slice]:
        """Its rows and columns in the grid."""
        height, width = self.codes.shape
        return slice(self.row, self.row + height), slice(self.column, self.column + width)

    def at(self, cells: NDArray[np.int64]) -> Codes:
        """Codes (…) of cells (…, 2) of the grid."""
        return at_cells(self.codes, self.row, self.column, cells)

    def known_at(self, cells: NDArray[np.int64], reason: int) -> NDArray[np.bool_]:
        """Whether a reason was judged (…) in cells (…, 2) of the grid."""
        return np.asarray(at_cells(self.known, self.row, self.column, cells) & bit(reason) > 0)


def bit(reason: int) -> int:
    """What `View.known` holds of a reason that was judged."""
    return 1 << reason


def look(
    scene: Scene, frame: Frame, header: Georeference, size: tuple[int, int], judges: Sequence[Judge] = ()
) -> tuple[View, Field, Field]:
    """The view of a scene of a size (height, width), nothing seen yet, and its outline (n, 2) in the frame.

    A cell is observed where the pixel under its centre is valid, and what is judged lies in its range. Also returned,
    for each judge: the median over valid cells, and the share of them where it is known (k, 2).

    Raises:
        ConfigError: it would have too many cells.
        DataError: its class map cannot be read.
    """
    height, width = size
    place = place_of(header)
    outline = frame.from_map(place.crs, place.to_map(_border(height, width)), scene.name)
    cells = frame.cells(outline[np.isfinite(outline).all(axis=1)])
    (top, left), (bottom, right) = cells.min(axis=0), cells.max(axis=0) + 1
    check_size(int(bottom - top), int(right - left), frame.cell)
    rows, columns = (np.arange(a, b + NODES, NODES) for a, b in ((top, bottom), (left, right)))
    nodes = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
    centres = frame.corners(nodes.reshape(-1, 2) + 0.5)
    pixels = frame.to_pixels(place, size, centres, scene.name)
    # Beyond what a projection shows, transforms give infinity.
    lonlats = frame.lonlat(centres) if frame.crs and judges else np.full(centres.shape, np.nan)
    at = Nodes(lonlats, pixels, place, header.tags)
    measures = [judge.measure(scene, at).reshape(nodes.shape[:2]) for judge in judges]
    few = thinned(scene.raster, max(1, int(frame.cell / pixel_size(place, height, width) / 2)))
    shape = int(bottom - top), int(right - left)
    view = _nothing(int(top), int(left), shape)
    every, samples = max(1, view.codes.size // SAMPLES), [list[Field]() for _ in judges]
    valid_cells, known_cells = 0, np.zeros(len(judges))
    for start in range(0, shape[0], STRIP):
        strip = slice(start, min(start + STRIP, shape[0]))
        across, down = (_between(pixels.reshape(*nodes.shape)[..., k], strip, shape[1]) for k in (0, 1))
        with np.errstate(invalid="ignore"):
            inside = (across >= 0) & (across < width) & (down >= 0) & (down < height)
        i, j = ((v[inside] / n * m).astype(np.intp) for v, n, m in zip((down, across), size, few.shape, strict=True))
        codes = view.codes[strip]
        codes[inside] = np.where(few[i, j] == IGNORE, NO_DATA, OBSERVED)
        valid = codes == OBSERVED
        valid_cells += int(valid.sum())
        for number, judge in enumerate(judges):
            values = _between(measures[number], strip, shape[1])
            known = valid & np.isfinite(values)
            view.known[strip][known] |= bit(judge.reason)
            samples[number].append(values[known][::every])
            known_cells[number] += known.sum()
            codes[known & (codes == OBSERVED) & ((values < judge.low) | (values > judge.high))] = judge.reason
    measured = np.full((len(judges), 2), np.nan)
    for number, parts in enumerate(samples):
        if known_cells[number]:
            measured[number, 0] = np.median(np.concatenate(parts))
        if valid_cells:
            measured[number, 1] = known_cells[number] / valid_cells
    return view, outline, measured


def _nothing(row: int, column: int, shape: tuple[int, int]) -> View:
    """A view of so many rows and columns that shows nothing yet."""
    return View(row, column, np.zeros(shape, np.uint8), np.zeros(shape, bool), np.zeros(shape, np.uint8))


def at_cells(grid: NDArray[Any], row: int, column: int, cells: NDArray[np.int64]) -> NDArray[Any]:
    """Values (…) of a grid that begins at a row and column, at cells (…, 2); 0 beyond it."""
    i, j = cells[..., 0] - row, cells[..., 1] - column
    inside = (i >= 0) & (i < grid.shape[0]) & (j >= 0) & (j < grid.shape[1])
    return np.where(inside, grid[np.where(inside, i, 0), np.where(inside, j, 0)], grid.dtype.type(0))


def merged(views: Iterable[View]) -> View:
    """The view of a pass: observed where any of its frames is, seen where any saw a slick."""
    views = list(views)
    if len(views) == 1:
        return views[0]
    top, left = (min(v.window[k].start for v in views) for k in (0, 1))
    bottom, right = (max(v.window[k].stop for v in views) for k in (0, 1))
    both = _nothing(top, left, (bottom - top, right - left))
    for view in views:
        rows, columns = view.window
        part = np.s_[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        before, now = TELLS[both.codes[part]], TELLS[view.codes]
        both.known[part] = np.where(now > before, 0, both.known[part]) | np.where(now < before, 0, view.known)
        both.codes[part] = np.where(now > before, view.codes, both.codes[part])
        both.seen[part] |= view.seen
    return both


def _border(height: int, width: int) -> Field:
    """Pixel corners (n, 2) around a scene, 32 a side: (column, row)."""
    t = np.linspace(0, 1, 33)[:-1]
    sides = [(t, 0 * t), (0 * t + 1, t), (1 - t, 0 * t + 1), (0 * t, 1 - t)]
    return np.concatenate([np.stack(side, axis=1) for side in sides]) * [width, height]


def pixel_size(place: Place, height: int, width: int) -> float:
    """Side of a pixel in the middle of a scene, metres; 1 without a place."""
    return float(np.sqrt(abs(np.linalg.det(place.metric(np.array([[width / 2, height / 2]]))[0]))))


def _between(nodes: Field, strip: slice, width: int) -> Field:
    """Values (h, width) of a strip of rows between nodes (n, m) that are `NODES` apart, bilinear."""
    low, high = strip.start // NODES, (strip.stop - 1) // NODES + 2
    nodes, first = nodes[low:high], low * NODES
    rows, columns = (
        np.maximum(0, 1 - np.abs(at[:, None] / NODES - np.arange(m)))
        for at, m in zip((np.arange(strip.start, strip.stop) - first, np.arange(width)), nodes.shape, strict=True)
    )
    if np.isfinite(nodes).all():
        return np.asarray(rows @ nodes @ columns.T)
    # Beyond what a projection shows; what is bilinear with it is not known either.
    unknown = rows @ ~np.isfinite(nodes) @ columns.T > 0
    return np.where(unknown, np.nan, rows @ np.nan_to_num(nodes, posinf=0, neginf=0) @ columns.T)
