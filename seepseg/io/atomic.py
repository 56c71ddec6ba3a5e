"""Files that are complete or absent: written under a temporary name, synced, renamed."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from seepseg.errors import ConfigError, ResourceError, SeepsegError, shortage

TEMPORARY_PREFIX = ".seepseg-"
"""How the names of unfinished files start; what a killed process leaves behind may be deleted."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A hidden path in the folder of `path`, with its suffix; renamed to `path` if the block ends well, else deleted.

    Parent folders are made. Nothing is at the yielded path yet, so the file gets the umask's permissions.

    Raises:
        ConfigError: the folder is not writable, or `path` is a folder.
        ResourceError: the disk is full, or fails.
    """
    with scratch_path(path) as temporary:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        with suppress(OSError):  # some file systems cannot sync a folder
            _sync(path.parent)


def write_bytes(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write the chunks one after another as one file, complete or absent.

    Raises:
        ConfigError: not writable.
        ResourceError: the disk is full, or fails.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        for chunk in chunks:
            stream.write(chunk)


def write_text(path: Path, text: str) -> None:
    r"""Write text as UTF-8 with \n as line end, complete or absent; errors as `write_bytes`."""
    write_bytes(path, [text.encode("utf-8")])


def write_error(error: OSError, path: Path) -> SeepsegError:
    """The user's line for a failed write."""
    if lacking := shortage(error, path):
        return lacking
    if error.errno in _FULL:
        return ResourceError("disk is full, or a quota is reached", path, "free some space and run again")
    if error.errno in _FORBIDDEN:
        return ConfigError("not writable", path, "change its permissions, or choose another folder")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return ConfigError("a file is where a folder should be", path, "choose another folder")
    if error.errno in (errno.EISDIR, errno.ENOTEMPTY):
        return ConfigError("is a folder, not a file", path, "choose another name")
    if error.errno == errno.ENAMETOOLONG:
        return ConfigError("name is too long", path, "choose a shorter one")
    return ResourceError(f"cannot be written ({error.strerror})", path, "check the disk and run again")


def unwritten(path: Path, reason: str) -> SeepsegError:
    """The user's line where a library could not write a file, whose words seldom say that the disk is full."""
    path = said_of(path)
    if not os.access(path.parent, os.W_OK, effective_ids=os.access in os.supports_effective_ids):
        return ConfigError("not writable", path, "change its permissions, or choose another folder")
    with suppress(OSError):
        if shutil.disk_usage(path.parent).free < 2**20:
            return ResourceError("disk is full", path, "free some space and run again")
    return ResourceError(f"cannot be written ({reason})", path, "check the free space, then run again")


def said_of(path: Path) -> Path:
    """What an error calls a path: of an unfinished file its folder, as its own name says nothing to a user."""
    return path.parent if path.name.startswith(TEMPORARY_PREFIX) else path


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def scratch_path(path: Path) -> Iterator[Path]:
    """A hidden path beside `path`, with its suffix, for what is needed only while the block lasts; errors as above."""
    scratch = path.with_name(f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield scratch
    except OSError as error:
        if error.errno is None:  # a library's own error, not the system's
            raise
        raise write_error(error, path) from error
    finally:
        with suppress(OSError):
            scratch.unlink(missing_ok=True)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of the system for what is needed only while the block lasts; errors as `atomic_path`."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="seepseg-"))
    except OSError as error:
        raise write_error(error, Path(tempfile.gettempdir())) from error
    owner = os.getpid()
    try:
        yield folder
    finally:
        if os.getpid() == owner:  # a forked process, a worker of a data loader say, has a copy of its prediction
            shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Delete what killed processes left unfinished in a folder; no other process may write there."""
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        with suppress(OSError):
            leftover.unlink()
