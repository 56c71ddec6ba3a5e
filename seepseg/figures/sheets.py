"""Pictures with titles and a legend: galleries of tiles, quick-looks of scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE, ClassTable
from seepseg.figures.canvas import blank, class_entries, hex_color, legend, save, show
from seepseg.figures.pictures import ERROR_COLORS, PANEL_PARTS, Rgb, overlay, stretch

QUICKLOOK_SIDE = 2000


def save_gallery(
    path: Path, rows: Sequence[tuple[str, Rgb]], table: ClassTable, parts: Sequence[str] = PANEL_PARTS
) -> None:
    """Save titled rows of pictures below one another, with the legends of classes and, where they are shown, errors.

    `parts` are headings of the pictures in a row, which are of one width.
    """
    shapes = [picture.shape for _, picture in rows]
    heights = [10 * shape[0] / shape[1] for shape in shapes]
    legends = {"classes": class_entries(table)}
    if "errors" in parts:
        legends["errors"] = [(name, hex_color(c)) for name, c in ERROR_COLORS.items()]
    blocks = [0.3 + 0.22 * -(-len(entries) // 8) for entries in legends.values()]
    figure = blank(10.4, sum(heights) + 0.3 * len(rows) + 0.35 + sum(blocks) + 0.1, layout=None)
    wide, high = figure.get_size_inches()
    y = high - 0.35
    for i, ((title, picture), height) in enumerate(zip(rows, heights, strict=True)):
        y -= 0.27 + height
        axes = figure.add_axes((0.2 / wide, y / high, 10 / wide, height / high))
        show(axes, picture)
        axes.set_title(title, fontsize=9, loc="left", pad=3)
        y -= 0.03
        if i == 0:
            for part, name in enumerate(parts):
                centre = (0.2 + 10 * (part + 0.5) / len(parts)) / wide
                figure.text(centre, 1 - 0.22 / high, name, ha="center", fontsize=10, weight="bold")
    for (title, entries), block in zip(legends.items(), blocks, strict=True):
        legend(figure, entries, (0.5, y / high), "upper center", title)
        y -= block
    save(figure, path)


class QuickLook:
    """A small picture of a scene with its classes, filled while the scene streams by.

    It holds every k-th pixel, and the largest class index of the k × k pixels there: small findings stay visible.

    Attributes:
        gray: raw values (h, w) of the first band, at most `side` pixels a side.
        valid: where they are valid.
        classes: class indices, 0 where there is no data.
    """

    def __init__(self, height: int, width: int, side: int = QUICKLOOK_SIDE) -> None:
        self.step = max(1, -(-max(height, width) // side))
        shape = (-(-height // self.step), -(-width // self.step))
        self.gray = np.zeros(shape, np.float32)
        self.valid = np.zeros(shape, bool)
        self.classes = np.zeros(shape, np.uint8)

    def add_image(self, start: int, gray: NDArray[np.generic], valid: NDArray[np.bool_]) -> None:
        """Add rows (n, W) of the image that begin at row `start`."""
        step, stop = self.step, start + len(gray)
        first = -start % step
        rows = slice((start + first) // step, -(-stop // step))
        self.gray[rows], self.valid[rows] = gray[first::step, ::step], valid[first::step, ::step]

    def add_classes(self, start: int, classes: NDArray[np.uint8]) -> None:
        """Add rows (n, W) of the class map that begin at row `start`."""
        step = self.step
        indices = np.where(classes == IGNORE, np.uint8(0), classes)
        across = np.maximum.reduceat(indices, np.arange(0, indices.shape[1], step), axis=1)
        # A block of rows may have begun in the rows before.
        edges = np.unique(np.concatenate([[0], np.arange(-start % step, len(classes), step)]))
        blocks = np.maximum.reduceat(across, edges, axis=0)
        rows = (start + edges) // step
        self.classes[rows] = np.maximum(self.classes[rows], blocks)

    def save(self, path: Path, table: ClassTable) -> None:
        """Save it with a legend below."""
        picture = overlay(stretch(self.gray, self.valid), self.classes, table, alpha=0.75)
        room, dpi = 36, 100
        height, width = picture.shape[:2]
        # Room for the legend when the scene is narrow: about 110 pixels an entry.
        wide = max(width, 110 * min(len(table) - 1, 8))
        lines = -(-(len(table) - 1) // 8)
        high = height + room * lines
        figure = blank(wide / dpi, high / dpi, dpi, layout=None)
        axes = figure.add_axes(((wide - width) / 2 / wide, room * lines / high, width / wide, height / high))
        show(axes, picture)
        legend(figure, class_entries(table), (0.5, room * lines / 2 / high), "center")
        save(figure, path)
