from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import CRS
from rasterio.transform import Affine

from seepseg.api.arrays import raster_of, write_raster
from seepseg.errors import ConfigError, DataError, SeepsegError
from seepseg.io.image import read_image
from seepseg.io.raster import raster_header


class Labelled:
    """As much of an xarray.DataArray as is read."""

    def __init__(
        self,
        values: np.ndarray[Any, Any],
        dims: tuple[str, ...],
        coords: Mapping[str, Any] | None = None,
        attrs: Mapping[str, Any] | None = None,
    ) -> None:
        self.values, self.dims, self.attrs = values, dims, dict(attrs or {})
        self.coords = {
            k: v if isinstance(v, Labelled) else Labelled(np.asarray(v), (k,)) for k, v in (coords or {}).items()
        }

    def transpose(self, *dims: str) -> Labelled:
        order = [self.dims.index(name) for name in dims]
        return Labelled(self.values.transpose(order), dims, self.coords, self.attrs)


PIXELS = np.arange(12, dtype=np.uint16).reshape(3, 4)
UTM = CRS.from_epsg(32634).to_wkt()


def test_bands_come_first() -> None:
    assert raster_of(PIXELS, None, None, None, None).pixels.tolist() == PIXELS[None].tolist()
    assert raster_of(PIXELS[None], [2], None, None, None).pixels.shape == (1, 3, 4)
    assert raster_of(np.zeros((2, 3, 4), np.float32), ["vv", "vh"], None, None, None).pixels.shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("shape", "bands", "fix"),
    [
        ((3, 4, 1), None, r"give \(H, W\) of the one band that the run reads: x\[..., 0\]"),
        ((2, 3, 4), None, r"give \(H, W\) of the one band that the run reads, for example x\[0\]"),
        (
            (3, 4, 2),
            [1, 2],
            r"give \(2, H, W\), bands first, of the 2 bands that the run reads: np.moveaxis\(x, 2, 0\)",
        ),
        ((3, 4), [1, 2], r"give \(2, H, W\), bands first, of the 2 bands that the run reads$"),
        ((5, 1, 3, 4), None, "one image at a time"),
        ((0, 4), None, "this one is empty"),
        ((4,), None, r"give \(H, W\)"),
    ],
)
def test_another_shape_is_refused_with_one_that_would_do(shape: tuple[int, ...], bands: Any, fix: str) -> None:
    with pytest.raises(DataError, match=fix) as caught:
        raster_of(np.zeros(shape, np.uint8), bands, None, None, None)
    assert caught.value.what == f"the array is {shape}"


@pytest.mark.parametrize("kind", ["bool", "int32", "int64", "uint32", "complex64", "U3", "O"])
def test_other_numbers_are_refused(kind: str) -> None:
    with pytest.raises(
        DataError, match=f"the array holds {np.dtype(kind)} in predict: give uint8, uint16, int16 or float"
    ):
        raster_of(PIXELS.astype(kind), None, None, None, None)


def test_double_precision_is_rounded() -> None:
    raster = raster_of(np.array([[0.1, 1e300, np.nan]]), None, None, None, None)
    assert raster.pixels.dtype == np.float32
    assert raster.pixels[0, 0, 0] == np.float32(0.1) and raster.pixels[0, 0, 1] == np.inf


def test_masked_pixels_get_a_value_that_is_free() -> None:
    hidden = np.zeros(PIXELS.shape, bool)
    hidden[1, 1] = True
    raster = raster_of(np.ma.masked_array(PIXELS, hidden), None, None, None, None)
    # 0 to 11 occur, all but 5, which is masked.
    assert raster.nodata == 5 and (raster.pixels[0] == 5).tolist() == hidden.tolist()
    raster = raster_of(np.ma.masked_array(PIXELS, hidden), None, None, None, 99)
    assert raster.nodata == 99 and raster.pixels[0, 1, 1] == 99
    assert np.isnan(raster_of(np.ma.masked_array(PIXELS * 1.0, hidden), None, None, None, None).pixels[0, 1, 1])
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    crowded = np.ma.masked_array(np.vstack([every, every[:1]]), np.arange(17)[:, None] * np.ones((1, 16)) == 16)
    with pytest.raises(DataError, match="every value of uint8 occurs"):
        raster_of(crowded, None, None, None, None)


def test_a_no_data_value_that_no_pixel_can_have_means_nothing() -> None:
    for value in (-9999, 0.5, float("nan"), 65536):
        assert raster_of(PIXELS, None, None, None, value).nodata is None
    assert raster_of(PIXELS, None, None, None, 65535).nodata == 65535
    assert raster_of(PIXELS.astype(np.int16), None, None, None, -9999).nodata == -9999


def test_a_place_is_given_as_libraries_have_it(tmp_path: Path) -> None:
    affine = Affine(10, 0, 500, 0, -10, 900)
    for transform in (affine, affine[:6], np.array(affine[:6])):
        for crs in ("EPSG:32634", 32634, CRS.from_epsg(32634)):
            raster = raster_of(PIXELS, None, crs, transform, 7)
            assert raster.georeference.transform == (10, 0, 500, 0, -10, 900)
            assert CRS.from_wkt(str(raster.georeference.crs_wkt)) == CRS.from_epsg(32634)
    write_raster(tmp_path / "a.tif", raster, ["vv"])
    (raw, valid), info = read_image(tmp_path / "a.tif", bands=["vv"])
    assert raw.tolist() == [PIXELS.tolist()] and valid.tolist() == (PIXELS != 7).tolist() and info.nodata == 7
    assert raster_header(tmp_path / "a.tif")[0].transform == affine[:6]


@pytest.mark.parametrize(
    ("crs", "transform", "text"),
    [
        ("EPSG:1", None, "'EPSG:1' is no coordinate system"),
        (None, (1, 2, 3), r"\(1, 2, 3\) is no transform in transform: give the six numbers"),
        (None, "identity", "'identity' is no transform"),
        (None, (0, 0, 5, 0, 0, 5), "gives pixels no area"),
        (None, (np.nan, 0, 5, 0, 1, 5), "gives pixels no area"),
    ],
)
def test_what_is_no_place_is_said(crs: Any, transform: Any, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        raster_of(PIXELS, None, crs, transform, None)
    with pytest.raises(ConfigError, match="'x' is no number in nodata"):
        raster_of(PIXELS, None, None, None, "x")


def test_a_data_array_says_where_it_lies() -> None:
    system = Labelled(np.array(0), (), attrs={"crs_wkt": UTM})
    # Centres of pixels of 10 m, north up; rows and columns in any order of axes, axes of one aside.
    coords = {"x": [505.0, 515, 525, 535], "y": [895.0, 885, 875], "spatial_ref": system}
    attrs = {"_FillValue": 11}
    expected = raster_of(PIXELS, None, UTM, (10, 0, 500, 0, -10, 900), 11)
    for values, dims in (
        (PIXELS, ("y", "x")),
        (PIXELS.T, ("x", "y")),
        (PIXELS[None, None], ("time", "band", "y", "x")),
        (PIXELS[..., None], ("y", "x", "band")),
    ):
        raster = raster_of(Labelled(values, dims, coords, attrs), None, None, None, None)
        assert raster.pixels.tolist() == expected.pixels.tolist()
        assert (raster.georeference, raster.nodata) == (expected.georeference, 11)
    # What is given goes first.
    raster = raster_of(Labelled(PIXELS, ("y", "x"), coords, attrs), None, 4326, (1, 0, 0, 0, -1, 0), 3)
    assert CRS.from_wkt(str(raster.georeference.crs_wkt)) == CRS.from_epsg(4326)
    assert (raster.georeference.transform, raster.nodata) == ((1, 0, 0, 0, -1, 0), 3)


def test_without_coordinates_its_grid_mapping_says_it() -> None:
    system = Labelled(np.array(0), (), attrs={"spatial_ref": UTM, "GeoTransform": "500 10 0 900 0 -10"})
    image = Labelled(PIXELS, ("y", "x"), {"crs": system}, {"grid_mapping": "crs"})
    assert raster_of(image, None, None, None, None).georeference.transform == (10, 0, 500, 0, -10, 900)
    nowhere = raster_of(Labelled(PIXELS, ("a", "b")), None, None, None, None)
    assert (nowhere.georeference.transform, nowhere.georeference.crs_wkt) == (None, None)


def test_uneven_coordinates_are_refused() -> None:
    coords = {"x": [0.0, 1, 2, 4], "y": [2.0, 1, 0]}
    with pytest.raises(SeepsegError, match="the coordinates x are not evenly spaced in predict: resample it"):
        raster_of(Labelled(PIXELS, ("y", "x"), coords), None, None, None, None)
    rounded = {"x": np.float32([4e6, 4e6 + 10, 4e6 + 20.4, 4e6 + 30]), "y": [2.0, 1, 0]}
    assert raster_of(Labelled(PIXELS, ("y", "x"), rounded), None, None, None, None).georeference.transform is not None


def test_a_no_data_value_beyond_float32_marks_pixels_all_the_same(tmp_path: Path) -> None:
    lowest = float(np.finfo(np.float64).min)  # what GDAL writes for float64
    pixels = np.array([[lowest, 1.0], [2.0, 3.0]])
    raster = raster_of(pixels, None, None, None, lowest)
    write_raster(tmp_path / "a.tif", raster, [])
    (raw, _), _ = read_image(tmp_path / "a.tif")
    assert raw[0].tolist() == [[-np.inf, 1], [2, 3]]  # infinite, which is no data


@pytest.mark.parametrize("value", [-3.4028235e38, -3.40282347e38, float(np.finfo(np.float32).min)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_lowest_float32_is_no_data_however_it_is_rounded(tmp_path: Path, value: float, kind: type) -> None:
    lowest = np.finfo(np.float32).min
    pixels = np.array([[lowest, 1.0], [2.0, 3.0]], kind)
    raster = raster_of(pixels, None, None, None, value)
    assert raster.nodata == lowest
    write_raster(tmp_path / "a.tif", raster, [])
    (_, valid), _ = read_image(tmp_path / "a.tif")
    assert valid.tolist() == [[False, True], [True, True]]


def test_packed_numbers_are_refused() -> None:
    attrs = {"scale_factor": 1.0, "add_offset": 0.0}  # as rioxarray has them of every file
    assert raster_of(Labelled(PIXELS, ("y", "x"), attrs=attrs), None, None, None, None).pixels.shape == (1, 3, 4)
    for name, value in (("scale_factor", 0.01), ("add_offset", -5.0), ("scales", (1, 2))):
        image = Labelled(PIXELS, ("y", "x"), attrs={name: value})
        with pytest.raises(DataError, match=f"the array has {name} .*not applied.*mask_and_scale=True"):
            raster_of(image, None, None, None, None)


def test_a_damaged_geotransform_is_said() -> None:
    system = Labelled(np.array(0), (), attrs={"spatial_ref": UTM, "GeoTransform": "500 10 0"})
    with pytest.raises(ConfigError, match="is no transform"):
        raster_of(Labelled(PIXELS, ("y", "x"), {"spatial_ref": system}), None, None, None, None)
