from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from seepseg.classes import SEEP
from seepseg.figures.pictures import ERROR_COLORS, stretch
from seepseg.pages.charts import Axis, Series, bars, lines, ridges
from seepseg.pages.page import (
    Section,
    as_rows,
    confusion,
    number,
    paragraph,
    read_rows,
    shown,
    table,
    write_page,
)
from seepseg.pages.pictures import Group, Picture, gallery, runs
from seepseg.pages.template import Html
from tests.browser import PROGRAM, Browser, browser

EVIL = """<img src=x onerror="throw 1">'&amp;</script><script>throw 2</script>"""
ROWS = [
    {"name": "a", "dice": "0.5", "pixels": "1200"},
    {"name": EVIL, "dice": "n/a", "pixels": "7"},
    {"name": "c", "dice": "0.9", "pixels": "90"},
    {"name": "sum", "dice": "0.7", "pixels": "1297"},
]


def test_numbers_for_people() -> None:
    assert [shown(v) for v in (None, 3, 1234567, 0.12345, 0.0, 0.00042, 53.5, 12345.6)] == [
        "n/a", "3", "1,234,567", "0.123", "0.000", "4.2e-04", "53.500", "12,346",
    ]  # fmt: skip
    assert [number(t) for t in ("0.5", "n/a", "", None, "nan", "inf")] == [0.5, None, None, None, None, None]


def test_a_table_escapes_what_it_shows_and_keeps_what_the_file_says() -> None:
    html = table(ROWS, "scores <1>.csv", text=("name",), foot=1, swatches={"a": "#010203"})
    assert "<img" not in html and "<script" not in html
    assert EVIL in unescape(html)
    assert "Source: scores &lt;1&gt;.csv" in html
    assert '<td data-v="1200">1,200</td>' in html
    assert '<td data-v="">n/a</td>' in html
    assert html.count('style="background:#010203"') == 1
    # The row of sums does not sort with the others.
    assert html.index("<tfoot>") < html.index("0.700")
    # A name that looks like a number keeps its zeros.
    assert ">045590</td>" in table([{"scene": "045590"}], "s.csv", text=("scene",))
    assert table([], "none.csv") == ""


def test_rows_of_a_table_are_those_of_its_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ['x, "y"\nz', "é"], "b": [None, 0.1]})
    frame.to_csv(tmp_path / "t.csv", index=False, na_rep="n/a")
    assert as_rows(frame) == read_rows(tmp_path / "t.csv") == [{"a": 'x, "y"\nz', "b": "n/a"}, {"a": "é", "b": "0.1"}]
    assert read_rows(tmp_path / "none.csv") == []


def test_a_confusion_matrix_shades_by_the_share_of_its_row() -> None:
    html = confusion([{"truth": "sea", "sea": "75", "oil": "25"}, {"truth": "oil", "sea": "0", "oil": "0"}], "c.csv")
    assert 'class="right" style="--share:0.750">75<small>75 %</small>' in html
    assert 'style="--share:0.250">25<small>25 %</small>' in html
    assert html.count("<td>–</td>") == 2  # nothing true: no share


def test_the_policy_of_a_page_allows_its_own_script_only(tmp_path: Path) -> None:
    write_page(tmp_path / "p.html", EVIL, EVIL, [Section("One & two", paragraph("x")), Section("Empty", Html())])
    html = (tmp_path / "p.html").read_text()
    scripts = re.findall(r"<script>(.*?)</script>", html, re.S)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in html
    assert "Empty" not in html
    assert '<a href="#part-one---two">One &amp; two</a>' in html and 'id="part-one---two"' in html
    assert "<img" not in html and not re.search(r"(src|href)=.?https?:", html)


def test_curves_by_hand() -> None:
    html = lines(EVIL, [Series("one", [0, 1, 2, 3], [0.0, None, 1.0, 0.5])], Axis("x"), Axis("y", 0, 1))
    # The plane is 410 × 220 pixels, its corners at (58, 230) and (468, 10); None breaks the curve.
    assert 'class="curve"  d="M58.0 230.0 M331.3 10.0L468.0 120.0"' in html
    assert "<img" not in html
    assert '<circle class="dot" cx="58.0" cy="230.0"' in html  # a point alone would not be seen
    assert lines("none", [Series("one", [1], [None])], Axis("x"), Axis("y")) == ""
    # On a logarithmic axis a zero has no place; 1e-1 and 1e-3 are at the ends.
    html = lines("log", [Series("lr", [1, 2, 3], [0.1, 0.0, 0.001])], Axis("x"), Axis("y", log=True))
    assert "M58.0 10.0 M468.0 230.0" in html
    assert ">0.01<" in html


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.booleans())
@example([0.0, 5e-324], False)
@example([5e-324], True)
def test_curves_stay_inside_their_figure(values: list[float], log: bool) -> None:
    html = lines("t", [Series("s", list(range(len(values))), values)], Axis("x"), Axis("y", log=log), dots=True)
    for x, y in re.findall(r'cx="([\d.-]+)" cy="([\d.-]+)"', html):
        assert 58 <= float(x) <= 468
        assert 10 <= float(y) <= 230


def test_bars_and_ridges_by_hand() -> None:
    html = bars("t", ["a", "b", "c"], [1000, 10, 0], ["#112233", "", ""], "pixels")
    # 274 pixels for three decades.
    assert [float(w) for w in re.findall(r'width="([\d.]+)"', html)] == [274.0, 91.3, 0.0]
    assert "--color:#112233" in html and ">1,000<" in html
    assert 'd="M110.0 44.0L110.0 16.0L289.0 16.0L289.0 30.0L468.0 30.0L468.0 44.0Z"' in ridges(
        "t", [("a", [0.5, 0.25])], [0, 1, 2], "DN"
    )


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.sampled_from([0, 1, 7, 255])))
def test_run_lengths_unfold_to_the_plane(plane: NDArray[np.uint8]) -> None:
    packed = np.array(runs(plane)).reshape(-1, 2)
    rows = np.repeat(packed[:, 0], packed[:, 1]).astype(np.uint8).reshape(plane.shape)
    assert (np.bitwise_xor.accumulate(rows, axis=0) == plane).all()
    assert (packed[1:, 0] != packed[:-1, 0]).all()


def test_a_hundred_tiles_stay_below_eight_megabytes() -> None:
    # Four-look speckle in a thousand pieces of eight classes: as much to store as any real tile of its size.
    def tile(seed: int, side: int) -> Picture:
        rng = np.random.default_rng(seed)
        speckled = rng.gamma(4, 0.25, (side, side))
        blobs = np.kron(rng.integers(0, 8, (32, 32)), np.ones((side // 32,) * 2)).astype(np.uint8)
        return Picture("t", stretch(speckled), blobs, blobs.T)

    for side in (256, 640):
        html = gallery([Group("all", "", [tile(n, side) for n in range(4)])], SEEP)
        assert len(html) / 4 * 100 < 8e6


def picture(name: str) -> Picture:
    """Eight pixels a side: a truth of one class on the left half, a prediction of it on the upper half."""
    truth, made = np.zeros((2, 8, 8), np.uint8)
    truth[:, :4], made[:4] = 1, 1
    made[7, 7] = 255
    return Picture(name, np.full((8, 8), 100, np.uint8), truth, made)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A page with an evil table and two tiles in a real browser."""
    if PROGRAM is None:
        pytest.skip("no Chromium is installed")
    path = tmp_path_factory.mktemp("page") / "page.html"
    tiles = gallery([Group(EVIL, EVIL, [picture(EVIL), picture("plain")])], SEEP)
    html = table(ROWS, "scores.csv", text=("name",), foot=1)
    chart = lines("c", [Series("a", [0, 1], [0, 1]), Series("b", [0, 1], [1, 0])], Axis("x"), Axis("y"))
    write_page(path, EVIL, "page", [Section("Table", html), Section("Chart", chart), Section("Tiles", tiles)])
    with browser() as started:
        started.open(path)
        yield started
        # Whatever the tests below did: no error in the console, nothing asked for.
        assert started.trouble == []
        assert started.fetched == []


def column(page: Browser, number: int) -> list[str]:
    found: list[str] = page.run(f"[...document.querySelectorAll('tbody tr')].map(r => r.cells[{number}].textContent)")
    return found


def pixel(page: Browser, x: int, y: int) -> list[int]:
    """Colour and opacity that the first tile's canvas has at a pixel."""
    found: list[int] = page.run(
        f"[...document.querySelector('.tile canvas').getContext('2d').getImageData({x}, {y}, 1, 1).data]"
    )
    return found


def test_tables_sort_by_mouse_and_by_keyboard(opened: Browser) -> None:
    opened.click("th:nth-child(2) button")
    assert column(opened, 1) == ["0.900", "0.500", "n/a"]
    opened.click("th:nth-child(2) button")
    assert column(opened, 1) == ["0.500", "0.900", "n/a"]  # what is not known stays last
    assert opened.run("document.querySelector('th:nth-child(2)').getAttribute('aria-sort')") == "ascending"
    opened.run("document.querySelector('th:nth-child(2) button').focus()")
    opened.press("Tab")
    opened.press("Enter")
    assert column(opened, 2) == ["1,200", "90", "7"]  # as numbers: as text 1,200 would be the least
    opened.click("th:nth-child(1) button")
    assert column(opened, 0) == [EVIL, "a", "c"]
    assert opened.run("document.querySelector('tfoot').textContent").startswith("sum")


def test_one_key_flips_between_image_truth_prediction_and_error(opened: Browser) -> None:
    opened.run("document.querySelector('.tile').scrollIntoView()")
    shown_at = {}
    for key, layer in (("1", "image"), ("2", "truth"), ("3", "prediction"), ("4", "error")):
        opened.press(key)
        assert opened.run("document.querySelector('input[name=layer]:checked').value") == layer
        shown_at[layer] = [pixel(opened, x, y) for x, y in ((0, 0), (0, 5), (5, 0), (5, 5), (7, 7))]
    orange, clear, grey = [230, 159, 0, 255], [0, 0, 0, 0], [128, 128, 128, 255]
    assert shown_at["image"] == [clear] * 5
    assert shown_at["truth"] == [orange, orange, clear, clear, clear]
    assert shown_at["prediction"] == [orange, clear, orange, clear, grey]
    # Right, missed, false alarm, rightly sea, ignored.
    assert shown_at["error"][0] == [*ERROR_COLORS["correct"], 255]
    assert shown_at["error"][1] == [*ERROR_COLORS["missed"], 255]  # row 5: the bright half of the stripes
    assert shown_at["error"][2] == [*ERROR_COLORS["false alarm"], 255]  # 5 + 0: bright
    assert shown_at["error"][3:] == [clear, grey]
    assert pixel(opened, 4, 2)[:3] == [round(c * 0.45) for c in ERROR_COLORS["false alarm"]]  # 4 + 2: the dark half
    opened.press("f")
    assert opened.run("document.querySelector('input[name=layer]:checked').value") == "image"


def test_the_slider_moves_the_overlay(opened: Browser) -> None:
    strength = "Number(getComputedStyle(document.querySelector('.tile canvas')).opacity)"
    assert opened.run(strength) == 0.75
    opened.run("document.getElementById('overlay').focus()")
    opened.press("ArrowLeft")
    assert opened.run(strength) == pytest.approx(0.74)
    opened.press("Home")
    assert opened.run(strength) == 0


def test_a_tile_is_enlarged_and_arrows_go_on(opened: Browser) -> None:
    opened.click(".tile .picture")
    large = "document.querySelector('dialog').open && document.querySelector('dialog p').textContent"
    assert opened.run(large) == EVIL
    opened.press("ArrowRight")
    assert opened.run(large) == "plain"
    opened.press("ArrowRight")
    assert opened.run(large) == EVIL
    opened.run("document.querySelector('[data-close]').click()")
    assert opened.run(large) is False


def test_light_and_dark_follow_the_system_and_the_button(opened: Browser) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    light = opened.run(paper)
    opened.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    dark = opened.run(paper)
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(20, 23, 26)")
    opened.click("#theme")
    assert opened.run(paper) == light
    opened.click("#theme")
    assert opened.run(paper) == dark


def test_a_phone_need_not_scroll_sideways(opened: Browser) -> None:
    opened.call("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=False)
    assert opened.run("document.documentElement.scrollWidth") == 390


def test_the_store_of_tiles_cannot_end_its_element() -> None:
    html = gallery([Group("g", "", [picture("</script>")])], SEEP)
    store = re.search(r'<script type="application/json" id="gallery-data">(.*?)</script>', html, re.S)
    assert store
    assert json.loads(store[1])["tiles"][0]["width"] == 8
