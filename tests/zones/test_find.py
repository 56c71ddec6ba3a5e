from __future__ import annotations

from pathlib import Path

import numpy as np
from pyproj import CRS

from seepseg.io.cog import Layout, row_writer
from seepseg.io.raster import Georeference
from seepseg.zones.options import Options
from seepseg.zones.run import make_zones
from tests.zones.places import dotted, scene


def test_zones_take_their_radius_from_the_depth(tmp_path: Path) -> None:
    crs, transform = "EPSG:4326", (0.001, 0.0, 10.0, 0.0, -0.001, 10.1)
    for day in (1, 2):
        scene(tmp_path / "out", f"s{day}", crs, transform, dotted(100, (50, 50)), acquired=f"2024-01-0{day}T00:00:00Z")
    place = Georeference(CRS(crs).to_wkt(), (0.5, 0.0, 9.9, 0.0, -0.5, 10.25))
    with row_writer(tmp_path / "d.tif", place, 1, 2, Layout(1, "float32", float("nan"), {})) as writer:
        writer.write(np.full((1, 2), -1250, np.float32))
    # 1250 m are halfway from 500 to 2000, and 2350 from 1400 to 3300.
    options = Options(bathymetry=tmp_path / "d.tif", false_share=1)
    assert make_zones([tmp_path / "out"], tmp_path / "z", options).tables.zones["radius_m"].tolist() == [2350]
