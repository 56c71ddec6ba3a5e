"""The axes that the header of a netCDF 3 file declares: its library makes room for them before it reads any.

The format: "NetCDF Classic Format Specification", in the documentation of netCDF-C.
"""

from __future__ import annotations

import io
from pathlib import Path

from seepseg.io.files import open_regular

HEAD = 2**20
"""Bytes in which the axes are: they come first."""


def longest_axis(path: Path) -> int:
    """How long the longest axis of a netCDF 3 file says it is.

    Raises:
        ValueError: the header ends within its axes.
    """
    with open_regular(path) as file:
        head = io.BytesIO(file.read(HEAD))
    wide = 8 if head.read(4) == b"CDF\x05" else 4

    def number(size: int = wide) -> int:
        said = head.read(size)
        if len(said) < size:
            raise ValueError("its header ends too early")
        return int.from_bytes(said)

    records = number()
    lengths = [0 if records == 2 ** (8 * wide) - 1 else records]  # all ones: nobody has counted them
    number(4)  # says that a list of axes follows
    for _ in range(number()):
        head.seek(-(-number() // 4) * 4, io.SEEK_CUR)  # its name, filled up to whole words
        lengths.append(number())
    return max(lengths)
