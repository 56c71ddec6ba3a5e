"""Every picture: the one stretch from raw values to 8 bits, panels, overlays, matrices and charts.

Arrays are drawn with plain numpy and are fit for TensorBoard; the `save_*` functions write PNG files with matplotlib's
object API (no pyplot: no global state), the same bytes for the same input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seepseg.classes import IGNORE, ClassTable
from seepseg.io.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Gray = NDArray[np.uint8]
Rgb = NDArray[np.uint8]
Indices = NDArray[np.generic]
Loc = Literal["center", "upper center"]

MID_GREY = 128
GAP = 4
"""White columns between the pictures of a panel, pixels."""
PANEL_PARTS = ("image", "truth", "prediction", "errors")
QUICKLOOK_SIDE = 2000

# After Okabe & Ito: these stay apart for colour-blind eyes, and by brightness.
ERROR_COLORS: dict[str, tuple[int, int, int]] = {
    "correct": (0, 158, 115),
    "missed": (86, 180, 233),
    "false alarm": (230, 159, 0),
    "wrong class": (204, 51, 153),
    "ignored": (MID_GREY,) * 3,
}
ERROR_BACKGROUND = (20, 20, 20)


def stretch(image: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> Gray:
    """Grey levels uint8 (H, W): the 1st to the 99th percentile of the valid finite pixels, linearly.

    Pixels that are invalid or not finite are 0; an image of one value is mid-grey.
    """
    usable = np.isfinite(image) if valid is None else valid & np.isfinite(image)
    values = image[usable].astype(np.float64)
    gray = np.zeros(image.shape, np.uint8)
    if not values.size:
        return gray
    low, high = np.percentile(values, (1, 99))
    if high == low:
        # All but a few pixels are alike (an outlier must not turn them black), or the image is constant.
        gray[usable] = np.select([values < low, values > high], [0, 255], MID_GREY)
    else:
        gray[usable] = np.rint(255 * np.clip((values - low) / (high - low), 0, 1))
    return gray


def colorize(indices: Indices, table: ClassTable) -> Rgb:
    """Class colours (H, W, 3) of class indices (H, W); ignored pixels are mid-grey."""
    palette = np.full((256, 3), MID_GREY, np.uint8)
    palette[: len(table)] = table.colors
    return palette[indices.astype(np.uint8)]


def overlay(gray: Gray, indices: Indices, table: ClassTable, alpha: float = 0.6) -> Rgb:
    """The grey image (H, W) with its foreground classes laid over it at opacity `alpha`, (H, W, 3)."""
    base = _rgb(gray)
    shown = (indices != 0) & (indices != IGNORE)
    mixed = (1 - alpha) * base[shown] + alpha * colorize(indices, table)[shown]
    base[shown] = np.rint(mixed).astype(np.uint8)
    return base


def error_map(truth: Indices, prediction: Indices) -> Rgb:
    """Colours (H, W, 3) of right and wrong pixels, as in `ERROR_COLORS`; background rightly left alone is dark."""
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
    for kind in reversed(kinds):  # the earlier kind has the last word
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
        _rgb(stretch(image, prediction != IGNORE)),
        blank if truth is None else colorize(truth, table),
        colorize(prediction, table),
        blank if truth is None else error_map(truth, prediction),
    )
    gap = np.full((prediction.shape[0], GAP, 3), 255, np.uint8)
    return np.concatenate([piece for part in parts for piece in (part, gap)][:-1], axis=1)


def save_gallery(path: Path, rows: Sequence[tuple[str, Rgb]], table: ClassTable) -> None:
    """Save titled panels below one another, with the legends of classes and errors."""
    shapes = [picture.shape for _, picture in rows]
    heights = [10 * shape[0] / shape[1] for shape in shapes]
    legends = {"classes": _class_entries(table), "errors": [(name, _hex(c)) for name, c in ERROR_COLORS.items()]}
    blocks = [0.3 + 0.22 * -(-len(entries) // 8) for entries in legends.values()]
    figure = _figure(10.4, sum(heights) + 0.3 * len(rows) + 0.35 + sum(blocks) + 0.1, layout=None)
    wide, high = figure.get_size_inches()
    y = high - 0.35
    for i, ((title, picture), height) in enumerate(zip(rows, heights, strict=True)):
        y -= 0.27 + height
        axes = figure.add_axes((0.2 / wide, y / high, 10 / wide, height / high))
        _show(axes, picture)
        axes.set_title(title, fontsize=9, loc="left", pad=3)
        y -= 0.03
        if i == 0:
            for part, name in enumerate(PANEL_PARTS):
                centre = (0.2 + 10 * (part + 0.5) / len(PANEL_PARTS)) / wide
                figure.text(centre, 1 - 0.22 / high, name, ha="center", fontsize=10, weight="bold")
    for (title, entries), block in zip(legends.items(), blocks, strict=True):
        _legend(figure, entries, (0.5, y / high), "upper center", title)
        y -= block
    _save(figure, path)


def save_confusion(path: Path, matrix: NDArray[Any], names: Sequence[str]) -> None:
    """Save a confusion matrix (K, K), truth by row: colours are shares of the row, numbers are pixels."""
    _save(_confusion(matrix, names), path)


def confusion_picture(matrix: NDArray[Any], names: Sequence[str]) -> Rgb:
    """What `save_confusion` saves, as an array (H, W, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(_confusion(matrix, names))  # without types in matplotlib
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def save_rate_curve(
    path: Path, rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], suggested: float | None
) -> None:
    """Save the losses of a learning-rate range test over the rate, with the suggested one marked."""
    figure = _figure(7, 4.2)
    axes = figure.add_subplot()
    axes.plot(rates, losses, color="#56B4E9", linewidth=0.8, label="loss of a batch")
    axes.plot(rates, smoothed, color="#0072B2", linewidth=2, label="smoothed")
    if suggested is not None:
        axes.axvline(suggested, color="#D55E00", linestyle="--", label=f"suggested: {suggested:.2g}")
    axes.set_xscale("log")
    # The loss explodes at the end; what matters is what comes before.
    low, high = min(smoothed), max(smoothed[: len(smoothed) // 2 + 1])
    room = max(high - low, 1e-3)
    axes.set_ylim(low - 0.5 * room, high + room)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    _save(figure, path)


def _confusion(matrix: NDArray[Any], names: Sequence[str]) -> Figure:
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(3.2, 0.72 * len(names))
    figure = _figure(side + 2.0, side + 1.5)
    axes = figure.add_subplot()
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, col), share in np.ndenumerate(shares):
        ink = "white" if share > 0.55 else "black"
        text = f"{_short(int(matrix[row, col]))}\n{_percent(share)}" if matrix[row].any() else "–"
        axes.text(col, row, text, ha="center", va="center", fontsize=7.5, color=ink)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    figure.colorbar(drawn, ax=axes, label="share of the truth", fraction=0.046, pad=0.03)
    return figure


def save_class_balance(path: Path, names: Sequence[str], pixels: Sequence[int], tiles: Sequence[int]) -> None:
    """Save bars of the pixels and of the tiles of every class, on log scales."""
    figure = _figure(9, 1.4 + 0.36 * len(names))
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, counts, what in ((left, pixels, "pixels"), (right, tiles, "tiles")):
        bars = axes.barh(range(len(names)), [max(n, 0.5) for n in counts], color="#0072B2")
        axes.bar_label(bars, [_short(n) for n in counts], padding=3, fontsize=8)
        axes.set_xscale("log")
        # A decade of room on the right, for the numbers.
        axes.set_xlim(0.5, 12 * max(1, *counts))
        axes.set_xlabel(f"{what} (log scale)")
        axes.spines[["top", "right"]].set_visible(False)
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    _save(figure, path)


def save_intensity(path: Path, histograms: Mapping[str, NDArray[Any]], edges: NDArray[Any]) -> None:
    """Save the distribution of raw values of every scene, one row each so that many stay legible.

    Args:
        path: the PNG file.
        histograms: pixel counts (B,) by scene.
        edges: limits of the bins (B + 1,), raw units.
    """
    figure = _figure(8, 1.2 + 0.42 * len(histograms))
    axes = figure.add_subplot()
    for row, counts in enumerate(histograms.values()):
        share = np.asarray(counts, np.float64) / max(1.0, float(np.max(counts, initial=0)))
        base = float(len(histograms) - 1 - row)
        axes.stairs(base + 0.9 * share, edges, baseline=base, fill=True, color="#56B4E9")
        axes.stairs(base + 0.9 * share, edges, baseline=base, color="#0072B2", linewidth=0.8)
    axes.set_yticks([float(len(histograms) - 1 - row) for row in range(len(histograms))], list(histograms))
    axes.set_ylim(-0.1, len(histograms) + 0.05)
    axes.set_xlim(float(edges[0]), float(edges[-1]))
    axes.set_xlabel("raw value")
    axes.set_ylabel("scene (each scaled to its peak)")
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def save_quicklook(path: Path, gray: Gray, indices: Indices, table: ClassTable) -> None:
    """Save a scene with its classes laid over it and a legend, at most `QUICKLOOK_SIDE` pixels a side.

    Larger scenes are thinned: grey levels by the mean, which calms speckle, classes by the largest index, so that
    small findings stay visible.
    """
    step = -(-max(gray.shape) // QUICKLOOK_SIDE)
    found = np.where(indices == IGNORE, 0, indices)
    small = _blocks(gray, step).mean((1, 3)).round().astype(np.uint8)
    picture = overlay(small, _blocks(found, step).max((1, 3)), table, alpha=0.75)
    legend, dpi = 36, 100
    height, width = picture.shape[:2]
    # Room for the legend when the scene is narrow: about 110 pixels an entry.
    wide = max(width, 110 * min(len(table) - 1, 8))
    lines = -(-(len(table) - 1) // 8)
    high = height + legend * lines
    figure = _figure(wide / dpi, high / dpi, dpi, layout=None)
    axes = figure.add_axes(((wide - width) / 2 / wide, legend * lines / high, width / wide, height / high))
    _show(axes, picture)
    _legend(figure, _class_entries(table), (0.5, legend * lines / 2 / high), "center")
    _save(figure, path)


def thinned(gray: Gray, maps: Sequence[Indices], side: int) -> tuple[Gray, list[NDArray[np.uint8]]]:
    """A picture and its class maps (H, W), at most `side` pixels a side, as a page shows them.

    Thinned as in `save_quicklook`; a block is ignored where all of it is.
    """
    step = -(-max(gray.shape) // side)
    if step == 1:
        return gray, [np.asarray(indices, np.uint8) for indices in maps]
    thin = []
    for indices in maps:
        blocks = _blocks(indices.astype(np.uint8), step)
        found = np.where(blocks == IGNORE, np.uint8(0), blocks).max((1, 3))
        thin.append(np.where((blocks == IGNORE).all((1, 3)), np.uint8(IGNORE), found))
    return _blocks(gray, step).mean((1, 3)).round().astype(np.uint8), thin


def jpeg(gray: Gray, quality: int = 75) -> bytes:
    """A grey picture (H, W) as a JPEG file."""
    stream = BytesIO()
    Image.fromarray(gray).save(stream, format="JPEG", quality=quality, optimize=True)
    return stream.getvalue()


def save_froc(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Save a FROC curve: share of the objects found against false alarms, a point a threshold.

    Args:
        path: the PNG file.
        columns: threshold, found_iou25, found_iou50, found_touched, false_alarms_per_mpx, false_alarms_per_1000_km2.
    """
    figure = _figure(6.4, 4.2)
    axes = figure.add_subplot()
    area = columns["false_alarms_per_1000_km2"]
    known = any(v is not None for v in area)
    alarms = area if known else columns["false_alarms_per_mpx"]
    for name, label, color in (
        ("found_touched", "touched (≥ 10 % of the length)", "#009E73"),
        ("found_iou25", "found at IoU ≥ .25", "#0072B2"),
        ("found_iou50", "found at IoU ≥ .5", "#D55E00"),
    ):
        points = [(x, y) for x, y in zip(alarms, columns[name], strict=True) if x is not None and y is not None]
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, color=color, label=label)
    for x, y, t in zip(alarms, columns["found_touched"], columns["threshold"], strict=True):
        if t in (0.1, 0.5, 0.9) and x is not None and y is not None:
            axes.annotate(f"{t:g}", (x, y), (3, 4), textcoords="offset points", fontsize=7, color="#009E73")
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=0)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(f"false alarms per {'1000 km²' if known else 'megapixel'}")
    axes.set_ylabel("share of the objects")
    _finish_axes(axes)
    _save(figure, path)


def save_reliability(path: Path, curves: Mapping[str, Sequence[tuple[float, float, int]]]) -> None:
    """Save a reliability diagram: the share that came true against confidence, and how many pixels are behind it.

    Args:
        path: the PNG file.
        curves: by name, (mean confidence, share that came true, pixels) of each bin.
    """
    figure = _figure(5.2, 5.6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color="#888888", linewidth=0.8, linestyle="--", label="calibrated")
    for (name, points), color in zip(curves.items(), ("#0072B2", "#D55E00"), strict=False):
        if points:
            confidence, true, pixels = zip(*points, strict=True)
            above.plot(confidence, true, marker="o", markersize=3.5, color=color, label=name)
            below.plot(confidence, pixels, marker="o", markersize=3.5, color=color)
    above.set_ylabel("share that came true")
    above.set_ylim(0, 1.02)
    below.set_yscale("log")
    below.set_ylabel("pixels")
    below.set_xlabel("confidence")
    below.set_xlim(0, 1.02)
    below.spines[["top", "right"]].set_visible(False)
    _finish_axes(above)
    _save(figure, path)


def save_threshold(
    path: Path, by_threshold: Mapping[str, Any], by_size: Mapping[str, Any], at: tuple[int, int]
) -> None:
    """Save scores against threshold and against least size, the chosen point marked.

    Args:
        path: the PNG file.
        by_threshold: "threshold", then scores by name.
        by_size: "min_pixels", then the same scores.
        at: number of the chosen threshold, and of the chosen size.
    """
    figure = _figure(9.2, 3.8)
    left, right = figure.subplots(1, 2, sharey=True)
    sizes = range(len(by_size["min_pixels"]))
    for axes, columns, places, chosen, label in (
        (left, by_threshold, by_threshold["threshold"], at[0], "threshold of the foreground probability"),
        (right, by_size, sizes, at[1], "least pixels of an object"),
    ):
        scores = {name: values for name, values in columns.items() if name not in ("threshold", "min_pixels")}
        for (name, values), color in zip(scores.items(), ("#0072B2", "#D55E00", "#009E73"), strict=False):
            axes.plot(places, values, marker=".", color=color, label=name.replace("_", " "))
            axes.plot(places[chosen], values[chosen], marker="o", markersize=8, fillstyle="none", color=color)
        axes.axvline(places[chosen], color="#888888", linewidth=0.8, linestyle="--")
        axes.set_xlabel(label)
        _finish_axes(axes)
    right.set_xticks(sizes, [str(n) for n in by_size["min_pixels"]])
    left.set_ylabel("score")
    _save(figure, path)


def save_differences(path: Path, rows: Sequence[Mapping[str, Any]], names: tuple[str, str]) -> None:
    """Save the differences of two runs' scores with their intervals, a row a score; right of 0 the second is better.

    Args:
        path: the PNG file.
        rows: score, difference, low, high (None where there is no interval).
        names: of the two runs.
    """
    figure = _figure(7.2, 1.2 + 0.34 * len(rows))
    axes = figure.add_subplot()
    axes.axvline(0, color="#888888", linewidth=0.8)
    for place, row in enumerate(rows):
        if row["difference"] is None:
            continue
        sure = row["low"] is not None and (row["low"] > 0 or row["high"] < 0)
        color = "#0072B2" if sure else "#777777"
        if row["low"] is not None:
            axes.plot((row["low"], row["high"]), (place, place), color=color, linewidth=2)
        axes.plot(row["difference"], place, marker="o", color=color)
    axes.set_yticks(range(len(rows)), [str(row["score"]) for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"← {names[0]} better      difference      {names[1]} better →")
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _finish_axes(axes: Axes) -> None:
    axes.grid(visible=True, color="#dddddd", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def _rgb(gray: Gray) -> Rgb:
    return np.repeat(gray[..., None], 3, axis=2)


def _blocks(plane: NDArray[Any], step: int) -> NDArray[Any]:
    """The plane cut into blocks, (H/step, step, W/step, step); the border is repeated to fill the last ones."""
    rows, cols = (-n % step for n in plane.shape)
    padded = np.pad(plane, ((0, rows), (0, cols)), mode="edge")
    return padded.reshape(padded.shape[0] // step, step, padded.shape[1] // step, step)


def _short(count: int) -> str:
    """A count in at most four or so characters: 950, 12k, 3.4M."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.{int(count < 10 * size)}f}{unit}"
    return str(count)


def _percent(share: float) -> str:
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def _hex(color: Iterable[int]) -> str:
    return "#" + "".join(f"{int(c):02x}" for c in color)


def _class_entries(table: ClassTable) -> list[tuple[str, str]]:
    return [(name, _hex(color)) for name, color in zip(table.names[1:], table.colors[1:], strict=True)]


def _figure(wide: float, high: float, dpi: int = 120, layout: Literal["constrained"] | None = "constrained") -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((wide, high), dpi=dpi, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def _show(axes: Axes, picture: Rgb) -> None:
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    axes.set_axis_off()


def _legend(
    figure: Figure, entries: Sequence[tuple[str, str]], anchor: tuple[float, float], loc: Loc, title: str = ""
) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=color, edgecolor="#444444", linewidth=0.5, label=name) for name, color in entries]
    legend = figure.legend(
        handles=patches, loc=loc, bbox_to_anchor=anchor, ncols=min(8, len(patches)), frameon=False, fontsize=9,
        handlelength=1.2, columnspacing=1.4, title=title or None, title_fontsize=9,
    )  # fmt: skip
    legend.set_in_layout(False)


def _save(figure: Figure, path: Path) -> None:
    """Save as PNG under a temporary name, then move; without the program's name, which would change the bytes."""
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", metadata={"Software": None})
