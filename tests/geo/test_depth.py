from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from seepseg.errors import ConfigError
from seepseg.geo.depth import radii
from seepseg.geo.frame import Frame, laea
from seepseg.io.cog import Layout, row_writer
from seepseg.io.raster import Georeference, create_raster

FRAME = Frame(laea(180.0, 10.0), 500.0)


def raster(path: Path, west: float, values: list[float], crs: str | None = "EPSG:4326") -> Path:
    """One row of cells of half a degree, around 10° north."""
    from pyproj import CRS

    place = Georeference(CRS(crs).to_wkt() if crs else None, (0.5, 0.0, west, 0.0, -0.5, 10.25) if crs else None)
    with row_writer(path, place, 1, len(values), Layout(1, "float32", float("nan"), {})) as writer:
        writer.write(np.array([values], np.float32))
    return path


@pytest.mark.parametrize("west", [179.0, -181.0])
def test_the_radius_follows_the_depth(tmp_path: Path, west: float) -> None:
    path = raster(tmp_path / "d.tif", west, [-200, -1250, -4000, np.nan])
    # Middles of the cells are .75 and .25 degrees west of 180 and as far east of it: 109.6 km a degree.
    xy = np.array([[-0.75, 0], [-0.25, 0], [0.25, 0], [0.75, 0], [3, 0]]) * 109_600
    # 1250 m is halfway from 500 to 2000 m; without a number, and beyond the raster, the radius is the given one.
    assert radii(path, FRAME, xy, 1500).tolist() == [1400, 2350, 3300, 1500, 1500]


def test_no_data_is_no_depth_and_scaled_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.tif"
    profile: dict[str, Any] = {"width": 2, "height": 1, "count": 1, "dtype": "int16", "crs": "EPSG:4326"}
    with create_raster(path, **profile, nodata=-9999, transform=Affine(0.5, 0, 179.5, 0, -0.5, 10.25)) as target:
        target.write(np.array([[[-9999, -1250]]], np.int16))
    xy = np.array([[-0.25, 0], [0.25, 0]]) * 109_600
    assert radii(path, FRAME, xy, 1500).tolist() == [1500, 2350]
    with rasterio.open(path, "r+") as target:
        target.scales = (0.1,)
    with pytest.raises(ConfigError, match=r"has SCALE 0\.1 and OFFSET 0: its stored numbers are not the values"):
        radii(path, FRAME, xy, 1500)


def test_depths_of_elsewhere_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reaches none of the slicks"):
        radii(raster(tmp_path / "d.tif", 20, [-200]), FRAME, np.zeros((1, 2)), 1500)
    with pytest.raises(ConfigError, match="has no georeference"):
        radii(raster(tmp_path / "n.tif", 20, [-200], None), FRAME, np.zeros((1, 2)), 1500)
    (tmp_path / "x.tif").write_text("no raster")
    with pytest.raises(ConfigError):
        radii(tmp_path / "x.tif", FRAME, np.zeros((1, 2)), 1500)
