"""Made-up seep scenes and salt tiles in the layouts of the public sets, the same bytes for the same seed.

They are for tests and the demo: easy enough for a small network to learn in minutes, and no measure of real skill.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from seepseg.io.atomic import atomic_path
from seepseg.io.rle import encode

Rng = np.random.Generator
Canvas = NDArray[np.uint8]
Field = NDArray[np.float64]

SATURATED = 65535
SEA_LEVEL = 7000.0
"""Mean intensity of open water, DN: low enough that 4-look speckle seldom saturates."""
CLASS_SHARE = 0.01
"""Share of a scene's pixels that the slicks of one class fill, about."""
CLEARANCE = 9
"""Open water between two slicks, and between a slick and the swath edge, pixels."""


# --- slicks: every class has its own shape, size, damping and edge ---------------------------------------------------


@dataclass(frozen=True)
class _Slick:
    """How one class looks: what is drawn, the intensity left inside, softness of the edge and raggedness, pixels."""

    draw: Callable[[Canvas, Rng], None]
    side: int
    left: float
    feather: float = 0.7
    ragged: float = 0.8
    beacon: bool = False


def _line(canvas: Canvas, start: Field, end: Field, width: int) -> None:
    a, b = (tuple(int(v) for v in np.rint(p)) for p in (start, end))
    cv2.line(canvas, a, b, 1, width)


def _unit(angle: float) -> Field:
    return np.array([np.cos(angle), np.sin(angle)])


def _middle(canvas: Canvas) -> Field:
    return np.array(canvas.shape[::-1]) / 2.0


def _blob(canvas: Canvas, rng: Rng) -> None:
    axes = rng.integers(20, 32, 2)
    centre = tuple(int(v) for v in _middle(canvas))
    cv2.ellipse(canvas, centre, (int(axes[0]), int(axes[1])), float(rng.uniform(0, 180)), 0, 360, 1, -1)


def _thread(canvas: Canvas, rng: Rng) -> None:
    """A curving thread of 40 short steps that widens as the oil drifts from its source."""
    steps = 40
    heading = rng.uniform(0, 2 * np.pi) + np.cumsum(gaussian_filter(rng.normal(0, 0.35, steps), 3))
    path = np.cumsum(5.0 * np.stack([np.cos(heading), np.sin(heading)], 1), 0)
    path += _middle(canvas) - (path.max(0) + path.min(0)) / 2
    for i in range(steps - 1):
        _line(canvas, path[i], path[i + 1], 3 + 5 * i // steps)


def _spots(canvas: Canvas, rng: Rng) -> None:
    """Round spots in the cells of a jittered lattice, so that they stay apart."""
    lattice = np.stack(np.meshgrid(np.arange(-1, 2), np.arange(-1, 2)), -1).reshape(-1, 2) * 21.0
    for offset in rng.permutation(lattice)[: rng.integers(6, 10)]:
        x, y = np.rint(_middle(canvas) + offset + rng.uniform(-3, 3, 2))
        cv2.circle(canvas, (int(x), int(y)), int(rng.integers(4, 7)), 1, -1)


def _band(canvas: Canvas, rng: Rng) -> None:
    along = _unit(rng.uniform(0, np.pi)) * rng.uniform(45, 60)
    _line(canvas, _middle(canvas) - along, _middle(canvas) + along, int(rng.integers(26, 33)))


def _ring(canvas: Canvas, rng: Rng) -> None:
    """A whole ring, or one open by up to a third."""
    radius, opening = int(rng.integers(19, 28)), float(rng.choice([0, 60, 120]))
    centre = tuple(int(v) for v in _middle(canvas))
    cv2.ellipse(canvas, centre, (radius, radius - 3), float(rng.uniform(0, 360)), opening, 360, 1, 10)


def _dashes(canvas: Canvas, rng: Rng) -> None:
    angle, count = rng.uniform(0, np.pi), int(rng.integers(5, 8))
    along, across = _unit(angle), _unit(angle + np.pi / 2)
    for row in range(count):
        centre = _middle(canvas) + across * 13 * (row - (count - 1) / 2) + along * rng.uniform(-5, 5)
        half = along * rng.uniform(11, 15)
        _line(canvas, centre - half, centre + half, 5)


def _fork(canvas: Canvas, rng: Rng) -> None:
    """Two straight arms from a common apex at the middle of the canvas, each widening outwards."""
    angle, opening = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 0.7)
    for arm in (_unit(angle - opening / 2), _unit(angle + opening / 2)):
        side = np.array([-arm[1], arm[0]])
        near, far = _middle(canvas) + 6 * arm, _middle(canvas) + rng.uniform(50, 65) * arm
        corners = np.rint([near - 2 * side, near + 2 * side, far + 6 * side, far - 6 * side]).astype(np.int32)
        cv2.fillPoly(canvas, [corners], 1)


SLICKS: dict[int, _Slick] = {
    1: _Slick(_blob, 100, left=0.12, ragged=4.0),
    2: _Slick(_thread, 220, left=0.12),
    3: _Slick(_spots, 90, left=0.18, ragged=0.5),
    4: _Slick(_band, 180, left=0.45, feather=3.0),
    5: _Slick(_ring, 90, left=0.15),
    6: _Slick(_dashes, 120, left=0.25, ragged=0.5),
    7: _Slick(_fork, 160, left=0.3, ragged=0.5, beacon=True),
}
"""The seven seep classes by label value."""


def seep_scene(rng: Rng, rows: int, cols: int, looks: float = 4) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """A SAR-like scene of the sea, intensity as uint16 DN (H, W) with 0 = no data, and its labels 0–7 uint8 (H, W).

    Slicks of one class fill about 1 % of the scene; all seven classes find room from 384 × 384 pixels up.
    Slicks keep clear of one another and of the no-data wedge, whose labels are 0.

    Args:
        rng: the only source of chance.
        rows: height, pixels.
        cols: width, pixels.
        looks: equivalent number of looks; the variance of the speckle is mean² / looks.
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
            found = _place(rng, slick, taken)
            if found is None:
                break
            (top, left), cover = found
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
    image = np.clip(np.rint(speckle(rng, sea, looks)), 1, SATURATED)
    return np.where(valid, image, 0).astype(np.uint16), mask


def speckle(rng: Rng, intensity: Field, looks: float) -> Field:
    """The intensity under fully developed speckle: times a gamma variable of mean 1 and variance 1 / looks."""
    return intensity * rng.gamma(looks, 1 / looks, intensity.shape)


def _sea(rng: Rng, rows: int, cols: int) -> Field:
    """Intensity of open water: fall with the incidence angle, wind patches, a faint swell."""
    y, x = np.mgrid[:rows, :cols].astype(np.float64)
    fall = 1.25 - 0.5 * x / cols
    wind = np.exp(0.18 * _noise(rng, (rows, cols), 60))
    kx, ky = _unit(rng.uniform(0, np.pi)) * 2 * np.pi / rng.uniform(14, 22)
    swell = 1 + 0.06 * np.sin(kx * x + ky * y + 2 * _noise(rng, (rows, cols), 40))
    return np.asarray(SEA_LEVEL * rng.uniform(0.85, 1.15) * fall * wind * swell)


def _swath(rng: Rng, rows: int, cols: int) -> NDArray[np.bool_]:
    """True where the radar looked: all but a wedge along the left or the right border."""
    top, bottom = rng.uniform(0.0, 0.2, 2) * cols
    edge = np.linspace(top, bottom, rows)[:, None]
    valid = np.arange(cols)[None, :] >= edge
    return valid if rng.random() < 0.5 else valid[:, ::-1]


def _noise(rng: Rng, shape: tuple[int, int], scale: float) -> Field:
    """Smooth noise of mean 0 and variance 1; drawn coarse and enlarged, as filtering at full size is slow."""
    step = max(1, round(scale / 4))
    coarse = (shape[0] // step + 8, shape[1] // step + 8)
    field = gaussian_filter(rng.normal(size=coarse), scale / step)
    field = (field - field.mean()) / field.std()
    enlarged = cv2.resize(field, (coarse[1] * step, coarse[0] * step), interpolation=cv2.INTER_CUBIC)
    return np.asarray(enlarged[: shape[0], : shape[1]], np.float64)


def _widen(area: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    return np.asarray(cv2.dilate(area.astype(np.uint8), kernel) > 0)


def _place(rng: Rng, slick: _Slick, taken: NDArray[np.bool_]) -> tuple[tuple[int, int], Field] | None:
    """Corner and cover (0–1) of a slick on free water; None when 4 shapes at 40 places each found no room."""
    free = np.array(taken.shape) - slick.side
    if free.min() < 0:
        return None
    for _ in range(4):
        cover = _cover(rng, slick)
        for top, left in rng.integers(0, free + 1, (40, 2)).tolist():
            if not (taken[top : top + slick.side, left : left + slick.side] & (cover >= 0.5)).any():
                return (top, left), cover
    return None


def _cover(rng: Rng, slick: _Slick) -> Field:
    """Cover (side, side) from 0 to 1: a logistic step across the drawn outline, one half on it."""
    canvas = np.zeros((slick.side, slick.side), np.uint8)
    slick.draw(canvas, rng)
    outside, inside = (cv2.distanceTransform(c, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for c in (1 - canvas, canvas))
    # Bending the plane, unlike adding noise to the distance, makes the outline ragged without tearing pieces off.
    y, x = np.mgrid[: slick.side, : slick.side]
    bent_x, bent_y = ((g + slick.ragged * _noise(rng, canvas.shape, 6)).astype(np.float32) for g in (x, y))
    depth = cv2.remap(inside - outside, bent_x, bent_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(1 / (1 + np.exp(-np.clip(np.float64(depth) / slick.feather, -30, 30))))


def _ships(rng: Rng, taken: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Places of lone ships on open water, one to a quarter of a megapixel, two at least."""
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


def write_seep(
    root: Path,
    *,
    scenes: int = 6,
    grid: tuple[int, int] = (6, 6),
    tile: int = 128,
    seed: int = 0,
    images: str = "train_images_256",
    masks: str = "train_masks_256",
) -> None:
    """Write scenes cut into tiles, `SCENE.INDEX.tif` with INDEX = row · columns + column, as in the public seep set.

    Tiles without any data are left out, as there.
    """
    for folder in (images, masks):
        (root / folder).mkdir(parents=True, exist_ok=True)
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
                tifffile.imwrite(root / images / name, image[cell], photometric="minisblack", metadata=None)
                tifffile.imwrite(root / masks / name, mask[cell], photometric="minisblack", metadata=None)


def write_scene(path: Path, *, rows: int, cols: int, seed: int, pixel_size: float = 10.0) -> None:
    """Write one scene of rows × cols pixels as a GeoTIFF in UTM 16 N, and its truth as `<stem>_mask.tif` beside it."""
    import rasterio
    from rasterio.transform import Affine

    image, mask = seep_scene(np.random.default_rng([seed, rows, cols]), rows, cols)
    profile: dict[str, Any] = {
        "driver": "GTiff", "height": rows, "width": cols, "count": 1, "crs": "EPSG:32616",
        "transform": Affine(pixel_size, 0, 400_000, 0, -pixel_size, 3_100_000),
        "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate",
    }  # fmt: skip
    # Not through io.raster, which writes what seepseg finds: class and probability maps, never a scene.
    for target, pixels, nodata in ((path, image, 0), (path.with_name(f"{path.stem}_mask.tif"), mask, None)):
        profile |= {"dtype": pixels.dtype, "nodata": nodata}
        with atomic_path(target) as partial, rasterio.open(partial, "w", **profile) as raster:
            raster.write(pixels, 1)


# --- salt ------------------------------------------------------------------------------------------------------------


def salt_tile(rng: Rng, size: int = 101, salt: bool = True) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A seismic-like section, grey levels uint8 (H, W), and where it is salt, bool (H, W).

    Warped and faulted layers; salt is chaotic and dim under a bright top, and the layers bend up against it.
    """
    y, x = np.mgrid[:size, :size].astype(np.float64)
    body = _body(rng, size) if salt else np.zeros((size, size), np.bool_)
    lift = 10 * gaussian_filter(body.astype(np.float64), 14)
    time = y + rng.uniform(-0.25, 0.25) * x + 5 * _noise(rng, (size, size), 35) + lift
    for _ in range(rng.integers(0, 3)):
        dip, at, throw = rng.uniform(-0.5, 0.5), rng.uniform(0.2, 0.8) * size, rng.uniform(3, 9)
        time = time + throw * (x > at + dip * (y - size / 2))
    # One trace of reflectivity, read at every pixel's warped time: what makes layers run through the whole tile.
    trace = gaussian_filter(rng.normal(size=4 * size), rng.uniform(1.0, 1.6))
    section = np.interp(time, np.arange(4 * size) - 1.5 * size, trace / trace.std())
    section *= 1 + 0.3 * _noise(rng, (size, size), 15)
    chaos = gaussian_filter(rng.normal(size=(size, size)), 0.8)
    section = np.where(body, 0.45 * chaos / chaos.std() - 0.5, section)
    top = body & ~np.roll(body, 3, 0)
    top[:3] = False
    section = np.where(top, 2.8, section) + 0.2 * rng.normal(size=(size, size))
    return np.clip(np.rint(120 + 42 * section), 0, 255).astype(np.uint8), body


def _body(rng: Rng, size: int) -> NDArray[np.bool_]:
    """A dome that leaves the tile at its foot, or the flank of a larger one."""
    x = np.linspace(-1, 1, size)[None, :]
    y = np.linspace(0, 1, size)[:, None]
    peak, height, width = rng.uniform(-1.2, 1.2), rng.uniform(0.3, 0.95), rng.uniform(0.35, 1.1)
    wobble = 0.05 * _noise(rng, (1, size), 10)
    body = np.broadcast_to(y > 1 - height * np.exp(-(((x - peak) / width) ** 2)) + wobble, (size, size)).copy()
    if not body.any():
        body[-size // 10 :, : size // 2] = True
    return body


def write_salt(root: Path, *, tiles: int = 200, test_tiles: int = 20, size: int = 101, seed: int = 0) -> None:
    """Write tiles in the layout of the TGS salt set: 39 % without salt, some of those constant, test without masks."""
    rng = np.random.default_rng([seed, tiles, test_tiles])
    for folder in ("train/images", "train/masks", "test/images"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    names = [f"{number:010x}" for number in rng.choice(16**10, tiles + test_tiles, replace=False)]
    kinds = np.full(tiles, "salt", "<U8")
    kinds[: round(0.39 * tiles)] = "empty"
    kinds[: max(1, round(0.02 * tiles))] = "constant"
    runs = {}
    for name, kind in zip(names, rng.permutation(kinds), strict=False):
        image, body = salt_tile(rng, size, salt=kind == "salt")
        if kind == "constant":
            image = np.full_like(image, rng.integers(0, 2) * 128)
        _write_gray(root / "train" / "images" / f"{name}.png", image)
        # The public set stores masks with salt in 16 bits and empty ones in 8.
        stored = body.astype(np.uint16) * SATURATED if body.any() else body.astype(np.uint8)
        Image.fromarray(stored).save(root / "train" / "masks" / f"{name}.png")
        runs[name] = encode(body)
    for name in names[tiles:]:
        _write_gray(root / "test" / "images" / f"{name}.png", salt_tile(rng, size, salt=bool(rng.random() < 0.61))[0])
    pd.DataFrame({"id": runs.keys(), "rle_mask": runs.values()}).to_csv(root / "train.csv", index=False)
    depths = rng.integers(50, 960, len(names))
    pd.DataFrame({"id": names, "z": depths}).to_csv(root / "depths.csv", index=False)


def _write_gray(path: Path, image: NDArray[np.uint8]) -> None:
    """Save grey levels as three equal channels, as the public tiles decode."""
    Image.fromarray(np.repeat(image[..., None], 3, 2)).save(path)
