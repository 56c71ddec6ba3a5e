"""What a door is, and how its files are taken and opened."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from damage import damaged

from seepseg.errors import SeepsegError

Files = dict[str, bytes]
Damage = Callable[[bytes, random.Random, str], bytes]

KINDS = {
    ".xml": "xml", ".safe": "xml", ".json": "json", ".jsonl": "json", ".geojson": "json", ".yaml": "yaml",
    ".csv": "csv", ".gpkg": "sqlite", ".zip": "zip", ".txt": "yaml",
}  # fmt: skip


@dataclass(frozen=True)
class Door:
    """A door.

    Attributes:
        made: writes sound files into an empty folder, and returns sets of those that lie in it together, by name.
        opened: opens the folder of one such set.
        damage: of a file by its name; by its ending elsewhere.
        documented: errors that are said to come, beside those of seepseg.
        mebibytes: of memory that it may take: the budget of docs/reliability.md, and room to work in.
        share: of the cases.
    """

    made: Callable[[Path], list[Files]]
    opened: Callable[[Path], object]
    damage: Mapping[str, Damage] = field(default_factory=dict)
    documented: tuple[type[Exception], ...] = ()
    mebibytes: int = 512
    share: float = 1.0

    def spoil(self, name: str, whole: bytes, rng: random.Random, canary: str) -> bytes:
        """A damaged copy of one of its files."""
        if name in self.damage:
            return self.damage[name](whole, rng, canary)
        return damaged(whole, KINDS.get(Path(name).suffix.lower(), "bytes"), rng, canary)


def taken(folder: Path, *names: str) -> Files:
    """The content of all files below a folder, or of some."""
    paths = [folder / n for n in names] or sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def each(opening: Callable[[], object]) -> None:
    """Open something; an error of ours keeps nobody from trying the next."""
    with suppress(SeepsegError):
        opening()
