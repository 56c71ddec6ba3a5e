"""Whatever a user calls things, a page has the same elements and attributes, and says the name as it is."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from seepseg.classes import ClassTable, SegClass
from seepseg.pages.charts import Axis, Series, bars, charts, lines, ridges
from seepseg.pages.page import Section, cards, confusion, folded, heading, listing, paragraph, table, write_page
from seepseg.pages.pictures import Group, Picture, gallery
from seepseg.pages.template import Html, asset, fill, joined

HOSTILE = [
    "<script>throw 1</script>", '"onload="throw 1', "'onload='throw 1", "</style><img src=x onerror=throw>",
    "</script><script>throw 1</script>", "javascript:alert(1)", "--></title><svg onload=throw>", "&lt;b&gt;&#34;",
    "{{ 7 * 7 }}{% raw %}", "]]><!--", "#fff;background:url(//x.org)",
]  # fmt: skip


class Elements(HTMLParser):
    """What a browser would make of a page: elements with the names of their attributes; and its words."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, ...]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, *sorted(name for name, _ in attributes)))
        for name, value in attributes:
            assert name != "href" or (value or "").startswith("#")
            assert name != "src" or (value or "").startswith("data:image/")
            self.words.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        self.elements.append((f"/{tag}",))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def page(path: Path, text: str) -> str:
    """A page of every part that there is, with one text in all places that take one."""
    axis, plane = Axis(text), np.ones((4, 4), np.uint8)
    classes = ClassTable((SegClass(text, (1,), "#010203"),))
    rows = [{"name": text, "dice": "0.5"}, {"name": "sum", "dice": "n/a"}]
    figures = [
        lines(text, [Series(text, [0, 1], [0, 1], text), Series(text, [0, 1], [1, 0])], axis, axis, dots=True),
        bars(text, [text], [3], [text], text),
        ridges(text, [(text, [0.5])], [0, 1], text),
    ]
    parts = [
        table(rows, text, text=("name",), foot=1, swatches={text: text}, caption=text),
        table([{text: text + "."}], text),
        confusion([{"truth": text, text: "3"}], text),
        cards([(text, text, text)]),
        paragraph(text, "warn") + listing(text) + folded(text, heading(text)),
        charts(figures),
        gallery([Group(text, text, [Picture(text, plane, plane, plane)])], classes),
    ]
    write_page(path, text, text, [Section(text, part) for part in parts])
    return path.read_text("utf-8")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Elements:
    return Elements(page(tmp_path_factory.mktemp("page") / "p.html", "plain"))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_adds_no_element_and_no_attribute(tmp_path: Path, plain: Elements, text: str) -> None:
    html = page(tmp_path / "p.html", text)
    found = Elements(html)
    assert found.elements == plain.elements
    # Outside charts, which shorten, each place says the text as it was given.
    assert sum(text in words for words in found.words) >= 30
    assert all(part not in html for part in ("<img src=x", "<script>throw", "<svg onload", "49"))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1))
def test_any_text_comes_back(text: str) -> None:
    html = fill('<i title="{{ text }}">{{ text }}</i>', text=text)
    found = Elements(html)
    assert found.elements == [("i", "title"), ("/i",)]
    assert found.words[0] == text and "".join(found.words[1:]) == text


def test_data_may_stand_in_a_script_element() -> None:
    data = fill("<script>{{ data | tojson }}</script>", data={"</script>": ["<!--", "&", 1.5, None]})
    assert data == r'<script>{"\u003c/script\u003e":["\u003c!--","\u0026",1.5,null]}</script>'
    with pytest.raises(ValueError, match="Out of range"):
        fill("{{ data | tojson }}", data=float("nan"))


def test_what_a_template_made_goes_in_as_it_is_and_what_is_missing_is_an_error() -> None:
    inner = fill("<b>{{ x }}</b>", x="<")
    assert joined([inner, inner]) == "<b>&lt;</b><b>&lt;</b>"
    assert fill("<p>{{ a }}{{ b }}</p>", a=inner, b=str(inner)) == "<p><b>&lt;</b>&lt;b&gt;&amp;lt;&lt;/b&gt;</p>"
    assert isinstance(inner + "<", Html) and inner + "<" == "<b>&lt;</b>&lt;"
    assert "{{ title }}" in asset("pages", "page.html")
    with pytest.raises(UndefinedError):
        fill("{{ nothing }}")
