"""The header of a netCDF 3 file: its library makes room for what that declares before it reads any of it.

The format: "NetCDF Classic Format Specification", in the documentation of netCDF-C.
"""

from __future__ import annotations

import io
import os
from pathlib import Path

from seepseg.io.files import open_regular

HEAD = 2**22
"""Bytes that a header may have."""
LEAST = 2**20
"""What an axis may count in any file, however small: a variable need not use it."""
WIDTHS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 8, 7: 1, 8: 2, 9: 4, 10: 8, 11: 8}
"""Bytes of a number, by the type that the format gives it."""


def check_header(path: Path) -> None:
    """Refuse a header that declares axes, names or attributes longer than the file.

    Raises:
        ValueError: it does, or ends too early.
    """
    with open_regular(path) as file:
        size, head = os.fstat(file.fileno()).st_size, io.BytesIO(file.read(HEAD))
    version = head.read(4)[3:]
    wide = 8 if version == b"\x05" else 4

    def number(width: int = wide) -> int:
        content = head.read(width)
        if len(content) < width:
            raise ValueError("its header ends too early" if size <= HEAD else f"its header is over {HEAD >> 20} MiB")
        return int.from_bytes(content)

    def fits(count: int) -> int:
        if count > max(size, LEAST):
            raise ValueError("its header declares more than the file holds")
        return count

    def skip(count: int) -> None:
        head.seek(-(-fits(count) // 4) * 4, io.SEEK_CUR)  # filled up to whole words

    def entries() -> range:
        number(4)  # of what kind they are
        return range(number())

    def attributes() -> None:
        for _ in entries():
            skip(number())  # the name
            width = WIDTHS.get(number(4), 8)
            skip(width * number())

    records = number()
    fits(0 if records == 2 ** (8 * wide) - 1 else records)  # all ones: nobody has counted them
    for _ in entries():
        skip(number())
        fits(number())
    attributes()
    for _ in entries():
        skip(number())
        for _ in range(number()):
            number()  # an axis
        attributes()
        number(4)  # the type, the size, and where it begins
        number()
        number(4 if version == b"\x01" else 8)
