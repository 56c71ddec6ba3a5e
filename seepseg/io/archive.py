"""ZIP archives as data: refused before anything is written where they cannot be trusted, unpacked once into a cache."""

from __future__ import annotations

import hashlib
import io
import lzma
import os
import re
import shutil
import stat
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, ZipFile, ZipInfo

from filelock import FileLock

from seepseg.errors import DataError, ResourceError
from seepseg.io.atomic import TEMPORARY_PREFIX, write_error
from seepseg.io.files import kind_of, open_regular

MEMBERS = 100_000
DIRECTORY = 2**24
"""Bytes that the list of members may take: enough for `MEMBERS` of them, too little for a million."""
BUDGET = 2**35
"""Bytes an archive may unpack to."""
RATIO = 100
"""How many times its own size an archive may unpack to, once that is more than `SMALL`."""
SMALL = 2**26

DAMAGED = (BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)
_UNPACK = "unpack it yourself and give the folder, if you trust it"


def cache_folder() -> Path:
    """Where archives are unpacked: SEEPSEG_CACHE, else `seepseg` in the platform's folder for caches."""
    chosen = os.environ.get("SEEPSEG_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "seepseg"


def unpacked(path: Path) -> Path:
    """The folder in the cache that holds what a ZIP archive does, made at the first call; archives in it are folders.

    It is named by what the archive's directory says (names, sizes, CRCs), so that a changed archive gets a new one, and
    is complete or absent: unpacked under a temporary name, then renamed. `train.zip` in an archive becomes the
    folder `train`; archives inside that one stay files.

    Raises:
        DataError: not a ZIP, damaged, encrypted; members that are links, lie outside, are repeated; too many, or too
            large. All but damage is found before anything is written.
        ConfigError: the cache is not writable.
        ResourceError: the disk is full.
    """
    with ExitStack() as stack:
        archive, members = open_archive(path, stack)
        folder = cache_folder() / f"{path.stem[:40]}-{_digest(archive)}"
        if folder.is_dir():
            return folder
        members = _with_inner(members, path, stack)
        refuse_large(members, path)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}.lock")):
                if not folder.is_dir():  # another process may have made it meanwhile
                    unpack_members(members, folder, path)
        except OSError as error:
            raise write_error(error, folder) from error
    return folder


def open_archive(path: Path, stack: ExitStack) -> tuple[ZipFile, list[Member]]:
    """An archive, open until the stack is closed, and its files, each checked; errors as `unpacked`."""
    stream = stack.enter_context(open_regular(path))
    head = stream.read(8)
    if not head.startswith(b"PK"):
        raise DataError(f"not a ZIP archive, the file is {kind_of(head)}", path, "give a folder, or a .zip")
    archive = _opened(stream, path, stack)
    return archive, _members(archive, path)


def data_root(root: Path, inner: str) -> Path:
    """The folder of a data set that holds `inner`: the root itself, or that of a ZIP, which is unpacked into the cache.

    Raises:
        DataError: there is no such root, or the ZIP cannot be trusted.
    """
    if root.is_file():
        return folder_holding(unpacked(root), inner)
    if not root.is_dir():
        raise DataError("no such data folder", root, "put the data there, or set data.root=FOLDER")
    return root


def folder_holding(root: Path, inner: str) -> Path:
    """The first folder at or up to three levels below `root` that holds `inner`; `root` itself where there is none."""
    depth = len(Path(inner).parts)
    for pattern in ("", "*/", "*/*/", "*/*/*/") if depth and not Path(inner).is_absolute() else ():
        matches = sorted(root.glob(f"{pattern}{inner}"))
        if matches:
            return matches[0].parents[depth - 1]
    return root


@dataclass(frozen=True)
class Member:
    """A file in an archive, and where it goes: the parts of a relative path."""

    archive: ZipFile
    info: ZipInfo
    parts: tuple[str, ...]


class _Bounded(io.RawIOBase):
    """A stream that refuses to read a directory of a million members in one piece, as `ZipFile` would."""

    def __init__(self, stream: IO[bytes], where: Path) -> None:
        self._stream, self._where = stream, where

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        if size > DIRECTORY:
            raise DataError(f"the list of its members is over {DIRECTORY >> 20} MiB", self._where, _UNPACK)
        return self._stream.read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        if whence == 0 and offset < 0:
            # The system would say "invalid argument", as of a disk.
            raise DataError("the archive is damaged (a member before its beginning)", self._where, "copy it again")
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def _opened(stream: IO[bytes], where: Path, stack: ExitStack) -> ZipFile:
    try:
        return stack.enter_context(ZipFile(_Bounded(stream, where)))
    except (*DAMAGED, ValueError) as error:
        raise DataError(f"the archive is cut short or damaged ({error})", where, "copy it again") from None


def _members(archive: ZipFile, where: Path) -> list[Member]:
    """The files of an archive, each checked."""
    infos = archive.infolist()
    if len(infos) > MEMBERS:
        raise DataError(f"holds {len(infos)} members, more than {MEMBERS}", where, _UNPACK)
    members = [Member(archive, i, _parts(i, where)) for i in infos if not i.is_dir()]
    members = [m for m in members if "__MACOSX" not in m.parts]  # what macOS adds: no files of the user's
    taken: set[tuple[str, ...]] = set()
    for member in members:
        if member.parts in taken:
            raise DataError(f"two members are named {_name(member.info)}", where, "make the archive again")
        taken.add(member.parts)
    for member in members:
        if any(member.parts[:n] in taken for n in range(1, len(member.parts))):
            raise DataError(f"member {_name(member.info)} lies below a file", where, "make the archive again")
    return members


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


def _with_inner(members: Sequence[Member], where: Path, stack: ExitStack) -> list[Member]:
    """The members with each archive among them replaced by what it holds; none of it is written yet."""
    refuse_large(members, where)  # or reading the inner directories would take forever
    flat: list[Member] = []
    for member in members:
        if not member.parts[-1].lower().endswith(".zip"):
            flat.append(member)
            continue
        *above, name = member.parts
        inner = where / Path(*member.parts)
        stream = stack.enter_context(member.archive.open(member.info))
        archive = _opened(stream, inner, stack)
        inside = _members(archive, inner)
        stem = name[: -len(".zip")]
        # train.zip that holds train/images has its folder inside; one that holds images gets it.
        below = above if {m.parts[0] for m in inside} == {stem} else [*above, stem]
        flat += [Member(archive, m.info, (*below, *m.parts)) for m in inside]
    if len(flat) > MEMBERS:
        raise DataError(f"holds {len(flat)} members, more than {MEMBERS}", where, _UNPACK)
    if len({m.parts for m in flat}) < len(flat):
        raise DataError("an archive inside it holds names that it holds itself", where, _UNPACK)
    return flat


def refuse_large(members: Sequence[Member], where: Path) -> None:
    """Raise DataError where the members are more than an archive may unpack to."""
    total, own = sum(m.info.file_size for m in members), where.stat().st_size
    if total > BUDGET:
        raise DataError(f"unpacks to {total / 2**30:.1f} GiB, over {BUDGET / 2**30:.0f} GiB", where, _UNPACK)
    if total > max(SMALL, RATIO * own):
        raise DataError(f"unpacks to {total // max(own, 1)} times its size, over {RATIO}", where, _UNPACK)


def _digest(archive: ZipFile) -> str:
    digest = hashlib.sha256()
    for info in archive.infolist():
        digest.update(f"{info.filename}\0{info.file_size}\0{info.CRC}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def unpack_members(members: Sequence[Member], folder: Path, where: Path) -> None:
    """Write the members as `folder`, complete or absent; no other process may write there."""
    total = sum(m.info.file_size for m in members)
    free = shutil.disk_usage(folder.parent).free
    if total > free:
        raise ResourceError(
            f"{total / 2**30:.1f} GiB to unpack, {free / 2**30:.1f} GiB free",
            folder.parent,
            "free some space, or set SEEPSEG_CACHE",
        )
    partial = folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed process left
    try:
        partial.mkdir()
        for member in _in_file_order(members):
            target = partial.joinpath(*member.parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with member.archive.open(member.info) as source, target.open("xb") as sink:
                    shutil.copyfileobj(source, sink, 2**20)
            except DAMAGED as error:
                raise DataError(f"member {_name(member.info)} is damaged ({error})", where, "copy it again") from None
        if hasattr(os, "sync"):  # one for all of them: syncing thousands of small files takes minutes
            os.sync()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _in_file_order(members: Sequence[Member]) -> Iterator[Member]:
    """Members as they lie in their archives: one inside another can only be read forwards without starting again."""
    order = {id(archive): n for n, archive in enumerate(dict.fromkeys(m.archive for m in members))}
    yield from sorted(members, key=lambda m: (order[id(m.archive)], m.info.header_offset))


def _name(info: ZipInfo) -> str:
    """A member's name on one line, however it was made."""
    return repr(info.filename if len(info.filename) <= 80 else info.filename[:77] + "...")
