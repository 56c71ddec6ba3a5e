"""Plots of numbers: matrices, curves, balances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seepseg.figures.canvas import blank, finish_axes, percent, save, short_count
from seepseg.figures.pictures import Rgb

if TYPE_CHECKING:
    import pandas as pd
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
    # The loss explodes at the end; the axis shows what comes before.
    low, high = min(smoothed), max(smoothed[: len(smoothed) // 2 + 1])
    room = max(high - low, 1e-3)
    axes.set_ylim(low - 0.5 * room, high + room)
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    save(figure, path)


def save_training(
    path: Path, panels: Mapping[str, Mapping[str, Sequence[float]]], best: int, stages: Sequence[int]
) -> None:
    """Save curves over the epochs of a training, one panel per measure.

    Args:
        path: the PNG file.
        panels: by title, the values of each epoch (NaN: none) by label, which begins with "training" or "validation";
            what follows a comma is drawn dashed.
        best: the best epoch, from 1.
        stages: the last epochs of all stages but the last.
    """
    figure, lines = blank(4 * len(panels), 3.6), {}
    for axes, (title, curves) in zip(np.ravel(figure.subplots(1, len(panels))), panels.items(), strict=True):
        for label, values in curves.items():
            (lines[label],) = axes.plot(
                range(1, len(values) + 1), values, color="#0072B2" if label.startswith("training") else "#D55E00",
                linestyle="--" if "," in label else "-", marker="." if len(values) < 3 else "",
            )  # fmt: skip
        for last in stages:
            lines["next stage"] = axes.axvline(last + 0.5, color="#bbbbbb", linewidth=3, zorder=0)
        lines[f"best epoch: {best}"] = axes.axvline(best, color="#555555", linewidth=0.8, linestyle=":")
        axes.set_title(title)
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(visible=True, color="#dddddd", linewidth=0.5)
        axes.spines[["top", "right"]].set_visible(False)
        if title != "loss":
            axes.set_ylim(bottom=0)
    figure.legend(list(lines.values()), list(lines), loc="outside lower center", ncols=len(lines), frameon=False)
    save(figure, path)


def _confusion(matrix: NDArray[Any], names: Sequence[str]) -> Figure:
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    side = max(3.2, 0.72 * len(names))
    figure = blank(side + 2.0, side + 1.5)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, col), share in np.ndenumerate(shares):
        ink = "white" if share > 0.55 else "black"
        text = f"{short_count(int(matrix[row, col]))}\n{percent(share)}" if matrix[row].any() else "–"
        axes.text(col, row, text, ha="center", va="center", fontsize=7.5, color=ink)
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    figure.colorbar(image, ax=axes, label="share of the truth", fraction=0.046, pad=0.03)
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


def save_intensity(path: Path, bands: Mapping[str, tuple[Mapping[str, NDArray[Any]], NDArray[Any], str]]) -> None:
    """Save the distribution of values of every scene, one row each so that many stay legible; a panel a band.

    Args:
        path: the PNG file.
        bands: shares of pixels (B,) by scene, and limits of their bins (B + 1,) and their unit, by the band's name.
    """
    rows = max(len(scenes) for scenes, _, _ in bands.values())
    figure = blank(8 if len(bands) == 1 else 5 * len(bands), max(2.4, 1.2 + 0.42 * rows))
    for panel, (band, (histograms, edges, unit)) in enumerate(bands.items(), 1):
        axes = figure.add_subplot(1, len(bands), panel)
        for row, counts in enumerate(histograms.values()):
            share = np.asarray(counts, np.float64) / (float(np.max(counts, initial=0)) or 1.0)
            base = float(len(histograms) - 1 - row)
            axes.stairs(base + 0.9 * share, edges, baseline=base, fill=True, color="#56B4E9")
            axes.stairs(base + 0.9 * share, edges, baseline=base, color="#0072B2", linewidth=0.8)
        # Two lines at most: the name of a product has 67 letters.
        names = ["\n".join(wrap(name, max(34, (len(name) + 1) // 2))) if panel == 1 else "" for name in histograms]
        axes.set_yticks([len(histograms) - row - 0.55 for row in range(len(histograms))], names)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.1, len(histograms) + 0.05)
        axes.set_xlim(float(edges[0]), float(edges[-1]))
        axes.set_xlabel(f"{band}, {unit}".removeprefix(", "))
        if panel == 1:
            axes.set_ylabel("scene (each scaled to its peak)")
        axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def save_threshold(path: Path, by_threshold: pd.DataFrame, by_size: pd.DataFrame, at: tuple[int, int]) -> None:
    """Save scores against threshold and against minimum size, the chosen point marked.

    Args:
        path: the PNG file.
        by_threshold: "threshold", then scores by name.
        by_size: "min_pixels", then the same scores.
        at: number of the chosen threshold, and of the chosen size.
    """
    figure = blank(9.2, 3.8)
    left, right = figure.subplots(1, 2, sharey=True)
    sizes = range(len(by_size))
    for axes, frame, places, chosen, label in (
        (left, by_threshold, by_threshold["threshold"].tolist(), at[0], "threshold of the foreground probability"),
        (right, by_size, sizes, at[1], "minimum pixels of an object"),
    ):
        scores = frame.drop(columns=["threshold", "min_pixels"], errors="ignore")
        for name, color in zip(scores, ("#0072B2", "#D55E00", "#009E73"), strict=False):
            values = scores[name].tolist()
            axes.plot(places, values, marker=".", color=color, label=str(name).replace("_", " "))
            axes.plot(places[chosen], values[chosen], marker="o", markersize=8, fillstyle="none", color=color)
        axes.axvline(places[chosen], color="#888888", linewidth=0.8, linestyle="--")
        axes.set_xlabel(label)
        finish_axes(axes)
    right.set_xticks(sizes, [str(n) for n in by_size["min_pixels"]])
    left.set_ylabel("score")
    save(figure, path)


def save_differences(
    path: Path, rows: Sequence[tuple[str, float | None, float | None, float | None]], names: tuple[str, str]
) -> None:
    """Save the differences of two runs' scores with their intervals, a row per score; right of 0 the second is better.

    Args:
        path: the PNG file.
        rows: score, difference, and the ends of its interval (None where there is none).
        names: of the two runs.
    """
    figure = blank(7.2, 1.2 + 0.34 * len(rows))
    axes = figure.add_subplot()
    axes.axvline(0, color="#888888", linewidth=0.8)
    for place, (_, difference, low, high) in enumerate(rows):
        if difference is None:
            continue
        sure = low is not None and high is not None and not low <= 0 <= high
        color = "#0072B2" if sure else "#777777"
        if low is not None and high is not None:
            axes.plot((low, high), (place, place), color=color, linewidth=2)
        axes.plot(difference, place, marker="o", color=color)
    axes.set_yticks(range(len(rows)), [score for score, *_ in rows])
    axes.invert_yaxis()
    axes.set_xlabel(f"← {names[0]} better      difference      {names[1]} better →")
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)
