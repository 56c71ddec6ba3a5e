"""The chain of directories of a TIFF, walked by hand: tifffile may follow a circle, and takes values past the end."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from seepseg.errors import DataError
from seepseg.io.files import kind_of

MAX_PAGES = 65536

# TIFF 6.0 section 2, and the 8-byte types of BigTIFF: bytes of one value.
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_NEW_SUBFILE, _OLD_SUBFILE = 254, 255
REDUCED, MASK = 1, 4
"""Bits of `Directory.subfile`: an overview, a mask."""


@dataclass(frozen=True)
class Directory:
    """One image file directory: where it starts, where it and its furthest value end, and what the image is for."""

    offset: int
    end: int
    subfile: int


def walk(path: Path, stream: BinaryIO, size: int) -> list[Directory]:
    """All directories of the main chain; a chain that returns to an earlier directory ends there.

    Raises:
        DataError: not a TIFF, or a directory lies outside the file.
    """
    stream.seek(0)
    head = stream.read(16)
    kind = kind_of(head)
    if kind != "TIFF":
        raise DataError(f"not a TIFF, the file is {kind}", path, "copy it again, or convert it to TIFF")
    order = "<" if head[:1] == b"I" else ">"
    big = head[2:4].strip(b"\0") == b"+"
    count_format, offset_format, entry_format = ("Q", "Q", "HHQ8s") if big else ("H", "I", "HHI4s")
    if len(head) < (16 if big else 8):
        raise DataError("holds a header only", path, "it was cut short: copy it again")
    if big and struct.unpack(order + "HH", head[4:8]) != (8, 0):
        raise DataError("has a damaged BigTIFF header", path, "copy or save it again")

    def read(form: str) -> tuple[Any, ...]:
        content = stream.read(struct.calcsize(order + form))
        if len(content) < struct.calcsize(order + form):
            raise DataError("a directory lies past the end of the file", path, "it was cut short: copy it again")
        return struct.unpack(order + form, content)

    stream.seek(8 if big else 4)
    (offset,) = read(offset_format)
    directories: dict[int, Directory] = {}
    while offset and offset not in directories:
        if len(directories) == MAX_PAGES:
            raise DataError(f"more than {MAX_PAGES} pages", path, "split it into files")
        if offset >= size:
            raise DataError("a directory lies past the end of the file", path, "it was cut short: copy it again")
        stream.seek(offset)
        (entries,) = read(count_format)
        if entries > 4096:
            raise DataError(f"a directory of {entries} tags", path, "it is damaged: copy or save it again")
        end, subfile = 0, 0
        for _ in range(entries):
            tag, kind_code, count, value = read(entry_format)
            length = count * _TYPE_BYTES.get(kind_code, 0)
            if length > len(value):
                end = max(end, struct.unpack(order + offset_format, value)[0] + length)
            elif tag in (_NEW_SUBFILE, _OLD_SUBFILE) and kind_code in (3, 4):
                number = struct.unpack_from(order + ("H" if kind_code == 3 else "I"), value)[0]
                subfile |= number if tag == _NEW_SUBFILE else {2: REDUCED}.get(number, 0)
        here, (offset,) = offset, read(offset_format)
        directories[here] = Directory(here, max(end, stream.tell()), subfile)
    if not directories:
        raise DataError("holds no page", path, "it is damaged: copy or save it again")
    return list(directories.values())
