"""For each cell of the frame, how many passes could have shown a slick there, and how many did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seepseg.geo.frame import Frame, check_size
from seepseg.io.cog import Layout, row_writer
from seepseg.io.raster import Georeference
from seepseg.metrics.rates import wilson
from seepseg.passes.view import OBSERVED, UNOBSERVABLE, View, at_cells

ROWS = 256
BANDS = ("observed", "seen", "recurrence", "lower", "upper", "unobservable")


@dataclass(frozen=True)
class Coverage:
    """Counts of passes on the cells of the frame.

    Attributes:
        row, column: of the first cell.
        observed, seen: (h, w) passes that could have shown a slick, and that did.
        unobservable: (h, w) passes that showed valid sea there, but in a wind or at an angle that hides slicks.
    """

    row: int
    column: int
    observed: NDArray[np.uint16]
    seen: NDArray[np.uint16]
    unobservable: NDArray[np.uint16]

    def add(self, view: View) -> None:
        """Count the view of a pass; it lies inside."""
        rows, columns = view.window
        part = np.s_[
            rows.start - self.row : rows.stop - self.row, columns.start - self.column : columns.stop - self.column
        ]
        observed = view.codes == OBSERVED
        self.observed[part] += observed
        self.seen[part] += observed & view.seen
        for reason in UNOBSERVABLE:
            self.unobservable[part] += view.codes == reason

    def shown_at(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Passes (n) that showed valid sea in cells (n, 2) of the grid, in whatever wind."""
        observed, hidden = (at_cells(one, self.row, self.column, cells) for one in (self.observed, self.unobservable))
        return np.asarray(observed.astype(np.int64) + hidden)


def coverage_of(windows: Iterable[tuple[slice, slice]], frame: Frame) -> Coverage:
    """Counts of nothing yet, for all cells of some windows of the grid.

    Raises:
        ConfigError: they are too many.
    """
    rows, columns = zip(*windows, strict=True)
    (top, bottom), (left, right) = ((min(s.start for s in one), max(s.stop for s in one)) for one in (rows, columns))
    check_size(bottom - top, right - left, frame.cell)
    counts = [np.zeros((bottom - top, right - left), np.uint16) for _ in range(3)]
    return Coverage(top, left, *counts)


def write_recurrence(path: Path, coverage: Coverage, frame: Frame, tags: dict[str, str]) -> None:
    """Write counts and rates as a COG of the bands `BANDS` (float32); NaN where no pass could have shown a slick.

    The last band says of how many passes the wind or the angle was why.
    """
    (x, y), down = frame.corners(np.array([[coverage.row, coverage.column]], np.float64))[0], -1.0 if frame.crs else 1.0
    place = Georeference(frame.crs, (frame.cell, 0.0, float(x), 0.0, down * frame.cell, float(y)))
    layout = Layout(len(BANDS), "float32", float("nan"), tags, BANDS, resampling="AVERAGE")
    height, width = coverage.observed.shape
    with row_writer(path, place, height, width, layout) as writer:
        for rows in _rates(coverage):
            writer.write(rows)


def _rates(coverage: Coverage) -> Iterator[NDArray[np.float32]]:
    """The bands in strips (6, h, W)."""
    for start in range(0, len(coverage.observed), ROWS):
        counts = (coverage.observed, coverage.seen, coverage.unobservable)
        observed, seen, hidden = (one[start : start + ROWS].astype(np.float64) for one in counts)
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = seen / observed
        bands = np.stack([observed, seen, rate, *wilson(seen, observed), hidden])
        bands[:2, observed == 0] = np.nan
        bands[5, observed + hidden == 0] = np.nan
        yield bands.astype(np.float32)
