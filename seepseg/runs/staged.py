"""A folder whose files change together: the new ones are written beside the old ones, then all put in their place."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from seepseg.errors import ConfigError, SeepsegError
from seepseg.io.atomic import atomic_path, write_error, write_text
from seepseg.io.documents import parse_json
from seepseg.io.files import lies_inside

NEXT, READY = ".next", "ready.json"
"""Folder of the new files; the file in it that says that all are there, and where they go."""


@contextmanager
def staged(folder: Path, owned: Sequence[str] = (), edited: Sequence[str] = ()) -> Iterator[Path]:
    """A folder for the next files of another one; when the block ends well, they take their place there.

    A process that is killed leaves the old files, or, from the moment that all new ones are complete, the new ones:
    those not yet in their place are put there by the next `settle`, which each call begins with.

    Args:
        folder: what changes; no other process may work there.
        owned: patterns of files that the new ones stand for: those that match, and are not among them, are removed.
        edited: files that a user may have changed meanwhile.

    Raises:
        ConfigError: one of these was changed during the block: nothing is put in place then.
        ResourceError: the disk is full, or fails.
    """
    settle(folder)
    new, before = folder / NEXT, {name: _state(folder / name) for name in edited}
    try:
        new.mkdir(parents=True)
        yield new
        if changed := [name for name, state in before.items() if _state(folder / name) != state]:
            raise ConfigError("was changed while this ran, and is left as it is", folder / changed[0], "run again")
        put = sorted(str(path.relative_to(new)) for path in new.rglob("*") if path.is_file())
        old = {str(path.relative_to(folder)) for pattern in owned for path in folder.glob(pattern)}
        plan = {"put": put, "remove": sorted(old - set(put)), "before": before}
        write_text(new / READY, json.dumps(plan))
    except BaseException as error:
        shutil.rmtree(new, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, SeepsegError) and error.errno is not None:
            raise write_error(error, new) from error
        raise
    settle(folder)


def settle(folder: Path) -> None:
    """Put in place what a process left that was killed after all was written; remove what was not complete.

    A file that a user has changed since is copied aside first.
    """
    new = folder / NEXT
    try:
        plan = parse_json((new / READY).read_bytes())
        names = [name for part in ("put", "remove", "before") for name in plan[part]]
        if type(plan["before"]) is not dict or not all(isinstance(name, str) and lies_inside(name) for name in names):
            raise ValueError("files elsewhere")
    except (FileNotFoundError, LookupError, TypeError, ValueError):  # or what seepseg did not write
        shutil.rmtree(new, ignore_errors=True)
        return
    try:
        for name in plan["put"]:
            if (new / name).is_file():
                if name in plan["before"] and _state(folder / name) != plan["before"][name]:
                    copy_aside(folder / name)
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (new / name).replace(folder / name)
        for name in plan["remove"]:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise write_error(error, folder) from error
    shutil.rmtree(new, ignore_errors=True)


def copy_aside(path: Path) -> Path:
    """Copy a file to a free name beside it, which it returns: zones.gpkg to zones_edited_1.gpkg."""
    names = (path.with_name(f"{path.stem}_edited_{i}{path.suffix}") for i in range(1, 10**6))
    copy = next(name for name in names if not name.exists())
    if path.is_file():
        with atomic_path(copy) as temporary:
            shutil.copyfile(path, temporary)
    return copy


def _state(path: Path) -> list[int] | None:
    """Size and time of the last change; None of no file."""
    return [(state := path.stat()).st_size, state.st_mtime_ns] if path.is_file() else None
