"""What a ZIP archive holds: every member a plain file that stays below its folder, and no more than a budget.

The limits hold for an archive with all that are inside it.
"""

from __future__ import annotations

import io
import lzma
import re
import stat
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, ZipFile, ZipInfo

from seepseg.errors import DataError
from seepseg.io.files import kind_of, open_regular

MEMBERS = 100_000
DIRECTORY = 2**24
"""Bytes that the list of members may take: enough for `MEMBERS` of them, too little for a million."""
BUDGET = 2**35
"""Bytes an archive may unpack to."""
RATIO = 100
"""How many times its own size an archive may unpack to, once that is more than `SMALL`."""
SMALL = 2**26

DAMAGED = (BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, UnicodeDecodeError)
_ENTRY = b"PK\x01\x02"
"""What each member begins with in the list of them."""
_UNPACK = "unpack it yourself and give the folder, if you trust it"


@dataclass(frozen=True)
class Member:
    """A file in an archive, and where it goes: the parts of a relative path."""

    archive: ZipFile
    info: ZipInfo
    parts: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its name on one line, however it was made."""
        return _name(self.info)


def open_archive(path: Path, stack: ExitStack) -> tuple[ZipFile, list[Member]]:
    """An archive, open until the stack is closed, and its files, each checked.

    Raises:
        DataError: not a ZIP, damaged, encrypted; members that are links, lie outside, are repeated; too many.
    """
    stream = stack.enter_context(open_regular(path))
    head = stream.read(8)
    if not head.startswith(b"PK"):
        raise DataError(f"not a ZIP archive, the file is {kind_of(head)}", path, "give a folder, or a .zip")
    archive = _opened(stream, path, stack)
    return archive, _members(archive, path)


def with_inner(members: Sequence[Member], where: Path, stack: ExitStack) -> list[Member]:
    """The members with each archive among them replaced by what it holds; none of it is written yet.

    Raises:
        DataError: as `open_archive`, of an archive inside it too, or all of them together are too many or too large.
    """
    refuse_large(members, where)  # or reading the inner directories would take forever
    flat: list[Member] = []
    for member in members:
        if not member.parts[-1].lower().endswith(".zip"):
            flat.append(member)
            continue
        *above, name = member.parts
        inner = where / Path(*member.parts)
        with as_damage(f"member {member.name} is damaged", where):
            stream = stack.enter_context(member.archive.open(member.info))
        archive = _opened(stream, inner, stack)
        inside = _members(archive, inner)
        stem = name[: -len(".zip")]
        # train.zip that holds train/images has its folder inside; one that holds images gets it.
        below = above if {m.parts[0] for m in inside} == {stem} else [*above, stem]
        flat += [Member(archive, m.info, (*below, *m.parts)) for m in inside]
        if len(flat) > MEMBERS:
            break
    _refuse_many(len(flat), where)
    if len({m.parts for m in flat}) < len(flat):
        raise DataError("an archive inside it holds names that it holds itself", where, _UNPACK)
    refuse_large(flat, where)
    return flat


def refuse_large(members: Sequence[Member], where: Path) -> None:
    """Raise DataError where the members are more than an archive may unpack to."""
    total, own = sum(m.info.file_size for m in members), where.stat().st_size
    if total > BUDGET:
        raise DataError(f"unpacks to {total / 2**30:.1f} GiB, over {BUDGET / 2**30:.0f} GiB", where, _UNPACK)
    if total > max(SMALL, RATIO * own):
        raise DataError(f"unpacks to {total // max(own, 1)} times its size, over {RATIO}", where, _UNPACK)


def packed(stream: IO[bytes]) -> bool:
    """Whether a member of a ZIP is compressed, or larger than the file; BadZipFile where it is none."""
    with ZipFile(stream) as archive:
        infos = archive.infolist()
    size = stream.seek(0, io.SEEK_END)
    return any(info.compress_type for info in infos) or sum(info.file_size for info in infos) > size


class _Bounded(io.RawIOBase):
    """A stream that refuses the list of a million members, which `ZipFile` would read in one piece and take apart."""

    def __init__(self, stream: IO[bytes], where: Path) -> None:
        self._stream, self._where = stream, where

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if size > DIRECTORY:
            raise DataError(f"the list of its members is over {DIRECTORY >> 20} MiB", self._where, _UNPACK)
        content = self._stream.read(size)
        _refuse_many(content.count(_ENTRY), self._where)
        return content

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence == 0 and offset < 0:
            # The system would say "invalid argument", as of a disk.
            raise DataError("the archive is damaged (a member before its beginning)", self._where, "copy it again")
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


@contextmanager
def as_damage(what: str, where: Path, fix: str = "copy it again") -> Iterator[None]:
    """Turn what the decoders of a member raise inside a `with` block into a DataError of these words."""
    try:
        yield
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # bz2's own have no number
            raise
        raise DataError(f"{what} ({error})", where, fix) from None


def _opened(stream: IO[bytes], where: Path, stack: ExitStack) -> ZipFile:
    try:
        return stack.enter_context(ZipFile(_Bounded(stream, where)))
    except (*DAMAGED, ValueError) as error:
        raise DataError(f"the archive is cut short or damaged ({error})", where, "copy it again") from None


def _members(archive: ZipFile, where: Path) -> list[Member]:
    """The files of an archive, each checked."""
    infos = archive.infolist()
    _refuse_many(len(infos), where)
    members = [Member(archive, i, _parts(i, where)) for i in infos if not i.filename.endswith("/")]
    members = [m for m in members if "__MACOSX" not in m.parts]  # what macOS adds: no files of the user's
    taken: set[tuple[str, ...]] = set()
    for member in members:
        if member.parts in taken:
            raise DataError(f"two members are named {member.name}", where, "make the archive again")
        taken.add(member.parts)
    for member in members:
        if any(member.parts[:n] in taken for n in range(1, len(member.parts))):
            raise DataError(f"member {member.name} lies below a file", where, "make the archive again")
    return members


def _refuse_many(count: int, where: Path) -> None:
    if count > MEMBERS:
        raise DataError(f"holds {count} members, more than {MEMBERS}", where, _UNPACK)


def _parts(info: ZipInfo, where: Path) -> tuple[str, ...]:
    """The parts of a member's path, once it is a plain file that stays below the folder it is unpacked to."""
    # Some programs on Windows write \, and a name is safe only if it is so on every system.
    path = info.filename.replace("\\", "/")
    parts = tuple(p for p in path.split("/") if p not in ("", "."))
    if path.startswith("/") or re.match(r"[A-Za-z]:", path) or ".." in parts or not parts:
        raise DataError(
            f"member {_name(info)} would land outside its folder", where, "make the archive again, with relative names"
        )
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        what = "a symbolic link" if kind == stat.S_IFLNK else "no regular file"
        raise DataError(f"member {_name(info)} is {what}", where, "make the archive again, of plain files")
    if info.flag_bits & 1:
        raise DataError(f"member {_name(info)} is encrypted", where, "unpack it yourself and give the folder")
    return parts


def _name(info: ZipInfo) -> str:
    return repr(info.filename if len(info.filename) <= 80 else info.filename[:77] + "...")
