"""Places between control points: exact at them, metres off at the most between them, and back again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pyproj import Geod, Transformer

from seepseg.geo.points import Lattice, cartesian, lattice_through

Field = NDArray[np.float64]
GEOD = Geod(ellps="WGS84")
HEIGHT, WIDTH = 16685, 25788


def metres(a: Field, b: Field) -> Field:
    return np.asarray(GEOD.inv(*a.T, *b.T)[2])


def ground(points: Field, latitude: float, longitude: float = -91.0, heading: float = 194.0) -> Field:
    """Columns and rows of a scene of 10 m pixels across a geodesic → longitude, latitude."""
    ones = np.ones(len(points))
    lon, lat, back = GEOD.fwd(longitude * ones, latitude * ones, heading * ones, points[:, 1] * 10)
    return np.stack(GEOD.fwd(lon, lat, back - 90, points[:, 0] * 10)[:2], axis=1)


def lattice_points() -> Field:
    """The 10 × 21 points of a Sentinel-1 product, in the middles of pixels; the last ones are closer."""
    rows, columns = [*range(0, 16025, 2003), HEIGHT - 1], [*range(0, 24511, 1290), WIDTH - 1]
    return np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2) + 0.5


def test_the_ellipsoid_is_that_of_wgs_84() -> None:
    lonlat = np.array([[0, 0], [-91.3, 28.1], [179.9, -65], [12, 89.9]])
    expected = Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True).transform(*lonlat.T, np.zeros(4))
    assert cartesian(lonlat) == pytest.approx(np.stack(expected, axis=1), abs=1e-6)


@pytest.mark.parametrize(("latitude", "longitude"), [(0, -91), (28, -91), (62, 179.9), (-81, 30)])
def test_a_lattice_is_exact_at_its_points_and_half_a_metre_off_between(latitude: float, longitude: float) -> None:
    points = lattice_points()
    there = ground(points, latitude, longitude)
    # In any order, as files may have them.
    order = np.random.default_rng(0).permutation(len(points))
    lattice, accuracy = lattice_through(points[order], there[order])
    assert metres(lattice.to_lonlat(points), there).max() < 1e-6
    anywhere = np.random.default_rng(1).uniform(0, [WIDTH, HEIGHT], (5000, 2))
    off = metres(lattice.to_lonlat(anywhere), ground(anywhere, latitude, longitude))
    assert off.max() < 0.5
    # With every second row and column left out, cells have four times the area.
    assert accuracy is not None
    assert off.max() < accuracy < 1
    assert lattice.to_pixels(lattice.to_lonlat(anywhere)) == pytest.approx(anywhere, abs=1e-3)


def test_beyond_its_edges_a_lattice_goes_on() -> None:
    lattice, _ = lattice_through(lattice_points(), ground(lattice_points(), 28))
    # The half pixels around it, and a kilometre.
    edges = np.array([[0, 0], [WIDTH, 0], [0, HEIGHT], [WIDTH, HEIGHT]])
    assert metres(lattice.to_lonlat(edges), ground(edges, 28)).max() < 0.1
    around = edges + np.sign(edges - 1) * 100
    assert metres(lattice.to_lonlat(around), ground(around, 28)).max() < 10


def test_ground_that_is_moved_by_mountains_is_found_again() -> None:
    points = lattice_points()
    there = ground(points, 46)
    there += np.random.default_rng(0).normal(0, 0.01, there.shape)  # about a kilometre
    lattice, accuracy = lattice_through(points, there)
    assert metres(lattice.to_lonlat(points), there).max() < 1e-6
    assert accuracy is not None
    assert 500 < accuracy < 3000
    anywhere = np.random.default_rng(1).uniform(0, [WIDTH, HEIGHT], (5000, 2))
    assert lattice.to_pixels(lattice.to_lonlat(anywhere)) == pytest.approx(anywhere, abs=1e-2)


def test_four_corners_are_a_lattice_of_which_none_can_be_left_out() -> None:
    corners = np.array([[0, 0], [1000, 0], [0, 800], [1000, 800]], np.float64)
    lattice, accuracy = lattice_through(corners, ground(corners, 28))
    assert (lattice.nodes.shape, accuracy) == ((2, 2, 3), None)
    middle = np.array([[500.0, 400.0]])
    assert metres(lattice.to_lonlat(middle), ground(middle, 28)).max() < 0.1


def test_points_without_a_lattice_are_met_by_a_spline() -> None:
    rng = np.random.default_rng(0)
    points = np.concatenate(
        [rng.uniform(0, [WIDTH, HEIGHT], (40, 2)), [[0, 0], [WIDTH, 0], [0, HEIGHT], [WIDTH, HEIGHT]]]
    )
    there = ground(points, 28)
    lattice, accuracy = lattice_through(np.repeat(points, 2, axis=0), np.repeat(there, 2, axis=0))
    assert metres(lattice.to_lonlat(points), there).max() < 0.01
    anywhere = rng.uniform(0, [WIDTH, HEIGHT], (2000, 2))
    off = metres(lattice.to_lonlat(anywhere), ground(anywhere, 28))
    assert off.max() < 10
    assert accuracy is not None
    assert np.sqrt(np.mean(off**2)) < accuracy < 100


def test_leaving_out_one_point_of_a_spline_is_what_the_others_say() -> None:
    points = np.random.default_rng(3).uniform(0, 1000, (12, 2)).round(3)
    there = ground(points, 10) + np.random.default_rng(4).normal(0, 1e-3, (12, 2))
    _, accuracy = lattice_through(points, there)
    missed = []
    for k in range(12):
        others, _ = lattice_through(np.delete(points, k, axis=0), np.delete(there, k, axis=0))
        # The spline itself also beyond the others, where the lattice goes on straight.
        if inside(others, points[k]):
            missed.append(metres(others.to_lonlat(points[k : k + 1]), there[k : k + 1])[0])
    assert len(missed) >= 6
    assert accuracy is not None
    assert 0.5 * accuracy < np.sqrt(np.mean(np.square(missed))) < 2 * accuracy


def inside(lattice: Lattice, point: Field) -> bool:
    column, row = point
    return bool(lattice.columns[0] <= column <= lattice.columns[-1] and lattice.rows[0] <= row <= lattice.rows[-1])


def test_three_points_are_a_plane() -> None:
    points = np.array([[0, 0], [100, 10], [20, 90]], np.float64)
    lattice, accuracy = lattice_through(points, ground(points, 28))
    assert accuracy is None
    somewhere = np.array([[40.0, 50.0], [0, 0]])
    assert metres(lattice.to_lonlat(somewhere), ground(somewhere, 28)).max() < 0.01


def test_many_points_are_thinned() -> None:
    points = np.random.default_rng(0).uniform(0, [WIDTH, HEIGHT], (2500, 2))
    lattice, accuracy = lattice_through(points, ground(points, 28))
    assert lattice.nodes.shape == (65, 65, 3)
    assert accuracy is not None
    assert accuracy < 5


@given(
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=3, max_size=30),
    st.floats(-85, 85),
    st.floats(-180, 180),
)
def test_any_points_are_met(at: list[tuple[int, int]], latitude: float, longitude: float) -> None:
    points = np.unique(np.array(at, np.float64), axis=0)
    if np.linalg.svd(points - points.mean(0))[1][-1] < 5:
        return  # on one line, or nearly so
    there = ground(points, latitude, longitude)
    lattice, _ = lattice_through(points, there)
    assert metres(lattice.to_lonlat(points), there).max() < 0.01
    assert lattice.to_pixels(there) == pytest.approx(points, abs=0.01)
