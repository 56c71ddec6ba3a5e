from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from pyproj import CRS
from pyproj.crs import DerivedGeographicCRS
from pyproj.crs.coordinate_operation import RotatedLatitudeLongitudeConversion
from rasterio.transform import Affine
from scipy.io import netcdf_file

from seepseg.conditions.winds import _elsewhere, read_winds
from seepseg.errors import DataError

LAT, LON = np.arange(30.0, 25.9, -0.5), np.arange(265.0, 272.1, 0.5)
HOUR = "hours since 2021-04-01 00:00:00"


def write_netcdf(
    path: Path, u: float = 3.0, v: float = 4.0, units: str = "m s**-1", lon: Any = LON, **extra: Any
) -> Path:
    """Wind at 5, 6 and 7 o'clock of 2021-04-01, packed as ERA5 was; u grows by 1 m/s a degree eastward and an hour."""
    with netcdf_file(path, "w") as file:
        for name, values, unit in (
            ("time", [5, 6, 7], extra.get("time", HOUR)),
            ("latitude", LAT, "degrees_north"),
            ("longitude", lon, "degrees_east"),
        ):
            file.createDimension(name, len(values))
            variable = file.createVariable(name, "d", (name,))
            variable.units = unit
            variable[:] = values
        for name, base, slope in (
            (extra.get("u_name", "u10"), u, extra.get("slope", 1.0)),
            (extra.get("v_name", "v10"), v, 0.0),
        ):
            variable = file.createVariable(name, "h", ("time", "latitude", "longitude"))
            variable.units, variable.scale_factor, variable.add_offset = units, 0.001, 1.0
            field = base + slope * (np.asarray(lon) - lon[0]) + slope * np.arange(3)[:, None, None]
            variable[:] = np.rint((field + np.zeros((3, len(LAT), 1)) - 1) / 0.001).astype(np.int16)
    return path


def write_geotiff(path: Path, names: tuple[str, ...] = ("u10", "v10"), **tags: str) -> Path:
    place = {"crs": "EPSG:4326", "transform": Affine(1.0, 0.0, -96.0, 0.0, -1.0, 31.0), "height": 4, "width": 5}
    with rasterio.open(path, "w", driver="GTiff", count=len(names), dtype="float32", **place) as target:
        target.write(np.stack([np.full((4, 5), 3.0 + number, np.float32) for number in range(len(names))]))
        target.descriptions = names
        target.update_tags(**tags)
    return path


def write_grib(path: Path) -> Path:
    """Two bands of 10 m wind, 3 m/s east and 4 m/s north, of 2021-04-01 5:00."""
    place = {"crs": "EPSG:4326", "transform": Affine(1.0, 0.0, -96.0, 0.0, -1.0, 31.0), "height": 4, "width": 5}
    tiff = path.with_suffix(".tif")
    with rasterio.open(tiff, "w", driver="GTiff", count=2, dtype="float32", **place) as target:
        target.write(np.stack([np.full((4, 5), value, np.float32) for value in (3.0, 4.0)]))
    options = {"IDS": "CENTER=98 SUBCENTER=0 REF_TIME=2021-04-01T05:00:00Z", "DISCIPLINE": "0", "PDS_PDTN": "0"}
    for band in (1, 2):
        # Template 4.0: wind, category 2, numbers 2 and 3, at 10 m above ground (103).
        values = f"2 {band + 1} 2 0 0 0 0 1 0 103 0 10 255 -127 -2147483647"
        options[f"BAND_{band}_PDS_TEMPLATE_ASSEMBLED_VALUES"] = values
    rasterio.shutil.copy(str(tiff), str(path), driver="GRIB", **options)
    return path


def test_netcdf_is_nearest_in_time_and_bilinear_in_place(tmp_path: Path) -> None:
    winds = read_winds([write_netcdf(tmp_path / "w.nc")])
    number = winds.nearest("2021-04-01T06:26:23Z")
    assert number == 1
    # At 6, ¼° east of −95: u = 3 + 1 + ¼; v = 4. Beyond the grid and half a cell, nothing.
    speed, direction = winds.at(number, np.array([[-94.75, 28.1], [265.25, 28.1], [-94.75, 31.0], [-87.0, 28.0]]))
    assert speed == pytest.approx([np.hypot(4.25, 4)] * 2 + [np.nan] * 2, abs=1e-3, nan_ok=True)
    # Air that goes north-east comes from the south-west.
    assert direction[0] == pytest.approx(180 + np.degrees(np.arctan2(4.25, 4)), abs=0.02)


def test_a_wind_of_more_than_three_hours_away_is_none(tmp_path: Path) -> None:
    winds = read_winds([write_netcdf(tmp_path / "w.nc")])
    assert winds.nearest("2021-04-01T10:00:00Z") == 2
    assert winds.nearest("2021-04-01T10:00:01Z") is None
    assert winds.nearest(None) is None


def test_longitudes_go_around_the_earth(tmp_path: Path) -> None:
    winds = read_winds([write_netcdf(tmp_path / "w.nc", 0.0, 0.0, lon=np.arange(0.0, 360.0, 45.0), slope=0.05)])
    # u is a twentieth of the longitude, 15.75 at 315°, and 0 at 360°, which is 0°; half of it between.
    speed, _ = winds.at(0, np.array([[337.5, 28.0], [-22.5, 28.0], [-45.0, 28.0], [382.5, 28.0]]))
    assert speed == pytest.approx([7.875, 7.875, 15.75, 1.125], abs=1e-3)


def test_grib_and_geotiff_are_read_the_same_way(tmp_path: Path) -> None:
    files = [
        write_grib(tmp_path / "w.grib2"),
        write_geotiff(tmp_path / "w.tif", TIME="2021-04-01T05:00:00Z", UNITS="m/s"),
    ]
    for path in files:
        winds = read_winds([path])
        speed, direction = winds.at(0, np.array([[-93.3, 28.7]]))
        assert str(winds.times[0]) == "2021-04-01 05:00:00+00:00"
        assert (speed[0], direction[0]) == pytest.approx((5.0, 180 + np.degrees(np.arctan2(3, 4))), abs=1e-3)


def test_a_speed_needs_no_components_and_has_no_direction(tmp_path: Path) -> None:
    winds = read_winds([write_geotiff(tmp_path / "w.tif", ("wind_speed",), TIME="2021-04-01T05:00:00Z")])
    speed, direction = winds.at(0, np.array([[-93.3, 28.7]]))
    assert speed.tolist() == [3.0]
    assert np.isnan(direction).all()


def test_files_of_several_times_go_together(tmp_path: Path) -> None:
    days = [write_geotiff(tmp_path / f"{day}.tif", TIME=f"2021-04-0{day}T05:00:00Z") for day in (2, 1)]
    winds = read_winds(days)
    assert [time.day for time in winds.times] == [1, 2]
    assert winds.bands[0]["u"].path == days[1]


def test_what_is_no_wind_is_one_line(tmp_path: Path) -> None:
    text, name = tmp_path / "a.txt", tmp_path / "w.nc"
    text.write_text("wind")
    cut = tmp_path / "cut.grib"
    cut.write_bytes(b"GRIB" + bytes(200))
    wrong: list[tuple[Path, str]] = [
        (text, "is no GRIB, netCDF or GeoTIFF"),
        (tmp_path / "none.nc", "no such file"),
        (tmp_path, "is a folder"),
        (cut, "is damaged"),
        (write_netcdf(name, units="knots"), "its wind is in knots"),
        (write_netcdf(tmp_path / "t.nc", u_name="t2m", v_name="sst"), "holds no wind at 10 m, only t2m, sst"),
        (write_netcdf(tmp_path / "u.nc", v_name="sst"), "holds only one component"),
        (write_netcdf(tmp_path / "time.nc", time="hours"), "does not say of when its wind is"),
        (write_geotiff(tmp_path / "w.tif"), "does not say of when its wind is"),
        (write_geotiff(tmp_path / "y.tif", TIME="May"), "has a time of"),
    ]
    for path, words in wrong:
        with pytest.raises(DataError) as error:
            read_winds([path])
        assert words in str(error.value)


def write_rotated(path: Path, mapping: bool, standard: bool) -> Path:
    """Wind as regional models leave it: rows and columns are degrees of a pole at 39.25° north, 162° west."""
    with netcdf_file(path, "w") as file:
        for name, count, unit, start in (("time", 1, HOUR, 5), ("rlat", 9, "degrees", -2), ("rlon", 9, "degrees", -2)):
            file.createDimension(name, count)
            variable = file.createVariable(name, "d", (name,))
            variable.units = unit
            variable[:] = start + 0.5 * np.arange(count)
            if standard and name != "time":
                variable.standard_name = {"rlat": "grid_latitude", "rlon": "grid_longitude"}[name]
        if mapping:
            pole = file.createVariable("pole", "c", ())
            pole.grid_mapping_name = "rotated_latitude_longitude"
            pole.grid_north_pole_latitude, pole.grid_north_pole_longitude = 39.25, -162.0
        for name in ("u10", "v10"):
            variable = file.createVariable(name, "f", ("time", "rlat", "rlon"))
            variable.units = "m s-1"
            variable[:] = 3.0
            if mapping:
                variable.grid_mapping = "pole"
    return path


@pytest.mark.parametrize(("mapping", "standard"), [(True, True), (True, False), (False, True)])
def test_degrees_of_another_pole_are_no_longitude_and_latitude(tmp_path: Path, mapping: bool, standard: bool) -> None:
    with pytest.raises(DataError, match=r"regular grid of longitude and latitude.*cdo remapbil"):
        read_winds([write_rotated(tmp_path / "w.nc", mapping, standard)])


def test_a_coordinate_system_of_another_pole_is_refused(tmp_path: Path) -> None:
    base = CRS("EPSG:4326")
    turned = DerivedGeographicCRS(base, RotatedLatitudeLongitudeConversion(39.25, 180.0))
    path = write_geotiff(tmp_path / "w.tif", TIME="2021-04-01T05:00:00Z")
    with rasterio.open(path) as source:
        assert not _elsewhere(source)
        # No file is written with it: the keys of a GeoTIFF cannot say it. GDAL finds it in some GRIBs and netCDFs.
        assert _elsewhere(SimpleNamespace(crs=rasterio.crs.CRS.from_wkt(turned.to_wkt()), tags=dict))


def test_what_would_take_all_memory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    # A small file may hold any number of fields, and a header may promise fields of any size.
    with netcdf_file(tmp_path / "many.nc", "w") as file:
        for name, count in (("time", 40_000), ("latitude", 2), ("longitude", 2)):
            file.createDimension(name, count)
            file.createVariable(name, "d", (name,)).units = HOUR if name == "time" else "degrees"
        file.createVariable("u10", "b", ("time", "latitude", "longitude")).units = "m/s"
    place = {"crs": "EPSG:4326", "transform": Affine(1e-3, 0.0, -96.0, 0.0, -1e-3, 31.0)}
    wide = {"height": 9000, "width": 9000, "tiled": True, "sparse_ok": True}
    with rasterio.open(tmp_path / "wide.tif", "w", driver="GTiff", count=1, dtype="float32", **place, **wide) as target:
        target.descriptions = ("wind_speed",)
        target.update_tags(TIME="2021-04-01T05:00:00Z")
    with (tmp_path / "large.nc").open("wb") as sparse:
        sparse.write(b"CDF\x02")
        sparse.truncate(2**34)
    for name, words in (
        ("many.nc", "holds 32,768 fields or more"),
        ("wide.tif", "its fields have 9000 × 9000 numbers"),
        ("large.nc", "is 16.0 GiB, over 8"),
    ):
        with pytest.raises(DataError) as error:
            read_winds([tmp_path / name])
        assert words in str(error.value)


def test_a_field_on_a_map_is_placed_by_its_projection(tmp_path: Path) -> None:
    path = tmp_path / "w.tif"
    # Pixels of 100 km around the central meridian of UTM 15, 93° W, which is x = 500 km: the middle of column 3.
    place = {"crs": "EPSG:32615", "transform": Affine(1e5, 0.0, 1.5e5, 0.0, -1e5, 3.5e6), "height": 8, "width": 8}
    with rasterio.open(path, "w", driver="GTiff", count=1, dtype="float32", **place) as target:
        target.write(np.tile(np.arange(8, dtype=np.float32), (8, 1)), 1)
        target.descriptions = ("wind_speed",)
        target.update_tags(TIME="2021-04-01T05:00:00Z")
    speed, _ = read_winds([path]).at(0, np.array([[-93.0, 28.0], [0.0, 28.0]]))
    assert speed == pytest.approx([3.0, np.nan], abs=1e-6, nan_ok=True)
