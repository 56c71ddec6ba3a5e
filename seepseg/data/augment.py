"""Random changes to training tiles, through albumentations; the one module that imports it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.config import Augment

Arrays = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]
Augmentation = Callable[[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_], int], Arrays]
"""(unit image (C, H, W), mask (H, W), valid (H, W), seed) → the three, changed as the seed says."""


Picture = NDArray[np.float32]
Planes = list[NDArray[np.uint8]]


def build_augmentation(config: Augment) -> Augmentation:
    """The augmentation of a config: a pure function of its arguments, the seed included.

    Presets: `hflip` mirrors left and right (salt: depth points down). `seep_original` adds the half turn, what the
    public seep exercise did. `seep` takes all eight flips and quarter turns: a look direction changes the brightness of
    waves, not the outline of a slick. Where geometry uncovers pixels they become no-data, or the image is reflected.
    Masks move with the image, always to the nearest pixel.
    """
    import albumentations as A  # noqa: N812 - the library's own convention

    steps = _steps(config)
    light = bool(config.brightness or config.contrast)
    if not (steps or config.roll or config.crop or light):
        return lambda image, mask, valid, seed: (image, mask, valid)
    pipeline = A.Compose(steps)

    def augment(image: NDArray[np.float32], mask: NDArray[np.uint8], valid: NDArray[np.bool_], seed: int) -> Arrays:
        # The library's own generator starts again when loader workers restart.
        pipeline.set_random_seed(seed)
        # It also gives every step the same stream, which would let one flip decide the other.
        for number, step in enumerate(steps):
            step.set_random_seed(seed + 7919 * (number + 1))
        rng = np.random.default_rng(seed)  # of the steps that the library lacks
        # Validity travels as a mask of *invalid* pixels, so that the fill value of masks marks uncovered ones.
        picture, planes = np.ascontiguousarray(image.transpose(1, 2, 0)), [mask, (~valid).astype(np.uint8)]
        if config.roll:
            picture, planes = _rolled(picture, planes, config.roll, rng)
        if config.crop:
            picture, planes = _cropped(picture, planes, config.crop, rng)
        if steps:
            done = pipeline(image=picture, masks=planes)
            picture, planes = done["image"], done["masks"]
        labels, invalid = planes
        valid = invalid == 0
        if light:
            picture = _relit(picture, valid, config, rng)
        unit = np.clip(picture.reshape(*valid.shape, -1), 0, 1).transpose(2, 0, 1)
        return (
            np.where(valid, unit, np.float32(0)).astype(np.float32, copy=False),
            np.where(valid, labels, np.uint8(IGNORE)),
            valid,
        )

    return augment


def _steps(config: Augment) -> list[Any]:
    """The steps that are albumentations' own."""
    import albumentations as A  # noqa: N812 - its convention
    import cv2

    steps: list[A.BasicTransform] = []
    match config.preset:
        case "hflip":
            steps.append(A.HorizontalFlip(p=0.5))
        case "seep_original":
            # A mirror and a half turn, one time in two each, are a mirror either way, one time in two each.
            steps += [A.HorizontalFlip(p=0.5), A.VerticalFlip(p=0.5)]
        case "seep":
            steps.append(A.D4(p=1))
    if config.zoom or config.shift or config.rotate:
        border = cv2.BORDER_REFLECT_101 if config.fill == "reflect" else cv2.BORDER_CONSTANT
        steps.append(
            A.Affine(
                scale=(1 - config.zoom, 1 + config.zoom),
                keep_ratio=True,
                rotate=(-config.rotate, config.rotate),
                translate_percent=(-config.shift, config.shift),
                border_mode=border,
                fill=0,
                fill_mask=IGNORE,
                p=1,
            )
        )
    if config.gain:
        steps.append(A.MultiplicativeNoise((1 - config.gain, 1 + config.gain), elementwise=False, p=1))
    if config.gamma:
        steps.append(A.RandomGamma((100 * (1 - config.gamma), 100 * (1 + config.gamma)), p=1))
    if config.speckle:
        steps.append(
            A.MultiplicativeNoise((1 - config.speckle, 1 + config.speckle), elementwise=True, per_channel=True, p=1)
        )
    return steps


def _rolled(picture: Picture, planes: Planes, most: float, rng: np.random.Generator) -> tuple[Picture, Planes]:
    """Moved sideways by up to the share `most` of the width; pixels that leave on one side enter on the other."""
    by = round(float(rng.uniform(-most, most)) * picture.shape[1])
    return np.roll(picture, by, 1), [np.roll(plane, by, 1) for plane in planes]


def _cropped(picture: Picture, planes: Planes, most: float, rng: np.random.Generator) -> tuple[Picture, Planes]:
    """A window of 1 − `most` to 1 times the sides, anywhere, at the size of the whole."""
    import cv2

    height, width = picture.shape[:2]
    share = float(rng.uniform(1 - most, 1))
    rows, cols = (max(1, round(share * n)) for n in (height, width))
    top, left = (int(rng.integers(0, n + 1)) for n in (height - rows, width - cols))
    window = np.s_[top : top + rows, left : left + cols]
    enlarged = cv2.resize(picture[window], (width, height), interpolation=cv2.INTER_LINEAR)
    # NEAREST takes the corner of a pixel for its middle, which would shift the mask against the image.
    nearest = [cv2.resize(p[window], (width, height), interpolation=cv2.INTER_NEAREST_EXACT) for p in planes]
    # OpenCV drops a channel axis of one.
    return np.asarray(enlarged, np.float32).reshape(picture.shape), [np.asarray(p, np.uint8) for p in nearest]


def _relit(picture: Picture, valid: NDArray[np.bool_], config: Augment, rng: np.random.Generator) -> Picture:
    """Contrast times 1 ± c around the mean of each band's valid pixels, then brighter or darker by up to b."""
    factor = 1 + float(rng.uniform(-config.contrast, config.contrast))
    more = float(rng.uniform(-config.brightness, config.brightness))
    if not valid.any():
        return picture
    picture = picture.reshape(*valid.shape, -1)
    mean = picture[valid].mean(0)
    return np.asarray((picture - mean) * factor + mean + more, np.float32)
