"""TIFF tiles: every layout reads pixel-identical, every broken file is a DataError that says how it is broken."""

import io
import os
import struct
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import rasterio
import tifffile
from numpy.typing import NDArray
from PIL import Image

from seepseg.errors import DataError
from seepseg.io import tiff
from seepseg.io.ifd import walk
from seepseg.io.image import read_image
from seepseg.io.tiff import TiffInfo, inspect_tiff

RNG = np.random.default_rng(0)
TILE = RNG.integers(0, 65536, (40, 50), np.uint16)


@pytest.fixture
def tif(tmp_path: Path) -> Path:
    return tmp_path / "a.tif"


def read_tiff(path: Path, **choice: Any) -> NDArray[Any]:
    return read_image(path, **choice)[0].raw


def _error(path: Path, **kwargs: Any) -> DataError:
    with pytest.raises(DataError) as caught:
        read_tiff(path, **kwargs)
    assert caught.value.exit_code == 3
    assert caught.value.where == str(path)
    assert caught.value.fix
    return caught.value


def _pixels(dtype: str, shape: tuple[int, ...] = (40, 50)) -> NDArray[Any]:
    if dtype == "float32":
        return RNG.normal(size=shape).astype(np.float32)
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rowsperstrip": 7},
        {"tile": (16, 32)},
        {"compression": "lzw", "rowsperstrip": 7},
        {"compression": "deflate"},
        {"compression": "zstd", "tile": (16, 16)},
        {"compression": "packbits"},
        {"compression": "lzma"},
        {"compression": "deflate", "predictor": 2},
        {"compression": "zstd", "predictor": 3, "tile": (16, 32)},
        {"bigtiff": True},
        {"bigtiff": True, "compression": "lzw", "predictor": 2},
    ],
    ids=str,
)
def test_layouts(tif: Path, dtype: str, order: Literal["<", ">"], options: dict[str, Any]) -> None:
    if options.get("predictor") == 3 and dtype != "float32":
        pytest.skip("predictor 3 is for floats")
    if options.get("predictor") == 2 and dtype == "float32":
        pytest.skip("tifffile does not write it; GDAL does, below")
    pixels = _pixels(dtype)
    tifffile.imwrite(tif, pixels, byteorder=order, **options)
    read = read_tiff(tif)
    assert read.dtype == np.dtype(dtype)
    assert read.dtype.isnative
    assert np.array_equal(read, pixels[None])
    assert inspect_tiff(tif) == TiffInfo(40, 50, np.dtype(dtype))


@pytest.mark.parametrize(
    "options",
    [
        {"compress": "lzw", "predictor": 2},
        {"compress": "deflate", "predictor": 3, "tiled": True, "blockxsize": 16, "blockysize": 16},
        {"compress": "zstd", "predictor": 2, "ENDIANNESS": "BIG"},
        {"compress": "zstd", "predictor": 3, "ENDIANNESS": "BIG"},
        {"interleave": "band"},
        {"interleave": "pixel", "compress": "packbits"},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_gdal_writes(tif: Path, options: dict[str, Any]) -> None:
    pixels = _pixels("float32", (3, 40, 50))
    with rasterio.open(tif, "w", driver="GTiff", count=3, height=40, width=50, dtype="float32", **options) as target:
        target.write(pixels)
    assert np.array_equal(read_tiff(tif, bands=[3, 1]), pixels[[2, 0]])
    assert inspect_tiff(tif, bands=[3, 1]).bands == (3, 1)


def test_planar_contiguous_and_alpha(tif: Path) -> None:
    pixels = _pixels("uint8", (4, 40, 50))
    for planar, array in (("separate", pixels), ("contig", pixels.transpose(1, 2, 0))):
        tifffile.imwrite(tif, array, photometric="rgb", planarconfig=planar, extrasamples=["unassalpha"])
        assert np.array_equal(read_tiff(tif, bands=[1, 3, 2]), pixels[[0, 2, 1]]), planar
        assert str(_error(tif)) == (
            f"is a picture in colours (RGB and alpha) in {tif}: save the radar's own band, or choose "
            "one with data.bands, for example data.bands=[1]"
        )
        assert _error(tif, bands=[4]).what == "no band 4, the file has 3 and alpha"


@pytest.mark.parametrize("planar", ["separate", "contig"])
def test_of_several_bands_one_must_be_chosen(tif: Path, planar: str) -> None:
    pixels = _pixels("uint16", (2, 40, 50) if planar == "separate" else (40, 50, 2))
    tifffile.imwrite(tif, pixels, photometric="minisblack", planarconfig=planar)
    assert (
        str(_error(tif))
        == f"holds 2 bands in {tif}: choose with data.bands (the first is 1), for example data.bands=[1]"
    )
    assert read_tiff(tif, bands=[2])[0].tolist() == (pixels[1] if planar == "separate" else pixels[..., 1]).tolist()


def test_jpeg(tif: Path) -> None:
    pixels = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
    for tile in (None, (16, 16)):
        tifffile.imwrite(tif, pixels, compression="jpeg", compressionargs={"level": 95}, tile=tile)
        assert np.array_equal(read_tiff(tif)[0], tifffile.imread(tif))
        assert abs(read_tiff(tif)[0].astype(int) - pixels).max() < 8


def test_pages(tif: Path) -> None:
    pages = [_pixels("uint8") for _ in range(3)]
    with tifffile.TiffWriter(tif) as writer:
        for page in pages:
            writer.write(page, contiguous=False)
    assert str(_error(tif)) == (
        f"holds 3 pages in {tif}: choose one with data.page (the first is 0), or pages that are bands with data.bands, "
        "for example data.bands=[1, 2]"
    )
    assert np.array_equal(read_tiff(tif, page=0)[0], pages[0])
    assert np.array_equal(read_tiff(tif, page=2)[0], pages[2])
    assert _error(tif, page=3).what == "no page 3, the file has 3"
    with tifffile.TiffWriter(tif) as writer:  # an overview and a mask are no pages
        writer.write(pages[0])
        writer.write(pages[1][::2, ::2], subfiletype=1)
        writer.write(pages[2] > 9, subfiletype=4, photometric="mask")
    assert np.array_equal(read_tiff(tif)[0], pages[0])


@pytest.mark.parametrize("band", [0, 2, -1])
def test_bands_out_of_range(tif: Path, band: int) -> None:
    tifffile.imwrite(tif, TILE)
    assert _error(tif, bands=[band]).what == f"no band {band}, the file has 1"


@pytest.mark.parametrize(
    ("dtype", "what"),
    [
        ("complex64", "pixels are complex"),
        ("int32", "pixels are int32"),
        ("float64", "pixels are float64"),
        ("uint32", "pixels are uint32"),
        ("int8", "pixels are int8"),
        ("float16", "pixels are float16"),
        ("bool", "pixels are bool (1 bit)"),
    ],
)
def test_dtypes(tif: Path, dtype: str, what: str) -> None:
    tifffile.imwrite(tif, np.zeros((8, 8), dtype))
    assert _error(tif).what == what
    advice = "take the amplitude first" if dtype == "complex64" else "save it as uint8, uint16, int16, float32"
    assert advice in _error(tif).fix


@pytest.mark.parametrize(
    ("dtype", "tag", "nodata"),
    [
        ("uint16", "0", 0.0),
        ("uint16", "-1", None),
        ("uint8", "nan", None),
        ("int16", "-32768", -32768.0),
        ("uint8", "1.5", None),
        ("uint8", "no number", None),
        ("float32", "-9999", -9999.0),
        ("float32", "-3.4028234663852886e+38", float(np.finfo(np.float32).min)),
        ("float32", "0.1", float(np.float32(0.1))),
    ],
)
def test_nodata(tif: Path, dtype: str, tag: str, nodata: float | None) -> None:
    tifffile.imwrite(tif, np.zeros((4, 4), dtype), extratags=[(42113, "s", 0, tag, True)])
    assert inspect_tiff(tif).nodata == nodata


def test_nodata_nan(tif: Path) -> None:
    tifffile.imwrite(tif, np.zeros((4, 4), np.float32), extratags=[(42113, "s", 0, "nan", True)])
    assert np.isnan(inspect_tiff(tif).nodata or 0)


# --- broken files ----------------------------------------------------------------------------------------------------


def _tiff(entries: dict[int, tuple[int, int, int]], data: bytes = bytes(64), following: int = 0) -> bytes:
    """A little-endian TIFF by hand: header, one directory at 8 of tag: (type, count, value), then the data."""
    body = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in sorted(entries.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", following) + data


def _gray(**changes: Any) -> bytes:
    """8×8 uint8 zeros in one strip; the data start after 10 tags at 8 + 2 + 10·12 + 4 = 134."""
    entries = {
        256: (4, 1, 8),
        257: (4, 1, 8),
        258: (3, 1, 8),
        259: (3, 1, 1),
        262: (3, 1, 1),
        273: (4, 1, 134),
        277: (3, 1, 1),
        278: (4, 1, 8),
        279: (4, 1, 64),
        339: (3, 1, 1),
    }
    names = {
        "width": 256,
        "height": 257,
        "bits": 258,
        "codec": 259,
        "offset": 273,
        "bands": 277,
        "rows": 278,
        "bytes": 279,
        "format": 339,
    }
    following = changes.pop("following", 0)
    for name, value in changes.items():
        entries[names[name]] = (*entries[names[name]][:2], value)
    return _tiff(entries, following=following)


def test_hand_made_file_reads(tif: Path) -> None:
    tif.write_bytes(_gray())
    assert np.array_equal(read_tiff(tif), np.zeros((1, 8, 8), np.uint8))


@pytest.mark.parametrize("tag", [256, 278])
def test_a_size_that_is_no_whole_number(tif: Path, tag: int) -> None:
    (eight,) = struct.unpack("<I", struct.pack("<f", 8.0))
    content = _gray().replace(struct.pack("<HHII", tag, 4, 1, 8), struct.pack("<HHII", tag, 11, 1, eight))
    tif.write_bytes(content)
    assert _error(tif).what == "has a size that is no whole number"


@pytest.mark.parametrize(("order", "start"), [([0, 1, 2, 3], 200), ([0, 2, 1, 3], None), ([3, 2, 1, 0], None)])
def test_strips_that_follow_each_other_are_read_from_the_first(tif: Path, order: list[int], start: int | None) -> None:
    """8 × 8 pixels in strips of 2 rows, whose places are at 134 and lengths at 150, pixels from 200 on."""
    strips = [200 + 16 * k for k in order]
    head = {256: (4, 1, 8), 257: (4, 1, 8), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 4, 134)}
    tail = {277: (3, 1, 1), 278: (4, 1, 2), 279: (4, 4, 150), 339: (3, 1, 1)}
    places = struct.pack("<8I", *strips, *[16] * 4)
    tif.write_bytes(_tiff(head | tail, places + bytes(200 - 134 - len(places)) + bytes(range(64))))
    assert inspect_tiff(tif).start == start
    assert read_tiff(tif)[0, ::2, 0].tolist() == [16 * k for k in order]


@pytest.mark.parametrize(
    "options", [{"compression": "deflate"}, {"tile": (16, 16)}, {"predictor": 2, "compression": "lzw"}]
)
def test_other_pixels_start_nowhere(tif: Path, options: dict[str, Any]) -> None:
    tifffile.imwrite(tif, TILE, **options)
    assert inspect_tiff(tif).start is None


@pytest.mark.parametrize("rows", [2**10, 2**10 + 1])
def test_a_large_deflated_strip_is_looked_through(tif: Path, rows: int) -> None:
    """Strips of 2²⁰ bytes are inflated at once to be checked, larger ones piece by piece: both whole, or refused."""
    pixels = np.resize(RNG.integers(0, 256, 2**16, np.uint8), (rows, 2**10))
    tifffile.imwrite(tif, pixels, compression="deflate", rowsperstrip=rows)
    inspect_tiff(tif, verify=True)
    assert np.array_equal(read_tiff(tif)[0], pixels)
    with tifffile.TiffFile(tif, mode="r+b") as file:
        length = file.pages[0].databytecounts[0]
        file.pages[0].tags["StripByteCounts"].overwrite(length // 2)
    with pytest.raises(DataError, match="1 of 1 strips are too short"):
        inspect_tiff(tif, verify=True)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"height": 0}, "is 0×8 pixels of 1 bands"),
        ({"width": 0}, "is 8×0 pixels of 1 bands"),
        (
            {"height": 2**31, "width": 2**31},
            "2147483648×2147483648 pixels of 1 bands are over the budget of 268435456 values",
        ),
        ({"bands": 65535}, "holds 65535 bands, the most is 1024"),
        ({"bits": 17}, "pixels of 17 bits, sample format 1"),
        ({"codec": 65111}, "compression 65111 is not supported"),
        ({"codec": 34712}, "compression JPEG2000 (34712) is not supported"),
        ({"height": 64}, "holds 1 strips, its size needs 8"),
        ({"height": 6, "rows": 3}, "holds 1 strips, its size needs 2"),
        ({"offset": 200}, "1 of 1 strips lie past the end of the file"),
        ({"bytes": 65}, "1 of 1 strips lie past the end of the file"),
        ({"bytes": 2**32 - 1}, "1 of 1 strips lie past the end of the file"),
        ({"bytes": 63}, "1 of 1 strips are too short"),
        ({"offset": 0}, "1 of 1 strips were never written"),
        ({"codec": 7, "bits": 16}, "JPEG compression of uint16 pixels is not supported"),
    ],
)
def test_headers_that_lie(tif: Path, changes: dict[str, int], what: str) -> None:
    tif.write_bytes(_gray(**changes))
    assert _error(tif).what == what
    with pytest.raises(DataError) as caught:
        inspect_tiff(tif)
    assert caught.value.what == what


# TIFF 6.0, section 2, and BigTIFF: BYTE, ASCII, SHORT, LONG, RATIONAL, the same with a sign, FLOAT, DOUBLE, IFD, LONG8,
# SLONG8, IFD8; others are not known, and reach nowhere.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


@pytest.mark.parametrize("kind", range(20))
def test_a_directory_reaches_as_far_as_its_values(kind: int) -> None:
    content = _tiff({60000: (kind, 100, 1000)})
    (directory,) = walk(Path("a.tif"), io.BytesIO(content), len(content))
    own = 8 + 2 + 12 + 4
    assert directory.end == (1000 + 100 * SIZES[kind] if kind in SIZES else own)


def test_without_a_photometric_interpretation_it_is_grey(tif: Path) -> None:
    entries = {256: (4, 1, 8), 257: (4, 1, 8), 258: (3, 1, 8), 259: (3, 1, 1), 273: (4, 1, 122), 277: (3, 1, 1)}
    tif.write_bytes(_tiff(entries | {278: (4, 1, 8), 279: (4, 1, 64), 339: (3, 1, 1)}, bytes(range(64))))
    assert read_tiff(tif)[0].tolist() == np.arange(64).reshape(8, 8).tolist()


@pytest.mark.parametrize(("kind", "number"), [(3, 4), (4, 4), (4, 1 << 16)])
def test_what_an_image_is_for_in_either_byte_order(kind: int, number: int) -> None:
    for order, magic in (("<", b"II*\0"), (">", b"MM\0*")):
        value = struct.pack(order + ("HH" if kind == 3 else "I"), *((number, 7) if kind == 3 else (number,)))
        body = struct.pack(order + "HHHI", 1, 254, kind, 1) + value + bytes(4)
        content = magic + struct.pack(order + "I", 8) + body
        (directory,) = walk(Path("a.tif"), io.BytesIO(content), len(content))
        assert directory.subfile == number


def test_a_tile_larger_than_the_budget_of_pixels(tif: Path) -> None:
    entries = {256: (4, 1, 8), 257: (4, 1, 8), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 277: (3, 1, 1)}
    tiles = {322: (4, 1, 2**15), 323: (4, 1, 2**14), 324: (4, 1, 134), 325: (4, 1, 64)}
    tif.write_bytes(_tiff(entries | tiles))
    assert _error(tif).what == "tiles of 536870912 pixels are over the budget of 268435456"


def test_a_tile_that_is_a_byte_short(tif: Path) -> None:
    tifffile.imwrite(tif, np.ones((32, 32), np.uint8), tile=(16, 16))
    with tifffile.TiffFile(tif, mode="r+b") as file:
        file.pages[0].tags["TileByteCounts"].overwrite([256, 256, 255, 256])
    assert _error(tif).what == "1 of 4 tiles are too short"


@pytest.mark.parametrize("following", [8, 10**6])
def test_next_directory(tif: Path, following: int) -> None:
    tif.write_bytes(_gray(following=following))
    if following == 8:  # a chain that bites its tail: page 0 is fine
        assert read_tiff(tif).shape == (1, 8, 8)
    else:
        assert _error(tif).what == "a directory lies past the end of the file"


def test_long_cycle_ends(tif: Path) -> None:
    """300 directories in a ring: tifffile's own check looks at the hundredth only."""
    one = len(_tiff({256: (4, 1, 8)}, b"")) - 8
    ring = b"".join(_tiff({256: (4, 1, 8)}, b"", 8 + one * ((i + 1) % 300))[8:] for i in range(300))
    tif.write_bytes(b"II*\0" + struct.pack("<I", 8) + ring)
    assert _error(tif).what == "holds 300 pages"


def test_nothing_but_alpha(tif: Path) -> None:
    entries = {256: (4, 1, 8), 257: (4, 1, 8), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 134)}
    tif.write_bytes(_tiff(entries | {277: (3, 1, 1), 278: (4, 1, 8), 279: (4, 1, 64), 338: (3, 1, 2)}))
    assert _error(tif).what == "holds nothing but alpha"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "not an image, the file is empty (0 bytes)"),
        (b"I", "not an image, the file is only 1 bytes long"),
        (b"II*\0\x08\0\0", "holds a header only"),
        (b"II*\0\x08\0\0\0", "a directory lies past the end of the file"),
        (b"MM\0+\0\x08\0\0\0\0\0\0", "holds a header only"),
        (b"II*\0\0\0\0\0", "holds no page"),
        (b"II+\0\x08\0\0\0\x10" + bytes(23), "is 0×0 pixels of 0 bands"),
        (b"II+\0\x09\0\0\0\x10" + bytes(23), "has a damaged BigTIFF header"),
        (b"II+\0\x08\0\x01\0\x10" + bytes(23), "has a damaged BigTIFF header"),
        (b"GIF89a        ", "not an image, the file is a GIF"),
        (b"any text at all", "not an image, the file is of an unknown kind"),
    ],
)
def test_no_tiff(tif: Path, content: bytes, what: str) -> None:
    tif.write_bytes(content)
    assert _error(tif).what == what


def test_png_named_tif(tif: Path) -> None:
    Image.fromarray(np.full((4, 5), 7, np.uint8)).save(tif, format="PNG")
    assert np.array_equal(read_tiff(tif), np.full((1, 4, 5), 7, np.uint8))


def _encoded(**options: Any) -> tuple[NDArray[Any], bytes]:
    pixels = RNG.integers(0, 50, (24, 20), np.uint16)
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, rowsperstrip=8, extratags=[(42113, "s", 0, "12345.000", True)], **options)
    return pixels, stream.getvalue()


@pytest.mark.parametrize("codec", [None, "deflate", "lzw", "zstd", "packbits", "lzma"])
@pytest.mark.parametrize("big", [False, True])
def test_cut_anywhere(tif: Path, codec: str | None, big: bool) -> None:
    pixels, content = _encoded(compression=codec, bigtiff=big)
    tif.write_bytes(content)
    assert inspect_tiff(tif).nodata == 12345
    for length in range(0, len(content), 3):
        tif.write_bytes(content[:length])
        try:
            read, nodata = read_tiff(tif), inspect_tiff(tif).nodata
        except DataError:
            continue
        assert np.array_equal(read[0], pixels), length
        assert nodata == 12345


@pytest.mark.parametrize("codec", ["deflate", "zstd"])
def test_one_byte_wrong_in_the_stream(tif: Path, codec: str) -> None:
    pixels, content = _encoded(compression=codec, compressionargs={"level": 5} if codec == "deflate" else {})
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        start, length = tiff.pages.first.dataoffsets[0], tiff.pages.first.databytecounts[0]
    for i in range(start, start + length, 5):
        tif.write_bytes(content[:i] + bytes([content[i] ^ 0xFF]) + content[i + 1 :])
        try:
            read = read_tiff(tif)
        except DataError:
            continue
        assert codec == "zstd" or np.array_equal(read[0], pixels), i  # deflate has a checksum, tifffile's zstd none


def test_any_byte_wrong_is_a_data_error_or_an_array(tif: Path) -> None:
    _, content = _encoded(compression="lzw", predictor=2)
    for _ in range(400):
        broken = bytearray(content)
        for i in RNG.integers(0, min(len(broken), 420), RNG.integers(1, 4)):
            broken[i] = RNG.integers(256)
        tif.write_bytes(broken)
        try:
            read = read_tiff(tif, max_pixels=2**20)
        except DataError:
            continue
        assert read.ndim == 3
        assert read.size


def test_deflate_bomb(tif: Path) -> None:
    """8×8 pixels whose stream would inflate to 128 MiB: refused, not inflated."""
    bomb = zlib.compress(bytes(2**27))
    entries = {
        256: (4, 1, 8),
        257: (4, 1, 8),
        258: (3, 1, 8),
        259: (3, 1, 8),
        262: (3, 1, 1),
        273: (4, 1, 122),
        277: (3, 1, 1),
        278: (4, 1, 8),
        279: (4, 1, len(bomb)),
    }
    tif.write_bytes(_tiff(entries, bomb))  # 8 + 2 + 9·12 + 4 = 122
    tracemalloc.start()
    assert _error(tif).what == "a strip or tile inflates to more than its size"
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_jpeg_larger_than_its_tile(tif: Path) -> None:
    tifffile.imwrite(tif, np.zeros((16, 16), np.uint8), compression="jpeg")
    content = tif.read_bytes()
    at = content.index(b"\xff\xc0") + 5  # height and width follow marker, length and precision
    tif.write_bytes(content[:at] + struct.pack(">HH", 60000, 60000) + content[at + 4 :])
    assert "got 60000x60000" in _error(tif).what


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_sparse(tif: Path) -> None:
    """Tiles that were never written are no-data where the file names a value, and missing where it does not."""
    for nodata in (7, None):
        with rasterio.open(
            tif,
            "w",
            driver="GTiff",
            count=1,
            height=32,
            width=16,
            dtype="uint8",
            nodata=nodata,
            tiled=True,
            blockxsize=16,
            blockysize=16,
            SPARSE_OK=True,
        ) as target:
            target.write(np.ones((1, 16, 16), np.uint8), window=((0, 16), (0, 16)))
        if nodata is None:
            assert _error(tif).what == "1 of 2 tiles were never written"
        else:
            read = read_tiff(tif)[0]
            assert (read[:16] == 1).all()
            assert (read[16:] == 7).all()


# --- files that are no files -----------------------------------------------------------------------------------------


def test_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path, what in (
        (tmp_path / "fifo", "is a pipe or device, not a file"),
        (Path("/dev/zero"), "is a pipe or device, not a file"),
        (tmp_path, "is a folder, not a file"),
        (tmp_path / "loop", "the link leads back to itself"),
        (tmp_path / "none", "no such file"),
    ):
        began = time.monotonic()
        assert _error(path).what == what
        assert time.monotonic() - began < 1


def test_permission(tif: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tifffile.imwrite(tif, TILE)

    def refuse(*_: object) -> int:  # root may read anything, so chmod would not do
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert str(_error(tif)) == f"permission denied in {tif}: make the file readable"


@pytest.mark.parametrize("name", [b"a b.tif", b"a\nb.tif", "\U0001f30a.tif".encode(), b"a?#&.tif"])
def test_names(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / os.fsdecode(name)
    tifffile.imwrite(path, TILE)
    assert np.array_equal(read_tiff(path)[0], TILE)


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xfe.tif")
    tifffile.imwrite(path, TILE)
    assert _error(path).what == "the name is not valid UTF-8"


def test_a_tile_that_begins_like_the_last_one_is_checked_no_less(tif: Path) -> None:
    def outcome(content: bytes, **choice: Any) -> TiffInfo | str:
        tif.write_bytes(content)
        try:
            return inspect_tiff(tif, **choice)
        except DataError as error:
            return str(error)

    tifffile.imwrite(tif, TILE, metadata=None)
    sound = tif.read_bytes()
    begun = [sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :] for at in range(300)]
    for content in (*begun, sound[:-1], sound + b"x"):
        tiff._LAST.clear()
        alone = outcome(content)
        assert isinstance(outcome(sound), TiffInfo)
        assert outcome(content) == alone
    for choice in ({"max_pixels": 1999}, {"bands": [2]}, {"page": 1}, {"mask": True}):
        assert isinstance(outcome(sound), TiffInfo)
        assert isinstance(outcome(sound, **choice), str)  # of 40 × 50 pixels, one band and page, 16 bits


def test_silence(tif: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for content in (b"II*\0\x08\0\0\0", _gray(height=64), _gray(offset=0)):
        tif.write_bytes(content)
        _error(tif)
    assert capfd.readouterr() == ("", "")
