"""The documentation as a site: it builds without a warning, links lead somewhere, nothing is fetched from elsewhere."""

from __future__ import annotations

import html
import importlib.util
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import click
import pytest

from seepseg.cli.main import COMMANDS, cli
from seepseg.config.described import json_schema
from tests.browser import PROGRAM, browser

ROOT = Path(__file__).parents[2]


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / "site" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; strict, so that a warning is an error."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "-d", str(out)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, check=False
    )
    assert done.returncode == 0, done.stderr
    return out


def test_every_link_leads_somewhere_and_nothing_comes_from_elsewhere(site: Path) -> None:
    assert script("links").problems(site) == []


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ('<a href="gone.html">', "no such page"),
        ('<a href="other.html#gone">', "no such heading"),
        ('<a href="#gone">', "no such heading"),
        ('<img src="gone.png">', "no such page"),
        ('<script src="https://example.org/a.js"></script>', "from another machine"),
        ('<link rel="stylesheet" href="//example.org/a.css">', "from another machine"),
        ('<p style="background: url(https://example.org/a.png)">', "from another machine"),
        ('<a href="other.html#there">, <a href="https://example.org">, <a href="#top" id="top">', None),
    ],
)
def test_the_checker_finds_what_is_broken(tmp_path: Path, source: str, why: str | None) -> None:
    (tmp_path / "index.html").write_text(source)
    (tmp_path / "other.html").write_text('<h2 id="there">')
    found = script("links").problems(tmp_path)
    assert [line.rsplit(": ", 1)[1] for line in found] == ([why] if why else [])


def test_every_key_of_the_config_stands_in_the_reference(site: Path) -> None:
    page = (site / "config.html").read_text()
    schema = json_schema()
    for node in (schema, *schema["$defs"].values()):
        for key in node["properties"]:
            assert f"<code>{key}</code>" in page or f"<code>{key}: " in page, key


def test_every_option_stands_in_the_reference(site: Path) -> None:
    page = html.unescape((site / "cli.html").read_text())
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        assert command
        for parameter in command.params:
            longest = max(parameter.opts, key=len)
            assert longest in page or isinstance(parameter, click.Argument), f"{name} {longest}"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_of_the_front_door_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", (ROOT / name).read_text()):
        path, _, anchor = target.partition("#")
        file = ROOT / path if path else ROOT / name
        assert file.exists(), target
        headings = re.findall(r"^#+ (.+)$", file.read_text(), re.M) if anchor else []
        slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, target


def test_the_questions_of_a_newcomer_are_answered_from_the_front_page(site: Path) -> None:
    page = (site / "index.html").read_text()
    for anchor in (
        "tutorial-own-data.html", "#which-loss-for-rare-classes", "#why-an-iou-differs-from-a-papers",
        "#open-results", "howto-train.html#resume", "#continue-a-batch",
        "contributing.html#to-add-a-loss", "#the-interval-of-a-zone", "#cite",
    ):  # fmt: skip
        assert f'{anchor}"' in page, anchor


@pytest.mark.skipif(not PROGRAM, reason="no browser")
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit_their_window_and_fetch_nothing_from_elsewhere(site: Path, width: int) -> None:
    with browser() as tab:
        for page in ("index", "cli", "config", "tutorial-seeps", "howto-zones", "results"):
            tab.open(site / f"{page}.html", width=width)
            too_wide = tab.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert too_wide <= 0, page
        assert {address.split(":")[0] for address in tab.fetched} <= {"file", "blob"}
        assert tab.trouble == []


@pytest.mark.skipif(not PROGRAM, reason="no browser")
def test_the_search_works_in_a_folder(site: Path) -> None:
    with browser() as tab:
        tab.open(site / "index.html")
        tab.run("document.querySelector('.md-search__input').focus()")
        for key in "tversky":
            tab.press(key)
        found = "[...document.querySelectorAll('.md-search-result__item a')].map(a => a.href)"
        deadline = time.monotonic() + 30
        while not tab.run(found) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert any("howto-train.html" in address for address in tab.run(found))
        assert tab.trouble == []
