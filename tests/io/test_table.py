from __future__ import annotations

import csv
import io
from pathlib import Path
from unicodedata import normalize

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seepseg.errors import DataError
from seepseg.io.table import csv_text, number, plain_cell, read_frame, read_table, whole


def test_rows_by_their_key_however_a_program_wrote_them(tmp_path: Path) -> None:
    # A byte-order mark, CRLF, an empty line, spaces after commas, a comma in quotes.
    (tmp_path / "t.csv").write_bytes(b'\xef\xbb\xbfid, part\r\n\r\na, train\r\nb, "x, y"\r\n')
    assert read_table(tmp_path / "t.csv", "id", ["part"]) == {
        "a": {"id": "a", "part": "train"},
        "b": {"id": "b", "part": "x, y"},
    }


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "columns are none"),
        (b"id;part\na;b\n", "columns are id;part"),
        (b"id,part,part\na,b,c\n", "two columns are named 'part'"),
        (b"id,part\na\n", "row 2 has 1 cells, the header 2"),
        (b"id,part\n,b\n", "a row has no id"),
        (b"id,part\na,b\na,c\n", "1 ids are repeated (a)"),
        (b'id,part\n"a,b\n', "cannot be read as CSV"),
        (b"id,part\n\xe9,b\n", "cannot be read"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "t.csv", "id", ["part"])
    assert caught.value.what.startswith(says)


@pytest.mark.parametrize(
    ("header", "fix"),
    [
        ("image;mask;split", "separate columns by commas, not semicolons"),
        ("Image,mask", "write the column as image"),
        ("IMAGE,Mask", "write the column as image and mask"),
        ("Image,label", "it needs image and mask, in small letters"),
        ("picture,label", "it needs image and mask"),
        ("Image,mask,Scene", "write the column as image and scene"),
        # A column that may be missing would be left out without a word.
        ("image,mask,Scene", "write the column as scene, or rename it"),
        ("image,mask,fold ,SCENE", "write the column as scene and fold, or rename it"),
    ],
)
def test_a_header_that_is_nearly_right_is_told_how(tmp_path: Path, header: str, fix: str) -> None:
    (tmp_path / "t.csv").write_text(f"{header}\n")
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "t.csv", "image", ["mask"], ["scene", "fold"])
    assert caught.value.fix == fix


def test_a_column_beside_one_of_its_name_in_capitals_is_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image,Scene,scene,Other\na,1,2,3\n")
    assert read_table(tmp_path / "t.csv", "image", (), ["scene"])["a"]["scene"] == "2"


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "t.csv", "id")


@pytest.mark.parametrize(
    "text", ["1_0", "１０", "²", "", " ", "nan", "inf", "-Infinity", "0x10", "1e999", "1,5", "+-1"]
)
def test_what_only_python_takes_for_a_number_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no number"):
        number(text)


def test_rows_longer_than_the_header_are_refused_and_ends_with_a_comma_are_not(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("lon,lat\n1,2,\n3,4,\n")
    assert read_frame(path).to_dict("list") == {"lon": [1, 3], "lat": [2, 4]}
    for rows in ("1,2,3\n", "1,2,3\n4,5,6\n", f"{'1,' * 20_000}1\n", "1,2\n1,2,3\n"):
        path.write_text(f"lon,lat\n{rows}")
        with pytest.raises(ValueError, match="more cells than the header|saw 3"):
            read_frame(path)


def test_numbers_are_read_as_they_are_written() -> None:
    assert [number(t) for t in ("1", " -2.5 ", "+.5", "3.", "1e-3", "1E3")] == [1, -2.5, 0.5, 3, 0.001, 1000]
    assert [whole(t) for t in ("7", "-12", " 007 ")] == [7, -12, 7]
    for text in ("1_0", "1.0", "٣", "", "9" * 19):
        with pytest.raises(ValueError, match="is no whole number"):
            whole(text)


def test_a_spreadsheet_runs_no_cell() -> None:
    frame = pd.DataFrame({"=name": ["=1+1", "+cmd", "-o", "@SUM(A1)", "\tx", "plain", "-5", None], "n": [-1.5] * 8})
    lines = list(csv.reader(io.StringIO(csv_text(frame))))
    assert [row[0] for row in lines] == ["'=name", "'=1+1", "'+cmd", "'-o", "'@SUM(A1)", "'\tx", "plain", "-5", ""]
    assert {row[1] for row in lines[1:]} == {"-1.5"}
    indexed = csv_text(pd.DataFrame({"a": [1]}, index=pd.Index(["=x"], name="truth")), index=True)
    assert indexed == "truth,a\n'=x,1\n"


@given(st.lists(st.text("'=+-@\t ax1\",", max_size=5), min_size=1, max_size=5))
def test_what_is_written_is_read_back(cells: list[str]) -> None:
    text = csv_text(pd.DataFrame({"a": cells}))
    assert [plain_cell(row[0]) for row in csv.reader(io.StringIO(text))][1:] == cells


def test_a_table_is_read_without_what_was_put_before_its_cells(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,'=b\n'-x,'@1\n")
    assert read_table(tmp_path / "t.csv", "id") == {"-x": {"id": "-x", "=b": "@1"}}


def test_keys_are_one_however_their_umlauts_are_written(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"id\n{normalize('NFD', 'Süd')}\n", encoding="utf-8")
    assert list(read_table(tmp_path / "t.csv", "id")) == [normalize("NFC", "Süd")]
    (tmp_path / "t.csv").write_text(f"id\n{normalize('NFD', 'Süd')}\n{normalize('NFC', 'Süd')}\n", encoding="utf-8")
    with pytest.raises(DataError, match="1 ids are repeated"):
        read_table(tmp_path / "t.csv", "id")
