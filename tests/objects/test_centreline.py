"""True lengths, widths and directions of shapes drawn as pixels: a pixel is set where its centre lies inside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import shapely
from rasterio.features import rasterize

from seepseg.objects.centreline import Extents
from seepseg.objects.extent import extents
from seepseg.objects.outlines import outlines

ANGLES = [0, 10, 22.5, 30, 45, 67.5, 90, 135]


def drawn(shape: shapely.Geometry) -> shapely.Geometry:
    """The pixels of a shape, as one shape of pixel edges."""
    left, top, right, bottom = shape.bounds
    moved = shapely.transform(shape, lambda points: points - (np.floor(left) - 2, np.floor(top) - 2))
    mask = rasterize([moved], (int(bottom - top) + 6, int(right - left) + 6), dtype="uint8")
    return shapely.union_all(outlines(mask, 0)[1])


def band(line: Sequence[Sequence[float]] | np.ndarray, width: float, degrees: float = 0) -> shapely.Geometry:
    """The pixels nearer to a line than half the width; flat ends, turned anticlockwise by an angle."""
    turn = np.radians(degrees)
    points = np.asarray(line) @ [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    return drawn(
        shapely.LineString(points + np.array([0.31, 0.17])).buffer(width / 2, cap_style="flat", join_style="mitre")
    )


def measured(shape: shapely.Geometry) -> Extents:
    """In pixels, north up."""
    return Extents(*(values[0] for values in extents(np.array([shape]), np.diag([1.0, -1.0])[None])))


def direction(found: Extents) -> float:
    """Degrees from the direction of columns, anticlockwise, of the line from one end to the other."""
    across, down = found.middles[1] - found.middles[0]
    return float(np.degrees(np.arctan2(-down, across)) % 180)


@pytest.mark.parametrize("degrees", ANGLES)
@pytest.mark.parametrize("width", [1.5, 3, 6, 20])
def test_straight_bands_are_as_long_and_wide_in_every_direction(width: float, degrees: float) -> None:
    shape = band([(0, 0), (200, 0)], width, degrees)
    found = measured(shape)
    assert found.length == pytest.approx(200, rel=0.02)
    # The width that was drawn: at 45°, lines of pixels are √½ apart, so a band of 3 is one of 2.83 or 3.54.
    assert found.width == pytest.approx(shape.area / 200, rel=0.02)
    assert abs((direction(found) - degrees + 90) % 180 - 90) < 1
    assert np.hypot(*(found.ends[1] - found.ends[0])) == pytest.approx(200, rel=0.02)
    # within half a pixel, or six hundredths where an end is a sawtooth of a wide band
    assert found.end_widths == pytest.approx([shape.area / 200] * 2, abs=max(0.5, 0.1 * width))


def arc(radius: float, width: float, turn: float = np.pi) -> shapely.Geometry:
    angle = np.linspace(0.2, 0.2 + turn, 500)
    return band(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), width)


@pytest.mark.parametrize(("radius", "width"), [(60, 6), (60, 3), (30, 6), (100, 20), (20, 3)])
def test_arcs_are_as_long_as_their_middle(radius: float, width: float) -> None:
    shape = arc(radius, width)
    found = measured(shape)
    # half a circle
    assert found.length == pytest.approx(np.pi * radius, rel=0.02)
    assert found.width == pytest.approx(shape.area / (np.pi * radius), rel=0.02)
    # the ends are a diameter apart, within the width
    assert abs(np.hypot(*(found.ends[1] - found.ends[0])) - 2 * radius) < width / 2


@pytest.mark.parametrize("width", [3, 6])
def test_a_spiral_is_unrolled(width: float) -> None:
    # three turns from radius 27 to 107, 80 / 3 = 27 from turn to turn
    angle = np.linspace(0, 6 * np.pi, 3000)
    radius = 27 + 80 * angle / angle[-1]
    line = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    # ∫ √(r² + (dr/dφ)²) dφ, nearly the mean radius times the angle: 67 · 6 π = 1263
    length = np.hypot(*np.diff(line, axis=0).T).sum()
    assert length == pytest.approx(67 * 6 * np.pi, rel=0.01)
    found = measured(band(line, width))
    assert (found.length, found.width) == (pytest.approx(length, rel=0.02), pytest.approx(width, rel=0.02))


@pytest.mark.parametrize("degrees", [0, 22.5, 45])
@pytest.mark.parametrize("width", [3, 6, 12])
def test_an_l_is_as_long_as_both_arms(width: float, degrees: float) -> None:
    shape = band([(0, 0), (120, 0), (120, -120)], width, degrees)
    found = measured(shape)
    assert found.length == pytest.approx(240, rel=0.02)
    assert found.width == pytest.approx(shape.area / 240, rel=0.02)
    # from one end to the other, along the diagonal of the square
    assert abs((direction(found) - degrees - 45 + 90) % 180 - 90) < 1


@pytest.mark.parametrize("degrees", [0, 22.5, 45])
def test_of_a_y_the_longest_way_is_measured_and_its_width_only(degrees: float) -> None:
    # arms of 80, 80 and 60 that are 8, 8 and 4 wide, 120° apart
    turns = np.radians(degrees + np.array([90, 210, 330]))
    arms = [
        shapely.LineString([(0.3, 0.2), (0.3 + length * np.cos(turn), 0.2 + length * np.sin(turn))]).buffer(
            width / 2, cap_style="flat"
        )
        for turn, length, width in zip(turns, (60, 80, 80), (4, 8, 8), strict=True)
    ]
    corner = shapely.Point(0.3, 0.2).buffer(4)
    found = measured(drawn(shapely.union_all([*arms, corner])))
    assert found.length == pytest.approx(160, rel=0.02)
    assert found.width == pytest.approx(8, rel=0.02)


@pytest.mark.parametrize("radius", [30, 60])
def test_round_a_ring_it_is_half_the_way(radius: float) -> None:
    centre = shapely.Point(0.3, 0.4)
    ring = centre.buffer(radius + 3, quad_segs=90) - centre.buffer(radius - 3, quad_segs=90)
    found = measured(drawn(ring))
    assert found.length == pytest.approx(np.pi * radius, rel=0.02)
    assert found.width == pytest.approx(6, rel=0.02)


def test_round_ends_count_in_full() -> None:
    line = shapely.LineString([(0.3, 0.2), (150.3, 60.2)])
    # √(150² + 60²) and a half circle of radius 4 at each end
    found = measured(drawn(line.buffer(4)))
    assert found.length == pytest.approx(np.hypot(150, 60) + 8, rel=0.02)


def test_ragged_outlines_make_nothing_longer() -> None:
    rng = np.random.default_rng(5)
    at = np.arange(0.0, 301, 3)
    upper, lower = (np.stack([at, side * rng.uniform(3, 7, len(at))], axis=1) for side in (1, -1))
    turned = shapely.affinity.rotate(shapely.Polygon([*upper, *lower[::-1]]), 20, (0, 0))
    found = measured(drawn(turned))
    assert found.length == pytest.approx(300, rel=0.02)
    # 5 on average to either side
    assert found.width == pytest.approx(10, rel=0.03)


def test_the_widths_of_a_wedge_are_those_of_its_ends() -> None:
    # 4 wide at one end, 24 at the other, 200 long: over the outer 30 on average 4 + 20 · 15 / 200 = 5.5 and 22.5
    wedge = shapely.Polygon([(0, -2), (200, -12), (200, 12), (0, 2)])
    found = measured(drawn(shapely.affinity.rotate(wedge, 20, (0, 0))))
    narrow, wide = sorted(found.end_widths)
    assert (narrow, wide) == (pytest.approx(5.5, rel=0.05), pytest.approx(22.5, rel=0.05))
    assert found.width == pytest.approx(14, rel=0.02)
    # the narrow end is the one at the origin, on the left
    assert found.ends[found.end_widths.argmin()][0] < found.ends[found.end_widths.argmax()][0]
