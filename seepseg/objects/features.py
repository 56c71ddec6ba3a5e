"""Features of objects by which classes are distinguished: shape, contrast, the sea around, neighbours.

All of it is read from a window around one object, `REACH` pixels wider than the object on every side, so that a scene
larger than memory gives the same numbers as one that fits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from seepseg.classes import IGNORE
from seepseg.objects.components import EIGHT, label_objects

REACH = 192
"""Width of an object's surroundings, in pixels; what is farther away has no influence."""

NEAR = 32
"""The sea nearer than this is what an object is compared with."""

RIM = 3
"""Pixels nearer than this to the outline belong to both sides: outlines are drawn by hand."""

EPSILON = 1e-3
"""The minimum spread to divide by, in units of the scaled range."""

LARGEST = 2**23
"""Pixels of the largest window that is read: describing it takes about fifty bytes for each."""

WIDEST = 2**32
"""No scene has as many columns: (row, column) is stored as row · WIDEST + column."""

Floats = NDArray[np.float32]

SHAPE = (
    "log_area",  # pixels
    "log_length",  # pixels, along the main axis: 4 × the square root of the larger eigenvalue of the covariance
    "log_width",  # pixels, area over length
    "elongation",  # smaller over larger axis, 0 … 1
    "orientation_cos",  # of twice the angle of the main axis from the x axis, times 1 − elongation
    "orientation_sin",
    "solidity",  # area over that of the convex hull
    "compactness",  # 4π · area / perimeter²
    "log_thickness",  # largest distance of a pixel from the outline
    "evenness",  # mean over largest distance from the outline
    "log_holes",  # pixels of the holes
    "cut",  # share of the outline that lies on no-data or the edge of the scene
)
CONTRAST = (
    "contrast",  # sea near the object less the object, in spreads of that sea
    "damping",  # the object over the sea near it
    "darkest",  # as contrast, of the object's darkest tenth
    "spread",  # of the object over that of the sea near it
    "edge",  # step across the outline, RIM pixels to either side, in spreads of the sea
    "core",  # contrast of the core less that of the margin
)
SEA = (
    "sea_level",  # mean of the sea near the object, scaled range
    "sea_spread",  # its spread over its mean
    "sea_fine",  # share of its variance below 5 px
    "sea_middle",  # share of its variance between 5 and 21 px
    "sea_far_level",  # mean of the sea up to REACH over that near the object
    "sea_far_spread",  # its spread over its mean
    "sea_far_dark",  # share of the far sea two spreads below the near one
    "sea_known",  # share of the surroundings that is valid
)
NEIGHBOURS = (
    "neighbour_distance",  # pixels to the nearest other object, REACH where there is none
    "neighbours_near",  # objects within REACH / 3
    "neighbours",  # objects within REACH
    "log_neighbour_area",  # their pixels
    "log_neighbour_size",  # pixels of the largest
    "neighbour_likeness",  # their mean brightness less the object's, in spreads of the sea
)
FEATURES = SHAPE + CONTRAST + SEA + NEIGHBOURS


def object_features(image: Floats, classes: NDArray[np.uint8]) -> Floats:
    """The `FEATURES` (n, F) of the objects of a scene, in the order of `label_objects`; NaN as in `features_in`.

    Args:
        image: (H, W) scaled to [0, 1].
        classes: (H, W) class indices; what they are does not matter, only where there is foreground, and where no data.
    """
    boxes = object_boxes(label_objects(classes)[0])
    return features_in(boxes, classes.shape, lambda rows, columns: (image[rows, columns], classes[rows, columns]))


def object_boxes(labels: NDArray[np.integer[Any]], start: int = 0) -> NDArray[np.int64]:
    """First pixel, left, −bottom and −right (n, 4) of labels 1 … n in rows (h, W) from `start`.

    The pixel is row · `WIDEST` + column. The minimum of each over the parts of an object is that of the object.
    """
    boxes = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        column = columns.start + int((labels[rows.start, columns] == number).argmax())
        boxes.append(((start + rows.start) * WIDEST + column, columns.start, -start - rows.stop, -columns.stop))
    return np.array(boxes, np.int64).reshape(-1, 4)


def features_in(
    boxes: NDArray[np.int64],
    shape: tuple[int, ...],
    read: Callable[[slice, slice], tuple[Floats, NDArray[np.uint8]]],
) -> Floats:
    """The `FEATURES` (n, F) of objects of a scene; NaN where the window of one has over `LARGEST` pixels.

    Args:
        boxes: (n, 4), see `object_boxes`.
        shape: (H, W) of the scene.
        read: gives image and classes (h, w) of some rows and columns.
    """
    features = np.full((len(boxes), len(FEATURES)), np.nan, np.float32)
    for row, (first, left, bottom, right) in zip(features, boxes.tolist(), strict=True):
        top, column = divmod(first, WIDEST)
        # As far as the scene goes.
        y, x = max(0, top - REACH), max(0, left - REACH)
        rows, columns = slice(y, min(shape[0], REACH - bottom)), slice(x, min(shape[1], REACH - right))
        if (rows.stop - y) * (columns.stop - x) <= LARGEST:
            row[:] = describe(*read(rows, columns), (top - y, column - x))
    return features


def describe(image: Floats, classes: NDArray[np.uint8], pixel: tuple[int, int]) -> Floats:
    """The `FEATURES` of the object that holds a pixel (row, column) of its window (h, w)."""
    labels, _ = label_objects(classes)
    here, valid = labels == labels[pixel], classes != IGNORE
    far = np.minimum(_distance(~here), np.float32(REACH + 1))
    around = (far <= REACH) & ~here
    others = around & (labels > 0)
    sea = around & valid & (labels == 0)
    near = sea & (far <= NEAR)
    # An object with nothing but no-data and other objects around it is compared with itself.
    sea = sea if sea.any() else here
    near = near if near.any() else sea
    level, spread = float(image[near].mean()), max(float(image[near].std()), EPSILON)
    # A frame of one pixel: what lies outside the window lies outside the scene.
    box = ndimage.find_objects(here.astype(np.uint8))[0]
    mask = np.pad(here[box], 1)
    in_scene = np.pad(valid, 1)[box[0].start : box[0].stop + 2, box[1].start : box[1].stop + 2]
    depth = _distance(mask)
    return np.array(
        [
            *_shape(mask, depth, in_scene),
            *_contrast(image[here], depth[mask], image[near & (far <= 2 * RIM)], level, spread),
            *_sea(image, near, sea, level, spread, valid[around]),
            *_neighbours(image, labels, others, far, float(image[here].mean()), spread),
        ],
        np.float32,
    )


def _shape(mask: NDArray[np.bool_], depth: Floats, seen: NDArray[np.bool_]) -> list[float]:
    y, x = np.nonzero(mask)
    area = len(y)
    # A pixel is a square of side 1, so a single one has an extent too.
    covariance = np.cov(np.stack([x, y]), bias=True) + np.eye(2) / 12
    (small, large), axes = np.linalg.eigh(covariance)
    elongation = float(np.sqrt(small / large))
    angle = 2 * np.arctan2(axes[1, 1], axes[0, 1])
    hull = cv2.convexHull(np.stack([x, y], axis=1).astype(np.int32))
    # The hull runs through pixel centres; half its length, and one, make it that of the squares.
    hull_area = cv2.contourArea(hull) + cv2.arcLength(hull, True) / 2 + 1
    sides = sum(int((mask[a] & ~mask[b]).sum()) for a, b in _NEIGHBOUR_PAIRS)
    perimeter = sides * np.pi / 4
    outline = mask & (depth < 1.5)
    beside_unseen = ndimage.binary_dilation(~seen, EIGHT)
    length = 4 * np.sqrt(large)
    return [
        np.log1p(area),
        np.log1p(length),
        np.log1p(area / length),
        elongation,
        np.cos(angle) * (1 - elongation),
        np.sin(angle) * (1 - elongation),
        area / hull_area,
        4 * np.pi * area / perimeter**2,
        np.log1p(depth.max()),
        depth[mask].mean() / depth.max(),
        np.log1p(int(ndimage.binary_fill_holes(mask).sum()) - area),
        float(beside_unseen[outline].mean()),
    ]


_NEIGHBOUR_PAIRS = [
    (np.s_[1:, :], np.s_[:-1, :]),
    (np.s_[:-1, :], np.s_[1:, :]),
    (np.s_[:, 1:], np.s_[:, :-1]),
    (np.s_[:, :-1], np.s_[:, 1:]),
]


def _contrast(own: Floats, depth: Floats, rim: Floats, level: float, spread: float) -> list[float]:
    margin, core = own[depth <= RIM], own[depth > RIM]
    beside = float(rim.mean()) if len(rim) else level
    return [
        (level - float(own.mean())) / spread,
        float(own.mean()) / max(level, EPSILON),
        (level - float(np.percentile(own, 10))) / spread,
        float(own.std()) / spread,
        (beside - float(margin.mean())) / spread,
        (float(margin.mean()) - float(core.mean())) / spread if len(core) else 0.0,
    ]


def _sea(
    image: Floats,
    near: NDArray[np.bool_],
    sea: NDArray[np.bool_],
    level: float,
    spread: float,
    known: NDArray[np.bool_],
) -> list[float]:
    filled = np.where(sea, image, np.float32(level))
    fine, middle = (cv2.blur(filled, (side, side)) for side in (5, 21))
    far_level = float(image[sea].mean())
    return [
        level,
        spread / max(level, EPSILON),
        float((filled - fine)[near].var()) / spread**2,
        float((fine - middle)[near].var()) / spread**2,
        far_level / max(level, EPSILON),
        float(image[sea].std()) / max(far_level, EPSILON),
        float((image[sea] < level - 2 * spread).mean()),
        float(known.mean()) if known.size else 0.0,
    ]


def _neighbours(
    image: Floats, labels: NDArray[np.int32], others: NDArray[np.bool_], far: Floats, own: float, spread: float
) -> list[float]:
    if not others.any():
        return [REACH, 0, 0, 0, 0, 0]
    areas = np.bincount(labels[others])
    return [
        float(far[others].min()),
        len(np.unique(labels[others & (far <= REACH / 3)])),
        int((areas > 0).sum()),
        np.log1p(int(areas.sum())),
        np.log1p(int(areas.max())),
        (float(image[others].mean()) - own) / spread,
    ]


def _distance(mask: NDArray[np.bool_]) -> Floats:
    """Distance (h, w) of each pixel of a mask to the nearest pixel outside it."""
    distance: NDArray[Any] = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return distance
