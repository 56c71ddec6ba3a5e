"""Bands by name: what a file calls its bands goes before their order, and what is not clear is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image as Pillow

from seepseg.bands import band_name
from seepseg.errors import DataError
from seepseg.io.image import inspect_image, open_image, read_image


@pytest.mark.parametrize(
    ("description", "name"),
    [
        ("VV", "vv"), ("Sigma0_VH", "vh"), ("sigma0vv_db", "vv"), ("Amplitude_HH", "hh"), ("hv", "hv"),
        ("angle", "incidence"), ("incidenceAngleFromEllipsoid", "incidence"), ("local_incidence_angle", "incidence"),
        ("elevationAngle", None), ("VV/VH", None), ("Band 1", None), ("convvolved", None), ("", None),
    ],
)  # fmt: skip
def test_what_a_description_names(description: str, name: str | None) -> None:
    assert band_name(description) == name


def write(path: Path, *descriptions: str, inside: bool = True, **profile: Any) -> Path:
    """A TIFF whose band k is 10 · k everywhere, with descriptions in its tag or in `.aux.xml`."""
    count = len(descriptions)
    shape = {"driver": "GTiff", "count": count, "height": 4, "width": 5, "dtype": "uint8"} | profile
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path, "w", **shape) as target:
            for number, text in enumerate(descriptions, 1):
                target.write(np.full((4, 5), 10 * number, np.uint8), number)
                if text and inside:
                    target.set_band_description(number, text)
    if not inside:
        bands = (f'<PAMRasterBand band="{n}"><Description>{d}</Description></PAMRasterBand>'
                 for n, d in enumerate(descriptions, 1))  # fmt: skip
        path.with_name(f"{path.name}.aux.xml").write_text(f"<PAMDataset>{''.join(bands)}</PAMDataset>")
    return path


def values(path: Path, bands: list[str]) -> list[int]:
    """The value of each band as read whole and by rows, which must be the same."""
    pixels, info = read_image(path, bands=bands)
    with open_image(path, bands=bands) as image:
        assert np.array_equal(image.rows(0, 4).raw, pixels.raw)
    assert info == inspect_image(path, bands=bands)
    return [int(band[0, 0]) for band in pixels.raw]


def told(path: Path, bands: list[str]) -> str:
    with pytest.raises(DataError) as caught:
        read_image(path, bands=bands)
    with pytest.raises(DataError) as inspected:
        inspect_image(path, bands=bands)
    assert str(inspected.value) == str(caught.value)
    assert "\n" not in str(caught.value) and caught.value.fix
    return caught.value.what


@pytest.mark.parametrize("inside", [True, False], ids=["tag", "aux"])
@pytest.mark.parametrize("interleave", ["band", "pixel"])
def test_what_a_file_calls_its_bands_goes_before_their_order(tmp_path: Path, inside: bool, interleave: str) -> None:
    path = write(tmp_path / "a.tif", "Sigma0_VH", "angle", "Sigma0_VV", inside=inside, interleave=interleave)
    assert values(path, ["vv", "vh"]) == [30, 10]
    assert values(path, ["incidence"]) == [20]
    seen = "(1 is 'Sigma0_VH', 2 is 'angle', 3 is 'Sigma0_VV')"
    assert told(path, ["vv", "hh"]) == f"has no band hh {seen}"
    assert told(write(path, "VV", "Gamma0_VV"), ["vv"]) == "has 2 bands vv (1 is 'VV', 2 is 'Gamma0_VV')"


def test_aux_xml_goes_before_the_tag(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", "VV", "VH")
    aux = '<PAMDataset><PAMRasterBand band="1"><Description>HH</Description></PAMRasterBand></PAMDataset>'
    path.with_name("a.tif.aux.xml").write_text(aux)
    assert values(path, ["vh", "hh"]) == [20, 10]


def test_bands_without_names_go_by_order_if_there_are_as_many(tmp_path: Path) -> None:
    assert values(write(tmp_path / "a.tif", "", ""), ["vh", "vv"]) == [10, 20]
    assert values(write(tmp_path / "b.tif", "Band 1", "Band 2"), ["vh", "vv"]) == [10, 20]
    assert told(tmp_path / "a.tif", ["vh"]) == "holds 2 bands, not named, where vh are wanted"
    assert told(write(tmp_path / "c.tif", ""), ["vv", "vh"]) == "holds 1 band, not named, where vv and vh are wanted"
    with_alpha = write(tmp_path / "d.tif", "", "", alpha="yes")
    assert told(with_alpha, ["vv", "vh"]) == "holds 1 band and alpha, not named, where vv and vh are wanted"


def test_pages_have_names_too(tmp_path: Path) -> None:
    tag = '<GDALMetadata><Item name="DESCRIPTION" sample="0" role="description">{}</Item></GDALMetadata>'
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for value, text in ((1, "VH"), (2, "VV")):
            writer.write(np.full((4, 5), value, np.uint8), extratags=[(42112, "s", 0, tag.format(text), True)])
    assert values(tmp_path / "a.tif", ["vv"]) == [2]
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:
        for value in (1, 2):
            writer.write(np.full((4, 5), value, np.uint8))
    assert values(tmp_path / "b.tif", ["vv", "vh"]) == [1, 2]
    assert told(tmp_path / "b.tif", ["vv"]) == "holds 2 bands, not named, where vv are wanted"


def test_a_picture_holds_one_band_of_any_name(tmp_path: Path) -> None:
    grey = np.full((4, 5), 7, np.uint8)
    Pillow.fromarray(grey).save(tmp_path / "a.png")
    assert values(tmp_path / "a.png", ["vv"]) == [7]
    assert told(tmp_path / "a.png", ["vv", "vh"]) == "is a picture, not vv and vh"
    Pillow.fromarray(np.dstack([grey, grey, grey + 9])).save(tmp_path / "b.png")
    with pytest.raises(DataError, match="is in colour"):
        read_image(tmp_path / "b.png", bands=["vv"])
    assert told(tmp_path / "b.png", ["vv", "vh", "hh"]) == "is a picture, not vv and vh and hh"
