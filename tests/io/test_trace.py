from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from seepseg.io.trace import raster_rows


@pytest.mark.parametrize(("heights", "expected"), [(3, [3, 3, 1]), (7, [7]), (100, [7]), ([1, 4, 2], [1, 4, 2])])
def test_strips_are_the_raster_cut(tmp_path: Path, heights: int | list[int], expected: list[int]) -> None:
    pixels = np.arange(7 * 5, dtype=np.uint8).reshape(7, 5)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    strips = list(raster_rows(tmp_path / "a.tif", heights))
    assert [len(s) for s in strips] == expected
    assert np.array_equal(np.concatenate(strips), pixels)
