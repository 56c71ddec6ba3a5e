"""Opening a file of unknown content: the checks every reader makes before it trusts a byte."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from seepseg.errors import ConfigError, DataError, shortage

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_KINDS = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG"} | dict.fromkeys(_TIFF_MAGIC, "TIFF")

SUFFIXES = (".tif", ".tiff", ".png", ".jpg", ".jpeg")
"""Of images in folders; what a file is, its bytes say."""

MAX_PIXELS, MAX_SCENE = 2**28, 2**36
"""Values of an image that is read whole, and of one that is read by windows or rows."""

# What a file that is none of these may be, so that the error can say so.
_OTHERS = {
    b"GIF8": "a GIF", b"BM": "a BMP", b"PK\x03\x04": "a ZIP archive", b"\x1f\x8b": "gzipped", b"%PDF": "a PDF",
    b"\x89HDF": "an HDF5 file", b"CDF": "a NetCDF file", b"SIMPLE  =": "a FITS file", b"\0\0\0\x0cjP  ": "a JPEG 2000",
}  # fmt: skip


def open_regular(path: Path) -> BinaryIO:
    """The file opened for reading, once it is known to be a regular file (a FIFO or device would hang or misbehave).

    Raises:
        DataError: it is missing, a folder, a pipe or device, a loop of links, or may not be read.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise DataError("is a folder, not a file", path, "give a file inside it")
        if not stat.S_ISREG(mode):
            raise DataError("is a pipe or device, not a file", path, "copy its content to a file first")
        # Should it have become a pipe meanwhile, a non-blocking open still does not hang.
        return os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb")
    except FileNotFoundError:
        raise DataError("no such file", path, "check the path, or whether the file was moved") from None
    except PermissionError:
        raise DataError("permission denied", path, "make the file readable") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise DataError("the link leads back to itself", path, "fix the symbolic link") from None
        closed = DataError(f"cannot be opened ({error.strerror})", path, "check the path")
        raise shortage(error, path) or closed from None
    except ValueError:
        raise DataError("the name holds a null character", repr(str(path)), "check the path") from None


def exists(path: Path) -> bool:
    """Whether there is something; of a name that nothing can have, as a table may hold, there is not."""
    try:
        return path.exists()
    except OSError:
        return False


def kind_of(head: bytes) -> str:
    """What the first bytes of a file say it is: "TIFF", "PNG", "JPEG", or a phrase for an error ("a GIF").

    Names lie (a PNG called .tif is common), magic bytes do not.
    """
    kind = next((name for magic, name in _KINDS.items() if head.startswith(magic)), None)
    if kind is None and len(head) < 8:
        return f"only {len(head)} bytes long" if head else "empty (0 bytes)"
    return kind or next((name for magic, name in _OTHERS.items() if head.startswith(magic)), "of an unknown kind")


def image_kind(path: Path) -> str:
    """What the first bytes of a file say it is: TIFF, PNG or JPEG; DataError where none, or it cannot be opened."""
    with open_regular(path) as stream:
        kind = kind_of(stream.read(16))
    if kind not in _KINDS.values():
        raise DataError(f"not an image, the file is {kind}", path, "give a TIFF, PNG or JPEG")
    return kind


def beside(path: Path, ending: str) -> Path | None:
    """The file that is named as another with an ending after it (`s.tif.msk`), if there is one."""
    other = f"{path}{ending}"
    return Path(other) if os.path.exists(other) else None  # noqa: PTH110  (to make a path takes longer)


def image_files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Files with one of the suffixes below a folder, sorted; without hidden ones (`._x.tif`), and hidden folders.

    Links to folders are followed, but not in circles; DataError where a folder cannot be read.
    """
    return [folder / name for name in image_names(folder, suffixes)]


def image_names(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """The same as paths below the folder, "/" between their parts: for folders of very many files."""
    names = [name for name in _below(os.fspath(folder), "", ()) if name.lower().endswith(suffixes)]
    return sorted(names, key=lambda name: name.split("/")) if any("/" in name for name in names) else sorted(names)


def _below(folder: str, place: str, above: tuple[str, ...]) -> Iterator[str]:
    above = (*above, os.path.realpath(folder))
    try:
        with os.scandir(folder) as entries:
            visible = [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        closed = DataError(f"cannot be read ({error.strerror})", folder, "make the folder readable")
        raise shortage(error, folder) or closed from None
    for entry in visible:
        yield f"{place}{entry.name}"
        if entry.is_dir() and not (entry.is_symlink() and os.path.realpath(entry.path) in above):
            yield from _below(entry.path, f"{place}{entry.name}/", above)


def lies_inside(name: str) -> bool:
    """Whether a relative name, such as a manifest lists, stands for something below its folder."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and "\0" not in name


def local_path(text: str) -> Path:
    """The path that a user typed.

    Raises:
        ConfigError: it is a remote address (`s3://…`, `https://…`, `/vsicurl/…`), which as a path would lose a slash.
    """
    if re.match(r"[A-Za-z][A-Za-z\d+.-]+://|[/\\]+vsi\w+[/\\]", text):
        raise ConfigError("is a remote address, not a file", text, "copy it here first")
    return Path(text)


def stamp(*paths: Path) -> list[int] | None:
    """Size and time of the last change of an input, of all files in a product's folder; None if one does not exist."""
    try:
        inside = (p for path in dict.fromkeys(paths) for p in (path.rglob("*") if path.is_dir() else [path]))
        states = [p.stat() for p in inside if not p.is_dir()]
    except OSError:
        return None
    return [sum(s.st_size for s in states), max((s.st_mtime_ns for s in states), default=0)]
