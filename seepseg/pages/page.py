"""What every HTML page shares: one file that opens offline, tables that sort, facts, text that is escaped."""

from __future__ import annotations

import base64
import csv
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from io import StringIO
from pathlib import Path
from string import Template

import pandas as pd

import seepseg
from seepseg.io.atomic import write_text
from seepseg.io.table import csv_text, plain_cell

Rows = Sequence[Mapping[str, str]]
"""Rows of a CSV as text, so that pages and files agree."""

NOT_KNOWN = ("", "n/a")


@dataclass(frozen=True)
class Section:
    """One part of a page: the title in its heading and in the bar of links, and its HTML."""

    title: str
    html: str

    @property
    def anchor(self) -> str:
        """The title as a fragment of the page's address."""
        return "part-" + "".join(c if c.isalnum() else "-" for c in self.title.lower())


def write_page(
    path: Path,
    title: str,
    subtitle: str,
    sections: Iterable[Section],
    styles: Sequence[str] = (),
    scripts: Sequence[str] = (),
) -> None:
    """Write one HTML file of the sections that hold anything; it needs no network, and its policy allows none.

    Scripts are allowed by their hash alone, so that nothing in a scene's name could ever run. A page with styles and
    scripts of its own may also show pictures from beside it.
    """
    shown_sections = [section for section in sections if section.html]
    assets = files("seepseg.pages") / "assets"
    every = [(assets / "page.js").read_text("utf-8"), *scripts]
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in every]
    page = Template((assets / "page.html").read_text("utf-8")).substitute(
        title=escape(title),
        subtitle=escape(subtitle),
        style="\n".join([(assets / "page.css").read_text("utf-8"), *styles]),
        scripts="\n".join(f"<script>{script}</script>" for script in every),
        hashes=" ".join(f"'sha256-{digest}'" for digest in digests),
        pictures="data: 'self' file:" if scripts else "data:",
        version=escape(seepseg.__version__),
        links="".join(f'<li><a href="#{s.anchor}">{escape(s.title)}</a></li>' for s in shown_sections),
        sections="\n".join(
            f'<section id="{s.anchor}" aria-label="{escape(s.title)}"><h2>{escape(s.title)}</h2>\n{s.html}\n</section>'
            for s in shown_sections
        ),
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
) -> str:
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
        return ""
    names, columns = set(text), list(rows[0])
    head = "".join(
        f'<th scope="col"{_left(c in names)}><button type="button">{escape(c.replace("_", " "))}</button></th>'
        for c in columns
    )
    lines = [
        "<tr>" + "".join(_cell(str(row[c]), c in names, swatches or {}) for c in columns) + "</tr>" for row in rows
    ]
    body, last = lines[: len(lines) - foot], lines[len(lines) - foot :]
    label = escape(caption or f"table of {source}")
    return (
        (paragraph(caption, "muted") if caption else "")
        + f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table class="sortable">'
        + f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody>"
        + (f"<tfoot>{''.join(last)}</tfoot>" if last else "")
        + f"</table></div>{source_line(source)}"
    )


def source_line(*names: str) -> str:
    """The line that names the files of the numbers above."""
    return f'<p class="source">Source: {escape(", ".join(names))}</p>'


def cards(facts: Iterable[tuple[str, str, str]]) -> str:
    """Large numbers with what they are and a remark (an interval, for example)."""
    return (
        '<dl class="cards">'
        + "".join(
            f'<div class="card"><dt>{escape(what)}</dt><dd><div class="number">{escape(value)}</div>'
            f'<div class="range">{escape(remark)}</div></dd></div>'
            for what, value, remark in facts
        )
        + "</dl>"
    )


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text; `kind` is muted or warn."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def folded(title: str, html: str) -> str:
    """Something long behind its title; nothing for no HTML."""
    return f"<details><summary>{escape(title)}</summary>{html}</details>" if html else ""


def listing(text: str) -> str:
    """The text of a file, line by line."""
    return f'<pre tabindex="0">{escape(text)}</pre>'


def confusion(rows: Rows, source: str) -> str:
    """A confusion matrix: truth by row, shaded by the share of its row, with pixels and that share in each cell."""
    names = [row["truth"] for row in rows]
    lines = []
    for row in rows:
        pixels = [int(row[name]) for name in names]
        total = sum(pixels)
        cells = "".join(
            _share(n, n / total if total else None, name == row["truth"]) for n, name in zip(pixels, names, strict=True)
        )
        lines.append(f'<tr><th scope="row" class="text">{escape(row["truth"])}</th>{cells}</tr>')
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    return (
        paragraph("Truth by row, prediction by column: pixels, and their share of the row.", "muted")
        + '<div class="scroll" tabindex="0" role="region" aria-label="confusion matrix"><table class="matrix">'
        f'<thead><tr><th class="text">truth</th>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
        + source_line(source)
    )


def _cell(text: str, name: bool, swatches: Mapping[str, str]) -> str:
    if name:
        color = swatches.get(text)
        swatch = f'<span class="swatch" style="background:{escape(color)}"></span>' if color else ""
        return f'<td class="text">{swatch}{escape(text)}</td>'
    value = number(text)
    if value is None:
        empty = ' data-v=""' if text in NOT_KNOWN else ""
        return f"<td{empty}>{escape(text or 'n/a')}</td>"
    whole = text.lstrip("-").isdigit()
    return f'<td data-v="{escape(text)}">{shown(int(text) if whole else value)}</td>'


def _share(pixels: int, share: float | None, right: bool) -> str:
    if share is None:
        return "<td>–</td>"
    percent = "&lt;1 %" if 0 < share < 0.005 else f"{share:.0%}".replace("%", " %")
    kind = ' class="right"' if right else ""
    return f'<td{kind} style="--share:{share:.3f}">{pixels:,}<small>{percent}</small></td>'


def _left(is_text: bool) -> str:
    return ' class="text"' if is_text else ""
