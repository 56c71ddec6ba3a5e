"""What drawings share: matplotlib's object API (no pyplot: no global state), the same bytes for the same input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from seepseg.classes import ClassTable
from seepseg.figures.pictures import Rgb
from seepseg.io.atomic import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Loc = Literal["center", "upper center"]


def finish_axes(axes: Axes) -> None:
    """Give axes a faint grid and no frame above and at the right."""
    axes.grid(visible=True, color="#dddddd", linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)


def short_count(count: int) -> str:
    """A count in about four characters: 950, 12k, 3.4M."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.{int(count < 10 * size)}f}{unit}"
    return str(count)


def percent(share: float) -> str:
    """A share for people: "12%", "<1%"."""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def hex_color(color: Iterable[int]) -> str:
    """An RGB colour as "#rrggbb"."""
    return "#" + "".join(f"{int(c):02x}" for c in color)


def class_entries(table: ClassTable) -> list[tuple[str, str]]:
    """Name and colour of each foreground class, for a legend."""
    return [(name, hex_color(color)) for name, color in zip(table.names[1:], table.colors[1:], strict=True)]


def blank(wide: float, high: float, dpi: int = 120, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure so many inches wide and high."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((wide, high), dpi=dpi, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def show(axes: Axes, picture: Rgb) -> None:
    """Draw a picture pixel by pixel, without axes."""
    axes.imshow(picture, interpolation="nearest", aspect="auto")
    axes.set_axis_off()


def legend(
    figure: Figure, entries: Sequence[tuple[str, str]], anchor: tuple[float, float], loc: Loc, title: str = ""
) -> None:
    """Draw a legend of names and colours."""
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=color, edgecolor="#444444", linewidth=0.5, label=name) for name, color in entries]
    legend = figure.legend(
        handles=patches, loc=loc, bbox_to_anchor=anchor, ncols=min(8, len(patches)), frameon=False, fontsize=9,
        handlelength=1.2, columnspacing=1.4, title=title or None, title_fontsize=9,
    )  # fmt: skip
    legend.set_in_layout(False)


def save(figure: Figure, path: Path) -> None:
    """Save as PNG under a temporary name, then move; without the program's name, which would change the bytes."""
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", metadata={"Software": None})
