"""docs/reliability.md names a test for every promise, and each of them is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (\d+|D\d+) \| .+ \| (.+) \|$", PAGE, re.MULTILINE)


def test_every_row_of_what_can_go_wrong_names_its_tests() -> None:
    """36 rows of faults, and the doors."""
    numbers = [number for number, _ in ROWS]
    assert [n for n in numbers if n.isdigit()] == [str(n) for n in range(1, 37)]
    doors = [n for n in numbers if not n.isdigit()]
    assert doors == [f"D{n}" for n in range(1, len(doors) + 1)]
    assert len(doors) >= 16
    assert all(re.search(r"`\w+(/\w+)*\.py::test_\w+`", cell) for _, cell in ROWS)


def test_the_tests_that_are_named_are_there() -> None:
    named = set(re.findall(r"`([\w/]+\.py)::(test_\w+)`", PAGE))
    files = {file: ROOT / "tests" / file for file, _ in named}
    missing = {str(file) for file, path in files.items() if not path.is_file()}
    assert missing == set()
    lost = {f"{f}::{t}" for f, t in named if not re.search(rf"^def {t}\(", files[f].read_text("utf-8"), re.MULTILINE)}
    assert lost == set()
