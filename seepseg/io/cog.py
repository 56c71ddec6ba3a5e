"""Maps: class and probability rasters written row by row as cloud-optimised GeoTIFFs, complete or absent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window

from seepseg.classes import IGNORE
from seepseg.errors import ConfigError, DataError, ResourceError
from seepseg.io.atomic import atomic_path, said_of, unwritten
from seepseg.io.raster import Georeference, copy_raster, create_raster, gdal, reason
from seepseg.io.tiff import inspect_tiff

BLOCK = 256
ROOM = 2**14
"""Bytes that a raster takes besides its pixels, some when it is closed."""
OVERVIEWS_FROM = 512
"""A raster with a longer side than this gets overviews; a smaller one is read at once."""


@dataclass(frozen=True)
class Layout:
    """What a raster holds: bands and number format, no-data value, metadata.

    Attributes:
        count, dtype, nodata: bands, numpy's name of their type, no-data value.
        tags: metadata; nothing that changes from run to run.
        names: descriptions of the bands.
        colors: index → RGBA, the colour table of a one-band uint8 raster.
        resampling: how GDAL makes overviews; None where they are made here, of the most common of 2 × 2 pixels.
        late: metadata that is known when the last row is there.
    """

    count: int
    dtype: str
    nodata: float | None
    tags: Mapping[str, str]
    names: tuple[str, ...] = ()
    colors: Mapping[int, tuple[int, int, int, int]] | None = None
    resampling: str | None = "NEAREST"
    late: dict[str, str] = field(default_factory=dict)


def class_layout(names: Sequence[str], colors: NDArray[np.uint8], tags: Mapping[str, str]) -> Layout:
    """The layout of class rasters: uint8 indices, 255 = no data; tags CLASS_0 … CLASS_K−1 hold the K names.

    Overviews take the most common class of the pixels they represent, of 2 × 2 at each level.

    Args:
        names: K class names, background first.
        colors: (K, 3) RGB.
        tags: further metadata.
    """
    table = {i: (int(r), int(g), int(b), 255) for i, (r, g, b) in enumerate(colors)} | {IGNORE: (0, 0, 0, 0)}
    all_tags = {f"CLASS_{i}": name for i, name in enumerate(names)} | dict(tags)
    return Layout(1, "uint8", IGNORE, all_tags, ("class",), table, None)


def probability_layout(names: Sequence[str], tags: Mapping[str, str]) -> Layout:
    """The layout of probability rasters: float32, one band per class, NaN = no data; overviews are means."""
    return Layout(len(names), "float32", float("nan"), tags, tuple(names), resampling="AVERAGE")


def uncertainty_layout(tags: Mapping[str, str]) -> Layout:
    """The layout of uncertainty rasters: uint8, 0 = sure … 254 = all classes equal, 255 = no data."""
    return Layout(1, "uint8", IGNORE, tags, ("uncertainty",), resampling="AVERAGE")


class RowWriter:
    """A raster being written from the first row to the last, and the one of half its size, if there is one."""

    def __init__(self, target: Any, layout: Layout, path: Path, half: RowWriter | None = None) -> None:
        """On an open raster that becomes the file at `path`."""
        self._target, self._layout, self._path, self._half = target, layout, path, half
        self._waiting: list[NDArray[Any]] = []
        self._rows, self._written = 0, 0

    def write(self, rows: NDArray[Any]) -> None:
        """Append rows (C, n, W), or (n, W) for one band."""
        rows = rows[None] if rows.ndim == 2 else rows
        assert rows.dtype == self._layout.dtype and len(rows) == self._layout.count, (rows.dtype, rows.shape)
        self._waiting.append(rows)
        self._rows += rows.shape[1]
        # Only whole blocks are written: GDAL would compress a half-filled one twice.
        if self._rows >= BLOCK:
            self._flush(self._rows // BLOCK * BLOCK)

    def finish(self) -> None:
        """Write the rows of the last, incomplete block."""
        if self._rows:
            self._flush(self._rows)
        assert self._written == self._target.height, "rows are missing"
        if self._layout.late:  # even none of them would move the header behind the pixels
            self._target.update_tags(**self._layout.late)
        if self._half:
            self._half.finish()

    def _flush(self, count: int) -> None:
        rows = np.concatenate(self._waiting, axis=1)
        _need_room(self._path, rows.nbytes)
        with gdal():  # of this thread, or what fails is printed
            self._target.write(rows[:, :count], window=Window(0, self._written, rows.shape[2], count))
        self._written += count
        if self._half:
            self._half.write(halved(rows[0, :count]))
        self._waiting, self._rows = [rows[:, count:].copy()], self._rows - count


def halved(classes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The most common class index of each 2 × 2 pixels of (n, W), the highest of several; 255 only where all four are.

    A slick one pixel wide covers two of four pixels, and so stays.
    """
    even = np.pad(classes, [(0, size % 2) for size in classes.shape], constant_values=IGNORE)
    a, b, c, d = (np.ascontiguousarray(even[i::2, j::2]) for i in (0, 1) for j in (0, 1))
    low, high = np.minimum(a, b), np.maximum(a, b)
    lower, higher = np.minimum(c, d), np.maximum(c, d)
    first, last = np.minimum(low, lower), np.maximum(high, higher)
    between = np.maximum(low, lower), np.minimum(high, higher)
    second, third = np.minimum(*between), np.maximum(*between)
    # In ascending order, 255 last: two that are equal stand side by side.
    highest = np.where(last < IGNORE, last, np.where(third < IGNORE, third, second))
    pair = np.where((third == last) & (third < IGNORE), third, np.where(first == second, first, highest))
    return np.where((second == third) & (third < IGNORE), second, np.where(second == IGNORE, first, pair))


@contextmanager
def row_writer(
    path: Path, georeference: Georeference, height: int, width: int, layout: Layout, *, cog: bool = True
) -> Iterator[RowWriter]:
    """A raster to write row by row; it is in place, as a cloud-optimised GeoTIFF, when the block ends well.

    Args:
        path: the file to write.
        georeference: what the scene's has.
        height, width: its size.
        layout: what it holds.
        cog: False leaves a plain tiled GeoTIFF, without overviews.

    Raises:
        ConfigError: not writable.
        ResourceError: the disk is full, or fails.
    """
    with ExitStack() as stack:
        done = stack.enter_context(atomic_path(path))
        _need_room(path)
        # The overviews of a raster are files beside it.
        stack.enter_context(gdal(GDAL_DISABLE_READDIR_ON_OPEN="FALSE"))
        stack.enter_context(_as_write_error(path))
        large = cog and max(height, width) > OVERVIEWS_FROM
        plain = done.with_name(f"{done.stem}-rows{done.suffix}") if large else done
        with ExitStack() as targets:
            by_hand = large and not layout.resampling
            levels = list(_levels(plain, height, width)) if by_hand else [(plain, height, width)]
            writer = None
            for name, rows, columns in reversed(levels):
                if large:
                    stack.callback(name.unlink, missing_ok=True)
                own = georeference if name == plain else Georeference()
                target = targets.enter_context(_created(name, own, rows, columns, layout, scratch=large or not cog))
                writer = RowWriter(target, layout, path, writer)
            assert writer
            yield writer
            writer.finish()
        for name, *_ in levels:
            _check(name, path, layout)
        if large:
            _need_room(path, 4 * plain.stat().st_size // 3)
            copy_raster(
                plain,
                done,
                compress="DEFLATE",
                level=1,
                predictor="FLOATING_POINT" if layout.dtype == "float32" else "NO",
                overviews="AUTO" if layout.resampling else "FORCE_USE_EXISTING",
                overview_resampling=layout.resampling or "NEAREST",
                bigtiff="IF_SAFER",
                num_threads="ALL_CPUS",
            )
            _check(done, path, layout)


def _levels(plain: Path, height: int, width: int) -> Iterator[tuple[Path, int, int]]:
    """Files and sizes of a raster and its overviews: to GDAL, `x.ovr` is x at half its size."""
    while True:
        yield plain, height, width
        if max(height, width) <= OVERVIEWS_FROM:
            return
        plain, height, width = plain.with_name(f"{plain.name}.ovr"), -(-height // 2), -(-width // 2)


@contextmanager
def _created(
    path: Path, georeference: Georeference, height: int, width: int, layout: Layout, scratch: bool
) -> Iterator[Any]:
    place: dict[str, Any] = {}
    if georeference.crs_wkt:
        place["crs"] = CRS.from_wkt(georeference.crs_wkt)
    if georeference.transform:
        place["transform"] = Affine(*georeference.transform)
    with create_raster(
        path,
        count=layout.count,
        dtype=layout.dtype,
        nodata=layout.nodata,
        height=height,
        width=width,
        tiled=True,
        blockxsize=BLOCK,
        blockysize=BLOCK,
        # What is only read again here need not be readable everywhere: zstd is several times as fast.
        **{"compress": "zstd", "zstd_level": 1} if scratch else {"compress": "deflate", "zlevel": 1},
        predictor=3 if layout.dtype == "float32" else 1,
        interleave="band",
        bigtiff="IF_SAFER",
        **place,
    ) as target:
        # A TIFF holds a transform or control points. AREA_OR_POINT is never written: GDAL has already moved what it
        # read to pixel corners, and "Point" would move control points again at every copy (measured).
        if georeference.gcps and not georeference.transform:
            points = [GroundControlPoint(*point) for point in georeference.gcps]
            wkt = georeference.gcps_crs_wkt
            target.gcps = (points, CRS.from_wkt(wkt) if wkt else CRS())
        if georeference.rpcs:
            target.update_tags(ns="RPC", **georeference.rpcs)
        # The colour table decides how the file is laid out, so it comes before the pixels.
        if layout.colors:
            target.write_colormap(1, dict(layout.colors))
        if layout.names:
            target.descriptions = layout.names
        target.update_tags(**{**_carried(georeference.tags), **layout.tags})
        yield target


def _carried(tags: Mapping[str, str]) -> dict[str, str]:
    """The scene's own metadata, without what describes its pixels or would move its points."""
    others = ("AREA_OR_POINT", "TIFFTAG_", "STATISTICS_", "SEEPSEG_", "CLASS_")
    return {key: value for key, value in tags.items() if not key.startswith(others)}


@contextmanager
def _as_write_error(path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeEncodeError:
        raise ConfigError("the name is not valid UTF-8", path, "choose another name") from None
    except RasterioError as error:
        raise unwritten(path, reason(error)) from None


def _need_room(path: Path, size: int = 0) -> None:
    """Raise ResourceError where the disk has no room for `size` bytes of pixels."""
    # libtiff itself prints that a write fails, also while what was begun is closed.
    free, needed = shutil.disk_usage(path.parent).free, size + ROOM
    if free < needed:
        what = f"the disk has {free / 2**20:.2f} MiB left, {needed / 2**20:.2f} are needed"
        raise ResourceError(what, said_of(path), "free some space, then run again")


def _check(written: Path, path: Path, layout: Layout) -> None:
    """Make sure a file is whole: GDAL does not always report a write that failed while closing."""
    try:
        inspect_tiff(written, bands=range(1, layout.count + 1), max_pixels=2**62, labels=True)
    except DataError as error:
        what = f"was not written whole ({error.what})"
        raise ResourceError(what, path, "check the free space, then run again") from None
