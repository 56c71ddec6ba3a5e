"""What every HTML page shares: one file that opens offline, tables that sort, facts."""

from __future__ import annotations

import base64
import csv
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pandas as pd

import seepseg
from seepseg.io.atomic import write_text
from seepseg.io.table import csv_text, plain_cell
from seepseg.pages.template import Html, asset, fill

Rows = Sequence[Mapping[str, str]]
"""Rows of a CSV as text, so that pages and files agree."""

NOT_KNOWN = ("", "n/a")


@dataclass(frozen=True)
class Section:
    """One part of a page: the title in its heading and in the bar of links, and its HTML."""

    title: str
    html: Html

    @property
    def anchor(self) -> str:
        """The title as a fragment of the page's address."""
        return "part-" + "".join(c if c.isalnum() else "-" for c in self.title.lower())


def write_page(
    path: Path,
    title: str,
    subtitle: str,
    sections: Iterable[Section],
    styles: Sequence[Html] = (),
    scripts: Sequence[Html] = (),
) -> None:
    """Write one HTML file of the sections that hold anything; it needs no network, and its policy allows none.

    Scripts are allowed by their hash alone, so that nothing in a scene's name could ever run. A page with styles and
    scripts of its own may also show pictures from beside it.
    """
    every = [asset("pages", "page.js"), *scripts]
    page = fill(
        asset("pages", "page.html"),
        title=title,
        subtitle=subtitle,
        styles=[asset("pages", "page.css"), *styles],
        scripts=every,
        pictures=bool(scripts),
        digests=[base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in every],
        version=seepseg.__version__,
        sections=[section for section in sections if section.html],
    )
    write_text(path, page)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file as text; none where there is no file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return _rows(stream)


def as_rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    """The rows of a table as its CSV file holds them."""
    return _rows(StringIO(csv_text(frame, na_rep="n/a")))


def _rows(lines: Iterable[str]) -> list[dict[str, str]]:
    reader = csv.reader(lines)
    header = [*map(plain_cell, next(reader, []))]
    return [dict(zip(header, map(plain_cell, row), strict=True)) for row in reader if row]


def number(text: str | None) -> float | None:
    """The finite number a cell holds; None where it holds none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def shown(value: float | None) -> str:
    """A score or a count as text: whole numbers with separators, others with three digits, None as n/a."""
    if value is None:
        return "n/a"
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if value == 0 or abs(value) >= 0.0005 else f"{value:.1e}"


def table(
    rows: Rows,
    source: str,
    *,
    text: Iterable[str] = (),
    foot: int = 0,
    swatches: Mapping[str, str] | None = None,
    caption: str = "",
) -> Html:
    """A table that sorts by its headings, with its file named below; nothing for no rows.

    Args:
        rows: cells as in the CSV.
        source: the file, as seen from the page.
        text: columns that are names, even where they look like numbers; they are left-aligned.
        foot: this many last rows are sums and stay at the end.
        swatches: colour ("#rrggbb") of the names in the text columns.
        caption: a line above.
    """
    if not rows:
        return Html()
    names, columns = set(text), list(rows[0])
    lines = [[_cell(str(row[c]), c in names, swatches or {}) for c in columns] for row in rows]
    return fill(
        TABLE,
        caption=caption,
        label=caption or f"table of {source}",
        head=[(c.replace("_", " "), c in names) for c in columns],
        parts=[("tbody", lines[: len(lines) - foot]), ("tfoot", lines[len(lines) - foot :])][: 2 if foot else 1],
        source=source_line(source),
    )


TABLE = (
    '{% if caption %}<p class="muted">{{ caption }}</p>{% endif %}'
    '<div class="scroll" tabindex="0" role="region" aria-label="{{ label }}"><table class="sortable"><thead><tr>'
    '{% for name, left in head %}<th scope="col"{% if left %} class="text"{% endif %}>'
    '<button type="button">{{ name }}</button></th>{% endfor %}</tr></thead>'
    "{% for part, rows in parts %}<{{ part }}>{% for row in rows %}<tr>{% for cell in row %}"
    '<td{% if cell.left %} class="text"{% endif %}{% if cell.value is not none %} data-v="{{ cell.value }}"{% endif %}>'
    '{% if cell.color %}<span class="swatch" style="background:{{ cell.color }}"></span>{% endif %}{{ cell.shown }}'
    "</td>{% endfor %}</tr>{% endfor %}</{{ part }}>{% endfor %}</table></div>{{ source }}"
)


def source_line(*names: str) -> Html:
    """The line that names the files of the numbers above."""
    return fill('<p class="source">Source: {{ names }}</p>', names=", ".join(names))


def cards(facts: Iterable[tuple[str, str, str]]) -> Html:
    """Large numbers with what they are and a remark (an interval, for example)."""
    return fill(
        '<dl class="cards">{% for what, value, remark in facts %}<div class="card"><dt>{{ what }}</dt><dd>'
        '<div class="number">{{ value }}</div><div class="range">{{ remark }}</div></dd></div>{% endfor %}</dl>',
        facts=facts,
    )


def paragraph(text: str, kind: str = "") -> Html:
    """A paragraph of plain text; `kind` is muted or warn."""
    return fill('<p{% if kind %} class="{{ kind }}"{% endif %}>{{ text }}</p>', kind=kind, text=text)


def folded(title: str, html: Html) -> Html:
    """Something long behind its title; nothing for no HTML."""
    whole = fill("<details><summary>{{ title }}</summary>{{ html }}</details>", title=title, html=html)
    return whole if html else html


def heading(title: str) -> Html:
    """A heading inside a section."""
    return fill("<h3>{{ title }}</h3>", title=title)


def listing(text: str) -> Html:
    """The text of a file, line by line."""
    return fill('<pre tabindex="0">{{ text }}</pre>', text=text)


def confusion(rows: Rows, source: str) -> Html:
    """A confusion matrix: truth by row, shaded by the share of its row, with pixels and that share in each cell."""
    names = [row["truth"] for row in rows]
    lines = []
    for row in rows:
        pixels = [int(row[name]) for name in names]
        total = sum(pixels)
        cells = [(f"{n:,}", _percent(n / total), f"{n / total:.3f}") if total else None for n in pixels]
        lines.append((row["truth"], list(zip(names, cells, strict=True))))
    note = paragraph("Truth by row, prediction by column: pixels, and their share of the row.", "muted")
    return note + fill(MATRIX, names=names, rows=lines) + source_line(source)


MATRIX = (
    '<div class="scroll" tabindex="0" role="region" aria-label="confusion matrix"><table class="matrix"><thead><tr>'
    '<th class="text">truth</th>{% for name in names %}<th scope="col">{{ name }}</th>{% endfor %}</tr></thead><tbody>'
    '{% for truth, cells in rows %}<tr><th scope="row" class="text">{{ truth }}</th>{% for name, cell in cells %}'
    '{% if cell %}<td{% if name == truth %} class="right"{% endif %} style="--share:{{ cell[2] }}">{{ cell[0] }}'
    "<small>{{ cell[1] }}</small></td>{% else %}<td>–</td>{% endif %}{% endfor %}</tr>{% endfor %}"
    "</tbody></table></div>"
)


class _Cell(NamedTuple):
    """A cell: its text, the value that it sorts by (None = its text), the colour beside it, on which side it stands."""

    shown: str
    value: str | None = None
    color: str | None = None
    left: bool = False


def _cell(text: str, name: bool, swatches: Mapping[str, str]) -> _Cell:
    if name:
        return _Cell(text, color=swatches.get(text), left=True)
    value = number(text)
    if value is None:
        return _Cell(text or "n/a", "" if text in NOT_KNOWN else None)
    whole = text.lstrip("-").isdigit()
    return _Cell(shown(int(text) if whole else value), text)


def _percent(share: float) -> str:
    return "<1 %" if 0 < share < 0.005 else f"{share:.0%}".replace("%", " %")
