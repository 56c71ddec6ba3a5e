"""Charts as SVG inside the page: coloured by its style sheet, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

HUES = 4
"""Colours in the style sheet; a series beyond them repeats a colour with another dash."""
DASHES = ("", "7 3", "2 3", "9 3 2 3", "14 4", "4 2 1 2", "1 4", "12 2 2 2 2 2")
WIDE, HIGH = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 10, 40


@dataclass(frozen=True)
class Series:
    """One curve: its name, its points (None breaks it), and its colour ("#rrggbb"; "" = the next of the page)."""

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    color: str = ""


@dataclass(frozen=True)
class Axis:
    """One axis: its label, its limits (None = the data's), whether it is logarithmic."""

    label: str
    low: float | None = None
    high: float | None = None
    log: bool = False


def lines(title: str, series: Sequence[Series], x: Axis, y: Axis, *, diagonal: bool = False, dots: bool = False) -> str:
    """Curves over one pair of axes, as a figure; nothing where no series has a point.

    Series differ by dash as well as by colour.
    """
    drawn = [s for s in series if any(_usable(a, b, x, y) for a, b in zip(s.x, s.y, strict=True))]
    if not drawn:
        return ""
    points = [(a, b) for s in drawn for a, b in zip(s.x, s.y, strict=True) if b is not None and _usable(a, b, x, y)]
    across = _Scale([a for a, _ in points], x, LEFT, WIDE - RIGHT)
    up = _Scale([b for _, b in points], y, HIGH - BOTTOM, TOP)
    parts = [_grid(across, up, x, y)]
    if diagonal:
        ends = (max(across.low, up.low), min(across.high, up.high))
        parts.append(f'<path class="guide" d="{_path([(across(e), up(e)) for e in ends])}"/>')
    for number, one in enumerate(drawn):
        runs = _runs(one, x, y, across, up)
        path = " ".join(_path(run) for run in runs)
        color, dash = _style(one, number)
        parts.append(f'<g {color}><path class="under" {dash} d="{path}"/><path class="curve" {dash} d="{path}"/>')
        few = dots or any(len(run) == 1 for run in runs)
        parts.extend(f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="3"/>' for run in runs if few for a, b in run)
        parts.append("</g>")
    legend = "".join(_legend(s, i) for i, s in enumerate(drawn)) if len(drawn) > 1 else ""
    return _figure(title, HIGH, "".join(parts), legend, ", ".join(s.name for s in drawn))


def bars(title: str, names: Sequence[str], counts: Sequence[int], colors: Sequence[str], label: str) -> str:
    """A bar with its count per name, on a logarithmic axis: a class may have a thousandth of another's pixels.

    Colours are "#rrggbb", or "" for the page's own.
    """
    row, left, right = 24, 110, 96
    top = math.log10(max(10, *counts)) if counts else 1.0
    parts = []
    for i, (name, count, color) in enumerate(zip(names, counts, colors, strict=True)):
        y = TOP + row * i
        wide = max(0.0, math.log10(max(count, 1)) / top) * (WIDE - left - right)
        parts.append(
            f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(_short_name(name))}</text>'
            f'<rect {_color("bar", color)} x="{left}" y="{y + 3}" width="{wide:.1f}" height="16"/>'
            f'<text x="{left + wide + 6:.1f}" y="{y + 15}">{count:,}</text>'
        )
    high = TOP + row * len(names) + 22
    parts.append(f'<text x="{left}" y="{high - 6}">{escape(label)} (logarithmic)</text>')
    return _figure(title, high, "".join(parts), "", label)


def ridges(title: str, rows: Sequence[tuple[str, Sequence[float]]], edges: Sequence[float], label: str) -> str:
    """A histogram per row, each scaled to its own peak, above one common axis."""
    row, left = 34, 110
    high = TOP + row * len(rows) + BOTTOM
    across = _Scale([edges[0], edges[-1]], Axis(label), left, WIDE - RIGHT)
    parts = []
    for i, (name, shares) in enumerate(rows):
        base, peak = TOP + row * (i + 1), max(*shares, 1e-12)
        outline = [(across(edges[0]), float(base))]
        for j, share in enumerate(shares):
            y = base - 28 * share / peak
            outline += [(across(edges[j]), y), (across(edges[j + 1]), y)]
        outline.append((across(edges[-1]), float(base)))
        parts.append(
            f'<text x="{left - 8}" y="{base - 4}" text-anchor="end">{escape(_short_name(name))}</text>'
            f'<path class="ridge hue0" d="{_path(outline)}Z"/>'
        )
    base = TOP + row * len(rows)
    parts.append(f'<path class="axis" d="M{left} {base}H{WIDE - RIGHT}"/>')
    parts.extend(
        f'<text x="{across(tick):.1f}" y="{base + 16}" text-anchor="middle">{_tick(tick)}</text>'
        for tick in across.ticks(4)
    )
    parts.append(f'<text x="{(left + WIDE) / 2}" y="{base + 34}" text-anchor="middle">{escape(label)}</text>')
    return _figure(title, high, "".join(parts), "", label)


TINY = 1e-300
"""Smaller values count as 0: floats lose their digits there, and powers of ten run out."""


class _Scale:
    """From values to positions, with round ticks."""

    def __init__(self, values: Sequence[float], axis: Axis, start: float, end: float) -> None:
        self.log, self.start, self.end = axis.log, start, end
        low = min(values) if axis.low is None else axis.low
        high = max(values) if axis.high is None else axis.high
        if high - low < TINY:
            low, high = (low / 2, high * 2) if axis.log else (low - 0.5, high + 0.5)
        self.low, self.high = low, high

    def __call__(self, value: float) -> float:
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * min(1.0, max(0.0, (at - low) / (high - low)))

    def ticks(self, about: int) -> list[float]:
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            inside = [10.0**p for p in powers if self.low <= 10.0**p <= self.high]
            return inside if len(inside) > 1 else [self.low, self.high]
        raw = (self.high - self.low) / about
        unit = 10.0 ** math.floor(math.log10(raw))
        step = next(unit * m for m in (1, 2, 2.5, 5, 10) if raw <= unit * m * 1.0001)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _usable(a: float, b: float | None, x: Axis, y: Axis) -> bool:
    """Whether a point can be drawn: finite, and above 0 where an axis is logarithmic."""
    if b is None or not (math.isfinite(a) and math.isfinite(b)):
        return False
    return (a > TINY or not x.log) and (b > TINY or not y.log)


def _runs(one: Series, x: Axis, y: Axis, across: _Scale, up: _Scale) -> list[list[tuple[float, float]]]:
    runs: list[list[tuple[float, float]]] = [[]]
    for a, b in zip(one.x, one.y, strict=True):
        if b is not None and _usable(a, b, x, y):
            runs[-1].append((across(a), up(b)))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _grid(across: _Scale, up: _Scale, x: Axis, y: Axis) -> str:
    parts = [f'<path class="axis" d="M{LEFT} {TOP}V{HIGH - BOTTOM}H{WIDE - RIGHT}"/>']
    for tick in up.ticks(4):
        parts.append(f'<path class="grid" d="M{LEFT} {up(tick):.1f}H{WIDE - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{up(tick) + 4:.1f}" text-anchor="end">{_tick(tick)}</text>')
    parts.extend(
        f'<text x="{across(tick):.1f}" y="{HIGH - BOTTOM + 17}" text-anchor="middle">{_tick(tick)}</text>'
        for tick in across.ticks(5)
    )
    middle = (TOP + HIGH - BOTTOM) / 2
    parts.append(f'<text x="{(LEFT + WIDE) / 2}" y="{HIGH - 5}" text-anchor="middle">{escape(x.label)}</text>')
    parts.append(f'<text transform="translate(13 {middle}) rotate(-90)" text-anchor="middle">{escape(y.label)}</text>')
    return "".join(parts)


def _style(one: Series, number: int) -> tuple[str, str]:
    """Attributes of a series' group, which give its colour, and of its curve."""
    color = f'style="--color:{escape(one.color)}"' if one.color else f'class="hue{number % HUES}"'
    dash = DASHES[number % len(DASHES)]
    return color, f'stroke-dasharray="{dash}"' if dash else ""


def _color(kind: str, color: str) -> str:
    return f'class="{kind}" style="--color:{escape(color)}"' if color else f'class="{kind} hue0"'


def _legend(one: Series, number: int) -> str:
    color, dash = _style(one, number)
    sample = "".join(f'<path class="{part}" {dash} d="M0 6H34"/>' for part in ("under", "curve"))
    return f'<li><svg viewBox="0 0 34 12" aria-hidden="true" {color}>{sample}</svg>{escape(one.name)}</li>'


def _figure(title: str, high: float, inside: str, legend: str, what: str) -> str:
    label = escape(f"{title}: {what}")
    return (
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>'
        f'<svg viewBox="0 0 {WIDE} {high}" role="img" aria-label="{label}">{inside}</svg>'
        + (f'<ul class="legend">{legend}</ul>' if legend else "")
        + "</figure>"
    )


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points)


def _tick(value: float) -> str:
    if 0 < abs(value) < 0.001:
        return f"{value:.0e}".replace("e-0", "e−")
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _short_name(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}…"
