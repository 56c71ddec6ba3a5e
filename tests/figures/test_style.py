from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from seepseg.classes import SEEP
from seepseg.figures.style import qgis_style


@pytest.mark.parametrize("kind", ["fill", "marker"])
def test_a_style_has_a_category_and_a_symbol_for_each_class(kind: str) -> None:
    root = ET.fromstring(qgis_style(SEEP, kind))
    assert [c.get("value") for c in root.iter("category")] == [str(i) for i in range(1, 8)]
    assert [s.get("type") for s in root.iter("symbol")] == [kind] * 7
