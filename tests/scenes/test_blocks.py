"""Blocks of ground: the same for every scene that shows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer

from seepseg.classes import SEEP, ClassTable
from seepseg.config import Split
from seepseg.data.catalog import Catalog, Tile
from seepseg.errors import ConfigError, DataError
from seepseg.geo.place import place_of
from seepseg.io.raster import Georeference
from seepseg.scenes.blocks import Blocks, blocks_of, frame_blocks, tile_blocks
from seepseg.splits.make import make_splits

NOWHERE = place_of(Georeference())
SPLIT = Split(by="blocks", size=100)


def placed(epsg: int, x: float, y: float, pixel: float = 10) -> Georeference:
    return Georeference(rasterio.CRS.from_epsg(epsg).to_wkt(), (pixel, 0, x, 0, -pixel, y))


def boxes(*windows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(windows, np.float64)


def test_blocks_of_pixels_are_squares_and_borders_belong_to_no_neighbour() -> None:
    # Rows 50 to 99, columns 100 to 149: block row 0, column 1, touching block row 1 and column 0.
    (one,) = blocks_of(SPLIT, NOWHERE, boxes((50, 100, 50, 50)))
    assert one == ("0/1", ("0/1",), ("0/1",))
    # Rows 80 to 129: the middle, 105, lies in row 1.
    (one,) = blocks_of(SPLIT, NOWHERE, boxes((80, 100, 50, 50)))
    assert one == ("1/1", ("0/1", "1/1"), ("0/1", "1/1"))


def test_a_margin_reaches_into_blocks_and_one_that_ends_at_a_border_does_not() -> None:
    window = boxes((120, 130, 40, 40))  # in block 1/1: 20 from the block above, 30 from those on the left and right
    for margin, near in ((20, {"1/1"}), (21, {"0/1", "1/1"}), (31, {f"{r}/{c}" for r in (0, 1) for c in (0, 1, 2)})):
        (one,) = blocks_of(Split(by="blocks", size=100, margin=margin), NOWHERE, window)
        assert (one.own, one.under, set(one.near)) == ("1/1", ("1/1",), near)


def test_the_same_ground_is_the_same_block_in_any_projection() -> None:
    split = Split(by="blocks", size=20_000)
    lon, lat = -91.3, 27.4
    own = set()
    for epsg, pixel in ((32615, 10), (32616, 40), (3857, 30), (4326, 0.0005)):
        x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
        georeference = placed(epsg, x - 5 * pixel, y + 5 * pixel, pixel)
        (one,) = blocks_of(split, place_of(georeference), boxes((0, 0, 10, 10)))
        own.add(one.own)
    # 27.4° of latitude are 27.4 · 111195 / 20000 = 152.3 blocks. Of row 152, whose middle is at 27.43°, go around the
    # Earth 360 · 111195 / 20000 · cos 27.43° = 1776.5, so 1777 of .20259°: -91.3° is in number -451, 1326 from 0.
    assert own == {"152/1326"}


def test_the_antimeridian_is_no_border() -> None:
    split = Split(by="blocks", size=50_000)
    # Pixels of .001°, from 179.95° to 180.05° or the same place from the other side; 801 blocks go around the equator.
    west, east = (place_of(placed(4326, lon, 0.2, 0.001)) for lon in (179.95, -180.05))
    one, other = (blocks_of(split, place, boxes((0, 0, 100, 100)))[0] for place in (west, east))
    assert one == other
    # 180° is the middle of block 400 of 801: the window lies in it.
    assert one == ("0/400", ("0/400",), ("0/400",))


@given(
    row=st.integers(0, 5000), column=st.integers(0, 5000), down=st.integers(-30, 30), right=st.integers(-30, 30),
    north=st.floats(100_000, 9_000_000),
)  # fmt: skip
def test_windows_of_two_scenes_that_share_ground_share_a_block(
    row: int, column: int, down: int, right: int, north: float
) -> None:
    """The second scene begins somewhere else, so that its windows overlap those of the first."""
    split = Split(by="blocks", size=3000)
    one = blocks_of(split, place_of(placed(32633, 300_000, north)), boxes((row, column, 64, 64)))[0]
    moved = placed(32633, 300_000 + 10 * right, north - 10 * down)
    other = blocks_of(split, place_of(moved), boxes((row, column, 64, 64)))[0]
    assert set(one.under) & set(other.under)
    assert one.own in one.under
    assert other.own in other.near


def test_windows_must_fit_into_blocks() -> None:
    with pytest.raises(ConfigError, match=r"windows of 256 pixels do not fit into blocks of 100 in data.split.size"):
        blocks_of(SPLIT, NOWHERE, boxes((0, 0, 256, 256)))
    # In the middle of a zone of UTM, 10 m on the map are 10 / .9996 on the ground.
    with pytest.raises(ConfigError, match=r"windows of 2561.02 m do not fit into blocks of 100 in"):
        blocks_of(SPLIT, place_of(placed(32633, 500_000, 5_000_000)), boxes((0, 0, 256, 256)))


def tiles(*places: Georeference) -> list[Blocks]:
    """The blocks of tile files of 50 pixels, in blocks of 1000."""

    @contextmanager
    def opened(path: Path) -> Iterator[Any]:
        yield SimpleNamespace(height=50, width=50, georeference=places[int(path.name)])

    return tile_blocks(Split(by="blocks", size=1000), [Path(str(k)) for k in range(len(places))], opened)


def test_tile_files_lie_where_their_georeference_says() -> None:
    here, there = placed(32633, 500_000, 5_000_000), placed(32633, 500_500, 5_000_000)
    assert tiles(here, there) == [
        *blocks_of(Split(by="blocks", size=1000), place_of(here), boxes((0, 0, 50, 50))),
        *blocks_of(Split(by="blocks", size=1000), place_of(there), boxes((0, 0, 50, 50))),
    ]
    with pytest.raises(DataError, match="has no georeference, so its block is not known in 1"):
        tiles(here, Georeference())


def test_windows_of_one_frame_belong_to_the_block_of_their_middle() -> None:
    # Windows of 50 in blocks of 100. The second reaches 5 pixels into block 0/1, the third lies there, 15 away from it.
    windows = boxes((0, 0, 50, 50), (3, 55, 50, 50), (0, 120, 50, 50), (-50, 0, 50, 50))
    found = frame_blocks(Split(by="blocks", size=100, margin=16), windows)
    assert [one.own for one in found] == ["0/0", "0/0", "0/1", "-1/0"]
    assert all(one.under == (one.own,) for one in found)
    # The first touches the fourth, the second is 3 pixels away from it and 5 to the right of the first.
    assert [set(one.near) for one in found] == [
        {"0/0", "-1/0"},
        {"0/0", "0/1", "-1/0"},
        {"0/0", "0/1"},
        {"-1/0", "0/0"},
    ]
    found = frame_blocks(Split(by="blocks", size=100, margin=15), windows)
    assert [set(one.near) for one in found] == [{"0/0", "-1/0"}, {"0/0", "-1/0"}, {"0/1"}, {"-1/0", "0/0"}]
    # Without a margin what overlaps is near, and what touches is not.
    moved = boxes((0, 0, 50, 50), (0, 51, 50, 50), (0, 100, 50, 50))
    assert [one.near for one in frame_blocks(Split(by="blocks", size=100), moved)] == [
        ("0/0",), ("0/0", "0/1"), ("0/0", "0/1"),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"windows of 50 pixels do not fit into blocks of 40 in data.split.size"):
        frame_blocks(Split(by="blocks", size=40), moved)


@given(
    shifts=st.lists(st.tuples(st.integers(-300, 300), st.integers(-300, 300)), min_size=1, max_size=3),
    margin=st.integers(0, 90), folds=st.booleans(),
)  # fmt: skip
@settings(max_examples=30)
def test_what_trains_keeps_its_distance_from_all_that_is_scored(
    shifts: list[tuple[int, int]], margin: int, folds: bool
) -> None:
    """Scenes of 5 × 5 tiles of 64 pixels, shifted anyhow; with folds, every tile is scored."""
    corners = np.array([(64 * i + y, 64 * j + x) for y, x in shifts for i in range(5) for j in range(5)], np.float64)
    how = {"folds": 3} if folds else {"val_fraction": 0.3, "test_fraction": 0.2}
    split = Split.model_validate({"by": "blocks", "size": 128, "margin": margin, "allow_missing_classes": True, **how})
    windows = np.concatenate([corners, np.full(corners.shape, 64.0)], axis=1)
    own = [
        Tile(str(k), Path("x"), Path("m"), "a", pixels=(90, 10), blocks=one)
        for k, one in enumerate(frame_blocks(split, windows))
    ]
    catalog = Catalog(tuple(own), ClassTable(SEEP.foreground[:1], (0,), ()))
    scored = set[str]()
    for fold in range(3) if folds else (None,):
        try:
            sides = make_splits(catalog, split, 0, fold).set_index("id")["split"]
        except ConfigError:  # the margin leaves nothing to train on
            return
        of = {part: corners[[int(i) for i in sides.index[sides == part]]] for part in ("train", "val", "test")}
        apart = [
            np.abs(of[a][:, None] - of[b]).max(2) for a, b in (("train", "val"), ("train", "test"), ("val", "test"))
        ]
        assert all((far >= 64 + gap).all() for far, gap in zip(apart, (margin, margin, 0), strict=True))
        scored |= set(sides.index[sides == "val"])
    assert not folds or len(scored) == len(catalog)
