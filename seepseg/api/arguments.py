"""What callers give, checked before any work."""

from __future__ import annotations

import os
from pathlib import Path

from seepseg.errors import ConfigError, DataError
from seepseg.io.files import local_path
from seepseg.sentinel1 import is_product


def file_of(image: str | os.PathLike[str]) -> Path:
    """The one image or product at a path."""
    path = local_path(os.fspath(image))
    if path.is_dir() and not is_product(path):
        raise ConfigError("is a folder", path, "give one image; `seepseg predict` takes folders")
    if not path.exists():
        raise DataError("no such file", path, "check the path, or whether the file was moved")
    return path


def check_threshold(threshold: float | None) -> None:
    """Raise ConfigError where a threshold is no probability."""
    if threshold is not None and not 0 <= threshold <= 1:
        raise ConfigError(f"{threshold} is no probability", "threshold", "give 0 to 1")


def name_of(name: str | None) -> str:
    """The name of an array, as its files begin."""
    if name is None:
        return "array"
    if not name or name != Path(name).name or name.startswith(".") or not name.isprintable() or len(name) > 200:
        raise ConfigError(f"{name!r} names no file", "name", "give letters, digits, - and _")
    return name
