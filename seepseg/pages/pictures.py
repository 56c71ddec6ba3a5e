"""Tiles inside a page: image, truth, prediction and error, flipped in the browser."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import ClassTable
from seepseg.figures.pictures import ERROR_COLORS, jpeg, thinned
from seepseg.pages.template import Html, asset, fill

SIDE = 320
"""Larger tiles are reduced, so that a hundred of them stay below 8 MB."""

KEPT_LAYERS = {True: ("image", "truth", "prediction", "error"), False: ("image", "truth")}
"""What a tile can show, by whether it has a prediction."""

PATTERNS = {
    "missed": "repeating-linear-gradient(0deg, {0} 0 3px, {1} 3px 6px)",
    "false alarm": "repeating-linear-gradient(135deg, {0} 0 3px, {1} 3px 6px)",
    "wrong class": "conic-gradient({0} 25%, {1} 0 50%, {0} 0 75%, {1} 0) 0 0 / 6px 6px",
}
"""Legends of the kinds of error that page.js draws with a pattern, for readers who cannot distinguish their colours."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A tile: its caption, grey levels uint8 (H, W), class indices (H, W) of truth and of the prediction."""

    caption: str
    gray: NDArray[np.uint8]
    truth: NDArray[np.uint8]
    prediction: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class Group:
    """Pictures that belong together, their heading, and a line on how they were chosen."""

    title: str
    remark: str
    pictures: Sequence[Picture]


def gallery(groups: Sequence[Group], classes: ClassTable, side: int = SIDE) -> Html:
    """All groups with one set of controls; nothing for no pictures.

    A page holds one gallery. Images are JPEG, class maps run lengths; the browser composes the rest, so that a tile of
    256 pixels takes some 30 kB. Pictures longer than `side` pixels are reduced.
    """
    pictures = [p for group in groups for p in group.pictures]
    if not pictures:
        return Html()
    layers = KEPT_LAYERS[all(p.prediction is not None for p in pictures)]
    store: list[dict[str, object]] = []
    blocks = []
    for group in groups:
        tiles = []
        for picture in group.pictures:
            maps = [picture.truth] if picture.prediction is None else [picture.truth, picture.prediction]
            gray, thin = thinned(picture.gray, maps, side)
            entry: dict[str, object] = {"height": gray.shape[0], "width": gray.shape[1]}
            tiles.append(entry | {"number": len(store), "caption": picture.caption, "jpeg": _base64(gray)})
            store.append(entry | {n: runs(m) for n, m in zip(("truth", "prediction"), thin, strict=False)})
        blocks.append((group, tiles))
    return fill(
        asset("pages", "gallery.html"),
        layers=layers,
        classes=[(c.name, c.color) for c in classes.foreground],
        errors=[(kind, _pattern(kind)) for kind in ERROR_COLORS if "error" in layers],
        blocks=blocks,
        data={
            "tiles": store,
            "palette": classes.colors.tolist(),
            "errors": {kind: list(color) for kind, color in ERROR_COLORS.items()},
        },
    )


def runs(plane: NDArray[np.uint8]) -> list[int]:
    """Run lengths (value, length, value, length and so on) of a plane (H, W), each row XORed with the one above.

    Rows mostly repeat the one above, so what is left is mostly one long run of zeros.
    """
    flat = plane.copy()
    flat[1:] ^= plane[:-1]
    flat = flat.ravel()
    starts = np.flatnonzero(np.r_[True, flat[1:] != flat[:-1]])
    lengths = np.diff(np.r_[starts, flat.size])
    return np.stack([flat[starts].astype(np.int64), lengths], 1).ravel().tolist()


def _base64(gray: NDArray[np.uint8]) -> str:
    return base64.b64encode(jpeg(gray)).decode()


def _pattern(kind: str) -> str:
    light, dark = (f"rgb({','.join(str(round(c * f)) for c in ERROR_COLORS[kind])})" for f in (1, 0.45))
    return PATTERNS[kind].format(light, dark) if kind in PATTERNS else light
