"""docs/reliability.md states the budgets of the doors as they are."""

import re
from pathlib import Path

import pytest

from seepseg.archives import members
from seepseg.conditions import winds
from seepseg.config import document
from seepseg.geo import admitted
from seepseg.io import documents, files, images, table
from seepseg.models import saved

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reliability.md").read_text(encoding="utf-8")
UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


def stated(door: str) -> set[int]:
    """The numbers in brackets of a row: 100,000, 64 MiB, 2¹⁵, 100-fold."""
    (row,) = re.findall(rf"^\| {door} \|.*\(([^()]*\d[^()]*)\) \|", PAGE, re.MULTILINE)
    numbers = re.findall(r"(\d[\d,]*)([⁰¹²³⁴⁵⁶⁷⁸⁹]*) ?([KMG]iB)?", row)
    return {
        int(base.replace(",", "")) ** int(power.translate(SUPERSCRIPTS) or 1) * UNITS.get(unit, 1)
        for base, power, unit in numbers
    }


@pytest.mark.parametrize(
    ("door", "budgets"),
    [
        ("D1", {admitted.MAX_VECTORS}),
        ("D2", {files.MAX_PIXELS, files.MAX_SCENE}),
        ("D3", {document.MAX_YAML, document.EXPANDED, document.DEPTH}),
        ("D5", {images.MAX_DECODED, images.SCANS}),
        ("D6", {members.MEMBERS, members.BUDGET, members.RATIO}),
        ("D8", {saved.MOST}),
        ("D11", {table.MAX_TABLE}),
        ("D16", {documents.MAX_XML, documents.ELEMENTS, documents.DEPTH}),
        ("D19", {winds.MOST_BYTES, winds.MOST_FIELDS, winds.MOST}),
    ],
)
def test_budgets_are_as_stated(door: str, budgets: set[int]) -> None:
    assert stated(door) == budgets
