"""Points of images far brighter than what is around them: ships, and what is built at sea."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.spatial import cKDTree

from seepseg.errors import DataError
from seepseg.geo.frame import Field
from seepseg.io.files import SUFFIXES, exists
from seepseg.io.image import Image, open_image
from seepseg.scenes.files import on_disk
from seepseg.sentinel1 import is_product
from seepseg.sentinel1.pixels import open_scene
from seepseg.sentinel1.product import open_product

CORE, AROUND = 3, 41
"""Sides of the squares over which a point and its surroundings are averaged, pixels."""
CONTRAST = 4.0
"""Standard deviations of its surroundings that a point is brighter than their mean, at least."""
NEAR = 6.0
"""Pixels within which points coincide."""
MOST = 5000
"""Points of an image, at most: those of the highest contrast."""
MARGIN = AROUND // 2 + CORE // 2 + int(NEAR)
"""Pixels that a point depends on to each side."""
AT_ONCE = 2**24
"""Pixels that are in memory at once, about."""


def image_of(folder: Path, scene: str) -> Path | None:
    """The image or product of a folder that is called as a scene is; None where there is none."""
    choices = [on_disk(folder, f"{scene}{suffix}") for suffix in (*SUFFIXES, "", ".SAFE", ".zip")]
    return next((path for path in choices if exists(path) and (path.is_file() or is_product(path))), None)


def image_points(path: Path, size: tuple[int, int]) -> Field:
    """Columns and rows (n, 2) of the bright points of an image, the brightest first; products in their first band.

    Valid is what the image's own metadata say, and is not 0.

    Raises:
        DataError: it cannot be read, or is not of this height and width.
    """
    with _opened(path) as image:
        if (image.height, image.width) != size:
            what = f"has {image.height} × {image.width} pixels, and the map of its scene {size[0]} × {size[1]}"
            raise DataError(what, path, "give the images that were predicted")
        return points_in(image)


def points_in(image: Image) -> Field:
    """Columns and rows (n, 2) of the bright points of an open image, the brightest first, by rows of it at a time."""
    points, contrasts = [np.empty((0, 2))], [np.empty(0)]
    step = max(256, AT_ONCE // image.width)
    for start in range(0, image.height, step):
        first, last = max(0, start - MARGIN), min(image.height, start + step + MARGIN)
        pixels = image.rows(first, last)
        raw = pixels.raw[0]
        xy, contrast = _contrasts(raw, pixels.valid & (raw != 0) & np.isfinite(raw))
        own = (xy[:, 1] >= start - first) & (xy[:, 1] < start - first + step)
        points.append(xy[own] + [0, first])
        contrasts.append(contrast[own])
    order = np.argsort(-np.concatenate(contrasts), kind="stable")[:MOST]
    return np.asarray(np.concatenate(points)[order])


def bright_points(image: NDArray[np.generic], valid: NDArray[np.bool_]) -> Field:
    """Columns and rows (n, 2) of points far brighter than what is around them, the brightest first.

    Args:
        image: (H, W) intensity.
        valid: (H, W); what is not valid counts as dark, and no point is beside it.
    """
    points, contrast = _contrasts(image, valid)
    return np.asarray(points[np.argsort(-contrast, kind="stable")[:MOST]])


def recurring(points: Sequence[Field], near: float, least: int) -> tuple[Field, NDArray[np.int64]]:
    """Points (n, 2) that so many of several sets have, each once; and how many sets (n) do.

    Args:
        points: (m, 2) of each set.
        near: distance up to which they are one.
        least: sets.
    """
    every = np.concatenate([np.empty((0, 2)), *points])
    owner = np.repeat(np.arange(len(points)), [len(one) for one in points])
    tree, kept, sets, free = cKDTree(every), list[Field](), list[int](), np.ones(len(every), bool)
    crowded = np.asarray(tree.query_ball_point(every, near, return_length=True)) >= least if len(every) else free
    for at in np.flatnonzero(crowded).tolist():
        if free[at] and len(found := np.unique(owner[near_it := tree.query_ball_point(every[at], near)])) >= least:
            kept.append(np.median(every[near_it], axis=0))
            sets.append(len(found))
            free[near_it] = False
    return np.array(kept).reshape(-1, 2), np.array(sets, np.int64)


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    if not is_product(path):
        with open_image(path) as image:
            yield image
        return
    with open_product(path) as product:
        band = next(iter(product.files))
    with open_scene(path, (band,)) as image:
        yield image


def _contrasts(image: NDArray[np.generic], valid: NDArray[np.bool_]) -> tuple[Field, Field]:
    """Middles (n, 2) of the brightest pixels of points, and their contrasts (n), in the order of rows."""
    if not valid.any():
        return np.empty((0, 2)), np.empty(0)
    pixels = np.where(valid, image, min(0, image[valid].min())).astype(np.float32)
    share = uniform_filter(valid.astype(np.float32), AROUND)
    core = uniform_filter(pixels, CORE)
    around, square = (uniform_filter(values, AROUND) for values in (core, core**2))
    contrast = np.where(share > 0.9, (core - around) / np.sqrt(np.maximum(square - around**2, 1e-12)), 0)
    peak = (contrast >= CONTRAST) & (contrast == maximum_filter(contrast, 2 * int(NEAR) + 1))
    row, column = np.nonzero(peak)
    return np.stack([column, row], axis=1).astype(np.float64) + 0.5, contrast[row, column].astype(np.float64)
