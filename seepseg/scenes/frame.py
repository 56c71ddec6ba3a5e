"""The common pixel frame of scenes that nothing else places: how far each is shifted, by points that stay bright."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from seepseg.geo.frame import Field
from seepseg.io.image import Pixels
from seepseg.scenes.align import align
from seepseg.scenes.bright import bright_points
from seepseg.scenes.mosaic import Cell, assemble


def scene_shifts(scenes: Mapping[str, Callable[[], Mapping[Cell, Pixels]]]) -> dict[str, tuple[float, float] | None]:
    """Rows and columns to add to those of each scene, so that all lie in one frame; None for one that nothing ties.

    The frame is that of the first scene that is tied. Where no two share enough bright points, all are None.

    Args:
        scenes: what reads a scene, by its name: its tiles by cell, each with raw values (C, H, W), of which the first
            band counts, and validity (H, W). One scene is in memory at a time. Pixel (row, column) of the tile in
            cell (i, j) of H × W is pixel (i · H + row, j · W + column) of the scene. An image is one tile, (0, 0).
    """
    shifts = align({name: scene_points(read()) for name, read in scenes.items()}).shifts
    tied = shifts if len(shifts) > 1 else {}
    return {name: (tied[name][1], tied[name][0]) if name in tied else None for name in scenes}


def scene_points(tiles: Mapping[Cell, Pixels]) -> Field:
    """Columns and rows (n, 2) of the bright points of a scene of tiles by their cells, the brightest first."""
    raw = assemble({cell: pixels.raw[0] for cell, pixels in tiles.items()}, 0)
    valid = assemble({cell: pixels.valid for cell, pixels in tiles.items()}, False)
    height, width = (max(pixels.valid.shape[axis] for pixels in tiles.values()) for axis in (0, 1))
    first = [min(column for _, column in tiles) * width, min(row for row, _ in tiles) * height]
    return np.asarray(bright_points(raw, valid) + first)
