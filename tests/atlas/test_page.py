"""The page: its numbers are those of the tables, it opens offline, and mouse and keys reach every zone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio

from seepseg.atlas.page import write_map_page
from seepseg.atlas.shown import graticule, shown_land, shown_zones
from seepseg.classes import ClassTable, SegClass
from seepseg.figures.sheets import QuickLook, cut_quicklook
from seepseg.geo.frame import Frame, laea
from seepseg.geo.vector import read_vectors, write_vectors
from seepseg.synthetic.vents import CLASSES, Sea, write_passes
from seepseg.zones.options import Options
from seepseg.zones.run import make_zones
from tests.browser import PROGRAM, Browser, browser
from tests.zones.places import dotted, scene

SEA = Sea(vents=4, rates=(0.5, 0.8), passes=24, side=40_000, pixel=200, lookalikes=1, wakes=0)
EVIL = "</script><script>throw 1</script><img src=x onerror='throw 2'>"


@pytest.fixture(scope="module")
def zones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zones of a made-up sea whose first class has an evil name, with the quick-look of every scene."""
    root = tmp_path_factory.mktemp("sea")
    write_passes(root / "out", SEA, 3)
    for path in (root / "out").glob("*_class.tif"):
        with rasterio.open(path, "r+") as source:
            classes = source.read(1)
            source.update_tags(CLASS_1=EVIL)
        look = QuickLook(*classes.shape)
        look.add_image(0, np.arange(classes.size).reshape(classes.shape), classes != 255)
        look.add_classes(0, classes)
        look.save(path.with_name(path.name.replace("_class.tif", "_quicklook.png")), CLASSES)
    for path in (root / "out").glob("*.gpkg"):
        shapes, table, crs = read_vectors(path)
        write_vectors(path, shapes, table.assign(grade=np.where(table["object"] % 2, "A", "C")), crs)
    write_map_page(root / "zones", make_zones([root / "out"], root / "zones", Options()))
    return root / "zones"


@pytest.fixture
def page(zones: Path) -> Iterator[Browser]:
    with browser() as started:
        started.open(zones / "page" / "index.html")
        yield started
        # Whatever the tests did: no error, and nothing asked for but the pictures beside the page.
        assert started.trouble == []
        folder = (zones / "page" / "pictures").resolve().as_uri()
        assert all(url.startswith(folder) for url in started.fetched)


def test_slicks_that_are_not_listed_one_by_one_count_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two vents with many slicks a pass; whatever is filtered, the passes that count are those of all slicks."""
    write_passes(tmp_path / "out", Sea(vents=2, rates=(0.8, 0.8), passes=8, side=20_000, pixel=250, lookalikes=40), 3)
    for path in (tmp_path / "out").glob("*.gpkg"):
        shapes, table, crs = read_vectors(path)
        grade, sure = np.where(table["object"] % 2, "A", "C"), 0.5 + table["object"] % 7 / 20
        write_vectors(path, shapes, table.assign(grade=grade, mean_probability=sure), crs)
    made = make_zones([tmp_path / "out"], tmp_path / "zones", Options(false_share=1, radius=4000))

    def shown() -> list[dict[str, Any]]:
        return list(shown_zones(made.tables, made.passes, made.classes, tmp_path / "pictures"))

    whole = shown()
    monkeypatch.setattr("seepseg.atlas.shown.LISTED", 3)
    few = shown()
    assert max(len(zone["slicks"]) for zone in whole) > 20 and any("merged" in zone for zone in few)
    for all_slicks, zone in zip(whole, few, strict=True):
        merged = zone.get("merged", [])
        assert len(zone["slicks"]) <= 3 and len(zone["slicks"]) + sum(one[4] for one in merged) == len(
            all_slicks["slicks"]
        )
        assert sum(one[3] for one in [*zone["slicks"], *merged]) == pytest.approx(
            sum(one[3] for one in all_slicks["slicks"]), abs=20
        )
        for kind, sure, grade in [(1, 0, "C"), (2, 70, "C"), (1, 60, "A"), (2, 85, "A")]:
            passes = [
                {one[0] for one in slicks if one[1] == kind and one[2] >= sure and one[5] <= grade}
                for slicks in (all_slicks["slicks"], [*zone["slicks"], *merged])
            ]
            assert passes[0] == passes[1]


def test_a_page_of_made_up_data_says_so(zones: Path) -> None:
    html = (zones / "page" / "index.html").read_text("utf-8")
    assert "<title>Seep zones of made-up data" in html and "All passes are made up" in html


needs_browser = pytest.mark.skipif(PROGRAM is None, reason="no browser is installed")


def rows(page: Browser) -> list[list[str]]:
    found: list[list[str]] = page.run(
        "[...document.querySelectorAll('#list tbody tr')].map(r => [...r.cells].map(c => c.textContent))"
    )
    return found


def test_the_page_is_plain_data_whatever_a_class_is_called(zones: Path) -> None:
    html = (zones / "page" / "index.html").read_text("utf-8")
    assert "<img src=x" not in html and EVIL not in html
    assert html.count("<script>") == 3 and html.count("<script") == 4  # page, Leaflet, zones; data that is not run
    data = json.loads(re.findall(r'id="zones-data">(.*?)</script>', html, re.S)[0])
    assert data["classes"][0][0] == EVIL


def test_what_the_page_holds_is_what_the_tables_say(zones: Path) -> None:
    html = (zones / "page" / "index.html").read_text("utf-8")
    data = json.loads(re.findall(r'id="zones-data">(.*?)</script>', html, re.S)[0])
    table, history, origins, passes = (
        pd.read_csv(zones / "page" / f"{name}.csv") for name in ("zones", "history", "origins", "passes")
    )
    numbers = re.findall(r'class="number">([\d,]+)<', html)
    often = (table["n_seen"] * 2 >= table["n_observed"]).sum()
    assert [int(n.replace(",", "")) for n in numbers] == [len(table), often, len(passes), passes["slicks"].sum()]
    assert f"{len(origins)} of them in zones" in html
    for zone, row in zip(data["zones"], table.itertuples(), strict=True):
        assert zone["id"] == row.zone
        assert zone["line"].count("S") == row.n_seen
        assert zone["line"].count("S") + zone["line"].count("o") == row.n_observed
        own = history[history["zone"] == row.zone]
        assert len(zone["line"].replace(".", "")) == len(own)
        assert len(zone["slicks"]) == row.n_slicks == (origins["zone"] == row.zone).sum()
        assert sum(slick[3] for slick in zone["slicks"]) == pytest.approx(
            pd.read_csv(zones / "slicks.csv").groupby("zone")["area_m2"].sum()[row.zone], abs=len(zone["slicks"])
        )


def test_zones_on_both_sides_of_180_degrees_lie_around_it(tmp_path: Path) -> None:
    """At 179.97° E and 179.95° W: the middle is not 0°."""
    place = (100.0, 0.0, 170_000.0, 0.0, -100.0, 8_210_000.0)
    for day in range(1, 5):
        when = f"2024-01-0{day}T00:00:00Z"
        scene(tmp_path / "out", f"s{day}", "EPSG:32701", place, dotted(200, (100, 60), (100, 150)), acquired=when)
    write_map_page(tmp_path / "zones", make_zones([tmp_path / "out"], tmp_path / "zones", Options(false_share=1)))
    assert sorted(np.sign(pd.read_csv(tmp_path / "zones" / "zones.csv")["lon"])) == [-1, 1]
    assert "around 16.3° S, 180.0° " in (tmp_path / "zones" / "page" / "index.html").read_text("utf-8")


def test_outlines_are_drawn_where_the_package_has_them(zones: Path) -> None:
    data = json.loads(
        re.findall(r'id="zones-data">(.*?)</script>', (zones / "page" / "index.html").read_text("utf-8"), re.S)[0]
    )
    origins = pd.read_csv(zones / "origins.csv")
    for zone in data["zones"]:
        x, y, radius = zone["at"]
        ends = np.concatenate([np.reshape(ring, (-1, 2)) for slick in zone["slicks"] for ring in slick[4]])
        places = np.array([x, y]) + ends / data["fine"] * radius
        for origin in origins.loc[origins["zone"] == zone["id"], ["x", "y"]].to_numpy():
            # A slick begins within its width and the error of its origin (a pixel along each axis).
            assert np.hypot(*(places - origin).T).min() < 1500


@needs_browser
def test_a_click_on_a_zone_shows_its_passes_and_slicks(zones: Path, page: Browser) -> None:
    table = pd.read_csv(zones / "zones.csv")
    said = [f"{zone.n_seen} of {zone.n_observed}" for zone in table.itertuples()]
    assert [row[1] for row in rows(page)] == said
    # The interval computed in the page is that of zones.csv.
    for row, zone in zip(rows(page), table.itertuples(), strict=True):
        assert f"({100 * zone.lower:.0f}–{100 * zone.upper:.0f})" in row[2]
    page.click("#map path.zone")
    text = page.run("document.getElementById('zone').textContent")
    first = table.iloc[0]
    assert f"Zone {first.zone}" in text
    assert f"Seen on {first.n_seen} of {first.n_observed} passes" in text
    marks = page.run("[0, 1].map(k => document.querySelectorAll('.lane' + k).length)")
    assert marks == [first.n_seen + first.n_seen_unobserved, first.n_observed - first.n_seen]
    assert page.run("document.querySelectorAll('#map path.slick').length") == first.n_slicks
    assert page.run("document.querySelectorAll('.looks img').length") == 4
    page.run("Promise.all([...document.images].map(i => i.decode()))")


@needs_browser
def test_keys_go_through_the_table_into_a_zone_and_back(page: Browser) -> None:
    ids = [row[0] for row in rows(page)]
    page.run("document.querySelector('#list tbody tr').focus()")
    page.press("ArrowDown")
    page.press("Enter")
    assert page.run("document.querySelector('#zone h3').textContent") == f"Zone {ids[1]}"
    page.press("ArrowRight")
    assert page.run("document.querySelector('#zone h3').textContent") == f"Zone {ids[2]}"
    page.press("Escape")
    assert page.run("document.getElementById('zone').hidden")
    assert page.run("document.activeElement.dataset.zone") == ids[2]


@needs_browser
def test_filters_count_again(zones: Path, page: Browser) -> None:
    history, origins = pd.read_csv(zones / "history.csv"), pd.read_csv(zones / "origins.csv")
    day = sorted(history["acquired"].str[:10].unique())[8]
    page.run(f"document.getElementById('from').value = '{day}'")
    page.run("document.querySelector('input[name=class]').click()")
    late = history[history["acquired"].str[:10] >= day]
    thin = set(origins.loc[origins["class"] == 2, ["zone", "pass"]].itertuples(index=False, name=None))
    for row in rows(page):
        own = late[(late["zone"] == int(row[0])) & late["observed"]]
        seen = sum((zone, one) in thin for zone, one, s in own[["zone", "pass", "seen"]].itertuples(index=False) if s)
        assert row[1] == f"{seen} of {len(own)}"
    page.click("#filters button[type=reset]")
    page.run("document.getElementById('grade').value = 'A'")
    page.run("document.getElementById('filters').dispatchEvent(new Event('input'))")
    slicks = pd.read_csv(zones / "slicks.csv")
    best = set(slicks.loc[slicks["grade"] == "A", ["zone", "pass"]].itertuples(index=False, name=None))
    for row in rows(page):
        own = history[(history["zone"] == int(row[0])) & history["observed"]]
        seen = sum((zone, one) in best for zone, one, s in own[["zone", "pass", "seen"]].itertuples(index=False) if s)
        assert row[1] == f"{seen} of {len(own)}"
    page.click("#filters button[type=reset]")
    page.run("new Promise(done => setTimeout(done, 50))")
    table = pd.read_csv(zones / "zones.csv")
    assert [row[1] for row in rows(page)] == [f"{z.n_seen} of {z.n_observed}" for z in table.itertuples()]


@needs_browser
@pytest.mark.parametrize("width", [375, 1280])
def test_the_page_is_no_wider_than_its_window(zones: Path, width: int) -> None:
    with browser() as page:
        page.open(zones / "page" / "index.html", width)
        page.click("#list tbody tr")
        assert page.run("document.documentElement.scrollWidth") == width


def test_a_part_of_a_quick_look_is_where_it_should_be(tmp_path: Path) -> None:
    # 5000 rows: every third pixel is kept. Names wider than the picture put it in the middle of the sheet.
    table = ClassTable((SegClass("a name much wider than the picture", (1,), "#E69F00"),))
    look = QuickLook(5000, 300)
    gray = np.zeros((5000, 300), np.float32)
    gray[3000:3150, 150:] = 255
    look.add_image(0, gray, np.ones(gray.shape, bool))
    look.save(tmp_path / "q.png", table)
    cut = cut_quicklook(tmp_path / "q.png", (5000, 300), np.array([150.0, 3000.0]), 15.0, 5.0, 20)
    assert cut
    # 15 pixels are 5 of the quick-look; 25 to each side.
    assert cut[1:] == pytest.approx((0.5, 0.5, 0.1))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    assert cut_quicklook(tmp_path / "bad.png", (10, 10), np.zeros(2), 1.0, 5.0) is None


def test_land_and_degrees_around_a_place() -> None:
    # The coast of Louisiana: land to the north, sea to the south, seen from 29° N 90° W.
    frame = Frame(laea(-90, 29), 500)
    land = shown_land(frame, (-100_000, -100_000, 100_000, 100_000))
    points = np.concatenate([np.reshape(ring, (-1, 2)) for ring in land])
    assert abs(points).max() <= 100_000
    assert points[:, 1].max() == 100_000 and points[:, 1].min() > -20_000
    lines = graticule(frame, (-100_000, -100_000, 100_000, 100_000), 30_000)
    assert {"29° N", "90° W"} <= {line[0] for line in lines}
    (middle,) = [line for line in lines if line[0] == "90° W"]
    # The meridian of the middle is the y axis, labelled where it enters the box and drawn around it.
    assert middle[1:3] == [0, -100_000]
    assert set(middle[3::2]) == {0} and min(middle[4::2]) == -130_000
    # Across the antimeridian longitudes go on; in pixels there are none.
    assert {"179.5° E", "180° W", "179.5° W"} <= {
        line[0] for line in graticule(Frame(laea(180, -17), 500), (-100_000, -100_000, 100_000, 100_000), 0)
    }
    # Around a pole there are no more meridians than that can be drawn.
    assert 4 <= len(graticule(Frame(laea(0, 90), 500), (-100_000, -100_000, 100_000, 100_000), 0)) <= 40
    assert graticule(Frame(None, 10), (0, 0, 10, 10), 1) == shown_land(Frame(None, 10), (0, 0, 10, 10)) == []
