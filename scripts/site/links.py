"""Checks a built site: every link and anchor leads somewhere, and no page asks another machine for anything."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADING = {
    ("img", "src"), ("script", "src"), ("iframe", "src"), ("source", "src"), ("video", "src"), ("audio", "src"),
    ("link", "href"), ("object", "data"), ("img", "srcset"), ("source", "srcset"),
}  # fmt: skip
"""Tag and attribute of what a browser fetches by itself."""
LAX = {"canonical", "next", "prev"}
"""Kinds of <link> that are not fetched."""


class _Reader(HTMLParser):
    """The anchors of a page, what it links to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors, self.links, self.loaded = set[str](), list[str](), list[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        self.anchors |= {given[key] for key in ("id", "name") if key in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if given.get("rel") not in LAX:
            self.loaded += [value for key, value in given.items() if (tag, key) in LOADING]
        self.loaded += _addresses(given.get("style", ""))


def _addresses(css: str) -> list[str]:
    """What style sheets load."""
    return [a or b for a, b in re.findall(r"""url\(["']?([^"')]+)|@import\s+["']([^"']+)""", css)]


def problems(site: Path) -> list[str]:
    """What is wrong with a site, a line each: `page: address: why`."""
    pages = {path: _Reader(path.read_text()) for path in sorted(site.rglob("*.html"))}
    lines = []
    for path, page in pages.items():
        name = path.relative_to(site)
        lines += [f"{name}: {address}: from another machine" for address in page.loaded if _elsewhere(address)]
        for address in [*page.links, *page.loaded]:
            if why := _broken(site, path, address, pages):
                lines.append(f"{name}: {address}: {why}")
    for path in site.rglob("*.css"):
        found = _addresses(path.read_text())
        lines += [f"{path.relative_to(site)}: {a}: from another machine" for a in found if _elsewhere(a)]
    return lines


def _elsewhere(address: str) -> bool:
    return bool(urlsplit(address).netloc)


def _broken(site: Path, path: Path, address: str, pages: dict[Path, _Reader]) -> str | None:
    """Why a link inside the site leads nowhere; None where it does not, or leads outside."""
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return None
    target = path
    if parts.path:
        base = site if parts.path.startswith("/") else path.parent
        target = (base / unquote(parts.path).lstrip("/")).resolve()
        target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return "no such page"
    anchor = unquote(parts.fragment)
    if anchor and target in pages and anchor not in pages[target].anchors:
        return "no such heading"
    return None


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]).resolve())
    print("\n".join(wrong) or "every link leads somewhere, and nothing is loaded from another machine")
    sys.exit(bool(wrong))
