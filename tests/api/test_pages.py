"""The Python that README.md and docs/python.md show: it runs as it stands, in the order of the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

ROOT = Path(__file__).parents[2]


def blocks(page: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)


@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_examples_of_a_page_run(page: str, at_desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo").symlink_to(at_desk / "demo")
    monkeypatch.chdir(tmp_path)
    mpl.use("agg")
    names: dict[str, Any] = {}
    assert blocks(page)
    for block in blocks(page):
        exec(compile(block, page, "exec"), names)
    plt.close("all")
    assert sorted(path.name for path in (tmp_path / "maps").glob("*_class.tif")) == ["array_class.tif"]
    assert names["prediction"].classes.shape == names["tile"].shape


def test_the_first_example_is_short() -> None:
    first = blocks("README.md")[0]
    assert len([line for line in first.splitlines() if line.strip()]) <= 8
    assert first in (ROOT / "docs" / "python.md").read_text()
