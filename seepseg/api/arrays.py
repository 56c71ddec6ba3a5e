"""Arrays as images: what a GeoTIFF of the same pixels would hold, and the file that the readers are given."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

from seepseg.errors import ConfigError, DataError
from seepseg.io.cog import Layout, row_writer
from seepseg.io.raster import Georeference
from seepseg.io.tiff import DTYPES

AXES = (("y", "x"), ("latitude", "longitude"), ("lat", "lon"), ("northing", "easting"), ("row", "column"))
"""Names of rows and columns in a DataArray."""

UNEVEN = 0.1
"""Pixels that a coordinate may lie off an even grid: float32 holds northings of UTM no better than half a metre."""


class DataArray(Protocol):
    """What is read of an `xarray.DataArray`, which is not imported."""

    @property
    def dims(self) -> tuple[Any, ...]:
        """Names of its axes."""

    @property
    def coords(self) -> Mapping[Any, Any]:
        """Its coordinates, by name."""

    @property
    def attrs(self) -> Mapping[Any, Any]:
        """Its metadata."""

    @property
    def values(self) -> NDArray[Any]:
        """Its numbers."""

    def transpose(self, *dims: Any) -> Any:
        """The same with its axes in another order."""


Image = str | os.PathLike[str] | NDArray[Any] | DataArray
"""An image: a file or product, an array, or a DataArray."""


@dataclass(frozen=True)
class Raster:
    """An array as a file would hold it.

    Attributes:
        pixels: (C, H, W).
        georeference: where it lies.
        nodata: the value of pixels without data, NaN aside; None where there is none.
    """

    pixels: NDArray[Any]
    georeference: Georeference
    nodata: float | None


def raster_of(
    image: NDArray[Any] | DataArray, bands: Sequence[int] | Sequence[str] | None, crs: Any, transform: Any, nodata: Any
) -> Raster:
    """The raster that an array is.

    Args:
        image: (H, W), or (C, H, W) where several bands are read.
        bands: that are read; None is one.
        crs: anything that `pyproj.CRS` understands; None where it is not known, or a DataArray says it.
        transform: six numbers (a, b, c, d, e, f), or an `affine.Affine`; None likewise.
        nodata: value of pixels without data; None likewise.

    Raises:
        DataError: it has another shape or number format than can be read.
        ConfigError: `crs`, `transform` or `nodata` are none.
    """
    own = Georeference()
    if _is_data_array(image):
        _refuse_packed(image)
        own, nodata = _place_of(image), _nodata_of(image) if nodata is None else nodata
        image = _numbers_of(image)
    if not hasattr(image, "__array__"):
        what = f"a {type(image).__name__} is no image"
        raise DataError(what, "predict", "give a path, a numpy array or an xarray.DataArray")
    # A masked array keeps its mask, which np.asarray would drop.
    pixels, nodata = _as_stored(np.asanyarray(image), nodata)
    if crs is not None:
        own = replace(own, crs_wkt=_wkt(crs))
    if transform is not None:
        own = replace(own, transform=_six(transform))
    return Raster(_planes(pixels, len(bands or (1,))), own, nodata)


def _is_data_array(image: object) -> TypeGuard[DataArray]:
    # `values` is not asked for: that would read what is on disk.
    return all(hasattr(image, name) for name in ("dims", "coords", "attrs", "transpose"))


def write_raster(path: Path, raster: Raster, names: Sequence[str]) -> None:
    """Write a raster as a GeoTIFF for our own use; `names` describe its bands, none where they have none."""
    count, height, width = raster.pixels.shape
    layout = Layout(count, raster.pixels.dtype.name, raster.nodata, {}, tuple(names))
    with row_writer(path, raster.georeference, height, width, layout, cog=False) as writer:
        writer.write(raster.pixels)


def _planes(pixels: NDArray[Any], count: int) -> NDArray[Any]:
    """Pixels (C, H, W); nothing is guessed where the shape is another."""
    if pixels.ndim == 2 and count == 1 and pixels.size:
        return pixels[None]
    if pixels.ndim == 3 and pixels.shape[0] == count and pixels.size:
        return pixels
    wanted = "(H, W)" if count == 1 else f"({count}, H, W), bands first,"
    fix = f"give {wanted} of the {'one band' if count == 1 else f'{count} bands'} that the run reads"
    if not pixels.size:
        fix += "; this one is empty"
    elif pixels.ndim == 3 and pixels.shape[2] == count:
        fix += ": x[..., 0]" if count == 1 else ": np.moveaxis(x, 2, 0)"
    elif pixels.ndim == 3 and count == 1:
        fix += ", for example x[0]"
    elif pixels.ndim == 4:
        fix += ", one image at a time"
    raise DataError(f"the array is {pixels.shape}", "predict", fix)


def _as_stored(pixels: NDArray[Any], nodata: Any) -> tuple[NDArray[Any], float | None]:
    """Pixels in a number format that files have, and their no-data value; masked ones hold that value."""
    if pixels.dtype == np.float64 or pixels.dtype == np.float16:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is no data
            pixels = pixels.astype(np.float32)
    if pixels.dtype.name not in DTYPES:
        fix = f"give {', '.join(DTYPES[:-1])} or float, for example x.astype(np.float32)"
        raise DataError(f"the array holds {pixels.dtype}", "predict", fix)
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    if nodata is not None:
        try:
            nodata = float(nodata)
        except (TypeError, ValueError):
            raise ConfigError(f"{nodata!r} is no number", "nodata", "give the value of pixels without data") from None
        if pixels.dtype.kind == "f":
            with np.errstate(over="ignore"):
                nodata = float(np.float32(nodata))  # as pixels hold it: -3.4028235e38 is float32's lowest, rounded
            # Pixels of a value beyond float32 have become infinite, which is no data by itself.
            nodata = None if np.isinf(nodata) else nodata
        elif not (nodata.is_integer() and nodata in _range(pixels.dtype)):
            nodata = None  # no pixel can equal it
    if not isinstance(pixels, np.ma.MaskedArray):
        return pixels, nodata
    if nodata is None and pixels.dtype.kind == "f":
        return pixels.filled(np.nan), None
    if nodata is None and np.ma.is_masked(pixels):
        unused = np.setdiff1d(_range(pixels.dtype), pixels.compressed())
        if not unused.size:
            fix = "give floats, whose masked pixels become NaN"
            raise DataError(f"every value of {pixels.dtype} occurs, so none can stand for no data", "predict", fix)
        nodata = float(unused[0])
    return pixels.filled(nodata), nodata


def _range(dtype: np.dtype[Any]) -> range:
    limits = np.iinfo(dtype)
    return range(int(limits.min), int(limits.max) + 1)


def _numbers_of(image: DataArray) -> NDArray[Any]:
    """The numbers of a DataArray, rows and columns last where their names say which they are; other axes of 1 go."""
    names = _axes(image)
    if names is None:
        return np.asarray(image.values)
    others = [name for name in image.dims if name not in names]
    values = np.asarray(image.transpose(*others, *names).values)
    return values.reshape([n for n in values.shape[:-2] if n != 1] + list(values.shape[-2:]))


def _refuse_packed(image: DataArray) -> None:
    """Raise DataError where its numbers are not yet those that they stand for, which a file's own would become."""
    for name, nothing in (("scale_factor", 1), ("add_offset", 0), ("scales", 1), ("offsets", 0)):
        if not np.all(np.asarray(image.attrs.get(name, nothing)) == nothing):
            fix = "open it with mask_and_scale=True"
            raise DataError(f"the array has {name} {image.attrs[name]}, not applied", "predict", fix)


def _axes(image: DataArray) -> tuple[str, str] | None:
    return next((pair for pair in AXES if set(pair) <= set(image.dims)), None)


def _nodata_of(image: DataArray) -> Any:
    own = getattr(getattr(image, "rio", None), "nodata", None)
    values = (own, image.attrs.get("_FillValue"), image.attrs.get("nodata"))
    return next((value for value in values if value is not None), None)


def _place_of(image: DataArray) -> Georeference:
    """Where a DataArray lies: by its coordinates, else by what its grid mapping says, as rioxarray writes it."""
    rio = getattr(image, "rio", None)
    named = {**getattr(image, "encoding", {}), **image.attrs}
    mapping = named.get("grid_mapping", "spatial_ref")
    said = image.coords[mapping].attrs if mapping in image.coords else {}
    system = getattr(rio, "crs", None) or said.get("crs_wkt") or said.get("spatial_ref")
    transform = _transform_of(image)
    if transform is None and "GeoTransform" in said:
        numbers = str(said["GeoTransform"]).split()
        transform = _six([numbers[i] for i in (1, 2, 0, 4, 5, 3)] if len(numbers) == 6 else numbers)
    return Georeference(crs_wkt=_wkt(system) if system else None, transform=transform)


def _transform_of(image: DataArray) -> tuple[float, float, float, float, float, float] | None:
    """The transform of evenly spaced coordinates, which are those of pixel centres."""
    axes = _axes(image)
    if axes is None or not all(name in image.coords for name in axes):
        return None
    steps = []
    for name in axes:
        at = np.asarray(image.coords[name].values)
        if at.ndim != 1 or at.dtype.kind not in "iuf" or len(at) < 2:
            return None
        at = at.astype(np.float64)
        step = float(at[-1] - at[0]) / (len(at) - 1)
        off = np.abs(at - (at[0] + step * np.arange(len(at)))).max()
        if not (step and off <= UNEVEN * abs(step)):
            what, fix = f"the coordinates {name} are not evenly spaced", "resample it to an even grid"
            raise DataError(what, "predict", fix)
        steps.append((float(at[0]) - step / 2, step))
    (top, down), (left, across) = steps
    return across, 0.0, left, 0.0, down, top


def _six(transform: Any) -> tuple[float, float, float, float, float, float]:
    fix = "give the six numbers (a, b, c, d, e, f) of x = a·column + b·row + c, y = d·column + e·row + f"
    try:
        a, b, c, d, e, f = (float(number) for number in tuple(transform)[:6])
    except (TypeError, ValueError):
        raise ConfigError(f"{transform!r} is no transform", "transform", fix) from None
    if not np.isfinite([a, b, c, d, e, f]).all() or a * e == b * d:
        raise ConfigError(f"{(a, b, c, d, e, f)} gives pixels no area", "transform", fix)
    return a, b, c, d, e, f


def _wkt(crs: Any) -> str:
    try:
        return str(CRS.from_user_input(crs).to_wkt())
    except CRSError as error:
        text = " ".join(str(error).split())[:120]
        raise ConfigError(f"{crs!r} is no coordinate system ({text})", "crs", "give 'EPSG:32634', say") from None
