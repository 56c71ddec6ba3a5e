"""How wide a zone is by the depth of water: the deeper a vent, the farther from it its oil surfaces."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from seepseg.errors import ConfigError, DataError
from seepseg.geo.frame import Field, Frame
from seepseg.geo.place import Place, place_of
from seepseg.io.image import Image, open_image

DEPTHS, RADII = (500.0, 2000.0), (1400.0, 3300.0)
"""Metres of water, and how far from its vent a slick surfaces there; shallower and deeper, the nearer of both counts.

Oil drifts while it rises.
"""


def radii(bathymetry: Path, frame: Frame, xy: Field, otherwise: float) -> Field:
    """Radius (n) of a zone at points (n, 2) of the frame, in metres; `otherwise` where the depth is not known.

    Args:
        bathymetry: raster of elevations in metres, negative below the sea, as GEBCO's.
        frame: of the points, on a map.
        xy: points.
        otherwise: radius beyond the raster, and where it has no number.

    Raises:
        ConfigError: it cannot be read, lies nowhere, or reaches none of the points.
    """
    try:
        # One that takes minutes to check whole is read at a few places: what cannot be decoded there is said.
        with open_image(bathymetry, bands=[1], verify=False) as raster:
            place = place_of(raster.georeference)
            if not place.crs or not frame.crs:
                raise ConfigError("has no georeference, or the scenes have none", bathymetry, "leave out --bathymetry")
            depth = _depths(raster, place, frame, xy)
    except DataError as error:
        raise ConfigError(error.what, error.where, error.fix) from None
    if len(depth) and not np.isfinite(depth).any():
        raise ConfigError("reaches none of the slicks", bathymetry, "give the depths of this region")
    return np.where(np.isfinite(depth), np.interp(depth, DEPTHS, RADII), otherwise)


def _depths(raster: Image, place: Place, frame: Frame, xy: Field) -> Field:
    """Depth (n) at points of the frame; NaN where the raster says none."""
    height, width = raster.height, raster.width
    column, row = np.floor(frame.to_pixels(place, (height, width), xy, "")).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    depth = np.full(len(xy), np.nan)
    if inside.any():
        i, j = row[inside].astype(np.intp), column[inside].astype(np.intp)
        part = raster.window(slice(i.min(), i.max() + 1), slice(j.min(), j.max() + 1))
        at = i - i.min(), j - j.min()
        depth[inside] = np.where(part.valid[at], -part.raw[0][at].astype(np.float64), np.nan)
    # No ocean is deeper: where a file does not say what its no data is, it is far beyond.
    return np.where(np.abs(depth) < 12_000, depth, np.nan)
