"""Tiles inside a page: image, truth, prediction and error, flipped in the browser."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from seepseg.classes import ClassTable
from seepseg.figures.pictures import ERROR_COLORS, jpeg, thinned

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


def gallery(groups: Sequence[Group], classes: ClassTable, side: int = SIDE) -> str:
    """All groups with one set of controls; nothing for no pictures.

    A page holds one gallery. Images are JPEG, class maps run lengths; the browser composes the rest, so that a tile of
    256 pixels takes some 30 kB. Pictures longer than `side` pixels are reduced.
    """
    pictures = [p for group in groups for p in group.pictures]
    if not pictures:
        return ""
    layers = KEPT_LAYERS[all(p.prediction is not None for p in pictures)]
    store, blocks, number = [], [], 0
    for group in groups:
        figures = []
        for picture in group.pictures:
            maps = [picture.truth] if picture.prediction is None else [picture.truth, picture.prediction]
            gray, thin = thinned(picture.gray, maps, side)
            entry: dict[str, object] = {"height": gray.shape[0], "width": gray.shape[1]}
            store.append(entry | {n: runs(m) for n, m in zip(("truth", "prediction"), thin, strict=False)})
            figures.append(_tile(picture.caption, gray, number))
            number += 1
        if figures:
            remark = f'<p class="muted">{escape(group.remark)}</p>' if group.remark else ""
            blocks.append(f"<h3>{escape(group.title)}</h3>{remark}<div class='tiles'>{''.join(figures)}</div>")
    data = {
        "tiles": store,
        "palette": classes.colors.tolist(),
        "errors": {kind: list(color) for kind, color in ERROR_COLORS.items()},
    }
    # "<" alone could end the script element; nothing else can.
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return (
        _controls(layers)
        + _legends(classes, errors="error" in layers)
        + "".join(blocks)
        + _dialog()
        + f'<script type="application/json" id="gallery-data">{text}</script>'
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


def _tile(caption: str, gray: NDArray[np.uint8], number: int) -> str:
    high, wide = gray.shape
    source = base64.b64encode(jpeg(gray)).decode()
    return (
        f'<figure class="tile" data-tile="{number}"><button class="picture" type="button">'
        f'<img src="data:image/jpeg;base64,{source}" alt="{escape(caption)}" width="{wide}" height="{high}">'
        f'<canvas width="{wide}" height="{high}"></canvas></button><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _controls(layers: Sequence[str]) -> str:
    # First shown is the error, or the truth where there is no prediction.
    choices = "".join(
        f'<label><input type="radio" name="layer" value="{layer}"{" checked" if layer == layers[-1] else ""}>'
        f"{layer} <kbd>{key}</kbd></label>"
        for key, layer in enumerate(layers, 1)
    )
    return (
        f'<div class="controls"><fieldset aria-label="What is drawn over the image">{choices}</fieldset>'
        '<label>strength <input type="range" id="overlay" min="0" max="100" value="75"></label>'
        '<span class="muted"><kbd>f</kbd> flips on; a click or Enter enlarges a tile</span></div>'
    )


def _legends(classes: ClassTable, errors: bool) -> str:
    names = zip(classes.names[1:], classes.colors[1:].tolist(), strict=True)
    of_classes = "".join(
        f'<li><span class="swatch" style="background:rgb({r},{g},{b})"></span>{escape(n)}</li>'
        for n, (r, g, b) in names
    )
    of_errors = "".join(f'<li><i style="background:{_pattern(kind)}"></i>{kind}</li>' for kind in ERROR_COLORS)
    return f'<ul class="legend">{of_classes}</ul>' + (f'<ul class="legend errors">{of_errors}</ul>' if errors else "")


def _pattern(kind: str) -> str:
    light, dark = (f"rgb({','.join(str(round(c * f)) for c in ERROR_COLORS[kind])})" for f in (1, 0.45))
    return PATTERNS[kind].format(light, dark) if kind in PATTERNS else light


def _dialog() -> str:
    return (
        '<dialog id="large" aria-label="Enlarged tile"><div class="row"><span><button type="button" data-step="-1" '
        'aria-label="before">←</button> <button type="button" data-step="1" aria-label="next">→</button></span>'
        '<button type="button" data-flip>flip: <span data-layer></span></button>'
        '<button type="button" data-close>close</button></div>'
        '<div class="picture"><img alt=""><canvas></canvas></div><p></p></dialog>'
    )
