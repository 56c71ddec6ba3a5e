"""Copy-paste of whole objects from tile to tile of the training part (Ghiasi et al. 2021, arXiv 2012.07177)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from seepseg.objects import label_objects

RIM = 6
"""The sea this far around an object goes with it, is matched in brightness and fades into the new sea, in pixels."""

TRIES = 10
"""Places tried for an object before the tile stays as it is."""

LEAST = 10
"""Pixels of the smallest object worth pasting."""

Arrays = tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Cutout:
    """An object with the sea around it: image (C, h, w) in [0, 1], and its classes (h, w), 0 beside it."""

    image: NDArray[np.float32]
    mask: NDArray[np.uint8]


class Bank:
    """Objects to paste; classes are drawn alike, so that rare ones come as often as others."""

    def __init__(self, cutouts: Iterable[Cutout]) -> None:
        self._by_class: dict[int, list[Cutout]] = {}
        for cutout in cutouts:
            self._by_class.setdefault(int(np.bincount(cutout.mask[cutout.mask > 0]).argmax()), []).append(cutout)

    def paste(
        self,
        image: NDArray[np.float32],
        mask: NDArray[np.uint8],
        valid: NDArray[np.bool_],
        rng: np.random.Generator,
    ) -> Arrays:
        """A tile (image (C, H, W), mask and valid (H, W)) with one more object, which the generator draws.

        The object is turned and mirrored, and lies with its rim on valid sea alone: never on no-data, ignored pixels or
        another object. Where no such place is found the tile stays as it is. What is given is not changed.
        """
        if not self._by_class:
            return image, mask, valid
        cutouts = self._by_class[sorted(self._by_class)[rng.integers(len(self._by_class))]]
        cutout = turned(cutouts[rng.integers(len(cutouts))], int(rng.integers(8)))
        height, width = cutout.mask.shape
        if height > mask.shape[0] or width > mask.shape[1]:
            return image, mask, valid
        weight = _weight(cutout.mask)
        free = valid & (mask == 0)
        for _ in range(TRIES):
            y, x = (int(rng.integers(size - own + 1)) for size, own in zip(mask.shape, (height, width), strict=True))
            place = np.s_[y : y + height, x : x + width]
            if free[place][weight > 0].all():
                return *_blended(image, mask, cutout, weight, place), valid
        return image, mask, valid


def cut_out(image: NDArray[np.float32], mask: NDArray[np.uint8], valid: NDArray[np.bool_]) -> list[Cutout]:
    """The objects of a tile that lie in it whole: with their rim on valid sea, away from its edge and other objects."""
    labels, count = label_objects(mask)
    found = []
    for number, box in enumerate(ndimage.find_objects(labels, count), start=1):
        rows, columns = (slice(s.start - RIM, s.stop + RIM) for s in box)
        if min(rows.start, columns.start) < 0 or rows.stop > mask.shape[0] or columns.stop > mask.shape[1]:
            continue
        own = labels[rows, columns] == number
        rim = (_weight(own) > 0) & ~own
        if own.sum() >= LEAST and valid[rows, columns][rim].all() and (mask[rows, columns][rim] == 0).all():
            found.append(Cutout(image[:, rows, columns].copy(), np.where(own, mask[rows, columns], np.uint8(0))))
    return found


def turned(cutout: Cutout, turn: int) -> Cutout:
    """A cutout in one of its eight positions, 0 … 7: quarter turns, and from 4 on mirrored too."""
    image, mask = np.rot90(cutout.image, turn % 4, (1, 2)), np.rot90(cutout.mask, turn % 4)
    return Cutout(image[..., ::-1], mask[..., ::-1]) if turn >= 4 else Cutout(image, mask)


def _weight(mask: NDArray[np.generic]) -> NDArray[np.float32]:
    """How much of the cutout shows (h, w): 1 on the object, falling to 0 over its rim."""
    far = cv2.distanceTransform(np.ascontiguousarray(mask == 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.maximum(0, 1 - np.asarray(far, np.float32) / RIM)


def _blended(
    image: NDArray[np.float32],
    mask: NDArray[np.uint8],
    cutout: Cutout,
    weight: NDArray[np.float32],
    place: tuple[slice, slice],
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Image and mask with a cutout at a place; the sea in its rim gets mean and spread of the sea it comes to."""
    image, mask = image.copy(), mask.copy()
    here = image[:, place[0], place[1]]
    rim = (weight > 0) & (cutout.mask == 0)
    old, new = cutout.image[:, rim], here[:, rim]
    # A flat rim, of clipped pixels for example, would blow up the object's own texture.
    gain = np.clip(new.std(1) / np.maximum(old.std(1), 1e-6), 0.5, 2)[:, None, None]
    fitted = (cutout.image - old.mean(1)[:, None, None]) * gain + new.mean(1)[:, None, None]
    image[:, place[0], place[1]] = np.where(weight > 0, np.clip(here + weight * (fitted - here), 0, 1), here)
    mask[place] = np.where(cutout.mask > 0, cutout.mask, mask[place])
    return image, mask
