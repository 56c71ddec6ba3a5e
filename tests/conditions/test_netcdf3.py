from __future__ import annotations

from pathlib import Path

import pytest

from seepseg.conditions.netcdf3 import HEAD, check_header
from seepseg.conditions.winds import read_winds
from seepseg.errors import DataError


@pytest.mark.parametrize("version", [1, 2, 5])
def test_what_a_header_declares_beyond_its_file_is_refused_before_room_is_made_for_it(
    tmp_path: Path, version: int
) -> None:
    path = tmp_path / "w.nc"
    wide, offset = 8 if version == 5 else 4, 4 if version == 1 else 8
    uncounted, most = 2 ** (8 * wide) - 1, 2 ** (8 * wide) - 2

    def head(records: int = 3, name: int = 3, axis: int = 4, letters: int = 5) -> bytes:
        """One axis, lat, with an attribute of the file, units, and a variable along it, u."""
        return b"CDF%c" % version + b"".join(
            part if isinstance(part, bytes) else part[0].to_bytes(part[1])
            for part in (
                (records, wide), (10, 4), (1, wide), (name, wide), b"lat\0", (axis, wide),
                (12, 4), (1, wide), (5, wide), b"units\0\0\0", (2, 4), (letters, wide), b"m s-1\0\0\0",
                (11, 4), (1, wide), (1, wide), b"u\0\0\0", (1, wide), (0, wide), (0, 4), (0, wide),
                (5, 4), (16, wide), (128, offset),
            )
        )  # fmt: skip

    for records in (3, uncounted):
        path.write_bytes(head(records))
        check_header(path)
    path.write_bytes(head(axis=5000))  # that its variable does not use
    check_header(path)
    for wrong in ({"records": most}, {"name": most}, {"axis": 900_000_000}, {"letters": 900_000_000}):
        path.write_bytes(head(**wrong))
        with pytest.raises(DataError, match="its header declares more than the file holds"):
            read_winds([path])
    for cut in (1, 30, 90):
        path.write_bytes(head()[:-cut])
        with pytest.raises(DataError, match=r"is damaged \(its header (ends too early|declares more)"):
            read_winds([path])


def test_a_header_longer_than_any_is_said_to_be_that(tmp_path: Path) -> None:
    path = tmp_path / "w.nc"
    numbers = [3, 0, 0, 12, 1, 4, int.from_bytes(b"text"), 2, HEAD]  # records, no axes, one attribute
    path.write_bytes(b"CDF\x01" + b"".join(n.to_bytes(4) for n in numbers) + bytes(HEAD + 64))
    with pytest.raises(ValueError, match="its header is over 4 MiB"):
        check_header(path)
