from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

import seepseg
from seepseg.api.findings import TYPES, read_table
from seepseg.errors import ConfigError, DataError


def test_a_table_keeps_its_types(tmp_path: Path) -> None:
    row = dict.fromkeys(TYPES, "") | {
        "scene": "041870", "object": 3, "class": 1, "class_name": "NA", "pixels": 7, "grade": "A", "area_m2": 700.5,
        "touches_nodata": False, "touches_edge": True, "acquired": "2021-04-01T05:26:23.794Z", "orbit": 7,
    }  # fmt: skip
    pd.DataFrame([row, row | {"scene": "1e5", "grade": "", "acquired": "", "orbit": ""}]).to_csv(
        tmp_path / "findings.csv", index=False
    )
    table = seepseg.read_findings(tmp_path)
    assert table.dtypes.astype(str).to_dict() == TYPES
    # Names are text, whatever they look like; what is empty is missing.
    assert table["scene"].tolist() == ["041870", "1e5"] and table["class_name"].tolist() == ["NA", "NA"]
    assert table["grade"].isna().tolist() == [False, True] and table["orbit"].isna().tolist() == [False, True]
    assert table["acquired"][0] == pd.Timestamp("2021-04-01T05:26:23.794Z") and table["touches_edge"].all()
    assert table["area_m2"].tolist() == [700.5, 700.5]


def test_an_empty_table_has_its_columns(tmp_path: Path) -> None:
    pd.DataFrame({name: [] for name in TYPES}).to_csv(tmp_path / "findings.csv", index=False)
    table = read_table(tmp_path / "findings.csv")
    assert len(table) == 0 and table.dtypes.astype(str).to_dict() == TYPES


def test_what_is_not_there_is_said(at_desk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"no findings.csv in .*: give a folder of a prediction with polygons"):
        seepseg.read_findings(tmp_path)
    with pytest.raises(DataError, match=r"no findings.gpkg in"):
        seepseg.read_findings(str(tmp_path), geometry=True)
    for content in (b"scene,object\na,x\n", b"\xff\xfe\xff", b""):
        (tmp_path / "findings.csv").write_bytes(content)
        with pytest.raises(DataError, match="cannot be read .* in .*findings.csv: predict again"):
            seepseg.read_findings(tmp_path)
    prediction = seepseg.load("runs/demo").predict("scene.tif")
    monkeypatch.setitem(sys.modules, "geopandas", None)
    with pytest.raises(ConfigError, match=r'needs geopandas in polygons: pip install "seepseg\[geo\]"'):
        prediction.polygons  # noqa: B018
    assert len(prediction.findings) > 0
