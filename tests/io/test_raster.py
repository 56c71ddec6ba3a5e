"""Rasters: what a scene says about its place comes back unchanged, and a file is whole or absent."""

import hashlib
import os
import resource
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import Affine

from seepseg.classes import SEEP
from seepseg.errors import ConfigError, DataError, ResourceError
from seepseg.geo.mask import open_mask
from seepseg.io.cog import class_layout, probability_layout, row_writer
from seepseg.io.image import open_image, read_image
from seepseg.io.raster import Georeference, gdal, raster_header, raster_rows, thinned
from tests.network import listening

RNG = np.random.default_rng(0)
INDICES = RNG.integers(0, 8, (300, 270), np.uint8)
INDICES[:5] = 255
NORTH_UP = (30.0, 0.0, 500000.5, 0.0, -30.0, 3000000.25)
POINTS = (
    (0.0, 0.0, -90.125, 28.5, 0.0),
    (0.0, 270.0, -90.0, 28.5, 1.5),
    (300.0, 270.0, -90.0, 28.25, 0.0),
    (300.0, 0.0, -90.125, 28.25, 0.0),
    (150.5, 135.25, -90.0625, 28.375, 0.0),
)
RPCS = {
    "ERR_BIAS": "-1",
    "ERR_RAND": "-1",
    "HEIGHT_OFF": "12.5",
    "HEIGHT_SCALE": "501",
    "LAT_OFF": "28.123456789",
    "LAT_SCALE": "0.1",
    "LINE_OFF": "3000",
    "LINE_SCALE": "3000",
    "LONG_OFF": "-88",
    "LONG_SCALE": "0.2",
    "SAMP_OFF": "4000",
    "SAMP_SCALE": "4000",
} | {
    f"{axis}_{part}_COEFF": " ".join(str(i / 8) for i in range(20))
    for axis in ("LINE", "SAMP")
    for part in ("NUM", "DEN")
}


def _scene(
    path: Path, pixels: NDArray[Any], gcps: Any = None, tags: dict[str, str] | None = None, **profile: Any
) -> None:
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=len(pixels),
            height=pixels.shape[1],
            width=pixels.shape[2],
            dtype=pixels.dtype.name,
            **profile,
        ) as target:
            if gcps:
                target.gcps = gcps
            target.update_tags(**tags or {})
            target.write(pixels)


def read_scene(path: Path, **options: Any) -> tuple[NDArray[Any], Georeference, float | None]:
    """Pixels, whether an image's or labels, place and no-data value."""
    with open_image(path, labels=True, **options) as image:
        return image.rows(0, image.height).raw, image.georeference, image.nodata


def _write(path: Path, place: Georeference, indices: NDArray[Any] = INDICES) -> None:
    with row_writer(path, place, *indices.shape, class_layout(SEEP.names, SEEP.colors, {"MODEL": "abc"})) as writer:
        writer.write(indices)


@pytest.mark.parametrize(
    "transform",
    [
        NORTH_UP,
        (30.0, 0.0, 500000.5, 0.0, 30.0, 3000000.25),
        (0.1, 0.02, 1.0, 0.03, -0.1, 2.0),
    ],
    ids=["north-up", "south-up", "rotated"],
)
@pytest.mark.parametrize("area", ["Area", "Point"])
def test_transform_survives(tmp_path: Path, transform: tuple[float, ...], area: str) -> None:
    _scene(tmp_path / "s.tif", INDICES, crs="EPSG:32616", transform=Affine(*transform), tags={"AREA_OR_POINT": area})
    pixels, place, nodata = read_scene(tmp_path / "s.tif")
    assert np.array_equal(pixels, INDICES[None])
    assert place.transform == transform
    assert CRS.from_wkt(place.crs_wkt).to_epsg() == 32616
    assert nodata is None
    _write(tmp_path / "c.tif", place)
    _, again, _ = read_scene(tmp_path / "c.tif")
    assert (again.transform, again.crs_wkt, again.gcps) == (place.transform, place.crs_wkt, ())
    assert CRS.from_wkt(again.crs_wkt) == CRS.from_epsg(32616)


@pytest.mark.parametrize("count", [3, 4, 5])
@pytest.mark.parametrize("area", ["Area", "Point"])
@pytest.mark.parametrize("crs", ["EPSG:4326", None])
def test_control_points_survive(tmp_path: Path, count: int, area: str, crs: str | None) -> None:
    points = [GroundControlPoint(*p) for p in POINTS[:count]]
    _scene(tmp_path / "s.tif", INDICES, (points, CRS.from_string(crs) if crs else CRS()), {"AREA_OR_POINT": area})
    _, place, _ = read_scene(tmp_path / "s.tif")
    assert len(place.gcps) == count
    assert place.transform is None
    assert place.crs_wkt is None
    if area == "Area":
        assert place.gcps == POINTS[:count]
    assert (place.gcps_crs_wkt is None) == (crs is None)
    _write(tmp_path / "c.tif", place)
    _, again, _ = read_scene(tmp_path / "c.tif")
    assert (again.gcps, again.gcps_crs_wkt, again.transform) == (place.gcps, place.gcps_crs_wkt, None)


def test_rpcs_survive(tmp_path: Path) -> None:
    _write(tmp_path / "a.tif", Georeference(rpcs=RPCS))
    _, place, _ = read_scene(tmp_path / "a.tif")
    assert {k: [float(v) for v in text.split()] for k, text in place.rpcs.items()} == {
        k: [float(v) for v in text.split()] for k, text in RPCS.items()
    }
    assert place.transform is None
    _write(tmp_path / "b.tif", place)
    assert read_scene(tmp_path / "b.tif")[1].rpcs == place.rpcs
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "b.tif"]  # no side files


def test_nowhere_stays_nowhere(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    tifffile.imwrite(tmp_path / "s.tif", INDICES)
    _, place, _ = read_scene(tmp_path / "s.tif")
    _write(tmp_path / "c.tif", place)
    _, again, _ = read_scene(tmp_path / "c.tif")
    for georeference in (place, again):
        assert (georeference.crs_wkt, georeference.transform, georeference.gcps, georeference.rpcs) == (
            None,
            None,
            (),
            {},
        )
    assert not recwarn.list


def test_class_raster(tmp_path: Path) -> None:
    _write(tmp_path / "deep/c.tif", Georeference(transform=NORTH_UP))
    with rasterio.open(tmp_path / "deep/c.tif") as source:
        assert np.array_equal(source.read(1), INDICES)
        assert source.nodata == 255
        assert source.block_shapes == [(256, 256)]
        assert source.compression.name == "deflate"
        assert source.tags()["CLASS_0"] == "background"
        assert source.tags()["CLASS_7"] == "seep 7"
        assert source.tags()["MODEL"] == "abc"
        assert source.colormap(1)[1] == (0xE6, 0x9F, 0x00, 255)
        assert not any("DATE" in key for key in source.tags())
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["c.tif"]


@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (256, 256)])
def test_any_size_same_bytes_twice(tmp_path: Path, shape: tuple[int, int]) -> None:
    indices = RNG.integers(0, 8, shape, np.uint8)
    for name in ("a.tif", "b.tif"):
        _write(tmp_path / name, Georeference(transform=NORTH_UP), indices)
    a, b = ((tmp_path / n).read_bytes() for n in ("a.tif", "b.tif"))
    assert hashlib.sha256(a).digest() == hashlib.sha256(b).digest()
    assert np.array_equal(read_scene(tmp_path / "a.tif")[0][0], indices)


def test_probability_raster(tmp_path: Path) -> None:
    probabilities = RNG.random((3, 40, 50), np.float32)
    probabilities[:, 0, 0] = np.nan
    layout = probability_layout(("a", "b", "c"), {"MODEL": "abc"})
    place = Georeference(transform=NORTH_UP)
    with row_writer(tmp_path / "p.tif", place, *probabilities.shape[1:], layout) as writer:
        writer.write(probabilities)
    pixels, place, nodata = read_scene(tmp_path / "p.tif", bands=[1, 2, 3])
    assert np.array_equal(pixels, probabilities, equal_nan=True)
    assert nodata is not None
    assert np.isnan(nodata)
    assert place.transform == NORTH_UP
    with rasterio.open(tmp_path / "p.tif") as source:
        assert source.descriptions == ("a", "b", "c")
        assert source.tags()["MODEL"] == "abc"
        assert source.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "3"


def test_bands_and_pages(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 65536, (3, 40, 50), np.uint16)
    _scene(tmp_path / "s.tif", pixels, nodata=0, tags={"MISSION": "S1"})
    read, place, nodata = read_scene(tmp_path / "s.tif", bands=[3, 1])
    assert np.array_equal(read, pixels[[2, 0]])
    assert nodata == 0
    assert place.tags["MISSION"] == "S1"
    with pytest.raises(DataError, match="holds 3 bands"):
        read_scene(tmp_path / "s.tif")
    with tifffile.TiffWriter(tmp_path / "a?#&.tif") as writer:
        for page in pixels:
            writer.write(page, contiguous=False)
    assert np.array_equal(read_scene(tmp_path / "a?#&.tif", page=1)[0][0], pixels[1])
    assert np.array_equal(read_scene(tmp_path / "a?#&.tif", page=0)[0][0], pixels[0])


def test_overviews_are_no_pages(tmp_path: Path) -> None:
    _scene(tmp_path / "s.tif", INDICES, tiled=True, blockxsize=64, blockysize=64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(tmp_path / "s.tif", "r+") as target:
            target.build_overviews([2, 4])
    assert np.array_equal(read_scene(tmp_path / "s.tif")[0][0], INDICES)


def test_cut_short(tmp_path: Path) -> None:
    _scene(tmp_path / "s.tif", RNG.integers(0, 65536, (64, 64), np.uint16), blockysize=1)
    content = (tmp_path / "s.tif").read_bytes()
    for length in range(0, len(content), 97):
        (tmp_path / "s.tif").write_bytes(content[:length])
        with pytest.raises(DataError):
            read_scene(tmp_path / "s.tif")


def test_damaged_stream_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _scene(tmp_path / "s.tif", INDICES, compress="deflate")
    content = bytearray((tmp_path / "s.tif").read_bytes())
    content[-500:-400] = bytes(100)
    (tmp_path / "s.tif").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_scene(tmp_path / "s.tif")
    assert caught.value.what.startswith("is damaged (")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_names(tmp_path: Path) -> None:
    for name in ("a b.tif", "a\nb.tif", "\U0001f30a.tif"):
        _write(tmp_path / name, Georeference())
        assert np.array_equal(read_scene(tmp_path / name)[0][0], INDICES)
    bad = tmp_path / os.fsdecode(b"\xff.tif")
    tifffile.imwrite(bad, INDICES)
    with pytest.raises(DataError, match="the name is not valid UTF-8"):
        read_scene(bad)
    _write(tmp_path / os.fsdecode(b"\xfe.tif"), Georeference())  # GDAL sees the temporary name only
    with pytest.raises(ConfigError, match="the name is not valid UTF-8"):
        _write(tmp_path / os.fsdecode(b"\xff/a.tif"), Georeference())


@contextmanager
def _files_up_to(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # Python ignores SIGXFSZ, so writes fail with EFBIG
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("limit", [100, 20000])
def test_full_disk_leaves_nothing(tmp_path: Path, limit: int) -> None:
    noise = RNG.integers(0, 8, (512, 512), np.uint8)
    with pytest.raises(ResourceError) as caught, _files_up_to(limit):
        _write(tmp_path / "c.tif", Georeference(transform=NORTH_UP), noise)
    assert caught.value.exit_code == 5
    assert caught.value.where == str(tmp_path / "c.tif")
    assert list(tmp_path.iterdir()) == []


def test_a_copy_that_will_not_fit_is_refused_before_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Noise is as large on disk: rows of 512 · 600 bytes find room, a copy of 600 · 600 with overviews does not.
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=400_000))
    with pytest.raises(ResourceError, match=r"the disk has 0\.38 MiB left, 0\.48 are needed in .*c\.tif"):
        _write(tmp_path / "c.tif", Georeference(), RNG.integers(0, 255, (600, 600), np.uint8))
    assert list(tmp_path.iterdir()) == []
    _write(tmp_path / "small.tif", Georeference())  # no overviews, so no copy


def test_a_full_disk_is_one_line_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """libtiff prints lines of its own where a write fails, so rows are not given to it."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    for name in ("c.tif", ".seepseg-0123.tif"):
        with pytest.raises(ResourceError, match=r"the disk has 0\.00 MiB left") as caught:
            _write(tmp_path / name, Georeference())
        assert caught.value.where == str(tmp_path / "c.tif" if name == "c.tif" else tmp_path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kib", [4, 80, 400])
def test_on_a_small_disk_libtiff_prints_nothing(
    small_disk: Callable[[int], Path], capfd: pytest.CaptureFixture[str], kib: int
) -> None:
    """Full before, in the first rows, and in later ones: closing what was begun needs room too."""

    def write(path: Path) -> None:
        noise = RNG.integers(0, 255, (1200, 600), np.uint8)
        with row_writer(path, Georeference(), *noise.shape, class_layout(SEEP.names, SEEP.colors, {})) as writer:
            for top in range(0, 1200, 200):
                writer.write(noise[top : top + 200])

    disk = small_disk(kib)
    with pytest.raises(ResourceError, match="left, "):
        write(disk / "c.tif")
    assert list(disk.iterdir()) == []
    write(small_disk(4000) / "c.tif")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "place", [Georeference(), Georeference(crs_wkt=CRS.from_epsg(32616).to_wkt(), transform=NORTH_UP)]
)
@pytest.mark.parametrize("shape", [(700, 900), (40, 50)])
def test_rio_cogeo_finds_maps_valid(tmp_path: Path, place: Georeference, shape: tuple[int, int]) -> None:
    cogeo = pytest.importorskip("rio_cogeo.cogeo")
    _write(tmp_path / "c.tif", place, RNG.integers(0, 8, shape).astype(np.uint8))
    valid, errors, warnings = cogeo.cog_validate(tmp_path / "c.tif", strict=True, quiet=True)
    assert (valid, errors, warnings) == (True, [], [])


def test_a_thread_that_has_read_its_file_gives_no_other_thread_gdals_warnings(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "placeless.tif", np.zeros((8, 8), np.uint8))
    # The other thread begins first and ends first, while this one still reads; a warning is an error in tests.
    with ThreadPoolExecutor(1) as other:
        theirs = gdal()
        other.submit(theirs.__enter__).result()
        with gdal():
            other.submit(theirs.__exit__, None, None, None).result()
            rasterio.open(tmp_path / "placeless.tif").close()


@pytest.mark.parametrize(("heights", "expected"), [(3, [3, 3, 1]), (7, [7]), (100, [7]), ([1, 4, 2], [1, 4, 2])])
def test_strips_are_the_raster_cut(tmp_path: Path, heights: int | list[int], expected: list[int]) -> None:
    pixels = np.arange(7 * 5, dtype=np.uint8).reshape(7, 5)
    tifffile.imwrite(tmp_path / "a.tif", pixels)
    strips = list(raster_rows(tmp_path / "a.tif", heights))
    assert [len(s) for s in strips] == expected
    assert np.array_equal(np.concatenate(strips), pixels)


VIRTUAL = (
    '<VRTDataset rasterXSize="600" rasterYSize="600"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
    "<SourceFilename>/vsicurl/{}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
)


def read_every_way(path: Path) -> Iterator[Any]:
    yield read_image(path)
    with open_image(path) as image:
        yield image.rows(0, 9)
    with open_image(path) as image, open_mask(path, image) as rows:
        yield rows(0, 9)
    yield thinned(path, 4)
    yield raster_header(path)


@pytest.mark.parametrize("name", ["s.tif.ovr", "s.ovr", "s.tif.vrt", "s.tif.aux.xml", "s.tfw", "s.tab", "s_RPC.TXT"])
def test_a_virtual_file_beside_a_raster_reaches_no_network(tmp_path: Path, name: str) -> None:
    path, place = tmp_path / "s.tif", Affine(10, 0, 500_000, 0, -10, 3_000_000)
    profile = {"height": 600, "width": 600, "count": 1, "dtype": "uint8", "crs": "EPSG:32616", "transform": place}
    with gdal(), rasterio.open(path, "w", driver="GTiff", **profile) as target:
        target.write(np.ones((600, 600), np.uint8), 1)
    with listening() as listener:
        (tmp_path / name).write_text(VIRTUAL.format(listener.address))
        assert len(list(read_every_way(path))) == 5
    assert not listener.calls


@pytest.mark.parametrize("content", [VIRTUAL, "II*\0" + VIRTUAL, "\x89PNG" + VIRTUAL])
def test_a_virtual_raster_by_any_name_reaches_no_network(tmp_path: Path, content: str) -> None:
    with listening() as listener:
        for name in ("v.tif", "v.png", "v.vrt"):
            (tmp_path / name).write_text(content.format(listener.address))
            for read in (
                read_image,
                raster_header,
                lambda path: thinned(path, 4),
                lambda path: next(raster_rows(path, 9)),
            ):
                with pytest.raises((DataError, RasterioError)):
                    read(tmp_path / name)
    assert not listener.calls


def test_a_world_file_that_is_a_pipe_keeps_nobody_waiting(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "s.tif", np.ones((9, 9), np.uint8))
    os.mkfifo(tmp_path / "s.tfw")
    with pytest.raises(DataError, match="is a pipe or device"), open_image(tmp_path / "s.tif"):
        pass
