"""The manifest of a prediction folder: what is done, so that a run that was stopped continues where it stopped."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from seepseg.geo.vector import FORMATS
from seepseg.io.atomic import write_error
from seepseg.io.documents import parse_json
from seepseg.io.files import lies_inside, open_regular, stamp
from seepseg.mapping.jobs import Job
from seepseg.metrics.grades import Grade

if TYPE_CHECKING:
    # They need torch, and zones reads manifests without it.
    from seepseg.mapping.outputs import Report
    from seepseg.mapping.units import Unit


@dataclass(frozen=True)
class Manifest:
    """Lines of JSON in the output folder, one per input, written when its last output is in place.

    Each shard writes its own file and reads all of them, so they need no lock.

    Attributes:
        out: the output folder.
        key: a digest of everything that outputs depend on, apart from the input (`Recipe.key`).
        shard: "" or, for example, "-2of4".
    """

    out: Path
    key: str
    shard: str = ""

    @property
    def path(self) -> Path:
        """The file this process writes."""
        return self.out / f"manifest{self.shard}.jsonl"

    def begin(self) -> None:
        """Note that a run with this key writes here, so that what it leaves when killed is known to be its own."""
        if not self.begun():
            self._append({"begin": self.key})

    def begun(self) -> bool:
        """Whether the last run that wrote here had this key."""
        # Without the line of its beginning where the folder was emptied meanwhile.
        keys = [key for line in self._lines() if (key := line.get("begin") or line.get("key"))]
        return bool(keys) and keys[-1] == self.key

    def latest(self) -> dict[str, dict[str, Any]]:
        """The last line of each job, by name."""
        return {line["name"]: line for line in self._lines() if "name" in line}

    def done(self, units: Iterable[Unit], lines: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """Those of the latest lines whose jobs need not be done again.

        Such a job was last done with this key, in a unit of the same inputs; its input has not changed since, and all
        its outputs are there.
        """
        return {
            job.name: lines[job.name]
            for unit in units
            for job in unit.jobs
            if job.name in lines and self._is_valid(lines[job.name], job, unit.digest)
        }

    def add(
        self, job: Job, report: Report, unit: str, source: list[int] | None, earlier: Mapping[str, Any] | None
    ) -> None:
        """Note a finished job of a unit, and the `stamp` that its input had before; `earlier` is its latest line.

        What an earlier run left and this one was not asked for goes: it belongs to other maps.
        """
        outputs = {p.relative_to(self.out).as_posix(): p.stat().st_size for p in report.outputs}
        self._remove(job, earlier, outputs)
        told = {"name": job.name, "key": self.key, "unit": unit, "input": source, "outputs": outputs}
        self._append(told | {"warnings": report.warnings, **report.facts})

    def drop(self, job: Job, line: Mapping[str, Any] | None) -> None:
        """Remove what an earlier run made of an input that fails now: its maps show what is not there any more.

        `line` is the latest of the job.
        """
        self._remove(job, line)
        if line and line.get("outputs"):  # whoever reads the folder need not look for them
            self._append({"name": job.name, "key": "", "input": None, "outputs": {}})

    def _remove(self, job: Job, line: Mapping[str, Any] | None, kept: Collection[str] = ()) -> None:
        for name in line.get("outputs", ()) if line else ():
            path = self.out / name
            beside = path.parent == job.class_raster.parent and path.name.startswith(job.beside("").name)
            if beside and name not in kept:
                path.unlink(missing_ok=True)

    def _is_valid(self, line: dict[str, Any], job: Job, unit: str) -> bool:
        if (line.get("key"), line.get("unit"), line.get("input")) != (self.key, unit, stamp(job.source, *job.channels)):
            return False
        try:
            return all((self.out / p).stat().st_size == size for p, size in line.get("outputs", {}).items())
        except OSError:
            return False

    def _lines(self) -> list[dict[str, Any]]:
        """All sound lines of all shards, in the order they were written."""
        return sorted(filter(_is_sound, self._parsed()), key=lambda line: line.get("time", 0.0))

    @cached_property
    def _newest(self) -> float:
        return max((line.get("time", 0.0) for line in self._lines()), default=0.0)

    def unsound(self) -> int:
        """How many whole lines are not what is written here; they count as if they were not there."""
        return sum(not _is_sound(line) for line in self._parsed())

    def _parsed(self) -> Iterable[Any]:
        for path in sorted(self.out.glob("manifest*.jsonl")):
            with open_regular(path) as stream:
                lines = stream.read().decode("utf-8", "replace").splitlines()
            for text in lines:
                with suppress(ValueError):  # cut short by a kill; its job is done again
                    yield parse_json(text)

    def _append(self, line: dict[str, Any]) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            # Later than all that was there, even if the clock was set back.
            moment = max(time.time(), self._newest + 0.001)
            text = json.dumps(line | {"time": moment}, sort_keys=True) + "\n"
            with self.path.open("a+b") as stream:
                # The last line may have been cut short by a kill.
                if stream.tell():
                    stream.seek(-1, os.SEEK_END)
                    text = text if stream.read(1) == b"\n" else "\n" + text
                stream.write(text.encode())
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise write_error(error, self.path) from error


def _is_sound(line: Any) -> bool:
    """Whether a line is one that `Manifest` writes, by the types of what it holds; its files lie in the folder."""
    if not isinstance(line, dict) or type(line.get("time", 0)) not in (int, float):
        return False
    if "name" not in line:
        return isinstance(line.get("begin", ""), str)
    outputs, identity, grades = line.get("outputs", {}), line.get("identity") or {}, line.get("grades", [])
    areas = line.get("km2") or {}
    try:
        for moment in (identity.get("acquired"), identity.get("acquired_end")):
            datetime.fromisoformat(moment or "2000-01-01")
        for grade in grades:
            Grade(**grade)
    except (AttributeError, TypeError, ValueError):
        return False
    return (
        isinstance(line["name"], str)
        and isinstance(line.get("key", ""), str)
        and isinstance(outputs, dict)
        and all(type(size) is int and lies_inside(name) for name, size in outputs.items())
        and (line.get("input") is None or _are(line["input"], int))
        and _are(line.get("warnings", []), str)
        and all(type(value) in (str, int, NoneType) for value in identity.values())
        # What seepseg did not predict has no key, and is read by zones only.
        and (type(line.get("objects", 0)) is int)
        and ("objects" in line or "key" not in line or not any(name.endswith(FORMATS) for name in outputs))
        and isinstance(areas, dict)
        and all(type(area) in (int, float, NoneType) for area in areas.values())
        and all(type(v) in (int, float) for grade in grades for k, v in grade.items() if k != "letter")
    )


def _are(values: Any, kind: type) -> bool:
    return isinstance(values, list) and all(type(value) is kind for value in values)
