"""What a TIFF says of itself, checked before anything decodes it: a broken file is an error, never an array.

GDAL fills missing strips with zeros and says nothing; tifffile follows cyclic directories. So the directories are
walked here, and what they promise is checked against the size of the file and a budget before GDAL reads a pixel.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import tifffile

from seepseg.errors import DataError
from seepseg.io.files import open_regular
from seepseg.io.ifd import MASK, REDUCED, Directory, walk
from seepseg.io.pam import nodata_value, refuse_scaling, tag_scaling
from seepseg.io.raster import as_data_error, quiet

DTYPES = ("uint8", "uint16", "int16", "float32")
MAX_BANDS = 1024

_NONE, _JPEG, _DEFLATE, _OLD_DEFLATE = 1, 7, 8, 32946
# With LZW, packbits, LZMA and zstd: their decoders write no more bytes than requested; others could be bombs.
_CODECS = (_NONE, 5, _JPEG, _DEFLATE, 32773, 34925, _OLD_DEFLATE, 34926, 50000)
_CHUNK = 2**20
_OFFSETS, _BYTE_COUNTS = (324, 273), (325, 279)
_PHOTOMETRIC, _ORIENTATION, _METADATA, _NODATA = 262, 274, 42112, 42113
_ALPHA = (1, 2)
# Photometric interpretations that are no measurement. RGB is not among them: many writers call any three bands that.
_PALETTE = 3
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
    bands: Sequence[int] | None = None,
    *,
    max_pixels: int = 2**28,
    labels: bool = False,
    mask: bool = False,
    verify: bool = False,
) -> TiffInfo:
    """What the header says, once it is known to be sound: no pixel is decoded.

    Args:
        path, page, bands, max_pixels, labels: as in `image.Choice`.
        mask: the file is the mask of another one: bits will do.
        verify: check the sums in deflate streams too, which GDAL does not; that takes inflating them once.

    Raises:
        DataError: whatever is wrong with the file.
    """
    quiet("tifffile")
    with open_regular(path) as stream, as_data_error(path, Exception):
        size = os.fstat(stream.fileno()).st_size
        directories = walk(path, stream, size)
        stream.seek(0)
        # Vendors' dialects reinterpret offsets and bits; plain TIFF is read as it is written.
        with tifffile.TiffFile(stream, name=path.name, is_ndpi=False, is_lsm=False, is_scanimage=False) as tiff:
            header = _Header(path, tiff, directories, size, max_pixels, verify)
            return header.mask_info(0) if mask else header.image_info(page, bands, labels)


@dataclass(frozen=True)
class _Header:
    """An open file while its directories are checked."""

    path: Path
    tiff: tifffile.TiffFile
    directories: Sequence[Directory]
    size: int
    max_pixels: int
    verify: bool

    def image_info(self, page: int | None, bands: Sequence[int] | None, labels: bool) -> TiffInfo:
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
        if wrong := [b for b in bands or () if not 1 <= b <= count]:
            what, fix = f"the file has {count}{alpha}", "set data.bands (the first is 1)"
            if len(images) > 1:
                what, fix = f"page {page} has {count}{alpha}", "leave out data.page where the pages are the bands"
            raise self._error(f"no band {wrong[0]}, {what}", fix)
        if not bands and count > 1:
            fix = "choose with data.bands (the first is 1), for example data.bands=[1]"
            raise self._error(f"holds {count} bands{alpha}", fix)
        samples = tuple(info.bands[b - 1] for b in bands or (1,))
        self._refuse_scaling(chosen, samples)
        return replace(info, bands=samples, mask=self._mask_of(chosen, info))

    def mask_info(self, index: int) -> TiffInfo:
        """A directory that is the mask of an image, of 1 or 8 bits."""
        image = self._page(index)
        height, width, _ = self._size_of(image)
        if image.bitspersample not in (1, 8):
            raise self._error(f"its mask has {image.bitspersample} bits", "save it with a mask of 1 or 8")
        self._check_codec(image, np.dtype(np.uint8))
        self._check_segments(image, nodata=0)
        return TiffInfo(height, width, np.dtype(np.uint8))

    def _bands_as_pages(self, images: Sequence[int], bands: Sequence[int] | None, labels: bool) -> TiffInfo:
        """Pages of one size and type as the bands of one image, as tifffile writes (bands, height, width)."""
        n = len(images)
        choice = "choose one with data.page (the first is 0)"
        if not bands:
            fix = f"{choice}, or pages that are bands with data.bands, for example data.bands=[1, 2]"
            raise self._error(f"holds {n} pages", fix)
        if n < len(self.directories) or n > MAX_BANDS:
            raise self._error(f"holds {n} pages with overviews or masks, which are no bands", choice)
        if wrong := [b for b in bands if not 1 <= b <= n]:
            raise self._error(f"no band {wrong[0]}, the file has {n} pages", "set data.bands (the first is 1)")
        infos = [self._page_info(i, labels) for i in images]
        if any(replace(info, pages=(0,)) != replace(infos[0], pages=(0,)) for info in infos) or infos[0].bands != (1,):
            raise self._error(f"holds {n} pages that differ in size, type or no-data value, or have bands", choice)
        chosen = tuple(images[b - 1] for b in bands)
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
        start = self._check_segments(image, nodata)
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

    def _size_of(self, image: tifffile.TiffPage) -> tuple[int, int, int]:
        """Height, width and samples, none of them out of bounds."""
        planes, depth, height, width, contiguous = image.shaped
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

    def _check_segments(self, image: tifffile.TiffPage, nodata: float | None) -> int | None:
        """Strips or tiles: as many as the image needs, all inside the file, none larger than allowed.

        A segment of offset and length 0 was never written: GDAL's sparse files mean no-data by it, so without a no-data
        value it is missing.

        Returns where the first strip starts if the samples of one band follow it, uncompressed and without a gap.
        """
        what, damaged = "tiles" if image.is_tiled else "strips", "it is damaged: copy or save it again"
        rows, columns = (
            (image.tilelength, image.tilewidth) if image.is_tiled else (image.rowsperstrip, image.imagewidth)
        )
        interleaved = image.samplesperpixel if image.planarconfig == 1 else 1
        values = rows * columns * interleaved
        if values <= 0 or values > self.max_pixels:
            raise self._error(f"{what} of {values} pixels are over the budget of {self.max_pixels}", "save it again")
        needed = math.prod(image.chunked)
        for codes in (_OFFSETS, _BYTE_COUNTS):
            count = sum(image.tags[code].count for code in codes if code in image.tags)
            if count != needed:
                raise self._error(f"holds {count} {what}, its size needs {needed}", damaged)
        offsets, lengths = np.array(image.dataoffsets, np.uint64), np.array(image.databytecounts, np.uint64)
        missing = int(((offsets == 0) | (lengths == 0)).sum())
        if missing and nodata is None:
            raise self._error(f"{missing} of {needed} {what} were never written", "save it again whole")
        past = int(((offsets > self.size) | (lengths > self.size) | (offsets + lengths > self.size)).sum())
        if past:
            fix = "it was cut short: copy it again"
            raise self._error(f"{past} of {needed} {what} lie past the end of the file", fix)
        row_bytes = math.ceil(columns * interleaved * image.bitspersample / 8)
        expected = np.full(needed, rows * row_bytes, np.uint64)
        if not image.is_tiled:  # the last strip of a plane may have fewer rows
            strips = math.ceil(image.imagelength / rows)
            expected[strips - 1 :: strips] = (image.imagelength - (strips - 1) * rows) * row_bytes
        short = 0
        if image.compression == _NONE:
            short = int(((lengths < expected) & (lengths > 0)).sum())
        elif image.compression in (_DEFLATE, _OLD_DEFLATE) and self.verify:
            segments = zip(offsets.tolist(), lengths.tolist(), expected.tolist(), strict=True)
            short = sum(self._inflated(o, n, rows * row_bytes) < size for o, n, size in segments if o and n)
        if short:
            raise self._error(f"{short} of {needed} {what} are too short", damaged)
        plain = (image.compression, image.predictor, image.fillorder, image.samplesperpixel) == (_NONE, 1, 1, 1)
        if plain and not image.is_tiled and (offsets == offsets[0] + np.cumsum(expected) - expected).all():
            return int(offsets[0]) if (lengths > 0).all() else None
        return None

    def _inflated(self, offset: int, length: int, most: int) -> int:
        """Bytes in a deflate stream that is whole, at most `most`; 0 if it is not, zlib.error if its sum is wrong."""
        if max(length, most) <= _CHUNK:
            self.tiff.filehandle.seek(offset)
            # In one go, twice as fast; what is wrong with the others is found below.
            with suppress(imagecodecs.DeflateError):
                return len(imagecodecs.deflate_decode(self.tiff.filehandle.read(length), out=most))
        stream, count = zlib.decompressobj(), 0
        self.tiff.filehandle.seek(offset)
        while not stream.eof:
            data = stream.unconsumed_tail or self.tiff.filehandle.read(min(length, _CHUNK))
            length -= 0 if stream.unconsumed_tail else len(data)
            piece = stream.decompress(data, _CHUNK)
            count += len(piece)
            if count > most:
                raise self._error("a strip or tile inflates to more than its size", "it is damaged: save it again")
            if not data and not piece:
                return 0
        return count

    def _error(self, what: str, fix: str) -> DataError:
        return DataError(what, self.path, fix)
