"""Pictures in plain numpy: the one stretch from raw values to 8 bits, overlays, errors, panels."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seepseg.classes import IGNORE, ClassTable

Gray = NDArray[np.uint8]
Rgb = NDArray[np.uint8]
Indices = NDArray[np.generic]

MID_GREY = 128
SAMPLE = 2**18
GAP = 4
"""White columns between the pictures of a panel, pixels."""
PANEL_PARTS = ("image", "truth", "prediction", "errors")
"""What the pictures of `panel` show, from the left."""

# Far from every class colour, and from each other for colour-blind eyes too (CIEDE2000 of 20 and more).
ERROR_COLORS: dict[str, tuple[int, int, int]] = {
    "correct": (90, 210, 0),
    "missed": (215, 0, 50),
    "false alarm": (0, 255, 255),
    "wrong class": (150, 50, 255),
    "ignored": (MID_GREY,) * 3,
}
ERROR_BACKGROUND = (20, 20, 20)


def stretch(image: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> Gray:
    """Grey levels uint8 (H, W): the 1st to the 99th percentile of the valid finite pixels, linearly.

    Pixels that are invalid or not finite are 0; an image of one value is mid-grey. The percentiles are those of some
    `SAMPLE` pixels at even distances.
    """
    usable = np.isfinite(image) if valid is None else valid & np.isfinite(image)
    values = image[usable]
    gray = np.zeros(image.shape, np.uint8)
    if not values.size:
        return gray
    low, high = np.percentile(values[:: -(-values.size // SAMPLE)].astype(np.float64), (1, 99)).tolist()
    if high == low:
        # All but a few pixels are equal (an outlier must not turn them black), or the image is constant.
        gray[usable] = np.select([values < low, values > high], [0, 255], MID_GREY)
    else:
        scaled = (values - low) / (high - low)
        gray[usable] = np.rint(255 * np.clip(scaled, 0, 1, out=scaled), out=scaled)
    return gray


def colorize(indices: Indices, table: ClassTable) -> Rgb:
    """Class colours (H, W, 3) of class indices (H, W); ignored pixels are mid-grey."""
    palette = np.full((256, 3), MID_GREY, np.uint8)
    palette[: len(table)] = table.colors
    return palette[indices.astype(np.uint8)]


def overlay(gray: Gray, indices: Indices, table: ClassTable, alpha: float = 0.6) -> Rgb:
    """The grey image (H, W) with its foreground classes laid over it at opacity `alpha`, (H, W, 3)."""
    base = rgb(gray)
    shown = (indices != 0) & (indices != IGNORE)
    mixed = (1 - alpha) * base[shown] + alpha * colorize(indices, table)[shown]
    base[shown] = np.rint(mixed).astype(np.uint8)
    return base


def error_map(truth: Indices, prediction: Indices) -> Rgb:
    """Colours (H, W, 3) of right and wrong pixels, as in `ERROR_COLORS`; correct background is dark."""
    ignored = (truth == IGNORE) | (prediction == IGNORE)
    kinds = {
        "ignored": ignored,
        "missed": (truth != 0) & (prediction == 0),
        "false alarm": (truth == 0) & (prediction != 0),
        "correct": (truth != 0) & (truth == prediction),
        "wrong class": truth != prediction,
    }
    drawn = np.empty((*truth.shape, 3), np.uint8)
    drawn[:] = ERROR_BACKGROUND
    for kind in reversed(kinds):  # the earlier kind is drawn last
        drawn[kinds[kind]] = ERROR_COLORS[kind]
    return drawn


def panel(image: NDArray[Any], truth: Indices | None, prediction: Indices, table: ClassTable) -> Rgb:
    """Image, truth, prediction and errors side by side, (H, 4·W + 3·GAP, 3); without truth its two places are grey.

    Args:
        image: raw values (H, W); stretched here. Pixels ignored in the prediction are taken as invalid.
        truth: class indices (H, W), or None.
        prediction: class indices (H, W).
        table: gives the colours.
    """
    blank = np.full((*prediction.shape, 3), MID_GREY, np.uint8)
    parts = (
        rgb(stretch(image, prediction != IGNORE)),
        blank if truth is None else colorize(truth, table),
        colorize(prediction, table),
        blank if truth is None else error_map(truth, prediction),
    )
    return beside(parts)


def beside(parts: Sequence[Rgb]) -> Rgb:
    """Pictures (H, W, 3) side by side, white columns between them and white below the lower ones."""
    high = max(len(part) for part in parts)
    gap = np.full((high, GAP, 3), 255, np.uint8)
    filled = [np.pad(part, ((0, high - len(part)), (0, 0), (0, 0)), constant_values=255) for part in parts]
    return np.concatenate([piece for part in filled for piece in (part, gap)][:-1], axis=1)


def thinned(gray: Gray, maps: Sequence[Indices], side: int) -> tuple[Gray, list[NDArray[np.uint8]]]:
    """A picture and its class maps (H, W), at most `side` pixels a side, as a page shows them.

    Grey levels by the mean, which calms speckle, classes by the largest index; a block is ignored where all of it is.
    """
    step = -(-max(gray.shape) // side)
    if step == 1:
        return gray, [np.asarray(indices, np.uint8) for indices in maps]
    thin = []
    for indices in maps:
        blocks = in_blocks(indices.astype(np.uint8), step)
        highest = np.where(blocks == IGNORE, np.uint8(0), blocks).max((1, 3))
        thin.append(np.where((blocks == IGNORE).all((1, 3)), np.uint8(IGNORE), highest))
    return in_blocks(gray, step).mean((1, 3)).round().astype(np.uint8), thin


def jpeg(gray: Gray) -> bytes:
    """A grey picture (H, W) as a JPEG file."""
    stream = BytesIO()
    Image.fromarray(gray).save(stream, format="JPEG", quality=75, optimize=True)
    return stream.getvalue()


def rgb(gray: Gray) -> Rgb:
    """A grey picture (H, W) as RGB (H, W, 3)."""
    return np.repeat(gray[..., None], 3, axis=2)


def in_blocks(plane: NDArray[Any], step: int) -> NDArray[Any]:
    """The plane cut into blocks, (H/step, step, W/step, step); the border is repeated to fill the last ones."""
    rows, cols = (-n % step for n in plane.shape)
    padded = np.pad(plane, ((0, rows), (0, cols)), mode="edge")
    return padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)
