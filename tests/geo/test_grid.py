"""Rasters on a map grid: pixel for pixel where they lie on it, and never more than a pixel off elsewhere."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray
from pyproj import CRS, Transformer

from seepseg.errors import ConfigError
from seepseg.geo.grid import Grid, Sheet, parse_grid, sheet_of, warped
from seepseg.geo.place import place_of
from seepseg.io.raster import Georeference
from tests.geo.test_points import HEIGHT, WIDTH, ground, lattice_points

UTM, LONLAT = (CRS.from_epsg(code).to_wkt() for code in (32615, 4326))
SCENE = np.random.default_rng(0).integers(0, 255, (400, 300)).astype(np.uint8)
Transform = tuple[float, float, float, float, float, float]


def sheet(transform: Transform, grid: Grid | None = None, wkt: str = UTM) -> Sheet:
    one = sheet_of(grid or Grid(), place_of(Georeference(wkt, transform)), *SCENE.shape)
    assert one
    return one


def on_map(scene: NDArray[np.uint8], sheet: Sheet) -> NDArray[np.uint8]:
    rows = warped(lambda rows, columns: scene[rows, columns], *scene.shape, sheet, 255)
    made = np.concatenate(list(rows))
    assert made.shape == (sheet.height, sheet.width)
    return made


def test_a_scene_on_the_grid_keeps_its_pixels() -> None:
    transform = (10.0, 0.0, 500_000.0, 0.0, -10.0, 3_000_000.0)
    own = sheet(transform)
    assert own.georeference == Georeference(UTM, transform)
    assert np.array_equal(on_map(SCENE, own), SCENE)


def test_corners_of_maps_are_multiples_of_the_pixel_size() -> None:
    moved = sheet((10.0, 0.0, 500_003.0, 0.0, -10.0, 3_000_003.0))
    # From 500 000 to 503 010 and from 3 000 010 down to 2 996 000.
    assert moved.georeference.transform == (10, 0, 500_000, 0, -10, 3_000_010)
    assert (moved.height, moved.width) == (401, 301)
    # The centre of the first column, 500 005, lies in the scene's first, that of the last, 503 005, beyond it; the
    # centre of the first row, 3 000 005, above it, that of the second in its first.
    expected = np.full((401, 301), 255, np.uint8)
    expected[1:, :-1] = SCENE
    assert np.array_equal(on_map(SCENE, moved), expected)


def test_scenes_are_turned_and_sheared() -> None:
    # x = 10 · row, y = 10 · column: columns run north, from the lower left
    turned = sheet((0.0, 10.0, 500_000.0, 10.0, 0.0, 3_000_000.0))
    assert np.array_equal(on_map(SCENE, turned), SCENE.T[::-1])
    # x = 10 · column + 10 · row, y = −10 · row: each row begins a pixel to the right of the one above. The centre of
    # (r, c) lies in the middle of row r, between columns c − r − 1 and c − r, and so in the second.
    sheared = sheet((10.0, 10.0, 500_000.0, 0.0, -10.0, 3_000_000.0))
    expected = np.full((400, 700), 255, np.uint8)
    for row in range(400):
        expected[row, row : row + 300] = SCENE[row]
    assert np.array_equal(on_map(SCENE, sheared), expected)


def test_larger_pixels_take_the_one_in_the_middle_and_little_is_read_at_once() -> None:
    thirds = sheet((10.0, 0.0, 600_000.0, 0.0, -10.0, 3_000_000.0), Grid(32615, 30))
    assert np.array_equal(on_map(SCENE, thirds)[:133, :100], SCENE[1::3, 1::3])
    coarse = sheet((1.0, 0.0, 600_000.0, 0.0, -1.0, 3_000_000.0), Grid(32615, 20))
    sizes = []

    def read(rows: slice, columns: slice) -> NDArray[np.uint8]:
        sizes.append(max(rows.stop - rows.start, columns.stop - columns.start))
        return SCENE[rows, columns]

    assert np.array_equal(np.concatenate(list(warped(read, *SCENE.shape, coarse, 255))), SCENE[10::20, 10::20])
    assert max(sizes) <= 256


def test_scenes_with_control_points_are_placed_within_a_hundredth_of_a_pixel() -> None:
    points = lattice_points()
    gcps = [(r, c, x, y, 0.0) for (c, r), (x, y) in zip(points.tolist(), ground(points, 28).tolist(), strict=True)]
    scene = sheet_of(Grid(), place_of(Georeference(gcps=tuple(gcps), gcps_crs_wkt=LONLAT)), HEIGHT, WIDTH)
    assert scene
    (size, _, left, _, _, top), wkt = scene.georeference.transform or (0,) * 6, scene.georeference.crs_wkt
    assert (size, left % 10, top % 10, wkt) == (10, 0, 0, UTM)
    # A stripe of the map near its middle, a pixel's column and row in the scene, modulo 250.
    cut = Sheet(scene.georeference, 300, scene.width, lambda at: scene.to_pixels(at + np.array([0, 9000])), scene.side)

    def numbers(axis: int, rows: slice, columns: slice) -> NDArray[np.uint8]:
        grid = np.meshgrid(np.arange(columns.start, columns.stop), np.arange(rows.start, rows.stop))
        return (grid[axis] % 250).astype(np.uint8)

    made = [np.concatenate(list(warped(partial(numbers, axis), HEIGHT, WIDTH, cut, 255))) for axis in (0, 1)]
    at = np.stack(np.meshgrid(np.arange(scene.width), np.arange(300)), axis=-1).reshape(-1, 2)[::37]
    exact = scene.to_pixels(at + np.array([0.5, 9000.5]))
    inside = ((exact > 0.01) & (exact < [WIDTH - 0.01, HEIGHT - 0.01])).all(1)
    outside = ((exact < -0.01) | (exact > [WIDTH + 0.01, HEIGHT + 0.01])).any(1)
    assert inside.sum() > 200_000
    assert outside.sum() > 1000
    for axis, values in enumerate(made):
        value = values[at[:, 1], at[:, 0]]
        clear = inside & (np.abs(exact[:, axis] - np.round(exact[:, axis])) > 0.01)
        assert np.array_equal(value[clear], np.floor(exact[clear, axis]) % 250)
        assert (value[outside] == 255).all()
    # Pixels of the scene, by the geodesic that it was made of, are where the map shows them.
    pixels = np.random.default_rng(1).integers(0, [WIDTH, HEIGHT], (300_000, 2))
    x, y = Transformer.from_crs(4326, UTM, always_xy=True).transform(*ground(pixels + 0.5, 28).T)
    column, row = np.floor((x - left) / 10).astype(int), np.floor((top - y) / 10).astype(int) - 9000
    seen = (row >= 0) & (row < 300) & (column >= 0) & (column < scene.width)
    assert seen.sum() > 1000
    for axis, values in enumerate(made):
        off = (values[row[seen], column[seen]].astype(int) - pixels[seen, axis] + 125) % 250 - 125
        assert np.abs(off).max() <= 1


def test_longitudes_may_run_from_0_to_360() -> None:
    step = 0.001
    west, east = (sheet((step, 0.0, lon, 0.0, -step, 28.0), Grid(3857), LONLAT) for lon in (-91.0, 269.0))
    assert west.georeference == east.georeference
    assert np.array_equal(on_map(SCENE, west), on_map(SCENE, east))
    assert (on_map(SCENE, east) < 255).mean() > 0.95


@pytest.mark.parametrize(
    ("longitude", "latitude", "code"),
    [(-91, 28, 32615), (-89.9, 28, 32616), (179.9, -5, 32760), (-180, 5, 32601), (0, 85, 5041), (0, -81, 5042)],
)
def test_utm_is_the_zone_of_the_centre(longitude: float, latitude: float, code: int) -> None:
    step = 1e-4
    transform = (step, 0.0, longitude - 150 * step, 0.0, -step, latitude + 200 * step)
    zone = sheet(transform, wkt=LONLAT)
    assert zone.georeference.crs_wkt == CRS.from_epsg(code).to_wkt()
    assert (on_map(SCENE, zone) < 255).mean() > 0.4


@pytest.mark.parametrize(
    ("own", "size"), [(10.004, 10), (9.4, 10), (12.6, 12.5), (39.2, 40), (0.31, 0.3), (77, 75), (1.1, 1), (900, 1000)]
)
def test_the_pixel_size_of_a_scene_is_rounded(own: float, size: float) -> None:
    transform = sheet((own, 0.0, 500_000.0, 0.0, -own, 3_000_000.0)).georeference.transform
    assert transform
    assert (transform[0], transform[4]) == (size, -size)


def test_what_has_no_place_on_the_map_has_no_sheet() -> None:
    assert sheet_of(Grid(), place_of(Georeference()), 10, 10) is None
    # Beyond the South Pole; and across the meridian where this projection is cut: 300 columns of 111 m lie at both ends
    # of 40 000 km.
    for west, north in ((0.0, -89.9), (179.9, 0.0)):
        place = place_of(Georeference(LONLAT, (0.001, 0.0, west, 0.0, -0.001, north)))
        assert sheet_of(Grid(3857), place, *SCENE.shape) is None


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("utm", Grid()),
        ("UTM:20", Grid(None, 20)),
        ("32616", Grid(32616)),
        ("EPSG:32616", Grid(32616)),
        ("epsg:3857:12.5", Grid(3857, 12.5)),
    ],
)
def test_grids_have_names(text: str, grid: Grid) -> None:
    assert parse_grid(text) == grid


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("mars", "is not EPSG[:METRES] or utm[:METRES] in --grid mars"),
        ("", "is not EPSG[:METRES]"),
        ("999999", "EPSG has no coordinate system 999999"),
        ("4326", "WGS 84 is no map in metres in --grid 4326: give a projected system"),
        ("4326:10", "WGS 84 is no map in metres"),
        ("2263:10", "NAD83 / New York Long Island (ftUS) is no map in metres"),
        ("2053", "Hartebeesthoek94 / Lo29 is no map in metres"),
        ("utm:0", "'0' is not a pixel size from .01 to 100000 metres in --grid utm:0"),
        ("utm:nan", "'nan' is not a pixel size"),
        ("32616:-10", "'-10' is not a pixel size"),
        ("32616:1e9", "'1e9' is not a pixel size"),
        ("32616:ten", "'ten' is not a pixel size"),
    ],
)
def test_grids_that_are_none(text: str, line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_grid(text)
    assert str(raised.value).startswith(line)


def test_pixels_far_finer_than_the_scene_are_refused() -> None:
    transform = (10.0, 0.0, 500_000.0, 0.0, -10.0, 3_000_000.0)
    assert sheet(transform, Grid(32615, 1)).width == 3000
    with pytest.raises(ConfigError, match=r"pixels of 0.5 m are far finer than those of the scene, 10 m"):
        sheet(transform, Grid(32615, 0.5))
