"""Rows and windows of a finished raster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

from seepseg.io.raster import gdal


def raster_rows(path: Path, heights: int | Sequence[int]) -> Iterator[NDArray[Any]]:
    """The first band (n, W) of a raster in strips, all of one height or of the given ones."""
    # GDAL's settings are a stack; held while other code runs, they would come off in the wrong order.
    with gdal():
        source = rasterio.open(path)
    with source:
        if isinstance(heights, int):
            heights = [min(heights, source.height - start) for start in range(0, source.height, heights)]
        start = 0
        for height in heights:
            with gdal():
                rows = source.read(1, window=Window(0, start, source.width, height))
            yield rows
            start += height


@contextmanager
def raster_windows(path: Path) -> Iterator[Callable[[slice, slice], NDArray[Any]]]:
    """Reads rows and columns (h, w) of the first band of a raster, as far as it goes, while the block lasts."""
    with gdal():
        source = rasterio.open(path)

    def read(rows: slice, columns: slice) -> NDArray[Any]:
        window = Window.from_slices(rows, columns, height=source.height, width=source.width)
        with gdal():
            return np.asarray(source.read(1, window=window))

    with source:
        yield read
