"""Pictures with titles and a legend: galleries of tiles, quick-looks of scenes."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from seepseg.classes import IGNORE, ClassTable
from seepseg.figures.canvas import blank, class_entries, hex_color, legend, save, show
from seepseg.figures.pictures import ERROR_COLORS, PANEL_PARTS, Rgb, stretch
from seepseg.io.atomic import atomic_path

QUICKLOOK_SIDE = 2000
CUT_SIDE = 320


def save_gallery(
    path: Path, rows: Sequence[tuple[str, Rgb]], table: ClassTable, parts: Sequence[str] = PANEL_PARTS
) -> None:
    """Save titled rows of pictures below one another, with the legends of classes and, where they are shown, errors.

    `parts` are headings of the pictures in a row, which are of one width.
    """
    shapes = [picture.shape for _, picture in rows]
    heights = [10 * shape[0] / shape[1] for shape in shapes]
    legends = {"classes": class_entries(table)}
    if "errors" in parts:
        legends["errors"] = [(name, hex_color(c)) for name, c in ERROR_COLORS.items()]
    blocks = [0.3 + 0.22 * -(-len(entries) // 8) for entries in legends.values()]
    figure = blank(10.4, sum(heights) + 0.3 * len(rows) + 0.35 + sum(blocks) + 0.1, layout=None)
    wide, high = figure.get_size_inches()
    y = high - 0.35
    for i, ((title, picture), height) in enumerate(zip(rows, heights, strict=True)):
        y -= 0.27 + height
        axes = figure.add_axes((0.2 / wide, y / high, 10 / wide, height / high))
        show(axes, picture)
        axes.set_title(title, fontsize=9, loc="left", pad=3)
        y -= 0.03
        if i == 0:
            for part, name in enumerate(parts):
                centre = (0.2 + 10 * (part + 0.5) / len(parts)) / wide
                figure.text(centre, 1 - 0.22 / high, name, ha="center", fontsize=10, weight="bold")
    for (title, entries), block in zip(legends.items(), blocks, strict=True):
        legend(figure, entries, (0.5, y / high), "upper center", title)
        y -= block
    save(figure, path)


class QuickLook:
    """A small picture of a scene with its classes, filled while the scene streams by.

    It holds every k-th pixel, and the largest class index of the k × k pixels there: small findings stay visible.

    Attributes:
        gray: raw values (h, w) of the first band, at most `side` pixels a side.
        valid: where they are valid.
        classes: class indices, 0 where there is no data.
    """

    def __init__(self, height: int, width: int, side: int = QUICKLOOK_SIDE) -> None:
        self.step = max(1, -(-max(height, width) // side))
        shape = (-(-height // self.step), -(-width // self.step))
        self.gray = np.zeros(shape, np.float32)
        self.valid = np.zeros(shape, bool)
        self.classes = np.zeros(shape, np.uint8)

    def add_image(self, start: int, gray: NDArray[np.generic], valid: NDArray[np.bool_]) -> None:
        """Add rows (n, W) of the image that begin at row `start`."""
        step, stop = self.step, start + len(gray)
        first = -start % step
        rows = slice((start + first) // step, -(-stop // step))
        self.gray[rows], self.valid[rows] = gray[first::step, ::step], valid[first::step, ::step]

    def add_classes(self, start: int, classes: NDArray[np.uint8]) -> None:
        """Add rows (n, W) of the class map that begin at row `start`."""
        step, first = self.step, start % self.step
        # Whole blocks: the first may have begun in the rows before, the last may go on in those to come.
        blocks = np.zeros((-(-(first + len(classes)) // step), step, self.classes.shape[1] * step), np.uint8)
        rows = blocks.reshape(-1, blocks.shape[2])[first : first + len(classes), : classes.shape[1]]
        np.copyto(rows, classes, where=classes != IGNORE)
        highest, place = blocks.max(1), self.classes[start // step :][: len(blocks)]
        for column in range(step):
            np.maximum(place, highest[:, column::step], out=place)

    def save(self, path: Path, table: ClassTable) -> None:
        """Save it with a legend below, in 256 colours: a tenth of the time and a third of the size of all colours."""
        palette, shades = _palette(table)
        gray, found = stretch(self.gray, self.valid), self.classes > 0
        picture = shades[0][gray]
        picture[found] = shades[self.classes[found], gray[found]]
        font = ImageFont.truetype(str(_font()), 12.5)
        lines = [range(first, min(first + 8, len(table))) for first in range(1, len(table), 8)]
        lengths = [[round(font.getlength(table.names[index])) + 43 for index in line] for line in lines]
        height, width = picture.shape
        wide, room = max(width, *map(sum, lengths)), 36
        sheet = Image.new("L", (wide, height + room * len(lines)), int(shades[0, 255]))
        sheet.paste(Image.fromarray(picture), ((wide - width) // 2, 0))
        draw = ImageDraw.Draw(sheet)
        for number, (line, across) in enumerate(zip(lines, lengths, strict=True)):
            x, y = (wide - sum(across)) // 2 + 9, height + room * number + room // 2
            for index, length in zip(line, across, strict=True):
                draw.rectangle((x, y - 4, x + 14, y + 4), len(palette) - len(table) + index, int(shades[0, 68]))
                draw.text((x + 25, y), table.names[index], 0, font, "lm")
                x += length
        sheet.putpalette(palette.tobytes())
        with atomic_path(path) as partial:
            sheet.save(partial, "PNG", compress_level=1)


def cut_quicklook(
    path: Path, size: tuple[int, int], middle: NDArray[np.float64], radius: float, around: float, least: int = 60
) -> tuple[bytes, float, float, float] | None:
    """A part of a saved quick-look: JPEG, and the middle (across, down) and radius of a place in parts of its width.

    Args:
        path: a picture that `QuickLook.save` made.
        size: height and width of its scene.
        middle: column and row of the place.
        radius: of the place, pixels of the scene.
        around: radii that are shown to each side.
        least: pixels of the quick-look to each side, at least.

    Returns:
        None where it cannot be read, or shows nothing there.
    """
    step = max(1, -(-max(size) // QUICKLOOK_SIDE))
    height, width = (-(-n // step) for n in size)
    column, row = middle / step
    half = max(around * radius / step, least)
    try:
        with Image.open(path, formats=("PNG",)) as sheet:
            left = (sheet.width - width) // 2
            x0, x1 = (int(np.clip(column + d, 0, width)) for d in (-half, half))
            y0, y1 = (int(np.clip(row + d, 0, height)) for d in (-half, half))
            if x1 <= x0 or y1 <= y0:
                return None
            part = sheet.crop((left + x0, y0, left + x1, y1)).convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    part.thumbnail((CUT_SIDE, CUT_SIDE))
    stream = BytesIO()
    part.save(stream, "JPEG", quality=80, optimize=True)
    wide, high = x1 - x0, y1 - y0
    return stream.getvalue(), float((column - x0) / wide), float((row - y0) / high), float(radius / step / wide)


def _palette(table: ClassTable) -> tuple[Rgb, NDArray[np.uint8]]:
    """256 colours, and where among them (K, 256) each grey level of each class lies.

    First come greys, then shades of each class, laid over grey at an opacity of three quarters, last the classes' own
    colours.
    """
    others = len(table) - 1
    tones = min(15, 128 // others)
    greys = 256 - others * (tones + 1)
    level, colors = np.linspace(0, 255, 256), np.array(table.colors[1:], float)
    tinted = 0.75 * colors[:, None] + 0.25 * np.linspace(0, 255, tones)[:, None]
    gray = np.repeat(np.linspace(0, 255, greys)[:, None], 3, axis=1)
    palette = np.concatenate([gray, tinted.reshape(-1, 3), colors])
    first = greys + tones * np.arange(others)[:, None] if tones else 256 - others + np.arange(others)[:, None]
    shades = np.concatenate([level[None] / 255 * (greys - 1), first + level / 255 * max(tones - 1, 0)])
    return np.rint(palette).astype(np.uint8), np.rint(shades).astype(np.uint8)


def _font() -> Path:
    """Matplotlib's font: other pictures have it, and it knows Greek and Cyrillic. Its package is slow to import."""
    package = find_spec("matplotlib")
    assert package and package.origin
    return Path(package.origin).with_name("mpl-data") / "fonts/ttf/DejaVuSans.ttf"
