"""Plots of numbers: matrices, curves, balances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seepseg.figures.canvas import blank, finish_axes, percent, save, short_count
from seepseg.figures.pictures import Rgb

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_confusion(path: Path, matrix: NDArray[Any], names: Sequence[str]) -> None:
    """Save a confusion matrix (K, K), truth by row: colours are shares of the row, numbers are pixels."""
    save(_confusion(matrix, names), path)


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
    figure = blank(7, 4.2)
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
    save(figure, path)


def _confusion(matrix: NDArray[Any], names: Sequence[str]) -> Figure:
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(3.2, 0.72 * len(names))
    figure = blank(side + 2.0, side + 1.5)
    axes = figure.add_subplot()
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, col), share in np.ndenumerate(shares):
        ink = "white" if share > 0.55 else "black"
        text = f"{short_count(int(matrix[row, col]))}\n{percent(share)}" if matrix[row].any() else "–"
        axes.text(col, row, text, ha="center", va="center", fontsize=7.5, color=ink)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    figure.colorbar(drawn, ax=axes, label="share of the truth", fraction=0.046, pad=0.03)
    return figure


def save_class_balance(path: Path, names: Sequence[str], pixels: Sequence[int], tiles: Sequence[int]) -> None:
    """Save bars of the pixels and of the tiles of every class, on log scales."""
    figure = blank(9, 1.4 + 0.36 * len(names))
    left, right = figure.subplots(1, 2, sharey=True)
    for axes, counts, what in ((left, pixels, "pixels"), (right, tiles, "tiles")):
        bars = axes.barh(range(len(names)), [max(n, 0.5) for n in counts], color="#0072B2")
        axes.bar_label(bars, [short_count(n) for n in counts], padding=3, fontsize=8)
        axes.set_xscale("log")
        # A decade of room on the right, for the numbers.
        axes.set_xlim(0.5, 12 * max(1, *counts))
        axes.set_xlabel(f"{what} (log scale)")
        axes.spines[["top", "right"]].set_visible(False)
    left.set_yticks(range(len(names)), names)
    left.invert_yaxis()
    save(figure, path)


def save_intensity(path: Path, histograms: Mapping[str, NDArray[Any]], edges: NDArray[Any]) -> None:
    """Save the distribution of raw values of every scene, one row each so that many stay legible.

    Args:
        path: the PNG file.
        histograms: pixel counts (B,) by scene.
        edges: limits of the bins (B + 1,), raw units.
    """
    figure = blank(8, 1.2 + 0.42 * len(histograms))
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
    save(figure, path)


def save_froc(path: Path, columns: Mapping[str, Sequence[Any]]) -> None:
    """Save a FROC curve: share of the objects found against false alarms, a point a threshold.

    Args:
        path: the PNG file.
        columns: threshold, found_iou25, found_iou50, found_touched, false_alarms_per_mpx, false_alarms_per_1000_km2.
    """
    figure = blank(6.4, 4.2)
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
    finish_axes(axes)
    save(figure, path)


def save_reliability(path: Path, curves: Mapping[str, Sequence[tuple[float, float, int]]]) -> None:
    """Save a reliability diagram: the share that came true against confidence, and how many pixels are behind it.

    Args:
        path: the PNG file.
        curves: by name, (mean confidence, share that came true, pixels) of each bin.
    """
    figure = blank(5.2, 5.6)
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
    finish_axes(above)
    save(figure, path)


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
    figure = blank(9.2, 3.8)
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
        finish_axes(axes)
    right.set_xticks(sizes, [str(n) for n in by_size["min_pixels"]])
    left.set_ylabel("score")
    save(figure, path)


def save_differences(path: Path, rows: Sequence[Mapping[str, Any]], names: tuple[str, str]) -> None:
    """Save the differences of two runs' scores with their intervals, a row a score; right of 0 the second is better.

    Args:
        path: the PNG file.
        rows: score, difference, low, high (None where there is no interval).
        names: of the two runs.
    """
    figure = blank(7.2, 1.2 + 0.34 * len(rows))
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
    save(figure, path)
