"""PNG and JPEG: grey and colour, 8 and 16 bits, alpha, and files that are not what they say."""

import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from seepseg.errors import DataError
from seepseg.io.image import read_image
from seepseg.io.images import inspect_picture, read_picture, write_class_png, write_png

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
GREY16 = RNG.integers(0, 65536, (5, 7), np.uint16)


def read_gray_png(path: Path, **options: Any) -> NDArray[Any]:
    return read_image(path, **options)[0].raw[0]


def _refused(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        read_gray_png(path)
    return caught.value


@pytest.fixture
def png(tmp_path: Path) -> Path:
    return tmp_path / "a.png"


@pytest.mark.parametrize("array", [GREY, np.dstack([GREY, GREY + 1, GREY])])
def test_round_trip(png: Path, array: NDArray[Any]) -> None:
    write_png(png, array)
    read, alpha = read_picture(png, "PNG", [1, 2, 3] if array.ndim == 3 else None, labels=False)
    assert read.dtype == np.uint8
    assert np.array_equal(read.transpose(1, 2, 0).squeeze(), array)
    assert alpha.shape == (0, 5, 7)
    assert [p.name for p in png.parent.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    "array",
    [
        GREY,
        GREY16,
        np.dstack([GREY] * 3),
        np.dstack([GREY] * 3 + [GREY + 1]),
        np.dstack([GREY, GREY + 1]),
        np.dstack([GREY16] * 3),
    ],
    ids=["L", "I;16", "RGB", "RGBA", "LA", "RGB16"],
)
def test_gray_of_equal_channels(png: Path, array: NDArray[Any]) -> None:
    png.write_bytes(imagecodecs.png_encode(array))
    want = array if array.ndim == 2 else array[..., 0]
    read = read_gray_png(png)
    assert read.dtype == array.dtype
    assert np.array_equal(read, want)


def test_gray_of_colour_is_an_error(png: Path) -> None:
    write_png(png, np.dstack([GREY, GREY, GREY + 1]))
    assert str(_refused(png)) == f"is in colour (its channels differ) in {png}: save one grey channel"


def test_palette_and_one_bit(png: Path) -> None:
    image = Image.fromarray(np.array([[0, 1], [1, 0]], np.uint8), "P")
    image.putpalette([9, 9, 9, 200, 200, 200])
    image.save(png)
    assert read_gray_png(png).tolist() == [[9, 200], [200, 9]]
    Image.fromarray(np.array([[0, 1], [1, 0]], bool)).save(png)
    assert read_gray_png(png).tolist() == [[0, 255], [255, 0]]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "not an image, the file is empty (0 bytes)"),
        (b"\x89PNG", "not an image, the file is only 4 bytes long"),
        (b"\x89PNG\r\n\x1a\n", "is damaged (no header)"),
    ],
)
def test_not_a_png(png: Path, content: bytes, what: str) -> None:
    png.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_gray_png(png)
    assert caught.value.what == what


@pytest.mark.parametrize("array", [GREY, GREY16, np.dstack([GREY16] * 3)], ids=["L", "I;16", "RGB16"])
def test_cut_anywhere(png: Path, array: NDArray[Any]) -> None:
    content = imagecodecs.png_encode(array)
    bands = None if array.ndim == 2 else [1]
    for length in range(len(content)):
        png.write_bytes(content[:length])
        try:
            read = read_gray_png(png, bands=bands)
        except DataError:
            continue
        assert np.array_equal(read, array if array.ndim == 2 else array[..., 0]), length


def test_one_byte_wrong(png: Path) -> None:
    content = imagecodecs.png_encode(GREY)
    for i in range(len(content)):
        png.write_bytes(content[:i] + bytes([content[i] ^ 0x10]) + content[i + 1 :])
        try:
            read = read_gray_png(png)
        except DataError:
            continue
        assert np.array_equal(read, GREY), i  # only where the byte is of no account


def test_budget(png: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 0, 0, 0, 0)
    png.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")))
    with pytest.raises(DataError) as caught:
        read_gray_png(png)
    assert caught.value.what == "2147483647×2147483647 pixels are over the budget of 268435456"


def header(width: int, height: int, depth: int, colours: int) -> bytes:
    content = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    return struct.pack(">I", 13) + content + struct.pack(">I", zlib.crc32(content))


def test_what_a_decoder_would_allocate_is_counted(tmp_path: Path) -> None:
    """16,000² pixels are within the budget of pixels, and in four channels of 16 bits 2 GiB."""
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header(16_000, 16_000, 16, 6) + bytes(100))
    with pytest.raises(DataError, match="16000×16000 pixels of 8 bytes are over the budget of 1024 MiB"):
        inspect_picture(path, "PNG", None, False)


@pytest.mark.parametrize(
    ("depth", "colours", "over"),
    [(16, 0, False), (16, 2, True), (16, 4, False), (16, 6, True), (8, 2, False), (8, 6, False)],
)
def test_grey_has_two_channels_at_most(png: Path, depth: int, colours: int, over: bool) -> None:
    """2²⁸ pixels of 16 bits are 2³⁰ bytes in two channels, as many as may be, and twice that in four."""
    png.write_bytes(b"\x89PNG\r\n\x1a\n" + header(16_384, 16_384, depth, colours) + bytes(100))
    with pytest.raises(DataError) as caught:
        inspect_picture(png, "PNG", None, False)
    assert ("over the budget" in caught.value.what) == over


@pytest.mark.parametrize(("depth", "level"), [(8, 200.0), (4, 17.0), (2, 85.0), (1, 255.0)])
def test_a_clear_grey_is_the_value_without_data(png: Path, depth: int, level: float) -> None:
    """Of few bits, the second grey of 2, 4 or 16 that are spread over 0 to 255."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    grey = 200 if depth == 8 else 1
    row = bytes([0, 0, grey]) if depth == 8 else bytes([0, grey << (8 - 2 * depth)])  # a black pixel and a grey one
    end = chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    png.write_bytes(b"\x89PNG\r\n\x1a\n" + header(2, 1, depth, 0) + chunk(b"tRNS", struct.pack(">H", grey)) + end)
    assert inspect_picture(png, "PNG", None, False)[4] == level
    pixels, alpha = read_picture(png, "PNG", None, False)
    assert pixels.tolist() == [[[0, level]]]
    assert alpha.tolist() == [[[1, 0]]]


@pytest.mark.parametrize(
    ("entries", "labels", "nodata"), [((9, 200, 9), True, 1.0), ((9, 200, 9), False, None), ((9, 9, 9), True, None)]
)
def test_a_clear_entry_of_a_palette_is_a_label_without_data(
    png: Path, entries: tuple[int, int, int], labels: bool, nodata: float | None
) -> None:
    """Where the numbers behind the colours are read, of labels in colours; else it is clear alone, as alpha says."""
    image = Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8), "P")
    image.putpalette([0, 0, 0, *entries, 50, 50, 50])
    image.save(png, transparency=1)
    assert inspect_picture(png, "PNG", None, labels)[4] == nodata
    if nodata is None:
        read, alpha = read_picture(png, "PNG", [1, 2, 3], labels)
        assert read[1].tolist() == [[0, entries[1]], [50, 0]]
        assert (alpha > 0).tolist() == [[[True, False], [True, True]]]
    else:
        assert read_picture(png, "PNG", None, labels)[0].tolist() == [[[0, 1], [2, 0]]]


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_picture_that_is_stored_turned_is_refused(png: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation  # EXIF 2.3, table 4
    Image.fromarray(GREY).save(png, exif=exif)
    if orientation == 1:
        assert read_gray_png(png).tolist() == GREY.tolist()
    else:
        assert (
            str(_refused(png))
        ) == f"is stored turned or mirrored (orientation {orientation}) in {png}: save it upright"


def test_one_class_is_written_as_black_and_white_and_several_as_numbers(png: Path) -> None:
    classes = np.array([[0, 1, 255]], np.uint8)
    write_class_png(png, classes, 2)
    assert read_gray_png(png).tolist() == [[0, 255, 0]]
    write_class_png(png, classes, 3)
    assert read_gray_png(png).tolist() == [[0, 1, 255]]


def test_a_band_that_is_not_there_is_named(png: Path) -> None:
    write_png(png, np.dstack([GREY] * 3))
    with pytest.raises(DataError, match="no band 5, the file has 3"):
        read_picture(png, "PNG", [1, 5, 7], labels=False)


def test_a_second_header_is_refused(tmp_path: Path) -> None:
    path, first = tmp_path / "a.png", header(8, 8, 8, 0)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    whole = path.read_bytes()
    assert whole[8 : 8 + len(first)] == first
    path.write_bytes(whole[: 8 + len(first)] + header(40_000, 40_000, 8, 6) + whole[8 + len(first) :])
    with pytest.raises(DataError, match="two headers|over the budget"):
        read_picture(path, "PNG", None, False)


def test_a_jpeg_of_endless_scans_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-2] + b"\xff\xda\0\2" * 200 + b"\xff\xd9")
    with pytest.raises(DataError, match="is stored in 201 scans, more than 100"):
        inspect_picture(path, "JPEG", None, False)
