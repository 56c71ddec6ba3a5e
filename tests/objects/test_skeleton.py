from __future__ import annotations

import numpy as np
import pytest
import shapely

from seepseg.objects.mosaic import mosaic
from seepseg.objects.skeleton import Paths, longest_paths


def paths(*shapes: object, size: tuple[float, float] = (1.0, 1.0)) -> tuple[Paths, np.ndarray]:
    """The paths, and the mask in which they run."""
    drawn = mosaic(np.array(shapes, object), np.ones(len(shapes), np.int64))
    metric = np.tile(np.diag(size), (len(shapes), 1, 1))
    area = np.array([shapely.area(shape) for shape in shapes]) * size[0] * size[1]
    return longest_paths(drawn, metric, area), drawn.mask


def test_a_line_is_its_own_path() -> None:
    line, _ = paths(shapely.box(0, 0, 9, 1))
    assert np.sort(line.cells[:, 0]).tolist() == list(range(1, 10))
    # eight steps between nine cells
    assert line.metres.tolist() == [8]


def test_steps_are_as_long_as_pixels_are() -> None:
    stairs = shapely.union_all([shapely.box(i, i, i + 1, i + 1) for i in range(5)])
    # four diagonal steps of pixels of 3 m by 4 m: 5 m each
    assert paths(stairs, size=(3.0, 4.0))[0].metres.tolist() == [20]


def test_shapes_do_not_know_each_other() -> None:
    shapes = [shapely.box(0, 0, 30, 5), shapely.box(0, 0, 3, 40), shapely.box(0, 0, 12, 12)]
    both, _ = paths(*shapes)
    alone = [paths(shape)[0] for shape in shapes]
    assert both.metres.tolist() == [float(one.metres[0]) for one in alone]
    assert np.bincount(both.owner).tolist() == [len(one.cells) for one in alone]


def test_a_bump_belongs_to_the_path_and_a_branch_does_not() -> None:
    bar = shapely.box(0, 10, 60, 15)
    bump, bumpy = paths(shapely.union(bar, shapely.box(28, 7, 33, 10)))
    branch, _ = paths(shapely.union(bar, shapely.box(28, -20, 33, 10)))
    assert np.array_equal(bump.along >= 0, bumpy)
    # of the branch of 30 rows, only what lies as near to the path as to its own skeleton
    beside = (branch.along >= 0).sum() - 300
    assert 0 <= beside <= 15


@pytest.mark.parametrize("radius", [20, 40])
def test_round_a_ring_the_path_is_half_the_way(radius: int) -> None:
    y, x = np.mgrid[: 2 * radius + 9, : 2 * radius + 9] - (radius + 4)
    ring = shapely.union_all(
        [shapely.box(c, r, c + 1, r + 1) for r, c in np.argwhere(np.abs(np.hypot(x, y) - radius) < 2)]
    )
    path, _ = paths(ring)
    # steps along the axes and diagonals only are up to 8 % longer than the arc
    assert np.pi * radius < path.metres[0] < 1.1 * np.pi * radius


def test_every_cell_is_beside_the_nearest_cell_of_the_path() -> None:
    # a bar of seven rows: the skeleton is its middle row, each column belongs to its cell in it
    path, mask = paths(shapely.box(0, 0, 40, 7))
    row, column = np.nonzero(mask)
    inner = (column > 6) & (column < 35)
    beside = path.cells[path.along[row[inner], column[inner]]]
    assert (np.abs(beside[:, 0] - column[inner]) <= 1).all()
    assert set(beside[:, 1].tolist()) == {4}
