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
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Transformer

from seepseg.config import Split
from seepseg.errors import ConfigError, DataError
from seepseg.geo.place import place_of
from seepseg.io.raster import Georeference
from seepseg.scenes.blocks import blocks_of, tile_blocks

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


def tiles(*cells: tuple[int, int] | None, places: list[Georeference]) -> list[Any]:
    """The blocks of tile files of 50 pixels, in blocks of 1000."""

    @contextmanager
    def opened(path: Path) -> Iterator[Any]:
        yield SimpleNamespace(height=50, width=50, georeference=places[int(path.name)])

    return tile_blocks(Split(by="blocks", size=1000), [(Path(str(k)), cell) for k, cell in enumerate(cells)], opened)


def test_tile_files_lie_where_their_georeference_or_their_cell_says() -> None:
    here, there = placed(32633, 500_000, 5_000_000), placed(32633, 500_500, 5_000_000)
    assert tiles((0, 0), (7, 7), places=[here, there]) == [
        *blocks_of(Split(by="blocks", size=1000), place_of(here), boxes((0, 0, 50, 50))),
        *blocks_of(Split(by="blocks", size=1000), place_of(there), boxes((0, 0, 50, 50))),
    ]
    # Cells of 50 pixels, 20 to a block.
    found = tiles((0, 0), (19, 20), (20, 39), places=[Georeference()])
    assert found == [("0/0", ("0/0",), ("0/0",)), ("0/1", ("0/1",), ("0/1",)), ("1/1", ("1/1",), ("1/1",))]
    with pytest.raises(DataError, match="has no georeference, so its block is not known in 1"):
        tiles((0, 0), (0, 1), places=[here, Georeference()])
    with pytest.raises(DataError, match="has no georeference and is no cell of a scene"):
        tiles(None, places=[Georeference()])
