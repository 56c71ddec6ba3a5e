"""What a TIFF says of itself, checked before anything decodes it: a broken file is an error, never an array.

GDAL fills missing strips with zeros and says nothing; tifffile follows cyclic directories. So the directories are
walked here, and what they promise is checked against the size of the file and a budget before GDAL reads a pixel.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from seepseg.bands import Bands, numbered
from seepseg.errors import DataError
from seepseg.io.files import MAX_PIXELS, open_regular
from seepseg.io.ifd import MASK, REDUCED, Directory, walk
from seepseg.io.pam import nodata_value, refuse_scaling, tag_descriptions, tag_scaling
from seepseg.io.raster import as_data_error, quiet
from seepseg.io.segments import DEFLATE, NONE, OLD_DEFLATE, check_segments

DTYPES = ("uint8", "uint16", "int16", "float32")
MAX_BANDS = 1024
_HEAD, _LAST = 2048, dict[bool, tuple[object, bytes, "TiffInfo"]]()
"""Tiles of a data set mostly begin alike: the last sound header of images and that of masks, no longer than this."""

_JPEG = 7
# With LZW, packbits, LZMA and zstd: their decoders write no more bytes than requested; others could be bombs.
_CODECS = (NONE, 5, _JPEG, DEFLATE, 32773, 34925, OLD_DEFLATE, 34926, 50000)
_PHOTOMETRIC, _ORIENTATION, _METADATA, _NODATA = 262, 274, 42112, 42113
_ALPHA = (1, 2)
_RGB, _PALETTE = 2, 3
# Photometric interpretations that are no measurement. RGB is not among them: many writers call any three bands that.
_REFUSED = {0: "stored inverted (0 is white)", 4: "a mask", 5: "CMYK colours", 6: "YCbCr colours", 8: "CIE Lab colours"}


@dataclass(frozen=True)
class TiffInfo:
    """What the header of a TIFF says of the chosen image.

    Attributes:
        height, width, dtype: of every page chosen.
        nodata: value of the tag GDAL_NODATA; None without it, or where no pixel of this dtype can equal it.
        pages: 0-based directories that hold the bands: one for all, or one for each.
        bands: 1-based samples of a page that are the bands wanted; all 1 where each has a page.
        alpha: 1-based samples that are alpha.
        mask: 0-based directory of the mask, or None.
        block: rows of a strip or tile.
        start: byte at which the pixels of one band lie as they are in memory, row after row; None where they do not.
    """

    height: int
    width: int
    dtype: np.dtype[Any]
    nodata: float | None = None
    pages: tuple[int, ...] = (0,)
    bands: tuple[int, ...] = (1,)
    alpha: tuple[int, ...] = ()
    mask: int | None = None
    block: int = field(default=1, compare=False)
    start: int | None = field(default=None, compare=False)


def inspect_tiff(
    path: Path,
    page: int | None = None,
    bands: Bands | None = None,
    *,
    described: Mapping[int, str] | None = None,
    max_pixels: int = MAX_PIXELS,
    labels: bool = False,
    mask: bool = False,
    verify: bool = False,
) -> TiffInfo:
    """What the header says, once it is known to be sound: no pixel is decoded.

    Args:
        path, page, bands, max_pixels, labels: as in `image.Choice`.
        described: what an `.aux.xml` calls the bands, which goes before what the file does.
        mask: the file is the mask of another one: bits will do.
        verify: check the sums in deflate streams too, which GDAL does not; that takes inflating them once.

    Raises:
        DataError: whatever is wrong with the file.
    """
    quiet("tifffile")
    with open_regular(path) as stream, as_data_error(path, Exception):
        size, head = os.fstat(stream.fileno()).st_size, stream.read(_HEAD)
        asked = size, page, bands and tuple(bands), described, max_pixels, mask
        if (last := _LAST.get(labels)) and last[0] == asked and head.startswith(last[1]):
            return last[2]
        directories = walk(path, stream, size)
        stream.seek(0)
        # Vendors' dialects reinterpret offsets and bits; plain TIFF is read as it is written.
        with tifffile.TiffFile(stream, name=path.name, is_ndpi=False, is_lsm=False, is_scanimage=False) as tiff:
            header = _Header(path, tiff, directories, size, max_pixels, verify, described or {})
            info = header.mask_info(0) if mask else header.image_info(page, bands, labels)
        if info.start is not None and len(directories) == 1 and directories[0].end <= _HEAD:
            _LAST[labels] = asked, head[: directories[0].end], info  # it follows from these alone: no data are checked
        return info


@dataclass(frozen=True)
class _Header:
    """An open file while its directories are checked."""

    path: Path
    tiff: tifffile.TiffFile
    directories: Sequence[Directory]
    size: int
    max_pixels: int
    verify: bool
    described: Mapping[int, str]

    def image_info(self, page: int | None, bands: Bands | None, labels: bool) -> TiffInfo:
        """The image of one directory, or of one directory for each band."""
        images = [i for i, d in enumerate(self.directories) if not d.subfile & (REDUCED | MASK)] or [0]
        if page is None and len(images) > 1:
            return self._bands_as_pages(images, bands, labels)
        if page is not None and not 0 <= page < len(self.directories):
            raise self._error(f"no page {page}, the file has {len(self.directories)}", "set data.page (the first is 0)")
        chosen = images[0] if page is None else page
        info = self._page_info(chosen, labels)
        count, alpha = len(info.bands), " and alpha" if info.alpha else ""
        if not count:
            raise self._error("holds nothing but alpha", "save the bands you need")
        colours = self._page(chosen).tags.valueof(_PHOTOMETRIC, 1) == _RGB
        if colours and not bands:
            fix = "save the radar's own band, or choose one with data.bands, for example data.bands=[1]"
            raise self._error(f"is a picture in colours (RGB{alpha})", fix)
        described = {**self._descriptions(chosen), **self.described}
        numbers = numbered(bands or (), count, described, self.path, colours=colours, alpha=bool(alpha))
        if wrong := [b for b in numbers if not 1 <= b <= count]:
            what, fix = f"the file has {count}{alpha}", "set data.bands (the first is 1)"
            if len(images) > 1:
                what, fix = f"page {page} has {count}{alpha}", "leave out data.page where the pages are the bands"
            raise self._error(f"no band {wrong[0]}, {what}", fix)
        if not numbers and count > 1:
            fix = "choose with data.bands (the first is 1), for example data.bands=[1]"
            raise self._error(f"holds {count} bands{alpha}", fix)
        samples = tuple(info.bands[b - 1] for b in numbers or (1,))
        self._refuse_scaling(chosen, samples)
        return replace(info, bands=samples, mask=self._mask_of(chosen, info))

    def mask_info(self, index: int) -> TiffInfo:
        """A directory that is the mask of an image, of 1 or 8 bits."""
        image = self._page(index)
        height, width, _ = self._size_of(image)
        if image.bitspersample not in (1, 8):
            raise self._error(f"its mask has {image.bitspersample} bits", "save it with a mask of 1 or 8")
        self._check_codec(image, np.dtype(np.uint8))
        self._segments(image, nodata=0)
        return TiffInfo(height, width, np.dtype(np.uint8))

    def _bands_as_pages(self, images: Sequence[int], bands: Bands | None, labels: bool) -> TiffInfo:
        """Pages of one size and type as the bands of one image, as tifffile writes (bands, height, width)."""
        n = len(images)
        choice = "choose one with data.page (the first is 0)"
        if not bands:
            fix = f"{choice}, or pages that are bands with data.bands, for example data.bands=[1, 2]"
            raise self._error(f"holds {n} pages", fix)
        if n < len(self.directories) or n > MAX_BANDS:
            raise self._error(f"holds {n} pages with overviews or masks, which are no bands", choice)
        described = {k: text for k, i in enumerate(images, 1) if (text := self._descriptions(i).get(1))}
        numbers = numbered(bands, n, {**described, **self.described}, self.path)
        if wrong := [b for b in numbers if not 1 <= b <= n]:
            raise self._error(f"no band {wrong[0]}, the file has {n} pages", "set data.bands (the first is 1)")
        infos = [self._page_info(i, labels) for i in images]
        if any(replace(info, pages=(0,)) != replace(infos[0], pages=(0,)) for info in infos) or infos[0].bands != (1,):
            raise self._error(f"holds {n} pages that differ in size, type or no-data value, or have bands", choice)
        chosen = tuple(images[b - 1] for b in numbers)
        for index in chosen:
            self._refuse_scaling(index, (1,))
        return replace(infos[0], pages=chosen, bands=(1,) * len(chosen), start=None)

    def _page(self, index: int) -> tifffile.TiffPage:
        directory = self.directories[index]
        if directory.end > self.size:
            raise self._error("a tag lies past the end of the file", "it was cut short: copy it again")
        if index == 0:
            return self.tiff.pages.first
        # Straight to the directory: tifffile's own walk may go round in circles.
        self.tiff.filehandle.seek(directory.offset)
        return tifffile.TiffPage(self.tiff, index)

    def _page_info(self, index: int, labels: bool) -> TiffInfo:
        """One directory's facts, with all samples but alpha, after every check that needs no decoding."""
        image = self._page(index)
        height, width, count = self._size_of(image)
        dtype = self._dtype(image, labels)
        colours = image.tags.valueof(_PHOTOMETRIC, 1)
        if colours in _REFUSED or (colours == _PALETTE and not labels):
            what = _REFUSED.get(colours, "a palette of colours")
            raise self._error(f"its pixels are {what}, no measurement", "save it as grey levels")
        if (orientation := image.tags.valueof(_ORIENTATION, 1)) != 1:
            raise self._error(f"is stored turned or mirrored (orientation {orientation})", "save it upright")
        self._check_codec(image, dtype)
        nodata = nodata_value(image.tags.valueof(_NODATA), dtype)
        start = self._segments(image, nodata)
        if image.bitspersample != 8 * dtype.itemsize or not dtype.newbyteorder(self.tiff.byteorder).isnative:
            start = None
        extra = enumerate(image.extrasamples, count - len(image.extrasamples) + 1)
        alpha = tuple(sample for sample, kind in extra if kind in _ALPHA and sample > 0)
        samples = tuple(s for s in range(1, count + 1) if s not in alpha)
        block = image.tilelength if image.is_tiled else image.rowsperstrip
        return TiffInfo(height, width, dtype, nodata, (index,), samples, alpha, block=block, start=start)

    def _mask_of(self, index: int, info: TiffInfo) -> int | None:
        """The mask among the directories between an image and the next image."""
        for following in range(index + 1, len(self.directories)):
            kind = self.directories[following].subfile & (REDUCED | MASK)
            if kind == MASK:
                mask = self.mask_info(following)
                if (mask.height, mask.width) != (info.height, info.width):
                    size = f"{mask.height}×{mask.width}, it is {info.height}×{info.width}"
                    raise self._error(f"its mask is {size}", "save it again with a mask of its size")
                return following
            if not kind:
                return None
        return None

    def _refuse_scaling(self, index: int, samples: Sequence[int]) -> None:
        if text := self._page(index).tags.valueof(_METADATA):
            refuse_scaling(self.path, tag_scaling(str(text), self.path), samples)

    def _descriptions(self, index: int) -> Mapping[int, str]:
        """What GDAL's tag calls the bands of a directory, by sample."""
        text = self._page(index).tags.valueof(_METADATA)
        return tag_descriptions(str(text), self.path) if text else {}

    def _size_of(self, image: tifffile.TiffPage) -> tuple[int, int, int]:
        """Height, width and samples, none of them out of bounds."""
        planes, depth, height, width, contiguous = image.shaped
        if not all(isinstance(size, int) for size in (*image.shaped, image.tilelength, image.rowsperstrip)):
            raise self._error("has a size that is no whole number", "save it again with its true size")
        count = planes * contiguous
        if not height or not width or not count:
            raise self._error(f"is {height}×{width} pixels of {count} bands", "save it again with its true size")
        if depth != 1 or image.tiledepth != 1:
            raise self._error(f"is a volume of {max(depth, image.tiledepth)} slices", "save one slice per file")
        if count > MAX_BANDS:
            raise self._error(f"holds {count} bands, the most is {MAX_BANDS}", "save the bands you need")
        if height * width * count > self.max_pixels:
            what = f"{height}×{width} pixels of {count} bands are over the budget of {self.max_pixels} values"
            raise self._error(what, "cut it into tiles")
        return height, width, count

    def _dtype(self, image: tifffile.TiffPage, labels: bool) -> np.dtype[Any]:
        bits, advice = image.bitspersample, f"save it as {', '.join(DTYPES)}"
        if image.sampleformat in (5, 6):
            raise self._error("pixels are complex", f"take the amplitude first and {advice}")
        if bits == 1 and labels:
            return np.dtype(np.uint8)
        if bits == 1:
            raise self._error("pixels are bool (1 bit)", advice)
        if bits not in (8, 16, 32, 64) or image.dtype is None:
            raise self._error(f"pixels of {bits} bits, sample format {int(image.sampleformat)}", advice)
        if image.dtype.name not in DTYPES:
            raise self._error(f"pixels are {image.dtype.name}", advice)
        return np.dtype(image.dtype.name)

    def _check_codec(self, image: tifffile.TiffPage, dtype: np.dtype[Any]) -> None:
        code, advice = int(image.compression), "save it uncompressed or with deflate, LZW or zstd"
        if code not in _CODECS:
            names = {int(c): c.name for c in tifffile.COMPRESSION}
            name = f"{names[code]} ({code})" if code in names else str(code)
            raise self._error(f"compression {name} is not supported", advice)
        if code == _JPEG and dtype != np.uint8:
            raise self._error(f"JPEG compression of {dtype} pixels is not supported", advice)
        predictor = int(image.predictor)
        if code != _JPEG and (predictor not in (1, 2, 3) or (predictor == 3 and dtype != np.float32)):
            raise self._error(f"predictor {predictor} of {dtype} pixels is not supported", advice)

    def _segments(self, image: tifffile.TiffPage, nodata: float | None) -> int | None:
        return check_segments(image, self.path, self.size, self.max_pixels, nodata, verify=self.verify)

    def _error(self, what: str, fix: str) -> DataError:
        return DataError(what, self.path, fix)
