"""Made-up radar scenes of the sea, cut into tiles in the layout of the public seep set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

from seepseg.io.atomic import atomic_path
from seepseg.io.raster import create_raster
from seepseg.synthetic.slicks import SLICKS, Field, Rng, Slick, direction, slick_cover, smooth_noise

SATURATED = 65535
LOOKS = 4.0
"""Equivalent number of looks: the variance of the speckle is mean² / looks."""
SEA_LEVEL = 7000.0
"""Mean intensity of open water, DN: low enough that 4-look speckle seldom saturates."""
CLASS_SHARE = 0.01
"""Share of a scene's pixels that the slicks of one class fill, about."""
CLEARANCE = 9
"""Open water between two slicks, and between a slick and the swath edge, pixels."""


def seep_scene(rng: Rng, rows: int, cols: int) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """A SAR-like scene of the sea, intensity as uint16 DN (H, W) with 0 = no data, and its labels 0–7 uint8 (H, W).

    Slicks of one class fill about 1 % of the scene; all seven classes find room from 384 × 384 pixels up.
    Slicks keep clear of one another and of the no-data wedge, whose labels are 0.

    Args:
        rng: the only source of chance.
        rows: height, pixels.
        cols: width, pixels.
    """
    sea, valid = _sea(rng, rows, cols), _swath(rng, rows, cols)
    mask = np.zeros((rows, cols), np.uint8)
    taken = _widen(~valid, CLEARANCE)
    beacons: list[tuple[int, int]] = []
    placed = dict.fromkeys(SLICKS, 0)
    # One of every class, then all up to the share; the longest go first, while there is room for them.
    longest = sorted(SLICKS, key=lambda value: -SLICKS[value].side)
    for value, share in [(value, share) for share in (0, CLASS_SHARE) for value in longest]:
        slick = SLICKS[value]
        while placed[value] <= share * mask.size:
            place = _place(rng, slick, taken)
            if place is None:
                break
            (top, left), cover = place
            window = np.s_[top : top + slick.side, left : left + slick.side]
            inside = cover >= 0.5
            mask[window][inside] = value
            placed[value] += int(inside.sum())
            sea[window] *= 1 - (1 - slick.left) * cover
            taken[window] |= _widen(inside, CLEARANCE)
            if slick.beacon:
                beacons.append((top + slick.side // 2, left + slick.side // 2))
    beacons += _ships(rng, taken)
    for row, col in beacons:
        _shine(sea, row, col)
    # 0 means no data, so the darkest water is 1.
    image = np.clip(np.rint(speckle(rng, sea, LOOKS)), 1, SATURATED)
    return np.where(valid, image, 0).astype(np.uint16), mask


def speckle(rng: Rng, intensity: Field, looks: float) -> Field:
    """The intensity under fully developed speckle: times a gamma variable of mean 1 and variance 1 / looks."""
    return intensity * rng.gamma(looks, 1 / looks, intensity.shape)


def _sea(rng: Rng, rows: int, cols: int) -> Field:
    """Intensity of open water: fall with the incidence angle, wind patches, a faint swell."""
    y, x = np.mgrid[:rows, :cols].astype(np.float64)
    fall = 1.25 - 0.5 * x / cols
    wind = np.exp(0.18 * smooth_noise(rng, (rows, cols), 60))
    kx, ky = direction(rng.uniform(0, np.pi)) * 2 * np.pi / rng.uniform(14, 22)
    swell = 1 + 0.06 * np.sin(kx * x + ky * y + 2 * smooth_noise(rng, (rows, cols), 40))
    return np.asarray(SEA_LEVEL * rng.uniform(0.85, 1.15) * fall * wind * swell)


def _swath(rng: Rng, rows: int, cols: int) -> NDArray[np.bool_]:
    """True where the radar looked: all but a wedge along the left or the right border."""
    top, bottom = rng.uniform(0.0, 0.2, 2) * cols
    edge = np.linspace(top, bottom, rows)[:, None]
    valid = np.arange(cols)[None, :] >= edge
    return valid if rng.random() < 0.5 else valid[:, ::-1]


def _widen(area: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    return np.asarray(cv2.dilate(area.astype(np.uint8), kernel) > 0)


def _place(rng: Rng, slick: Slick, taken: NDArray[np.bool_]) -> tuple[tuple[int, int], Field] | None:
    """Corner and cover (0–1) of a slick on free water; None when 4 shapes at 40 places each found no room."""
    free = np.array(taken.shape) - slick.side
    if free.min() < 0:
        return None
    for _ in range(4):
        cover = slick_cover(rng, slick)
        for top, left in rng.integers(0, free + 1, (40, 2)).tolist():
            if not (taken[top : top + slick.side, left : left + slick.side] & (cover >= 0.5)).any():
                return (top, left), cover
    return None


def _ships(rng: Rng, taken: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Places of single ships on open water: one per quarter of a megapixel, with a minimum of two."""
    rows, cols = np.nonzero(~_widen(taken, 6))
    count = min(len(rows), max(2, taken.size // 250_000))
    picks = rng.choice(len(rows), count, replace=False)
    return [(int(rows[i]), int(cols[i])) for i in picks]


def _shine(sea: Field, row: int, col: int) -> None:
    """A bright target: a saturated core and the cross of side lobes that the antenna paints around it."""
    for reach, level in ((5, 3.0), (3, 12.0)):
        sea[row, max(0, col - reach) : col + reach + 1] += level * SEA_LEVEL
        sea[max(0, row - reach) : row + reach + 1, col] += level * SEA_LEVEL
    sea[max(0, row - 1) : row + 2, max(0, col - 1) : col + 2] = 40 * SEA_LEVEL


def write_seep(root: Path, *, scenes: int = 6, grid: tuple[int, int] = (6, 6), tile: int = 128, seed: int = 0) -> None:
    """Write scenes cut into tiles, `SCENE.INDEX.tif` with INDEX = row · columns + column, as in the public seep set.

    Tiles without any data are left out, as there.
    """
    images, masks = root / "train_images_256", root / "train_masks_256"
    for folder in (images, masks):
        folder.mkdir(parents=True, exist_ok=True)
    rows, cols = grid
    for number in range(scenes):
        rng = np.random.default_rng([seed, number])
        image, mask = seep_scene(rng, rows * tile, cols * tile)
        for index in range(rows * cols):
            row, col = divmod(index, cols)
            cell = np.s_[row * tile : (row + 1) * tile, col * tile : (col + 1) * tile]
            if image[cell].any():
                name = f"{900001 + number:06d}.{index:06d}.tif"
                # `metadata=None` keeps tifffile's own description tag out: plain tiles, the same bytes in any version.
                tifffile.imwrite(images / name, image[cell], photometric="minisblack", metadata=None)
                tifffile.imwrite(masks / name, mask[cell], photometric="minisblack", metadata=None)


def write_scene(path: Path, *, rows: int, cols: int, seed: int) -> None:
    """Write one scene of rows × cols pixels as a GeoTIFF in UTM 16 N, and its truth as `<stem>_mask.tif` beside it."""
    from rasterio.transform import Affine

    image, mask = seep_scene(np.random.default_rng([seed, rows, cols]), rows, cols)
    profile: dict[str, Any] = {
        "height": rows, "width": cols, "count": 1, "crs": "EPSG:32616",
        "transform": Affine(10, 0, 400_000, 0, -10, 3_100_000),
        "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate",
    }  # fmt: skip
    for target, pixels, nodata in ((path, image, 0), (path.with_name(f"{path.stem}_mask.tif"), mask, None)):
        profile |= {"dtype": pixels.dtype, "nodata": nodata}
        with atomic_path(target) as partial, create_raster(partial, **profile) as raster:
            raster.write(pixels, 1)
