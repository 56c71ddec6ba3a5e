from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import shapely
from pyproj import Geod
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine

from seepseg.errors import DataError
from seepseg.geo import land
from seepseg.geo.land import draw_land, open_masks
from seepseg.geo.place import place_of
from seepseg.io.image import open_image
from tests.geo.test_mask import save

DEGREES = CRS.from_epsg(4326)
ISLAND = (10.0, 60.0, 10.1, 60.05)
"""5.6 km from west to east, and from south to north."""


def scene(path: Path, rows: int = 50, columns: int = 60, **place: Any) -> Path:
    return save(path / "s.tif", np.ones((rows, columns), np.uint8), **place)


def ashore(path: Path, margin: float) -> np.ndarray:
    """The mask, read in strips of seven rows."""
    with open_image(path) as opened, open_masks(opened, None, margin) as rows:
        if rows is None:
            return np.zeros((opened.height, opened.width), bool)
        return np.concatenate([rows(s, min(s + 7, opened.height)) for s in range(0, opened.height, 7)])


def outlines(monkeypatch: pytest.MonkeyPatch, path: Path, *boxes: tuple[float, float, float, float]) -> None:
    shapes = shapely.to_wkb(np.array([shapely.box(*box) for box in boxes]))
    pyogrio.raw.write(path / "l.fgb", shapes, [], [], driver="FlatGeobuf", geometry_type="Polygon", crs="EPSG:4326")
    monkeypatch.setattr(land, "OUTLINES", path / "l.fgb")


def points() -> list[GroundControlPoint]:
    """Those of a scene of 50 × 60 pixels, turned by some 10°."""
    return [
        GroundControlPoint(r, c, 9.9 + 0.005 * c + 0.001 * r, 60.15 - 0.005 * r + 0.0005 * c, 0)
        for r in (0, 25, 50)
        for c in (0, 30, 60)
    ]


@pytest.mark.parametrize("margin", [0.0, 1000.0, 4000.0])
@pytest.mark.parametrize(
    "place",
    [
        {"crs": DEGREES, "transform": Affine(0.005, 0, 9.9, 0, -0.005, 60.15)},
        {"crs": CRS.from_epsg(32632), "transform": Affine(400, 0, 550_000, 0, -400, 6_665_000)},
        {"gcps": (points(), DEGREES)},
    ],
    ids=["degrees", "UTM", "points"],
)
def test_the_margin_is_metres_on_the_earth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: dict[str, Any], margin: float
) -> None:
    outlines(monkeypatch, tmp_path, ISLAND)
    path = scene(tmp_path, **place)
    with open_image(path) as opened:
        where = place_of(opened.georeference)
    assert where.to_lonlat
    middles = np.stack(np.meshgrid(np.arange(60) + 0.5, np.arange(50) + 0.5), axis=-1).reshape(-1, 2)
    some = np.arange(0, 3000, 7)
    lonlat = where.to_lonlat(middles[some])
    # The nearest of many points of the shore.
    shore = shapely.get_coordinates(shapely.segmentize(shapely.box(*ISLAND), 0.0005))
    pairs = np.repeat(lonlat, len(shore), axis=0), np.tile(shore, (len(lonlat), 1))
    distance = Geod(ellps="WGS84").inv(*pairs[0].T, *pairs[1].T)[2].reshape(len(lonlat), -1).min(1)
    inside = ((lonlat > ISLAND[:2]) & (lonlat < ISLAND[2:])).all(1)
    expected = inside | (distance <= margin)
    # What is left to chance: 30 m, a tenth of a pixel.
    sure = np.abs(np.where(inside, -distance, distance) - margin) > 30
    assert sure.mean() > 0.9
    assert np.array_equal(ashore(path, margin).ravel()[some][sure], expected[sure])


@pytest.mark.parametrize("left", [179.5, -180.5])
def test_land_across_the_antimeridian_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: float) -> None:
    # 20 by 10 pixels of a hundredth of a degree, in two pieces.
    outlines(monkeypatch, tmp_path, (179.9, 0, 180, 0.1), (-180, 0, -179.9, 0.1))
    path = scene(tmp_path, 50, 100, crs=DEGREES, transform=Affine(0.01, 0, left, 0, -0.01, 0.3))
    expected = np.zeros((50, 100), bool)
    expected[20:30, 40:60] = True
    assert np.array_equal(ashore(path, 0), expected)
    utm = CRS.from_epsg(32660)  # goes on beyond 180°, which is 333 km east of its middle
    path = scene(tmp_path, 100, 100, crs=utm, transform=Affine(1000, 0, 780_000, 0, -1000, 50_000))
    # 22.3 km by 11.1 km
    assert ashore(path, 0).sum() == pytest.approx(22.3 * 11.1, rel=0.1)


def test_a_border_on_the_antimeridian_tears_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outlines(monkeypatch, tmp_path, (179, 0, 180, 0.1), (-180, 0, -179, 0.1))
    edge = 20_037_508.342789244  # 180° in this projection
    path = scene(tmp_path, 40, 40, crs=CRS.from_epsg(3857), transform=Affine(1000, 0, edge - 40_000, 0, -1000, 20_000))
    expected = np.zeros((40, 40), bool)
    expected[9:20] = True  # .1° are 11.1 km
    assert np.array_equal(ashore(path, 0), expected)


@pytest.mark.parametrize("place", [(3413, Affine(2000, 0, -60_000, 0, -2000, 60_000)), (3413, None)])
def test_a_pole_is_a_place_as_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Any) -> None:
    outlines(monkeypatch, tmp_path, *((x, 89.8, x + 90, 90) for x in range(-180, 180, 90)))
    crs, transform = place
    if transform is None:  # a strip of longitudes up to the pole
        path = scene(tmp_path, 20, 60, crs=DEGREES, transform=Affine(1, 0, 20, 0, -0.05, 90))
        # .2° are 22.3 km, and 5 km more are less than another half pixel of 5.6 km.
        assert (ashore(path, 5000).sum(0) == 5).all()
        return
    path = scene(tmp_path, 60, 60, crs=CRS.from_epsg(crs), transform=transform)
    # A disc of 22.3 km and 10 km; the scale of this projection is .97 at the pole.
    assert ashore(path, 10_000).sum() * 4 == pytest.approx(np.pi * (32.3 * 0.97) ** 2, rel=0.05)


@pytest.mark.parametrize(
    ("lon", "lat", "is_land"),
    [
        (-90.1, 30.0, True),  # New Orleans
        (-90.0, 27.5, False),  # the Gulf of Mexico
        (108.0, 53.5, True),  # Baikal: lakes are land
        (51.0, 41.0, False),  # but not the Caspian Sea
        (179.4, 66.5, True),  # Chukotka, on both sides of 180°
        (-179.4, 67.5, True),
        (0.0, -89.9, True),
        (0.0, 89.9, False),
    ],
)
def test_the_outlines_are_those_of_the_earth(tmp_path: Path, lon: float, lat: float, is_land: bool) -> None:
    where = Affine(0.001, 0, lon - 0.005, 0, -0.001, lat + 0.005)
    assert (ashore(scene(tmp_path, 10, 10, crs=DEGREES, transform=where), 0) == is_land).all()


def test_land_and_mask_are_both_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outlines(monkeypatch, tmp_path, ISLAND)
    path = scene(tmp_path, crs=DEGREES, transform=Affine(0.005, 0, 9.9, 0, -0.005, 60.15))
    drawn = np.zeros((50, 60), np.uint8)
    drawn[:5] = 1
    mask = save(tmp_path / "m.tif", drawn)
    with open_image(path) as opened:
        whole = {}
        for name, options in {"both": (mask, 0.0), "mask": (mask, None), "land": (None, 0.0)}.items():
            with open_masks(opened, *options) as rows:
                assert rows
                whole[name] = rows(0, 50)
        with open_masks(opened, None, None) as rows:
            assert rows is None
    # 20 × 10 pixels and 5 × 60
    assert [int(whole[name].sum()) for name in ("land", "mask", "both")] == [200, 300, 500]
    assert np.array_equal(whole["both"], whole["land"] | whole["mask"])


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ({}, "where its land lies is not known (no georeference)"),
        ({"crs": DEGREES, "transform": Affine(6, 0, -180, 0, -3.6, 90)}, "too much of the Earth for one plane"),
        ({"crs": CRS.from_string("+proj=ortho"), "transform": Affine(3e5, 0, -9e6, 0, -3e5, 9e6)}, "part of it"),
    ],
    ids=["nowhere", "everywhere", "beyond"],
)
def test_where_land_cannot_be_told_one_line_says_why(tmp_path: Path, place: dict[str, Any], line: str) -> None:
    path = scene(tmp_path, **place)
    with open_image(path) as opened, pytest.raises(DataError, match=re.escape(line)) as error:
        draw_land(opened, 1000)
    assert "leave out --land" in error.value.fix
