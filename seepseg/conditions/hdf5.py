"""Whether an HDF5 file, as which netCDF 4 is stored, names other files: its library would read them, and nothing asks.

It can in three ways: a link to an object of another file, values in files of their own, and arrays put together of
those of other files. Each is a message whose parts must fit one another, so hardly any chance value looks like one.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

from seepseg.io.files import open_regular

# Type, size and flags of a message in the two forms of headers, and what the message begins with.
_HEADS = rb"(?:%b\0..[\0-\x3f]\0\0\0|%b..[\0-\x3f](?:..)?)"
_STORED = re.compile(_HEADS % (b"\x07", b"\x07") + rb"\x01\0\0\0(?P<slots>....)(?P<heap>.{8})", re.DOTALL)
_PUT_TOGETHER = re.compile(_HEADS % (b"\x08", b"\x08") + rb"\x04\x03(?P<heap>.{8})", re.DOTALL)
_LINK = re.compile(rb"\x01(?P<flags>[\x08-\x1f])\x40", re.DOTALL)


def names_other_files(path: Path) -> bool:
    """Whether reading the HDF5 file at a path may read another."""
    with open_regular(path) as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(_found(content))


def _found(content: mmap.mmap) -> Iterator[bool]:
    for match in _STORED.finditer(content):
        yield any(match["slots"][2:]) and _is_at(content, match["heap"], b"HEAP")
    for match in _PUT_TOGETHER.finditer(content):
        yield _is_at(content, match["heap"], b"GCOL")
    for match in _LINK.finditer(content):
        flags = match["flags"][0]
        name = match.end() + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        wide = 1 << (flags & 3)
        value = name + wide + int.from_bytes(content[name : name + wide], "little")
        size = int.from_bytes(content[value : value + 2], "little")
        said = content[value + 2 : value + 2 + size]
        # A version, the name of the file, and that of the object in it.
        yield len(said) == size > 4 and said[0] == 0 and said[-1] == 0 and said[1:].count(0) == 2


def _is_at(content: mmap.mmap, address: bytes, signature: bytes) -> bool:
    at = int.from_bytes(address, "little")
    return at < len(content) and content[at : at + 4] == signature
