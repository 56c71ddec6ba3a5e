"""CSV: tables of users, read whole and refused where a row is malformed, and tables that seepseg leaves.

Spreadsheets run a cell that begins with one of `=+-@` as a formula. So a text that does, and is no number, is written
with an apostrophe before it, which they show as text; here it is taken off again.
"""

from __future__ import annotations

import csv
import io
import math
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import normalize

from seepseg.errors import DataError, listed
from seepseg.io.documents import read_text

if TYPE_CHECKING:
    import pandas as pd

MAX_TABLE = 2**26
"""Bytes of a table that is read; one of 18,000 tiles with run lengths has 4 MB."""
MAX_COLUMNS = 2**12
"""Of a table that pandas reads, which compares the names of all with one another."""

NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?", re.ASCII)
"""A number in the digits and signs of English; Python also takes `1_0` and other digits for one."""
_RUN = re.compile(r"'*[=+\-@\t\r]")
_KEPT = re.compile(r"'+[=+\-@\t\r]")


def read_table(
    path: Path, key: str, columns: Sequence[str] = (), optional: Iterable[str] = ()
) -> dict[str, dict[str, str]]:
    """The rows of a CSV by one column, each by the names of the header; a cell may be empty, a key may not.

    A byte-order mark, CRLF, empty lines and spaces after commas change nothing. Keys are in NFC, cells as they are.

    Args:
        path: the file.
        key: the column that names a row.
        columns: others that must be there.
        optional: others that are read where they are there; all are in small letters.

    Raises:
        DataError: no CSV, columns that are missing or of one name, rows of another length, keys missing or repeated.
    """
    lines = io.StringIO(read_text(path, MAX_TABLE), newline="")
    try:
        reader = csv.reader(lines, skipinitialspace=True, strict=True)
        rows = [(number, [*map(plain_cell, row)]) for number, row in enumerate(reader, 1) if row]
    except (csv.Error, ValueError) as error:
        raise DataError(f"cannot be read as CSV ({error})", path, "fix the table") from None
    header = rows[0][1] if rows else []
    missing = [name for name in (key, *columns) if name not in header]
    small = {name.strip().lower() for name in header} - {*header}
    if (near := [name for name in (*missing, *optional) if name in small]) or missing:
        fix = f"write the column as {' and '.join(near)}" + ("" if missing else ", or rename it")
        if len(header) == 1 and ";" in header[0]:
            fix = "separate columns by commas, not semicolons"
        elif {*missing} - {*near}:
            fix = f"it needs {' and '.join((key, *columns))}" + (", in small letters" if {*near} & {*missing} else "")
        raise DataError(f"columns are {', '.join(header) or 'none'}", path, fix)
    check_names(header, path)
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise DataError(f"row {number} has {len(row)} cells, the header {len(header)}", path, "fix the row")
    records = [dict(zip(header, row, strict=True)) for _, row in rows[1:]]
    keys = [normalize("NFC", record[key]) for record in records]
    table = dict(zip(keys, records, strict=True))
    if "" in table:
        raise DataError(f"a row has no {key}", path, "fix the row")
    if twice := sorted(name for name, count in Counter(keys).items() if count > 1):
        raise DataError(f"{len(twice)} {key}s are repeated ({listed(twice)})", path, f"keep one row for each {key}")
    return table


def read_frame(path: Path, **how: Any) -> pd.DataFrame:
    """A CSV as a data frame; options are those of pandas, and ValueError where it cannot be read, or is too wide.

    pandas takes the first cells of rows that are longer than the header for an index, which moves all others.
    """
    import pandas as pd

    with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
        try:
            if (columns := pd.read_csv(path, header=None, nrows=1, dtype=str).shape[1]) > MAX_COLUMNS:
                raise ValueError(f"{columns} columns, over {MAX_COLUMNS}")
            frame: pd.DataFrame = pd.read_csv(path, index_col=False, **how)
        except pd.errors.ParserWarning:
            raise ValueError("rows have more cells than the header") from None
    return frame


def check_names(header: Sequence[str], path: Path) -> None:
    """DataError where two columns have one name: which of them was meant, nothing says."""
    if twice := sorted(name for name, count in Counter(header).items() if count > 1):
        raise DataError(f"two columns are named {twice[0]!r}", path, "rename or remove one")


def number(text: str) -> float:
    """The finite number that a cell holds, in the digits and signs of English; ValueError where it holds none."""
    value = float(text) if NUMBER.fullmatch(text.strip()) else math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]!r} is no number")
    return value


def whole(text: str) -> int:
    """The whole number of at most 18 digits that a cell holds; ValueError where it holds none."""
    if not re.fullmatch(r"[-+]?\d{1,18}", text.strip(), re.ASCII):
        raise ValueError(f"{text[:40]!r} is no whole number")
    return int(text)


def csv_text(frame: pd.DataFrame, *, index: bool = False, **options: Any) -> str:
    """A table as CSV that a spreadsheet shows and does not run; options are those of pandas."""
    frame = frame.reset_index() if index else frame.copy(deep=False)
    for column in frame:
        values = frame[column]
        if values.dtype.kind == "O" and any(_safe(value) is not value for value in values.unique()):
            frame[column] = values.map(_safe)
    return str(frame.rename(columns=_safe).to_csv(index=False, **options))


def plain_cell(text: str) -> str:
    """A cell of a table as it was before `csv_text`."""
    return text[1:] if _KEPT.match(text) else text


def _safe(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and _RUN.match(value) and not NUMBER.fullmatch(value) else value
