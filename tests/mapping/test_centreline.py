from __future__ import annotations

import numpy as np
import pytest
import shapely

from seepseg.mapping.centreline import centreline


def test_a_bar_is_as_long_and_as_wide_as_it_is() -> None:
    line = centreline(shapely.box(10, 5, 50, 10), (1.0, 1.0))
    assert line.length == pytest.approx(40, abs=2)
    assert line.width == pytest.approx(5, abs=0.6)
    assert line.origin is None
    assert line.ends[:, 1] == pytest.approx([7.5, 7.5], abs=1)


def test_pixels_need_not_be_square() -> None:
    # 30 columns of 20 m and 3 rows of 10 m
    line = centreline(shapely.box(0, 0, 30, 3), (20.0, 10.0))
    assert line.length == pytest.approx(600, rel=0.1)
    assert line.width == pytest.approx(30, rel=0.25)


def test_a_line_of_single_pixels_and_one_pixel() -> None:
    line = centreline(shapely.box(0, 0, 20, 1), (1.0, 1.0))
    assert (line.length, line.width) == (pytest.approx(20, abs=1), pytest.approx(1))
    dot = centreline(shapely.box(3, 4, 4, 5), (1.0, 1.0))
    assert (dot.length, dot.width) == (pytest.approx(1), pytest.approx(1))
    # within the pixel; half pixels have no single middle
    assert np.abs(dot.ends - (3.5, 4.5)).max() <= 0.25


def test_the_thin_end_of_a_wedge_is_the_likelier_origin() -> None:
    # three pixels wide on the left, fifteen on the right
    wedge = shapely.union_all([shapely.box(x, 20 - w, x + 1, 20 + w + 1) for x in range(60) for w in [1 + x // 10]])
    line = centreline(wedge, (1.0, 1.0))
    assert line.origin is not None
    end, ratio = line.origin
    assert line.ends[end][0] < 20
    assert ratio > 2
    assert ratio == pytest.approx(max(line.end_widths) / min(line.end_widths))


def test_a_large_object_is_thinned_and_keeps_its_length() -> None:
    line = centreline(shapely.box(0, 0, 6000, 300), (1.0, 1.0))
    assert line.length == pytest.approx(6000, rel=0.05)
    assert line.width == pytest.approx(300, rel=0.1)
    assert np.isfinite(line.end_widths).all()


@pytest.mark.parametrize("height", [1, 2, 3, 4, 7])
def test_even_and_odd_widths_are_told_alike(height: int) -> None:
    line = centreline(shapely.box(0, 0, 60, height), (1.0, 1.0))
    assert (line.length, line.width) == (pytest.approx(60), pytest.approx(height))
    assert line.end_widths == pytest.approx((height, height))


@pytest.mark.parametrize("steps", [30, 900, 4000])
def test_a_thin_diagonal_is_not_eaten(steps: int) -> None:
    # two pixels a row, each row shifted by one: √2 wide across its direction, √2 · steps long
    stairs = shapely.union_all([shapely.box(i, i, i + 2, i + 1) for i in range(steps)])
    line = centreline(stairs, (1.0, 1.0))
    assert line.length == pytest.approx(steps * 2**0.5, rel=0.03)
    assert line.width == pytest.approx(2**0.5, rel=0.5)


def test_of_a_torn_shape_the_largest_part_is_measured() -> None:
    line = centreline(shapely.multipolygons([shapely.box(0, 0, 1, 1), shapely.box(10, 10, 80, 14)]), (1.0, 1.0))
    assert line.length == pytest.approx(70, abs=1)
