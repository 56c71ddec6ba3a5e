"""Pictures with titles and a legend: galleries of tiles, quick-looks of scenes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seepseg.classes import IGNORE, ClassTable
from seepseg.figures.canvas import blank, class_entries, hex_color, legend, save, show
from seepseg.figures.pictures import ERROR_COLORS, PANEL_PARTS, Gray, Indices, Rgb, in_blocks, overlay

QUICKLOOK_SIDE = 2000


def save_gallery(path: Path, rows: Sequence[tuple[str, Rgb]], table: ClassTable) -> None:
    """Save titled panels below one another, with the legends of classes and errors."""
    shapes = [picture.shape for _, picture in rows]
    heights = [10 * shape[0] / shape[1] for shape in shapes]
    legends = {"classes": class_entries(table), "errors": [(name, hex_color(c)) for name, c in ERROR_COLORS.items()]}
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
            for part, name in enumerate(PANEL_PARTS):
                centre = (0.2 + 10 * (part + 0.5) / len(PANEL_PARTS)) / wide
                figure.text(centre, 1 - 0.22 / high, name, ha="center", fontsize=10, weight="bold")
    for (title, entries), block in zip(legends.items(), blocks, strict=True):
        legend(figure, entries, (0.5, y / high), "upper center", title)
        y -= block
    save(figure, path)


def save_quicklook(path: Path, gray: Gray, indices: Indices, table: ClassTable) -> None:
    """Save a scene with its classes laid over it and a legend, at most `QUICKLOOK_SIDE` pixels a side.

    Larger scenes are thinned: grey levels by the mean, which calms speckle, classes by the largest index, so that
    small findings stay visible.
    """
    step = -(-max(gray.shape) // QUICKLOOK_SIDE)
    found = np.where(indices == IGNORE, 0, indices)
    small = in_blocks(gray, step).mean((1, 3)).round().astype(np.uint8)
    picture = overlay(small, in_blocks(found, step).max((1, 3)), table, alpha=0.75)
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
