from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine

from seepseg.errors import ConfigError, DataError
from seepseg.geo.mask import open_mask
from seepseg.geo.vector import write_vectors
from seepseg.io.image import open_image

UTM = CRS.from_epsg(32616)
PLACE = Affine(10, 0, 500_000, 0, -10, 3_000_000)
TABLE = pd.DataFrame({"n": [1]})


def save(path: Path, pixels: np.ndarray, gcps: Any = None, **profile: Any) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = {"height": pixels.shape[0], "width": pixels.shape[1], "count": 1, "dtype": pixels.dtype.name}
        with rasterio.open(path, "w", driver="GTiff", **shape, **profile) as target:
            if gcps:
                target.gcps = gcps
            target.write(pixels, 1)
    return path


def masked(scene: Path, mask: Path) -> np.ndarray:
    """The mask, read in strips of seven rows."""
    with open_image(scene) as opened, open_mask(mask, opened) as rows:
        return np.concatenate([rows(s, min(s + 7, opened.height)) for s in range(0, opened.height, 7)])


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return save(tmp_path / "s.tif", np.ones((40, 30), np.uint16), crs=UTM, transform=PLACE)


def test_a_raster_in_another_grid_is_laid_over(tmp_path: Path, scene: Path) -> None:
    # pixels of 20 m: the second of the first row covers columns 2 and 3, rows 0 and 1
    land = np.zeros((20, 15), np.uint8)
    land[0, 1] = 1
    mask = save(tmp_path / "m.tif", land, crs=UTM, transform=Affine(20, 0, 500_000, 0, -20, 3_000_000))
    expected = np.zeros((40, 30), bool)
    expected[0:2, 2:4] = True
    assert np.array_equal(masked(scene, mask), expected)


def test_polygons_are_drawn_in_the_scene(tmp_path: Path, scene: Path) -> None:
    # columns 5 … 9 and rows 10 … 19, given in longitude and latitude
    from pyproj import Transformer

    box = shapely.box(500_050, 2_999_800, 500_100, 2_999_900)
    project = Transformer.from_crs(UTM.to_wkt(), "EPSG:4326", always_xy=True)
    moved = shapely.transform(box, lambda p: np.stack(project.transform(*p.T), axis=1))
    write_vectors(tmp_path / "m.gpkg", np.array([moved]), TABLE, "EPSG:4326")
    expected = np.zeros((40, 30), bool)
    expected[10:20, 5:10] = True
    assert np.array_equal(masked(scene, tmp_path / "m.gpkg"), expected)


@pytest.mark.parametrize("east", [180.0, None])
def test_polygons_may_cover_the_earth(tmp_path: Path, scene: Path, east: float | None) -> None:
    # Most of the Earth has no place in a UTM zone. The scene's west edge lies on the meridian −87°, the zone's middle.
    box = shapely.box(-180, -90, -87 if east is None else east, 90)
    write_vectors(tmp_path / "m.gpkg", np.array([box]), TABLE, "EPSG:4326")
    assert masked(scene, tmp_path / "m.gpkg").mean() == (0 if east is None else 1)


@pytest.mark.parametrize("west", [-180, 0])
@pytest.mark.parametrize("left", [179, -181, 269, -91])
def test_a_raster_counts_longitudes_from_anywhere(tmp_path: Path, west: int, left: int) -> None:
    # The half of the Earth east of 180° or of 90° W; scenes of 2° around that meridian.
    east = np.full((180, 360), 1, np.uint8)
    middle = 180 if left in (179, -181) else -90
    longitudes = west + np.arange(360)
    east[:, (longitudes - middle) % 360 >= 180] = 0
    mask = save(tmp_path / "m.tif", east, crs="EPSG:4326", transform=Affine(1, 0, west, 0, -1, 90))
    scene = save(
        tmp_path / "s.tif", np.ones((20, 20), np.uint16), crs="EPSG:4326", transform=Affine(0.1, 0, left, 0, -0.1, 5)
    )
    left_out = masked(scene, mask)
    assert (left_out.any(0) == left_out.all(0)).all()
    assert left_out[0].tolist() == [False] * 10 + [True] * 10


def test_a_polygon_that_crosses_itself_covers_what_it_goes_around(tmp_path: Path, scene: Path) -> None:
    # two triangles that meet in the middle of the scene, and an empty one
    bow = shapely.Polygon([(500_000, 3_000_000), (500_300, 2_999_600), (500_300, 3_000_000), (500_000, 2_999_600)])
    write_vectors(tmp_path / "m.gpkg", np.array([bow, shapely.Polygon()]), pd.concat([TABLE, TABLE]), UTM.to_wkt())
    rows, columns = np.mgrid[0.5:40, 0.5:30]
    # left and right of both diagonals; pixels that a diagonal cuts may go either way
    inside = np.abs(columns - 15) / 15 - np.abs(rows - 20) / 20
    found = masked(scene, tmp_path / "m.gpkg")
    assert found[inside > 0.05].all()
    assert not found[inside < -0.05].any()


def test_polygons_find_their_way_through_control_points(tmp_path: Path) -> None:
    points = [GroundControlPoint(r, c, 10 + c / 1000, 50 - r / 1000) for r in (0, 40) for c in (0, 30)]
    scene = save(tmp_path / "s.tif", np.ones((40, 30), np.uint16), (points, CRS.from_epsg(4326)))
    write_vectors(tmp_path / "m.geojson", np.array([shapely.box(10.005, 49.98, 10.01, 49.99)]), TABLE, "EPSG:4326")
    expected = np.zeros((40, 30), bool)
    expected[10:20, 5:10] = True
    assert np.array_equal(masked(scene, tmp_path / "m.geojson"), expected)


def test_without_georeference_the_mask_has_the_size_of_the_scene(tmp_path: Path) -> None:
    scene = save(tmp_path / "s.tif", np.ones((40, 30), np.uint16))
    land = np.zeros((40, 30), np.uint8)
    land[3, 4] = 200
    assert np.array_equal(masked(scene, save(tmp_path / "m.tif", land)), land > 0)
    with pytest.raises(DataError, match="the mask is 5×5") as caught:
        masked(scene, save(tmp_path / "n.tif", np.ones((5, 5), np.uint8)))
    assert caught.value.exit_code == 3
    write_vectors(tmp_path / "m.gpkg", np.array([shapely.box(0, 0, 1, 1)]), TABLE, "EPSG:4326")
    with pytest.raises(DataError, match="no CRS"):
        masked(scene, tmp_path / "m.gpkg")


def test_what_is_no_mask_is_told(tmp_path: Path, scene: Path) -> None:
    (tmp_path / "m.tif").write_text("no raster")
    for name in ("m.tif", "absent.gpkg"):
        with pytest.raises(ConfigError):
            masked(scene, tmp_path / name)


@pytest.mark.parametrize("name", ["m.tif", "m.vrt", "m.png"])
def test_a_file_that_names_another_is_no_mask(tmp_path: Path, scene: Path, name: str) -> None:
    """GDAL itself would open a VRT whatever it is called, and go on to the files and addresses in it."""
    save(tmp_path / "land.tif", np.ones((40, 30), np.uint8))
    (tmp_path / name).write_text(
        "<VRTDataset rasterXSize='30' rasterYSize='40'><VRTRasterBand dataType='Byte' band='1'><SimpleSource>"
        f"<SourceFilename>{tmp_path}/land.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(ConfigError, match="not a GeoPackage"):
        masked(scene, tmp_path / name)


def test_where_the_mask_lies_may_stand_beside_it(tmp_path: Path, scene: Path) -> None:
    # pixels of 20 m: the second of the first row covers columns 2 and 3, rows 0 and 1; 7 is no data there
    land = np.zeros((20, 15), np.uint8)
    land[0, 1], land[5, 5] = 1, 7
    mask = save(tmp_path / "m.tif", land)
    (tmp_path / "m.tif.aux.xml").write_text(
        "<PAMDataset><SRS>EPSG:32616</SRS><GeoTransform>500000,20,0,3000000,0,-20</GeoTransform>"
        "<PAMRasterBand band='1'><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>"
    )
    expected = np.zeros((40, 30), bool)
    expected[0:2, 2:4] = True
    assert np.array_equal(masked(scene, mask), expected)


def test_a_mask_in_a_local_system_says_so(tmp_path: Path, scene: Path) -> None:
    local = CRS.from_wkt('LOCAL_CS["harbour",UNIT["metre",1]]')
    raster = save(tmp_path / "m.tif", np.ones((9, 9), np.uint8), crs=local, transform=PLACE)
    write_vectors(tmp_path / "m.gpkg", np.array([shapely.box(0, 0, 1, 1)]), TABLE, local.to_wkt())
    for mask in (raster, tmp_path / "m.gpkg"):
        with pytest.raises(DataError, match="nothing leads from one coordinate system to the other"):
            masked(scene, mask)


def test_polygons_in_a_system_that_does_not_reach_the_scene_leave_nothing_out(tmp_path: Path, scene: Path) -> None:
    # a gnomonic map around the South Pole ends at the equator; the scene is north of it
    gnomonic = "+proj=gnom +lat_0=-90 +datum=WGS84"
    write_vectors(tmp_path / "m.gpkg", np.array([shapely.box(-1e5, -1e5, 1e5, 1e5)]), TABLE, gnomonic)
    assert not masked(scene, tmp_path / "m.gpkg").any()
