"""The run folder: what a training leaves on disk, and how a RUN given by a user is read back."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

import seepseg
from seepseg.config import Config, dump
from seepseg.errors import ConfigError, DataError, LockedError, ResourceError, SeepsegError
from seepseg.io.atomic import TEMPORARY_PREFIX, remove_leftovers, write_error, write_text
from seepseg.io.documents import parse_json
from seepseg.io.table import csv_text, plain_cell, read_frame
from seepseg.machine.cores import cores

if TYPE_CHECKING:
    import pandas as pd

LOCK, ENVIRONMENT = ".lock", "env.json"
RATE_TEST = ("find_lr.csv", "find_lr.png")
"""Files of a learning-rate range test, which may lie in the folder of a run that has not started."""


@dataclass(frozen=True)
class RunFolder:
    """Paths inside one run (or one fold of it)."""

    root: Path

    @property
    def config(self) -> Path:
        """The resolved config."""
        return self.root / "config.yaml"

    @property
    def splits(self) -> Path:
        """id, group, split of every tile."""
        return self.root / "splits.csv"

    @property
    def metrics(self) -> Path:
        """One row per epoch."""
        return self.root / "metrics.csv"

    @property
    def curves(self) -> Path:
        """Loss and scores over the epochs, drawn."""
        return self.root / "curves.png"

    @property
    def board(self) -> Path:
        """TensorBoard's folder."""
        return self.root / "tb"

    @property
    def mlflow(self) -> Path:
        """Where MLflow has the run, if it has: URI and id."""
        return self.root / "mlflow.json"

    @property
    def last(self) -> Path:
        """The newest checkpoint: training resumes from it."""
        return self.root / "checkpoints" / "last.pt"

    @property
    def best(self) -> Path:
        """The checkpoint of the best validation."""
        return self.root / "checkpoints" / "best.pt"

    def eval(self, split: str) -> Path:
        """Folder of the scores on a split."""
        return self.root / "eval" / split

    def refuse_existing(self) -> None:
        """Raise ConfigError where the folder holds more than a killed start or a test of rates leaves."""
        harmless = (LOCK, *RATE_TEST, ENVIRONMENT)
        if self.root.exists() and not (
            self.root.is_dir()
            and all(p.name in harmless or p.name.startswith(TEMPORARY_PREFIX) for p in self.root.iterdir())
        ):
            fix = "--resume to continue, or " if self.config.exists() else ""
            raise ConfigError("run folder exists", self.root, f"give {fix}another --run DIR")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for a `with` block, without what killed processes left unfinished in it; errors below."""
        with folder_lock(self.root):
            for folder in (self.root, self.last.parent):
                remove_leftovers(folder)
            yield

    def create(self, config: Config, init: Path | None = None) -> None:
        """Create the folder with its environment, and what the run starts from; and, last, its config."""
        facts = environment() | ({"init": str(init.absolute())} if init else {})
        write_text(self.root / ENVIRONMENT, json.dumps(facts, indent=1) + "\n")
        write_text(self.config, dump(config))

    def read_init(self) -> Path | None:
        """What the run was to start from: for one that was killed before its first checkpoint.

        Raises:
            DataError: it cannot be read.
        """
        path = self.root / ENVIRONMENT
        try:
            init = parse_json(path.read_bytes()).get("init") if path.exists() else None
        except (OSError, AttributeError, ValueError) as error:
            fix = "give --init again, or delete the file if there was none"
            raise DataError(f"cannot be read ({error})", path, fix) from None
        return Path(str(init)) if init else None

    def check_there(self) -> None:
        """Raise ResourceError where the folder is no more: what is written now would begin another, without config."""
        if not self.config.exists():
            raise gone(self.root)

    def write_splits(self, splits: pd.DataFrame) -> None:
        """Write splits.csv."""
        write_text(self.splits, csv_text(splits))

    def read_splits(self) -> pd.DataFrame:
        """Read splits.csv; id, group and split are text even where they look like numbers.

        Raises:
            DataError: it is not there, or not the table that training wrote.
        """
        try:
            table = read_frame(self.splits, dtype=dict.fromkeys(("id", "group", "split"), str), keep_default_na=False)
            texts = {name: table[name].map(plain_cell) for name in ("id", "group", "split")}
        except (OSError, ValueError, KeyError) as error:
            why = getattr(error, "strerror", None) or " ".join(str(error).split())
            why = f"no column {why}" if isinstance(error, KeyError) else why
            raise DataError(f"cannot be read ({why})", self.splits, "restore it, or train again") from None
        return table.assign(**texts)

    def write_metrics(self, rows: Sequence[Mapping[str, float | None]]) -> None:
        """Write metrics.csv as a whole, so that it never holds half a row."""
        import pandas as pd

        write_text(self.metrics, csv_text(pd.DataFrame(list(rows))))


@contextmanager
def folder_lock(folder: Path, name: str = LOCK, *, wait: bool = False, keep: bool = True) -> Iterator[None]:
    """Hold a folder for a `with` block; the operating system frees the lock of a dead process.

    Args:
        folder: what is held; it and those above it are made where there are none, and go again if nothing came of it.
        name: of the file that others look at.
        wait: for the process that holds it, instead of raising an error.
        keep: leave that file there; without, the folder is one to pass on.

    Raises:
        LockedError: another process holds it.
        ConfigError: it cannot be made.
        ResourceError: it was removed during the block, with what had been written.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, folder) from error
    lock = FileLock(folder / name)
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout:
        raise LockedError("another seepseg process works here", folder, "wait for it, or use another folder") from None
    held = _file(folder / name)
    try:
        yield
    except (OSError, SeepsegError) as error:
        if _file(folder / name) != held:
            raise gone(folder) from error
        raise
    else:
        if _file(folder / name) != held:
            raise gone(folder)
    finally:
        empty = bool(made) and _entries(folder) == [name]
        if empty or not keep:
            with suppress(OSError):  # a process that has opened it meanwhile notices, and opens another
                (folder / name).unlink()
        lock.release()
        if empty:
            with suppress(OSError):  # one above it, in which another fold has begun, stays
                for path in made:
                    path.rmdir()


def _entries(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except OSError:  # it was removed
        return []


def _file(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def gone(folder: Path) -> ResourceError:
    """The user's line for a folder that was removed during the work in it."""
    return ResourceError("the folder was removed while this ran", folder, "run the command again")


def environment() -> dict[str, object]:
    """What a run depends on apart from its config: versions, machine, threads."""
    packages = ("torch", "monai", "numpy", "albumentations", "tifffile", "rasterio")
    return {
        "seepseg": seepseg.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": cores(),
        "packages": {name: version(name) for name in packages},
    }
