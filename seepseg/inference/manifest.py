"""The manifest of a prediction folder: what is done, so that a run which was stopped goes on where it stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seepseg.inference.jobs import Job
from seepseg.inference.scene import Report
from seepseg.io.atomic import write_error


@dataclass(frozen=True)
class Manifest:
    """Lines of JSON in the output folder, one an input, written when its last output is in place.

    Shards write one file each and read all of them, so they need no lock.

    Attributes:
        out: the output folder.
        key: names everything that outputs depend on besides the input; other lines are not ours.
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
        """Note that a run with this key writes here: what it leaves behind when it is killed is its own."""
        if not self.begun():
            self._append({"begin": self.key})

    def begun(self) -> bool:
        """Whether a run with this key has written here."""
        return any(line.get("begin") == self.key for line in self._lines())

    def done(self, jobs: Iterable[Job]) -> dict[str, dict[str, Any]]:
        """The lines of jobs whose input has not changed since and whose outputs are all there, by name."""
        lines = {line["name"]: line for line in self._lines() if line.get("key") == self.key}
        return {job.name: lines[job.name] for job in jobs if job.name in lines and self._stands(lines[job.name], job)}

    def add(self, job: Job, report: Report) -> None:
        """Note a finished job."""
        self._append(
            {
                "name": job.name,
                "key": self.key,
                "input": _stamp(job.source),
                "outputs": {p.relative_to(self.out).as_posix(): p.stat().st_size for p in report.outputs},
                "warnings": report.warnings,
                **report.facts,
            }
        )

    def _stands(self, line: dict[str, Any], job: Job) -> bool:
        try:
            same = _stamp(job.source) == line["input"]
            return same and all((self.out / p).stat().st_size == size for p, size in line["outputs"].items())
        except OSError:
            return False

    def _lines(self) -> Iterable[dict[str, Any]]:
        for path in sorted(self.out.glob("manifest*.jsonl")):
            for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
                try:
                    line = json.loads(text)
                except ValueError:
                    continue  # a kill cut it short; its job is done again
                if isinstance(line, dict):
                    yield line

    def _append(self, line: dict[str, Any]) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n")
            text = ("\n" if torn else "") + json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n"
            with self.path.open("ab") as stream:
                stream.write(text.encode("utf-8", "surrogateescape"))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise write_error(error, self.path) from error


def _stamp(path: Path) -> list[int]:
    """Size and time of change of an input."""
    state = path.stat()
    return [state.st_size, state.st_mtime_ns]
