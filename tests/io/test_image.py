"""The one reader of images: a file's own metadata are obeyed or refused, for whole images and rows alike."""

from __future__ import annotations

import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import rasterio
import tifffile
from numpy.typing import NDArray
from PIL import Image as Pillow
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from seepseg.errors import DataError
from seepseg.io.image import inspect_image, open_image, read_image

RNG = np.random.default_rng(0)
SEA = RNG.integers(1, 65536, (40, 50), np.uint16)
LEFT = np.ones(SEA.shape, bool)
LEFT[:, :13] = False


def write(path: Path, pixels: NDArray[Any], mask: NDArray[Any] | None = None, **profile: Any) -> Path:
    """A GeoTIFF; its mask is inside it, or with inside=False in a `.msk` beside it."""
    bands = pixels if pixels.ndim == 3 else pixels[None]
    scale, offset = profile.pop("scale", 1), profile.pop("offset", 0)
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=profile.pop("inside", True)):
        warnings.simplefilter("ignore")
        count, height, width = bands.shape
        shape = {"count": count, "height": height, "width": width, "dtype": bands.dtype.name}
        with rasterio.open(path, "w", driver="GTiff", **shape, **profile) as target:
            target.write(bands)
            if (scale, offset) != (1, 0):
                target.scales, target.offsets = (scale,) * count, (offset,) * count
        if mask is not None:
            with rasterio.open(path, "r+") as target:
                target.write_mask(mask)
    return path


def both(path: Path, **choice: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Pixels and validity, which must be the same whole, in strips and in a window."""
    pixels, info = read_image(path, **choice)
    assert str(inspect_image(path, **choice)) == str(info)  # as text, because NaN is not equal to itself
    assert pixels.raw.shape == (info.bands, info.height, info.width)
    assert pixels.raw.dtype == info.dtype
    assert pixels.raw.dtype.isnative
    with open_image(path, **choice) as image:
        assert (image.height, image.width, image.bands, str(image.nodata)) == (
            info.height, info.width, info.bands, str(info.nodata),
        )  # fmt: skip
        strips = [image.rows(start, min(start + 7, image.height)) for start in range(0, image.height, 7)]
        window = image.window(slice(2, 5), slice(3, image.width + 9))
    same = {"equal_nan": True} if info.dtype.kind == "f" else {}
    assert np.array_equal(np.concatenate([s.raw for s in strips], 1), pixels.raw, **same)
    assert np.array_equal(np.concatenate([s.valid for s in strips]), pixels.valid)
    assert np.array_equal(window.raw, pixels.raw[:, 2:5, 3:], **same)
    assert np.array_equal(window.valid, pixels.valid[2:5, 3:])
    return pixels


def refusal(path: Path, **choice: Any) -> DataError:
    """The one error that whole reading and opening give."""
    with pytest.raises(DataError) as caught:
        read_image(path, **choice)
    with pytest.raises(DataError) as opened, open_image(path, **choice):
        pass
    assert str(caught.value) == str(opened.value)
    assert caught.value.fix
    return caught.value


# --- what is data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "beside"])
def test_a_mask_inside_or_beside_the_file(tmp_path: Path, inside: bool) -> None:
    path = write(tmp_path / "s.tif", SEA, LEFT, inside=inside)
    assert (tmp_path / "s.tif.msk").exists() != inside
    raw, valid = both(path)
    assert np.array_equal(raw[0], SEA)
    assert np.array_equal(valid, LEFT)


def test_masks_of_pages_belong_to_the_page_before_them(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "s.tif") as writer:
        writer.write(SEA)
        writer.write(SEA[::-1])
        writer.write(SEA[::2, ::2], subfiletype=1)
        writer.write(LEFT, subfiletype=4, photometric="mask", compression="deflate")
    assert both(tmp_path / "s.tif", page=0)[1].all()
    raw, valid = both(tmp_path / "s.tif", page=1)
    assert np.array_equal(raw[0], SEA[::-1])
    assert np.array_equal(valid, LEFT)
    assert "with overviews or masks" in refusal(tmp_path / "s.tif", bands=[1, 2]).what


def test_a_mask_of_another_size_or_kind_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "s.tif", SEA)
    write(tmp_path / "s.tif.msk", np.ones((4, 5), np.uint8))
    error = refusal(path)
    assert (error.what, error.where) == ("is 4×5, its image 40×50", f"{path}.msk")
    (tmp_path / "s.tif.msk").write_text("<VRTDataset/>")  # GDAL would open what it names
    assert refusal(path).what == "not a TIFF, the file is of an unknown kind"


@pytest.mark.parametrize("interleave", ["band", "pixel"])
def test_alpha_is_no_band(tmp_path: Path, interleave: str) -> None:
    alpha = np.where(LEFT, 1, 0).astype(np.uint16)  # 1 of 65535 is nearly clear, and yet data
    path = write(tmp_path / "s.tif", np.stack([SEA, alpha]), interleave=interleave, alpha="yes")
    raw, valid = both(path)
    assert np.array_equal(raw, SEA[None])
    assert np.array_equal(valid, LEFT)
    assert refusal(path, bands=[2]).what == "no band 2, the file has 1 and alpha"


@pytest.mark.parametrize(
    ("dtype", "nodata", "valid"),
    [
        ("uint8", 7, [[True, False], [True, True]]),
        ("int16", -3, [[True, True], [False, True]]),
        ("float32", -3, [[True, True], [False, True]]),
        ("float32", float("nan"), [[True, True], [True, False]]),
        ("uint16", None, [[True, True], [True, True]]),
    ],
)
def test_the_no_data_value_of_the_file(tmp_path: Path, dtype: str, nodata: float | None, valid: list[Any]) -> None:
    pixels = np.array([[0, 7], [-3, np.nan]])
    pixels = pixels if dtype == "float32" else np.nan_to_num(pixels, nan=9).astype(np.int16).astype(dtype)
    assert both(write(tmp_path / "s.tif", pixels.astype(dtype), nodata=nodata))[1].tolist() == valid


def test_one_band_without_data_is_enough(tmp_path: Path) -> None:
    pixels = np.stack([SEA, SEA])
    pixels[0, 1, 2] = pixels[1, 3, 4] = 0
    path = write(tmp_path / "s.tif", pixels, nodata=0)
    assert np.argwhere(~both(path, bands=[2, 1])[1]).tolist() == [[1, 2], [3, 4]]
    assert np.argwhere(~both(path, bands=[2])[1]).tolist() == [[3, 4]]


@pytest.mark.parametrize("kind", ["LA", "RGBA", "RGBA16", "grey", "grey16", "rgb", "palette", "2 bits"])
def test_what_is_clear_in_a_png_is_no_data(tmp_path: Path, kind: str) -> None:
    grey = np.array([[10, 20], [30, 40]], np.uint8)
    alpha = np.array([[255, 0], [1, 255]], np.uint8)
    path, expected = tmp_path / "a.png", grey
    match kind:
        case "LA":
            Pillow.fromarray(np.dstack([grey, alpha])).save(path)
        case "RGBA":
            Pillow.fromarray(np.dstack([grey, grey, grey, alpha])).save(path)
        case "RGBA16":
            expected = grey.astype(np.uint16) * 256
            path.write_bytes(imagecodecs.png_encode(np.dstack([expected] * 3 + [alpha.astype(np.uint16)])))
        case "grey":
            Pillow.fromarray(grey).save(path, transparency=20)
        case "grey16":
            expected = grey.astype(np.uint16) * 256
            path.write_bytes(png(expected, 16, b"\x14\x00"))  # 20 · 256
        case "rgb":
            Pillow.fromarray(np.dstack([grey] * 3)).save(path, transparency=(20, 20, 20))
        case "palette":
            image = Pillow.fromarray(np.array([[0, 1], [2, 3]], np.uint8), "P")
            image.putpalette([v for value in (10, 20, 30, 40) for v in (value,) * 3])
            image.save(path, transparency=b"\xff\x00\x01\xff")
        case _:  # levels 0, 1, 2, 3 of 3 are 0, 85, 170, 255; the rows are one byte: 00 01…, 10 11…
            expected = np.array([[0, 85], [170, 255]], np.uint8)
            path.write_bytes(png(np.array([[0b0001_0000], [0b1011_0000]], np.uint8), 2, b"\x00\x01", width=2))
    raw, valid = both(path)
    assert np.array_equal(raw[0], expected)
    assert valid.tolist() == [[True, False], [True, True]]


def png(pixels: NDArray[Any], depth: int, clear: bytes, width: int | None = None) -> bytes:
    """A grey PNG by hand, with the level that is clear."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width or pixels.shape[1], len(pixels), depth, 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in pixels)
    chunks = (b"IHDR", head), (b"tRNS", clear), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*c) for c in chunks)


# --- what is no measurement ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scale", "offset"), [(0.01, -30.0), (2.0, 0), (1, 5.0)])
def test_scale_and_offset_are_refused(tmp_path: Path, scale: float, offset: float) -> None:
    error = refusal(write(tmp_path / "s.tif", SEA, scale=scale, offset=offset))
    assert error.what == f"has SCALE {scale:g} and OFFSET {offset:g}: its stored numbers are not the values"


def test_a_scale_of_one_says_nothing(tmp_path: Path) -> None:
    text = "<GDALMetadata>{}</GDALMetadata>"
    items = '<Item name="SCALE" sample="{}" role="scale">{}</Item><Item name="OFFSET" sample="0" role="offset">0</Item>'
    for sample, value in ((0, "1.0"), (1, "0.5")):  # the second band, which there is none of
        tag = text.format(items.format(sample, value))
        tifffile.imwrite(tmp_path / "s.tif", SEA, extratags=[(42112, "s", 0, tag, True)])
        assert np.array_equal(both(tmp_path / "s.tif")[0][0], SEA)


@pytest.mark.parametrize("colours", ["ycbcr", "cmyk", "miniswhite", "palette"])
def test_colours_in_a_tiff_are_refused(tmp_path: Path, colours: str) -> None:
    path = tmp_path / "s.tif"
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    match colours:
        case "ycbcr":
            write(path, np.stack([grey] * 3), compress="jpeg", photometric="ycbcr")
        case "cmyk":
            tifffile.imwrite(path, np.dstack([grey] * 4), photometric="separated")
        case "miniswhite":
            tifffile.imwrite(path, grey, photometric="miniswhite")
        case _:
            table = np.zeros((3, 256), np.uint16)
            tifffile.imwrite(path, grey, photometric="palette", colormap=table)
            assert np.array_equal(both(path, labels=True)[0][0], grey)
    assert refusal(path, bands=[1]).what.startswith("its pixels are ")


def test_colours_in_a_picture_are_refused(tmp_path: Path) -> None:
    grey = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint8)
    colour = np.dstack([grey, grey, 255 - grey])
    for name in ("a.png", "a.jpg"):
        Pillow.fromarray(colour).save(tmp_path / name)
        assert refusal(tmp_path / name).what == "is in colour (its channels differ)"
        assert both(tmp_path / name, bands=[2, 1])[0].shape == (2, 32, 32)
        assert refusal(tmp_path / name, bands=[4]).what == "no band 4, the file has 3"
    Pillow.fromarray(np.dstack([grey] * 4), "CMYK").save(tmp_path / "c.jpg")
    assert refusal(tmp_path / "c.jpg", bands=[1]).what == "its pixels are CMYK colours, no measurement"


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif"])
def test_a_turned_picture_is_refused(tmp_path: Path, name: str) -> None:
    exif = Pillow.Exif()
    exif[274] = 6
    if name == "a.tif":
        tifffile.imwrite(tmp_path / name, SEA, extratags=[(274, "H", 1, 6, True)])
    else:
        Pillow.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / name, exif=exif)
    assert refusal(tmp_path / name).what == "is stored turned or mirrored (orientation 6)"


def test_a_grey_jpeg_is_read_whether_it_has_one_channel_or_three(tmp_path: Path) -> None:
    grey = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
    for name, pixels in (("a.jpg", grey), ("b.jpg", np.dstack([grey] * 3))):
        Pillow.fromarray(pixels).save(tmp_path / name, quality=95)
        raw, valid = both(tmp_path / name)
        assert raw.shape == (1, 48, 64)
        assert abs(raw[0].astype(int) - grey).max() <= 3
        assert valid.all()


def ycbcr_jpeg(path: Path, chroma: tuple[int, int]) -> Path:
    """A JPEG whose luma is a ramp and whose chroma is the same everywhere; 128 is grey."""
    luma = np.tile(np.arange(40, 200, 2, np.uint8), (16, 1))
    planes = [luma, *(np.full_like(luma, c) for c in chroma)]
    Pillow.merge("YCbCr", [Pillow.fromarray(p) for p in planes]).save(path, quality=100, subsampling=0)
    return path


@pytest.mark.parametrize("chroma", [(129, 127), (127, 129), (129, 129), (128, 127)])
def test_a_jpeg_whose_chroma_is_one_step_from_grey_is_its_luma(tmp_path: Path, chroma: tuple[int, int]) -> None:
    path = ycbcr_jpeg(tmp_path / "x.jpg", chroma)
    colours = np.asarray(Pillow.open(path)).astype(int)
    assert 1 <= np.ptp(colours, axis=2).max() <= 3
    grey = both(path)[0][0].astype(int)
    luma = np.asarray(Pillow.open(path).convert("YCbCr"))[..., 0].astype(int)
    assert abs(grey - luma).max() <= 1


def test_a_jpeg_or_png_with_more_colour_than_rounding_makes_is_refused(tmp_path: Path) -> None:
    path = ycbcr_jpeg(tmp_path / "x.jpg", (131, 125))
    with pytest.raises(DataError, match="is in colour"):
        read_image(path)
    # Nothing rounds the channels of a PNG: one step is colour.
    pixels = np.asarray(Pillow.open(ycbcr_jpeg(tmp_path / "x.jpg", (129, 127))))
    Pillow.fromarray(pixels).save(tmp_path / "x.png")
    with pytest.raises(DataError, match="is in colour"):
        read_image(tmp_path / "x.png")


def test_whether_a_palette_is_in_colour_does_not_depend_on_the_pixels(tmp_path: Path) -> None:
    # White background and red oil: a tile without oil holds 0 as well, not the grey level 255.
    for name, pixels in (("some", [[0, 1]]), ("none", [[0, 0]])):
        picture = Pillow.fromarray(np.array(pixels, np.uint8), "P")
        picture.putpalette([255, 255, 255, 255, 0, 0])
        picture.save(tmp_path / f"{name}.png")
        assert both(tmp_path / f"{name}.png", labels=True)[0][0].tolist() == pixels


def test_a_jpeg_cut_short_is_refused(tmp_path: Path) -> None:
    Pillow.fromarray(RNG.integers(0, 256, (64, 64), np.uint8)).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    for length in range(0, len(content) - 2, 97):
        (tmp_path / "a.jpg").write_bytes(content[:length])
        refusal(tmp_path / "a.jpg")


def test_labels_are_the_numbers_behind_a_palette(tmp_path: Path) -> None:
    labels = np.array([[0, 1], [2, 7]], np.uint8)
    image = Pillow.fromarray(labels, "P")
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, *[9] * 15, 0, 0, 255])
    image.save(tmp_path / "a.png")
    assert refusal(tmp_path / "a.png").what == "is in colour (its channels differ)"
    assert both(tmp_path / "a.png", labels=True)[0][0].tolist() == labels.tolist()
    tifffile.imwrite(tmp_path / "b.tif", labels > 0, photometric="minisblack")  # one bit a pixel
    assert refusal(tmp_path / "b.tif").what == "pixels are bool (1 bit)"
    assert both(tmp_path / "b.tif", labels=True)[0][0].tolist() == [[0, 1], [1, 1]]


# --- bands and pages -------------------------------------------------------------------------------------------------


def test_pages_are_bands_where_bands_are_asked_for(tmp_path: Path) -> None:
    planes = RNG.integers(0, 9, (3, 40, 50), np.uint16)
    path = tmp_path / "s.tif"
    tifffile.imwrite(path, planes, photometric="minisblack")
    assert np.array_equal(both(path, bands=[3, 1])[0], planes[[2, 0]])
    assert np.array_equal(both(path, bands=[2])[0], planes[[1]])
    assert np.array_equal(both(path, page=1)[0][0], planes[1])
    assert np.array_equal(both(path, page=1, bands=[1])[0][0], planes[1])
    assert "data.bands=[1, 2]" in refusal(path).fix
    error = refusal(path, page=0, bands=[1, 2])
    assert (error.what, error.fix) == ("no band 2, page 0 has 1", "leave out data.page where the pages are the bands")
    assert refusal(path, bands=[4]).what == "no band 4, the file has 3 pages"


@pytest.mark.parametrize(
    "second", [SEA[:-1], SEA.astype(np.float32), np.dstack([SEA, SEA])], ids=["size", "type", "bands"]
)
def test_pages_that_differ_are_no_bands(tmp_path: Path, second: NDArray[Any]) -> None:
    with tifffile.TiffWriter(tmp_path / "s.tif") as writer:
        writer.write(SEA)
        writer.write(second, photometric="minisblack", planarconfig="contig" if second.ndim == 3 else None)
    error = refusal(tmp_path / "s.tif", bands=[1, 2])
    assert error.what == "holds 2 pages that differ in size, type or no-data value, or have bands"
    assert "data.bands" not in error.fix


@pytest.mark.parametrize("planar", ["separate", "contig"])
@pytest.mark.parametrize("codec", [None, "deflate", "lzw", "zstd"])
def test_planes_and_interleaved_bands(tmp_path: Path, planar: str, codec: str | None) -> None:
    planes = RNG.normal(size=(2, 40, 50)).astype(np.float32)
    pixels = planes if planar == "separate" else planes.transpose(1, 2, 0)
    tifffile.imwrite(tmp_path / "s.tif", pixels, photometric="minisblack", planarconfig=planar, compression=codec)
    assert np.array_equal(both(tmp_path / "s.tif", bands=[2, 1])[0], planes[::-1])


# --- where it lies ---------------------------------------------------------------------------------------------------

PAM = """<PAMDataset>
  <SRS dataAxisToSRSAxisMapping="1,2">EPSG:32616</SRS>
  <GeoTransform>500000,100,0,3000000,0,-100</GeoTransform>
  <Metadata><MDI key="MISSION">S1</MDI></Metadata>
  <PAMRasterBand band="1"><NoDataValue le_hex_equiv="0000000000001C40">7</NoDataValue></PAMRasterBand>
</PAMDataset>"""


@pytest.mark.parametrize("name", ["s.tif", "s.png", "s.jpg"])
def test_what_stands_in_aux_xml_is_obeyed(tmp_path: Path, name: str) -> None:
    pixels = np.full((40, 50), 7, np.uint8)
    pixels[:, 25:] = 200
    path = tmp_path / name
    if name == "s.tif":
        write(path, pixels)
    else:
        Pillow.fromarray(pixels).save(path, quality=100)
    (tmp_path / f"{name}.aux.xml").write_text(PAM)
    before = sorted(p.name for p in tmp_path.iterdir())
    raw, valid = both(path)
    assert np.array_equal(valid, raw[0] != 7)
    assert not valid[:, :20].any()
    with open_image(path) as image, rasterio.Env(GDAL_PAM_ENABLED="YES"), rasterio.open(path) as oracle:
        assert image.georeference.crs_wkt == oracle.crs.to_wkt()
        assert Affine(*image.georeference.transform or ()) == oracle.transform
        assert image.georeference.transform == (100, 0, 500000, 0, -100, 3000000)
        assert image.georeference.tags["MISSION"] == oracle.tags()["MISSION"] == "S1"
        assert image.nodata == oracle.nodata == 7
        assert image.warnings == ()
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_aux_xml_goes_before_the_file_itself(tmp_path: Path) -> None:
    path = write(tmp_path / "s.tif", SEA, crs="EPSG:4326", transform=Affine(1, 0, 2, 0, -1, 3), nodata=int(SEA[0, 0]))
    (tmp_path / "s.tif.aux.xml").write_text(PAM.replace(">7<", f">{SEA[1, 1]}<"))
    with open_image(path) as image:
        assert image.georeference.transform == (100, 0, 500000, 0, -100, 3000000)
        assert "32616" in (image.georeference.crs_wkt or "")
        valid = image.rows(0, 40).valid
    assert np.array_equal(valid, (SEA[0, 0] != SEA) & (SEA[1, 1] != SEA))  # both are said to be no data


@pytest.mark.parametrize(("name", "world"), [("s.tif", "s.tfw"), ("s.png", "s.pgw"), ("s.jpg", "s.jgw")])
def test_a_world_file_is_read(tmp_path: Path, name: str, world: str) -> None:
    """Its last two numbers are the middle of the first pixel: 500050 − 100/2 = 500000, 2999950 + 100/2 = 3000000."""
    Pillow.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / name)
    (tmp_path / world).write_text("100\n0\n0\n-100\n500050\n2999950\n")
    (tmp_path / f"{name}.aux.xml").write_text("<PAMDataset><SRS>EPSG:32616</SRS></PAMDataset>")
    with open_image(tmp_path / name) as image:
        assert image.georeference.transform == (100, 0, 500000, 0, -100, 3000000)
        assert "32616" in (image.georeference.crs_wkt or "")


def test_a_world_file_counts_where_the_file_holds_the_identity(tmp_path: Path) -> None:
    path = write(tmp_path / "s.tif", SEA, transform=Affine.identity())
    with open_image(path) as image:
        assert image.georeference.transform is None
    (tmp_path / "s.tfw").write_text("100\n0\n0\n-100\n500050\n2999950\n")
    with open_image(path) as image:
        assert image.georeference.transform == (100, 0, 500000, 0, -100, 3000000)


def test_a_name_as_long_as_names_may_be(tmp_path: Path) -> None:
    path = write(tmp_path / f"{'s' * 251}.tif", SEA)  # with .aux.xml after it, no file system would take it
    assert np.array_equal(both(path)[0][0], SEA)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_rgb_is_a_picture_unless_bands_are_chosen(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (3, 40, 50), np.uint8)
    path = write(tmp_path / "s.tif", pixels, photometric="rgb")
    with rasterio.open(path) as source:
        assert source.colorinterp[0] == ColorInterp.red
    assert np.array_equal(both(path, bands=[3, 2])[0], pixels[[2, 1]])
    # Many writers call any three bands that, so a number is believed, and a name is not.
    assert refusal(path).what == "is a picture in colours (RGB)"
    assert refusal(path, bands=["vv", "vh", "hh"]).what == "is a picture, not vv and vh and hh"
