from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from seepseg.errors import ConfigError
from seepseg.geo.frame import Frame, laea
from seepseg.passes.view import NO_DATA, OBSERVED, View
from seepseg.zones.coverage import coverage_of, write_recurrence

NONE = np.zeros((1, 2), np.uint8)


def test_passes_are_counted_where_they_show_something(tmp_path: Path) -> None:
    views = [
        View(-1, 2, np.array([[OBSERVED, OBSERVED]], np.uint8), np.array([[True, False]]), NONE),
        View(-1, 3, np.array([[OBSERVED, NO_DATA]], np.uint8), np.array([[True, True]]), NONE),
    ]
    frame = Frame(laea(10.0, 60.0), 500.0)
    coverage = coverage_of([view.window for view in views], frame)
    for view in views:
        coverage.add(view)
    assert coverage.observed.tolist() == [[1, 2, 0]]
    # A slick where nothing could be seen does not count.
    assert coverage.seen.tolist() == [[1, 1, 0]]
    assert coverage.shown_at(np.array([[-1, 3], [-1, 5], [7, 7]])).tolist() == [2, 0, 0]
    write_recurrence(tmp_path / "r.tif", coverage, frame, {"OBSERVED_MEANS": "x"})
    with rasterio.open(tmp_path / "r.tif") as source:
        # Row −1 is from 500 m north of the middle to the middle, column 2 begins 1000 m east of it.
        assert tuple(source.transform)[:6] == (500, 0, 1000, 0, -500, 500)
        assert source.tags()["OBSERVED_MEANS"] == "x"
        bands = source.read()
    assert bands[:, 0, 0].tolist()[:3] == [1, 1, 1]
    # Wilson of 1 of 2: (.5 + 3.8415/4) / 2.92073 = .5; half 1.96/2.92073 · √(.125 + .2401) = .4055
    assert bands[2:5, 0, 1].tolist() == pytest.approx([0.5, 0.0945, 0.9055], abs=1e-3)
    assert np.isnan(bands[:, 0, 2]).all()


def test_a_map_of_too_many_cells_is_refused() -> None:
    windows = [(slice(0, 1), slice(0, 1)), (slice(20_000, 20_001), slice(20_000, 20_001))]
    with pytest.raises(ConfigError, match="give at least 1000"):
        # 20 001² is 400 million cells, 4 times what there may be: twice the side.
        coverage_of(windows, Frame(None, 500.0))
