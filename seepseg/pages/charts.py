"""Charts as SVG inside the page: coloured by its style sheet, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seepseg.pages.template import Html, fill

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


def lines(
    title: str, series: Sequence[Series], x: Axis, y: Axis, *, diagonal: bool = False, dots: bool = False
) -> Html:
    """Curves over one pair of axes, as a figure; nothing where no series has a point.

    Series differ by dash as well as by colour.
    """
    drawn = [s for s in series if any(_usable(a, b, x, y) for a, b in zip(s.x, s.y, strict=True))]
    if not drawn:
        return Html()
    points = [(a, b) for s in drawn for a, b in zip(s.x, s.y, strict=True) if b is not None and _usable(a, b, x, y)]
    across = _Scale([a for a, _ in points], x, LEFT, WIDE - RIGHT)
    up = _Scale([b for _, b in points], y, HIGH - BOTTOM, TOP)
    ends = (max(across.low, up.low), min(across.high, up.high))
    curves = []
    for number, one in enumerate(drawn):
        runs = _runs(one, x, y, across, up)
        few = dots or any(len(run) == 1 for run in runs)
        marks = [(f"{a:.1f}", f"{b:.1f}") for run in runs if few for a, b in run]
        curves.append((_style(one, number), " ".join(map(_path, runs)), marks, one.name))
    inside = fill(
        CURVES,
        grid=_grid(across, up, x, y),
        guide=_path([(across(end), up(end)) for end in ends]) if diagonal else "",
        curves=curves,
    )
    legend = fill(LEGEND, curves=curves) if len(drawn) > 1 else Html()
    return _figure(title, HIGH, inside, ", ".join(s.name for s in drawn), legend)


CURVES = (
    '{{ grid }}{% if guide %}<path class="guide" d="{{ guide }}"/>{% endif %}'
    "{% for (color, dash), path, marks, name in curves %}"
    '<g {{ color }}><path class="under" {{ dash }} d="{{ path }}"/><path class="curve" {{ dash }} d="{{ path }}"/>'
    '{% for x, y in marks %}<circle class="dot" cx="{{ x }}" cy="{{ y }}" r="3"/>{% endfor %}</g>{% endfor %}'
)
LEGEND = (
    '<ul class="legend">{% for (color, dash), path, marks, name in curves %}'
    '<li><svg viewBox="0 0 34 12" aria-hidden="true" {{ color }}>{% for part in ("under", "curve") %}'
    '<path class="{{ part }}" {{ dash }} d="M0 6H34"/>{% endfor %}</svg>{{ name }}</li>{% endfor %}</ul>'
)


def bars(title: str, names: Sequence[str], counts: Sequence[int], colors: Sequence[str], label: str) -> Html:
    """A bar with its count per name, on a logarithmic axis: a class may have a thousandth of another's pixels.

    Colours are "#rrggbb", or "" for the page's own.
    """
    row, left, right = 24, 110, 96
    top = math.log10(max(10, *counts)) if counts else 1.0
    parts = []
    for i, (name, count, color) in enumerate(zip(names, counts, colors, strict=True)):
        y = TOP + row * i
        wide = max(0.0, math.log10(max(count, 1)) / top) * (WIDE - left - right)
        kind = fill('class="bar{{ hue }}" {{ color }}', hue="" if color else " hue0", color=_color(color))
        parts.append((_short_name(name), kind, y, f"{wide:.1f}", f"{left + wide + 6:.1f}", f"{count:,}"))
    high = TOP + row * len(names) + 22
    return _figure(title, high, fill(BARS, bars=parts, left=left, high=high, label=label), label, Html())


BARS = (
    "{% for name, kind, y, wide, end, count in bars %}"
    '<text x="{{ left - 8 }}" y="{{ y + 15 }}" text-anchor="end">{{ name }}</text>'
    '<rect {{ kind }} x="{{ left }}" y="{{ y + 3 }}" width="{{ wide }}" height="16"/>'
    '<text x="{{ end }}" y="{{ y + 15 }}">{{ count }}</text>{% endfor %}'
    '<text x="{{ left }}" y="{{ high - 6 }}">{{ label }} (logarithmic)</text>'
)


def ridges(title: str, rows: Sequence[tuple[str, Sequence[float]]], edges: Sequence[float], label: str) -> Html:
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
        parts.append((_short_name(name), base - 4, _path(outline)))
    inside = fill(
        RIDGES,
        ridges=parts,
        ticks=[(f"{across(tick):.1f}", _tick(tick)) for tick in across.ticks(4)],
        left=left,
        right=WIDE - RIGHT,
        middle=(left + WIDE) / 2,
        base=TOP + row * len(rows),
        label=label,
    )
    return _figure(title, high, inside, label, Html())


RIDGES = (
    '{% for name, y, path in ridges %}<text x="{{ left - 8 }}" y="{{ y }}" text-anchor="end">{{ name }}</text>'
    '<path class="ridge hue0" d="{{ path }}Z"/>{% endfor %}<path class="axis" d="M{{ left }} {{ base }}H{{ right }}"/>'
    '{% for x, tick in ticks %}<text x="{{ x }}" y="{{ base + 16 }}" text-anchor="middle">{{ tick }}</text>{% endfor %}'
    '<text x="{{ middle }}" y="{{ base + 34 }}" text-anchor="middle">{{ label }}</text>'
)


def charts(figures: Iterable[Html]) -> Html:
    """Figures side by side."""
    return fill('<div class="charts">{% for one in figures %}{{ one }}{% endfor %}</div>', figures=figures)


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


def _grid(across: _Scale, up: _Scale, x: Axis, y: Axis) -> Html:
    return fill(
        GRID,
        left=LEFT, right=WIDE - RIGHT, top=TOP, low=HIGH - BOTTOM, high=HIGH,
        rows=[(f"{up(tick):.1f}", f"{up(tick) + 4:.1f}", _tick(tick)) for tick in up.ticks(4)],
        columns=[(f"{across(tick):.1f}", _tick(tick)) for tick in across.ticks(5)],
        across=(LEFT + WIDE) / 2, middle=(TOP + HIGH - BOTTOM) / 2,
        x=x.label, y=y.label,
    )  # fmt: skip


GRID = (
    '<path class="axis" d="M{{ left }} {{ top }}V{{ low }}H{{ right }}"/>'
    '{% for at, below, tick in rows %}<path class="grid" d="M{{ left }} {{ at }}H{{ right }}"/>'
    '<text x="{{ left - 6 }}" y="{{ below }}" text-anchor="end">{{ tick }}</text>{% endfor %}'
    '{% for at, tick in columns %}<text x="{{ at }}" y="{{ low + 17 }}" text-anchor="middle">{{ tick }}</text>'
    "{% endfor %}"
    '<text x="{{ across }}" y="{{ high - 5 }}" text-anchor="middle">{{ x }}</text>'
    '<text transform="translate(13 {{ middle }}) rotate(-90)" text-anchor="middle">{{ y }}</text>'
)


def _style(one: Series, number: int) -> tuple[Html, Html]:
    """Attributes of a series' group, which give its colour, and of its curve."""
    color = _color(one.color) or fill('class="hue{{ hue }}"', hue=number % HUES)
    dash = DASHES[number % len(DASHES)]
    return color, fill('stroke-dasharray="{{ dash }}"', dash=dash) if dash else Html()


def _color(color: str) -> Html:
    return fill('style="--color:{{ color }}"', color=color) if color else Html()


def _figure(title: str, high: float, inside: Html, what: str, legend: Html) -> Html:
    return fill(
        '<figure class="chart"><figcaption>{{ title }}</figcaption>'
        '<svg viewBox="0 0 {{ wide }} {{ high }}" role="img" aria-label="{{ title }}: {{ what }}">{{ inside }}</svg>'
        "{{ legend }}</figure>",
        title=title, wide=WIDE, high=high, inside=inside, what=what, legend=legend,
    )  # fmt: skip


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in points)


def _tick(value: float) -> str:
    if 0 < abs(value) < 0.001:
        return f"{value:.0e}".replace("e-0", "e−")
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _short_name(name: str) -> str:
    return name if len(name) <= 14 else f"{name[:13]}…"
