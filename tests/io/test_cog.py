from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seepseg.io.cog import class_layout, halved, row_writer
from seepseg.io.raster import Georeference

LAYOUT = class_layout(["sea", "seep", "ship"], np.zeros((3, 3), np.uint8), {})


def test_an_overview_shows_the_most_common_class_and_keeps_slicks_one_pixel_wide() -> None:
    classes = np.array(
        [
            [0, 0, 1, 1, 1, 2, 255, 255, 0],
            [0, 1, 0, 0, 2, 0, 255, 255, 0],
            [255, 0, 255, 1, 255, 255, 3, 0, 1],
        ],
        np.uint8,
    )
    # 0 three times · a draw of 0 and 1 · 2 twice · no data · a column alone; then a row alone, whose partners are none
    assert halved(classes).tolist() == [[0, 1, 2, 255, 0], [0, 1, 255, 3, 1]]


@given(arrays(np.uint8, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.sampled_from([0, 1, 2, 7, 255])))
def test_overviews_are_as_counted_pixel_by_pixel(classes: np.ndarray) -> None:
    for (row, column), value in np.ndenumerate(halved(classes)):
        block = classes[2 * row : 2 * row + 2, 2 * column : 2 * column + 2].ravel().tolist()
        counts = Counter(v for v in block if v != 255)
        assert value == (max(counts, key=lambda v: (counts[v], v)) if counts else 255)


def test_every_level_of_a_map_is_half_the_one_before(tmp_path: Path) -> None:
    classes = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], np.uint8), (1100, 1303))
    with row_writer(tmp_path / "x.tif", Georeference(), 1100, 1303, LAYOUT) as writer:
        for start in range(0, 1100, 171):
            writer.write(classes[start : start + 171])
    assert [path.name for path in tmp_path.iterdir()] == ["x.tif"]
    with rasterio.open(tmp_path / "x.tif") as source:
        assert source.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert source.overviews(1) == [2, 4]
        assert np.array_equal(source.read(1), classes)
    for level in (0, 1):
        classes = halved(classes)
        with rasterio.open(tmp_path / "x.tif", OVERVIEW_LEVEL=level) as source:
            assert np.array_equal(source.read(1), classes)
