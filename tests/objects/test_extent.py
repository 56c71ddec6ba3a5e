from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from seepseg.objects import extent
from seepseg.objects.centreline import Extents
from seepseg.objects.extent import extents
from seepseg.objects.outlines import outlines

NORTH_UP = np.diag([1.0, -1.0])


def measured(*shapes: object, metric: np.ndarray = NORTH_UP) -> Extents:
    return extents(np.array(shapes, object), np.tile(metric, (len(shapes), 1, 1)))


@pytest.mark.parametrize("height", [1, 2, 3, 4, 7])
def test_bars_along_the_axes_are_exact(height: int) -> None:
    found = measured(shapely.box(10, 5, 70, 5 + height), shapely.box(0, 0, height, 60))
    # the way to the outline is taken in steps of an eighth
    assert found.length == pytest.approx([60, 60], abs=0.13)
    assert found.width == pytest.approx([height, height], rel=0.003)
    # an even bar has no middle row of pixels
    assert found.ends[0, :, 1] == pytest.approx([5 + height / 2] * 2, abs=0.51)
    assert sorted(found.ends[0, :, 0]) == pytest.approx([10, 70], abs=0.07)


def test_small_shapes_are_bars() -> None:
    stairs = shapely.union_all([shapely.box(i, i, i + 1, i + 1) for i in range(5)])
    found = measured(shapely.box(0, 0, 7, 2), shapely.box(3, 4, 4, 5), stairs)
    # Of five pixels on a diagonal, the variance along it is 2 · (5² − 1) / 12, plus 1 / 12 of a pixel: √49 = 7 long,
    # and 5 / 7 wide.
    assert found.length == pytest.approx([7, 1, 7])
    assert found.width == pytest.approx([2, 1, 5 / 7])
    assert np.array_equal(found.end_widths, np.stack([found.width, found.width], axis=1))
    assert found.ends[0] == pytest.approx(np.array([[0, 1], [7, 1]]))
    assert sorted(found.ends[2][:, 0]) == pytest.approx([2.5 - 7 / 8**0.5, 2.5 + 7 / 8**0.5])


def test_what_is_compact_is_as_long_as_wide() -> None:
    found = measured(shapely.box(0, 0, 12, 12), shapely.box(0, 0, 2, 2))
    assert (found.length.tolist(), found.width.tolist()) == (pytest.approx([12, 2]), pytest.approx([12, 2]))


@settings(max_examples=40)
@given(st.integers(2, 4), st.integers(6, 30), st.floats(0, 180))
def test_bars_go_over_into_centrelines(width: int, length: int, degrees: float) -> None:
    turn, (row, column) = np.radians(degrees), np.mgrid[:44, :44] - 21.3
    along, aside = column * np.cos(turn) + row * np.sin(turn), row * np.cos(turn) - column * np.sin(turn)
    cells = np.argwhere((np.abs(along) < length / 2) & (np.abs(aside) < width / 2))
    # the size from which the skeleton counts is 30: of ten cells it would say little
    assume(len(cells) >= 24)
    shape = shapely.union_all(shapely.box(cells[:, 1], cells[:, 0], cells[:, 1] + 1, cells[:, 0] + 1))
    # just below and just above the size from which the skeleton counts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extent, "SMALL", len(cells) + 1)
        bar = measured(shape)
        patch.setattr(extent, "SMALL", len(cells))
        line = measured(shape)
    assert line.length[0] == pytest.approx(bar.length[0], rel=0.2, abs=1.5)
    assert line.length * line.width == pytest.approx(bar.length * bar.width, rel=0.02)


def test_pixels_need_not_be_square_nor_upright() -> None:
    # 60 columns of 20 m and 3 rows of 10 m
    found = measured(shapely.box(0, 0, 60, 3), metric=np.diag([20.0, -10.0]))
    assert (found.length[0], found.width[0]) == (pytest.approx(1200, rel=0.01), pytest.approx(30, rel=0.01))
    # each row shifted by a column: 60 rows of three columns run along (1, -1), √2 · 60 long and 3 / √2 wide
    sheared = measured(shapely.box(0, 0, 3, 60), metric=np.array([[1.0, 1.0], [0.0, -1.0]]))
    assert sheared.length[0] == pytest.approx(60 * 2**0.5, rel=0.02)
    assert sheared.width[0] == pytest.approx(3 / 2**0.5, rel=0.02)


def test_a_large_object_is_thinned_and_keeps_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extent, "MOST", 10_000)
    # 1.8 million pixels in cells of 14 a side
    found = measured(shapely.box(0, 0, 6000, 300))
    assert (found.length[0], found.width[0]) == (pytest.approx(6000, rel=0.01), pytest.approx(300, rel=0.01))
    assert sorted(found.ends[0, :, 0]) == pytest.approx([0, 6000], abs=14)


@pytest.mark.parametrize("steps", [30, 900, 4000])
def test_a_thin_diagonal_is_not_eaten(steps: int) -> None:
    # two pixels a row, each row shifted by one: √2 · steps long, 2 · steps pixels in all
    columns = np.arange(steps)
    stairs = shapely.union_all(shapely.box(columns, columns, columns + 2, columns + 1))
    found = measured(stairs)
    assert found.length[0] == pytest.approx(steps * 2**0.5, rel=0.03)
    assert found.width[0] == pytest.approx(2**0.5, rel=0.03)


@pytest.mark.parametrize("side", [1, 4])
def test_of_a_torn_shape_the_largest_piece_is_measured(side: int) -> None:
    # as a bar, and along its centreline
    torn = shapely.multipolygons([shapely.box(0, 0, 1, 1), shapely.box(10, 10, 10 + 6 * side, 10 + side)])
    found = measured(torn)
    assert (found.length[0], found.width[0]) == (pytest.approx(6 * side, abs=0.2), pytest.approx(side, rel=0.01))


def test_shapes_do_not_depend_on_what_is_measured_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    # patches of all forms and sizes, some with holes
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(150, 150)), 2)
    shapes = outlines((noise > 0.02).astype(np.uint8), 0)[1]
    assert len(shapes) > 40
    assert sum(len(shape.interiors) for shape in shapes) > 10
    together = measured(*shapes)
    monkeypatch.setattr(extent, "BATCH", 1)
    for one, other in zip(together, measured(*shapes), strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-9)


def test_nothing_has_no_extent() -> None:
    assert [len(values) for values in measured()] == [0] * 5


def test_a_path_of_one_cell_takes_nothing_from_its_neighbours() -> None:
    # the skeleton of this patch of 30 pixels is one cell; the bar is drawn before one and after another
    runs = ((2, 5), (1, 6), (1, 6), (0, 6), (0, 6), (0, 5))
    patch = shapely.union_all([shapely.box(first, row, last, row + 1) for row, (first, last) in enumerate(runs)])
    found = measured(patch, shapely.box(0, 0, 60, 6), patch)
    assert found.end_widths[1] == pytest.approx([6, 6], rel=0.02)
    assert found.width[1] == pytest.approx(6, rel=0.02)
    assert found.length[[0, 2]] * found.width[[0, 2]] == pytest.approx([30, 30])
