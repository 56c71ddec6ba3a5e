"""Tables from users: CSV, read whole, refused where a row is malformed."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from seepseg.errors import DataError, listed
from seepseg.io.files import open_regular


def read_table(path: Path, key: str, columns: Sequence[str] = ()) -> dict[str, dict[str, str]]:
    """The rows of a CSV by one column, each by the names of the header; a cell may be empty, a key may not.

    A byte-order mark, CRLF, empty lines and spaces after commas change nothing.

    Args:
        path: the file.
        key: the column that names a row.
        columns: others that must be there.

    Raises:
        DataError: no CSV, columns that are missing or of one name, rows of another length, keys missing or repeated.
    """
    with open_regular(path) as stream:
        content = stream.read()
    try:
        lines = io.StringIO(content.decode("utf-8-sig"), newline="")
        reader = csv.reader(lines, skipinitialspace=True, strict=True)
        rows = [(number, row) for number, row in enumerate(reader, 1) if row]
    except (csv.Error, ValueError) as error:
        raise DataError(f"cannot be read as CSV ({error})", path, "fix the table") from None
    header = rows[0][1] if rows else []
    if not {key, *columns} <= set(header):
        needed = " and ".join((key, *columns))
        raise DataError(f"columns are {', '.join(header) or 'none'}", path, f"it needs {needed}")
    if len(set(header)) < len(header):
        twice = sorted(name for name, count in Counter(header).items() if count > 1)
        raise DataError(f"two columns are named {twice[0]!r}", path, "rename or remove one")
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise DataError(f"row {number} has {len(row)} cells, the header {len(header)}", path, "fix the row")
    records = [dict(zip(header, row, strict=True)) for _, row in rows[1:]]
    table = {record[key]: record for record in records}
    if "" in table:
        raise DataError(f"a row has no {key}", path, "fix the row")
    if len(table) < len(records):
        twice = sorted(name for name, count in Counter(r[key] for r in records).items() if count > 1)
        raise DataError(f"{len(twice)} {key}s are repeated ({listed(twice)})", path, f"keep one row for each {key}")
    return table
