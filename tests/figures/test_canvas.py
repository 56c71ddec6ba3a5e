"""Saved pictures: the same bytes twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seepseg.classes import SEEP
from seepseg.figures import canvas, plots, sheets
from tests.figures.test_pictures import some_panel

SAVERS: dict[str, Callable[[Path], None]] = {
    "gallery": lambda path: sheets.save_gallery(path, [("one", some_panel()), ("two", some_panel())], SEEP),
    "examples": lambda path: sheets.save_gallery(path, [("one", some_panel())], SEEP, ("image", "mask over it") * 2),
    "confusion": lambda path: plots.save_confusion(path, np.diag([5, 0, 2_000_000]), ["a", "b", "c"]),
    "balance": lambda path: plots.save_class_balance(path, ["a", "b"], [10**7, 0], [3, 0]),
    "intensity": lambda path: plots.save_intensity(
        path,
        dict.fromkeys(("vv", "vh"), ({"900001": np.array([0, 3, 1]), "900002": np.zeros(3)}, np.arange(4.0), "dB")),
    ),
    "quicklook": lambda path: sheets.QuickLook(50, 900).save(path, SEEP),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", SAVERS)
def test_saved_pictures_repeat_and_leave_nothing_else(name: str, tmp_path: Path) -> None:
    for stem in ("first", "second"):
        SAVERS[name](tmp_path / f"{stem}.png")
    assert sorted(f.name for f in tmp_path.iterdir()) == ["first.png", "second.png"]
    first = (tmp_path / "first.png").read_bytes()
    assert first == (tmp_path / "second.png").read_bytes()
    assert b"matplotlib" not in first.lower()


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (999, "999"), (1500, "1.5k"), (12_345, "12k"), (98_123_456, "98M")]
)
def test_counts_are_shortened(count: int, text: str) -> None:
    assert canvas.short_count(count) == text
