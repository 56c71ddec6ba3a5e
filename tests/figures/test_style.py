from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from seepseg.classes import SEEP
from seepseg.figures.style import write_style


def test_a_style_has_a_category_for_each_class(tmp_path: Path) -> None:
    write_style(tmp_path / "v.qml", SEEP)
    root = ET.parse(tmp_path / "v.qml").getroot()
    assert [c.get("value") for c in root.iter("category")] == [str(i) for i in range(1, 8)]
    assert len(list(root.iter("symbol"))) == 7
