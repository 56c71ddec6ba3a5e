"""Which vector files GDAL may open: it goes by content, of any kind it knows, and some name more files or addresses."""

from __future__ import annotations

import mmap
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from seepseg.errors import DataError
from seepseg.io.files import open_regular

MAX_VECTORS = 2**31
"""Bytes of a vector file that is read."""

_KINDS = re.compile(rb"\{|SQLite format 3\0.{52}GP|\0\0\x27\x0a|fgb\x03fgb", re.DOTALL)
# What GDAL knows kinds by that name more files or addresses, wherever it stands in a file.
_NAMING = (b"<OGR", b"gdal_streamed_alg")
_BESIDE = (".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx")


def refuse_others(path: Path) -> None:
    """Raise DataError where a file is none of the kinds meant, or might make GDAL read others or compute for ever.

    A virtual file may begin as a GeoJSON does.
    """
    with open_regular(path) as stream:
        head = stream.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
        if not _KINDS.match(head):
            raise DataError("not a GeoPackage, GeoJSON, Shapefile, FlatGeobuf or GeoParquet", path, "convert it to one")
        if (size := os.fstat(stream.fileno()).st_size) > MAX_VECTORS:
            raise DataError(f"is {size / 2**30:.1f} GiB, over {MAX_VECTORS >> 30}", path, "cut out your region")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if any(content.find(word) >= 0 for word in _NAMING):
                raise DataError("names other files, as a virtual file does", path, "give those")
    if head.startswith(b"SQLite"):
        _refuse_views(path)
    for beside in (path.with_suffix(suffix) for suffix in _BESIDE if head.startswith(b"\0\0")):
        if beside.exists():
            open_regular(beside).close()


def _refuse_views(path: Path) -> None:
    """Raise DataError where a GeoPackage holds views or the like, whose rows are computed, and may have no end."""
    asked = "SELECT name FROM sqlite_master WHERE type='view' OR sql LIKE 'create virtual%' AND sql NOT LIKE '%rtree%'"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as base:
            computed = base.execute(asked).fetchone()
    except (sqlite3.Error, UnicodeError) as error:
        raise DataError(f"cannot be read ({error})", path, "save it again") from None
    if computed:
        raise DataError(f"{computed[0]} is a view, whose rows are computed", path, "save it as a layer in another file")
