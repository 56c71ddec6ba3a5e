"""Packages of the extra `export`, imported where they are used."""

from __future__ import annotations

import importlib
from typing import Any

from seepseg.errors import ConfigError


def needed(module: str) -> Any:
    """A module of a package that is installed with the extra only.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        missing = package if (error.name or package).partition(".")[0] == package else error.name
        raise ConfigError(
            f"the package {missing} is missing", "seepseg export", "pip install 'seepseg[export]'"
        ) from None
