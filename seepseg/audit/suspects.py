"""Likely annotation errors of one tile: where a network that has not seen it is sure that its label is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from seepseg.classes import IGNORE
from seepseg.inference.score import TileResult
from seepseg.objects.components import label_objects

SMALLEST = 10
"""Pixels; smaller objects are no suspects."""

REACH = 4
"""Outlines are tried this many pixels further up, down, left and right."""

GAIN = 0.1
"""A shifted outline must raise the mean foreground probability under it by this much."""

KINDS = {
    "not labelled": "The network finds an object where the label has none.",
    "not seen": "The network is sure of background under a labelled object.",
    "wrong class": "The network gives a labelled object another class.",
    "shifted outline": "The label, moved by a few pixels, agrees better with what the network finds.",
}


@dataclass(frozen=True)
class Suspect:
    """One likely annotation error.

    Attributes:
        kind: one of `KINDS`.
        tile: id.
        labelled: class index in the label, 0 = background.
        predicted: class index that the network gives it.
        row, column: middle of its bounding box in the tile.
        pixels: of the object.
        confidence: how much more probable the network's class is to it than the label's, mean over the object, 0–1.
        detail: for people.
    """

    kind: str
    tile: str
    labelled: int
    predicted: int
    row: int
    column: int
    pixels: int
    confidence: float
    detail: str = ""

    @property
    def weight(self) -> float:
        """Pixels × confidence, by which suspects are ranked: how many pixels would change, as the network sees it."""
        return self.pixels * self.confidence


def suspects(result: TileResult) -> list[Suspect]:
    """The suspects of a tile that was scored by a network that had not seen it; in no order.

    Objects are of the tile: one that a border cuts is two. An object of the label is at most one suspect of "not
    seen", "wrong class" and "shifted outline".
    """
    counted = (result.truth != IGNORE) & (result.prediction != IGNORE)
    truth, prediction = (np.where(counted, plane, np.uint8(0)) for plane in (result.truth, result.prediction))
    probabilities = result.probabilities.astype(np.float64)
    out = [*_unlabelled(result.id, truth, prediction, probabilities)]
    for window, mask in _objects(truth):
        out += _of_object(result.id, window, mask, truth, prediction, probabilities)
    return out


def _objects(plane: NDArray[np.uint8]) -> Iterator[tuple[tuple[slice, slice], NDArray[np.bool_]]]:
    """Bounding box and mask inside it of each object of `SMALLEST` pixels or more."""
    labels, _ = label_objects(plane)
    for number, box in enumerate(find_objects(labels), 1):
        window = (box[0], box[1])
        mask = labels[window] == number
        if mask.sum() >= SMALLEST:
            yield window, mask


def _unlabelled(
    name: str, truth: NDArray[np.uint8], prediction: NDArray[np.uint8], probabilities: NDArray[np.float64]
) -> Iterator[Suspect]:
    for window, mask in _objects(prediction):
        if truth[window][mask].any():
            continue
        sea = float(probabilities[0][window][mask].mean())
        if sea < 0.5:
            yield Suspect("not labelled", name, 0, _most_common(prediction[window][mask]), *_middle(window),
                          int(mask.sum()), 1 - 2 * sea)  # fmt: skip


def _of_object(
    name: str,
    window: tuple[slice, slice],
    mask: NDArray[np.bool_],
    truth: NDArray[np.uint8],
    prediction: NDArray[np.uint8],
    probabilities: NDArray[np.float64],
) -> list[Suspect]:
    own, pixels, middle = _most_common(truth[window][mask]), int(mask.sum()), _middle(window)
    under = probabilities[(slice(None), *window)][:, mask].mean(1)
    if not prediction[window][mask].any():
        sure = 2 * float(under[0]) - 1
        return [Suspect("not seen", name, own, 0, *middle, pixels, sure)] if sure > 0 else []
    other = 1 + int(under[1:].argmax())
    if other != own and under[1:].sum() > 0.5:
        # Among foreground classes only: how sure the network is of an object at all does not matter here.
        lead = float((under[other] - under[own]) / under[1:].sum())
        return [Suspect("wrong class", name, own, other, *middle, pixels, lead)]
    rows, cols, gain = best_shift(mask, window, 1 - probabilities[0])
    if gain < GAIN:
        return []
    way = f"{abs(rows)} px {'down' if rows > 0 else 'up'}" if rows else ""
    aside = f"{abs(cols)} px {'right' if cols > 0 else 'left'}" if cols else ""
    detail = ", ".join(part for part in (way, aside) if part)
    return [Suspect("shifted outline", name, own, own, *middle, pixels, gain, detail)]


def best_shift(
    mask: NDArray[np.bool_], window: tuple[slice, slice], foreground: NDArray[np.float64]
) -> tuple[int, int, float]:
    """Rows and columns (down, right) to move an object by, and what its mean foreground probability gains.

    Only moves that keep the object inside the tile are tried, the shortest first: of equal ones it wins.
    """
    height, width = foreground.shape
    rows, cols = np.nonzero(mask)
    rows, cols = rows + window[0].start, cols + window[1].start
    here = float(foreground[rows, cols].mean())
    best = (0, 0, 0.0)
    reach = range(-REACH, REACH + 1)
    for down, right in sorted(((d, r) for d in reach for r in reach), key=lambda m: (m[0] ** 2 + m[1] ** 2, m)):
        inside = rows.min() + down >= 0 and rows.max() + down < height
        if inside and cols.min() + right >= 0 and cols.max() + right < width:
            gain = float(foreground[rows + down, cols + right].mean()) - here
            if gain > best[2] + 1e-9:
                best = (down, right, gain)
    return best


def _most_common(values: NDArray[np.uint8]) -> int:
    """The most common foreground class of some pixels, the lower in a tie."""
    return 1 + int(np.bincount(values, minlength=2)[1:].argmax())


def _middle(window: tuple[slice, slice]) -> tuple[int, int]:
    rows, cols = window
    return (rows.start + rows.stop - 1) // 2, (cols.start + cols.stop - 1) // 2
