"""The shipped recipes, by name."""

from __future__ import annotations

import difflib
from pathlib import Path

import seepseg
from seepseg.errors import ConfigError


def recipes() -> dict[str, Path]:
    """The file of each shipped recipe, by name: in the installed package, or in `configs/` of a checkout."""
    package = Path(seepseg.__file__).parent
    installed = package / "recipes"
    folder = installed if installed.is_dir() else package.parent / "configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def purpose(path: Path) -> str:
    """What a recipe is for: its first comment line."""
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def find_config(config: Path) -> Path:
    """The file that a path or the name of a shipped recipe means; a file that is there goes first.

    Raises:
        ConfigError: neither; the line says the recipes of nearly that name.
    """
    try:
        there, folder = config.exists(), config.is_dir()
    except OSError:  # the name is too long, so nothing is called that
        there = folder = False
    if there and not folder:
        return config
    shipped = recipes()
    if path := shipped.get(str(config).removesuffix(".yaml")):
        return path
    if folder:
        raise ConfigError("is a folder, not a config", config, "give a YAML file or the name of a shipped recipe")
    near = difflib.get_close_matches(config.stem, shipped, cutoff=0.5)
    advice = f"did you mean {' or '.join(near)}?" if near else "give a YAML file or the name of a shipped recipe;"
    raise ConfigError("no such config", config, f"{advice} `seepseg config list` shows the recipes")
