"""The one reader of images: what a file says of itself is obeyed, or refused with a word."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile
from numpy.typing import NDArray

from seepseg.errors import DataError
from seepseg.io.image import inspect_image, open_image, read_image

RNG = np.random.default_rng(0)
SEA = RNG.integers(1, 65536, (40, 50), np.uint16)


def write(path: Path, pixels: NDArray[Any], mask: NDArray[np.bool_] | None = None, **profile: Any) -> Path:
    """A GeoTIFF, with a mask inside it."""
    bands = pixels if pixels.ndim == 3 else pixels[None]
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK=profile.pop("inside", True)):
        warnings.simplefilter("ignore")
        count, height, width = bands.shape
        shape = {"count": count, "height": height, "width": width, "dtype": bands.dtype.name}
        with rasterio.open(path, "w", driver="GTiff", **shape, **profile) as target:
            target.write(bands)
        if mask is not None:
            with rasterio.open(path, "r+") as target:
                target.write_mask(mask)
    return path


def both(path: Path, **options: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Pixels and validity, which must be the same whole and in strips and windows of any size."""
    pixels, info = read_image(path, **options)
    assert inspect_image(path, **options) == info
    assert pixels.raw.shape == (info.bands, info.height, info.width)
    assert pixels.raw.dtype == info.dtype
    with open_image(path, **options) as image:
        strips = [image.rows(start, min(start + 7, image.height)) for start in range(0, image.height, 7)]
        window = image.window(slice(2, 5), slice(3, image.width + 9))
    assert np.array_equal(np.concatenate([s.raw for s in strips], 1), pixels.raw, equal_nan=info.dtype.kind == "f")
    assert np.array_equal(np.concatenate([s.valid for s in strips]), pixels.valid)
    assert np.array_equal(window.raw, pixels.raw[:, 2:5, 3:], equal_nan=info.dtype.kind == "f")
    assert np.array_equal(window.valid, pixels.valid[2:5, 3:])
    return pixels


def refusal(path: Path, **options: Any) -> DataError:
    """The one error that whole reading and opening give."""
    with pytest.raises(DataError) as caught:
        read_image(path, **options)
    with pytest.raises(DataError) as opened, open_image(path, **options):
        pass
    assert str(caught.value) == str(opened.value)
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "beside"])
def test_a_mask_inside_or_beside_the_file(tmp_path: Path, inside: bool) -> None:
    mask = np.ones(SEA.shape, bool)
    mask[:, :13] = False
    path = write(tmp_path / "s.tif", SEA, mask, inside=inside)
    assert (tmp_path / "s.tif.msk").exists() != inside
    raw, valid = both(path)
    assert np.array_equal(raw[0], SEA)
    assert np.array_equal(valid, mask)


def test_pages_are_bands_where_bands_are_asked_for(tmp_path: Path) -> None:
    planes = RNG.integers(0, 9, (3, 40, 50), np.uint16)
    tifffile.imwrite(tmp_path / "s.tif", planes, photometric="minisblack")
    assert np.array_equal(both(tmp_path / "s.tif", bands=[3, 1])[0], planes[[2, 0]])
    assert np.array_equal(both(tmp_path / "s.tif", page=1)[0][0], planes[1])
    assert "data.bands" in refusal(tmp_path / "s.tif").fix
    error = refusal(tmp_path / "s.tif", page=0, bands=[1, 2])
    assert (error.what, error.fix) == (
        "no band 2, page 0 has 1",
        "leave out data.page where the pages are the bands",
    )
