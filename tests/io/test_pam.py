"""`.aux.xml`: numbers are taken from it, and nothing that names a file, an address or an entity."""

from __future__ import annotations

import socket
from pathlib import Path

import numpy as np
import pytest
import tifffile
from rasterio.crs import CRS

from seepseg.errors import DataError
from seepseg.io.documents import MAX_XML
from seepseg.io.pam import nodata_value, read_pam


@pytest.fixture
def image(tmp_path: Path) -> Path:
    tifffile.imwrite(tmp_path / "s.tif", np.zeros((4, 5), np.uint8))
    return tmp_path / "s.tif"


def say(image: Path, content: str, encoding: str = "utf-8") -> None:
    Path(f"{image}.aux.xml").write_bytes(content.encode(encoding))


def test_control_points(image: Path) -> None:
    say(
        image,
        f"""<PAMDataset><GCPList Projection='{CRS.from_epsg(4326).to_wkt()}'>
        <GCP Id="1" Pixel="0.5" Line="2.5" X="10" Y="50" Z="1"/><GCP Id="2" Pixel="3" Line="4" X="11" Y="51"/>
        </GCPList></PAMDataset>""",
    )
    place = read_pam(image).georeference
    assert place.gcps == ((2.5, 0.5, 10, 50, 1), (4, 3, 11, 51, 0))  # row first, as Georeference has it
    assert CRS.from_wkt(place.gcps_crs_wkt).to_epsg() == 4326
    assert (place.transform, place.crs_wkt) == (None, None)


def test_what_is_not_there_says_nothing(image: Path) -> None:
    assert read_pam(image) == read_pam(image.with_name("none.tif"))
    say(image, "<PAMDataset/>")
    assert read_pam(image).nodata == {}


def test_scale_of_a_band(image: Path) -> None:
    say(image, '<PAMDataset><PAMRasterBand band="2"><Scale>0.5</Scale><Offset>3</Offset></PAMRasterBand></PAMDataset>')
    assert read_pam(image).scaling == {(2, "SCALE"): 0.5, (2, "OFFSET"): 3}


def test_no_system_of_coordinates_is_fetched(image: Path) -> None:
    """GDAL takes an address, or the name of a file, for a coordinate system, and reads it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        for text in (f"http://127.0.0.1:{server.getsockname()[1]}/x", "/etc/passwd", "+proj=longlat +nadgrids=/etc/x"):
            say(image, f"<PAMDataset><SRS>{text}</SRS></PAMDataset>")
            pam = read_pam(image)
            assert pam.georeference.crs_wkt is None
            assert pam.warnings == ("the coordinate system in s.tif.aux.xml is not understood, and left out",)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_are_refused(image: Path, encoding: str) -> None:
    say(
        image,
        f"<?xml version='1.0' encoding='{encoding}'?><!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>"
        "<PAMDataset><SRS>&e;</SRS></PAMDataset>",
        encoding,
    )
    with pytest.raises(DataError, match="document type"):
        read_pam(image)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<PAMDataset>",
        "<a><b></a></b>",
        "\0",
        "<P><GeoTransform>1,2,3</GeoTransform></P>",
        "<P><GeoTransform>1,2,3,4,5,nan</GeoTransform></P>",
        "<P><GeoTransform>1,2,3,4,5,x</GeoTransform></P>",
        "<P><GCPList><GCP Pixel='1'/></GCPList></P>",
        "<P><PAMRasterBand band='x'/></P>",
        "<P><PAMRasterBand band='1'><Scale>x</Scale></PAMRasterBand></P>",
        " " * (MAX_XML + 1),
        "<?xml version='1.0' encoding='unheard-of'?><P/>",
    ],
)
def test_what_cannot_be_read_is_refused(image: Path, content: str) -> None:
    say(image, content)
    with pytest.raises(DataError) as caught:
        read_pam(image)
    assert caught.value.where == f"{image}.aux.xml"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["<a>" * 10**5 + "</a>" * 10**5, f"<P>{'<a/>' * 2**18}</P>"])
def test_more_levels_or_elements_than_any_has_are_refused(image: Path, content: str) -> None:
    say(image, content)
    with pytest.raises(DataError, match="its metadata have over (64 levels|262144 elements)"):
        read_pam(image)


@pytest.mark.parametrize(
    ("text", "dtype", "value"),
    [("7", "uint8", 7), ("256", "uint8", None), ("0.5", "int16", None), ("0.1", "float32", float(np.float32(0.1)))],
)
def test_a_value_that_no_pixel_can_have_is_none(text: str, dtype: str, value: float | None) -> None:
    assert nodata_value(text, np.dtype(dtype)) == value
