from __future__ import annotations

from pathlib import Path

import pytest

from seepseg.errors import DataError
from seepseg.io.table import read_table


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
        (b"id,part\n\xe9,b\n", "cannot be read as CSV"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_table(tmp_path / "t.csv", "id", ["part"])
    assert caught.value.what.startswith(says)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / "t.csv", "id")
