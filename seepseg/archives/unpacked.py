"""ZIP archives in place of folders: unpacked once into a cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from zipfile import ZipFile

from filelock import FileLock

from seepseg.archives.members import Member, as_damage, open_archive, with_inner
from seepseg.errors import DataError, ResourceError
from seepseg.io.atomic import TEMPORARY_PREFIX, write_error


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
        members = with_inner(members, path, stack)
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(folder.with_name(f"{TEMPORARY_PREFIX}{folder.name}.lock")):
                if not folder.is_dir():  # another process may have made it meanwhile
                    unpack_members(members, folder, path)
        except OSError as error:
            raise write_error(error, folder) from error
    return folder


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
            with (
                as_damage(f"member {member.name} is damaged", where),
                member.archive.open(member.info) as source,
                target.open("xb") as sink,
            ):
                shutil.copyfileobj(source, sink, 2**20)
        if hasattr(os, "sync"):  # one for all of them: syncing thousands of small files takes minutes
            os.sync()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _in_file_order(members: Sequence[Member]) -> Iterator[Member]:
    """Members as they lie in their archives: one inside another can only be read forwards without starting again."""
    order = {id(archive): n for n, archive in enumerate(dict.fromkeys(m.archive for m in members))}
    yield from sorted(members, key=lambda m: (order[id(m.archive)], m.info.header_offset))
