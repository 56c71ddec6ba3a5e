"""Random changes to training tiles, through albumentations; the one module that imports it."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.config import Augment

# albumentations asks the network for newer versions when imported; seepseg works offline.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

Arrays = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]
Augmentation = Callable[[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_], int], Arrays]
"""(unit image (C, H, W), mask (H, W), valid (H, W), seed) → the three, changed as the seed says."""


def build_augmentation(config: Augment) -> Augmentation:
    """The augmentation of a config: a pure function of its arguments, the seed included.

    Presets: `hflip` mirrors left and right (salt: depth points down). `seep_original` adds the half turn, what the
    public seep exercise did. `seep` takes all eight flips and quarter turns: a look direction changes the brightness of
    waves, not the outline of a slick. Where geometry uncovers pixels they become no-data, or the image is reflected.
    """
    import albumentations as A  # noqa: N812 - the library's own convention
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
    if not steps:
        return lambda image, mask, valid, seed: (image, mask, valid)
    pipeline = A.Compose(steps)

    def augment(image: NDArray[np.float32], mask: NDArray[np.uint8], valid: NDArray[np.bool_], seed: int) -> Arrays:
        # The library's own generator repeats itself when loader workers restart.
        pipeline.set_random_seed(seed)
        # It also gives every step the same stream, which would let one flip decide the other.
        for number, step in enumerate(steps):
            step.set_random_seed(seed + 7919 * (number + 1))
        # Validity travels as a mask of *invalid* pixels, so that the fill value of masks marks uncovered ones.
        done = pipeline(image=np.ascontiguousarray(image.transpose(1, 2, 0)), masks=[mask, (~valid).astype(np.uint8)])
        valid = done["masks"][1] == 0
        unit = np.clip(done["image"].reshape(*valid.shape, -1), 0, 1).transpose(2, 0, 1)
        return (
            np.where(valid, unit, np.float32(0)).astype(np.float32, copy=False),
            np.where(valid, done["masks"][0], np.uint8(IGNORE)),
            valid,
        )

    return augment
