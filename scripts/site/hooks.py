"""What MkDocs does beyond mkdocs.yml: pages made of the code, of notebooks, and of files that lie outside docs/."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))
from command_reference import command_reference
from config_reference import config_reference

ROOT = Path(__file__).parents[2]
OUTSIDE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the repository's root that are pages, too: what each is called in the site."""
REFERENCES = {"<!-- commands -->": command_reference, "<!-- keys -->": config_reference}
"""What stands in a page for what is made of the code."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are no files in docs/."""
    for name, page in OUTSIDE.items():
        text = (ROOT / name).read_text().replace("](docs/", "](")
        files.append(File.generated(config, page, content=text))
    for path in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{path.stem}.md", content=_as_markdown(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Fill in what is made of the code, and point links to files outside docs/ at their pages."""
    up = "../" * page.file.src_uri.count("/")
    for name, target in OUTSIDE.items():
        markdown = re.sub(rf"\]\((\.\./)+{re.escape(name)}", f"]({up}{target}", markdown)
    for mark, made in REFERENCES.items():
        markdown = markdown.replace(mark, made()) if mark in markdown else markdown
    return markdown


def _as_markdown(path: Path) -> str:
    """A notebook as a page: its text, and its code in fences."""
    cells: list[dict[str, Any]] = json.loads(path.read_text())["cells"]
    parts = [_cell("".join(cell["source"]), cell["cell_type"]) for cell in cells]
    title, rest = parts[0], parts[1:]
    return "\n\n".join([title, f"This page is a notebook: [download it]({path.name}) and run it.", *rest]) + "\n"


def _cell(source: str, kind: str) -> str:
    return f"```python\n{source}\n```" if kind == "code" else source
