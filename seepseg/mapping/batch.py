"""Many inputs: those done already are skipped, failures are listed, findings are of all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from seepseg.errors import ConfigError, DataError, ResourceError, SeepsegError
from seepseg.io.atomic import remove_leftovers, write_text
from seepseg.io.files import stamp
from seepseg.machine import executors
from seepseg.machine.progress import Tick, silent
from seepseg.mapping.ensemble import Ensemble
from seepseg.mapping.findings import FINDINGS_LOCK, write_findings
from seepseg.mapping.jobs import Job
from seepseg.mapping.manifest import Manifest
from seepseg.mapping.outputs import Report
from seepseg.mapping.units import Recipe, Unit, cut_units, load, work
from seepseg.runs.folder import folder_lock


@dataclass
class Outcome:
    """The result of a batch.

    Attributes:
        done, before: inputs done now and before.
        failures: input, error and exit code of each that failed.
        warnings: (input, warning) of those done now.
        placed: of each done now whose objects might have had the classes of their place, whether some had.
        read: reads the lines of the manifest of all that is done now, by name, also by other shards.
        tags: what predicted them.
    """

    done: int = 0
    before: int = 0
    failures: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)
    placed: list[bool] = field(default_factory=list)
    read: Callable[[], Mapping[str, Mapping[str, Any]]] = dict
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Execution:
    """How a batch is executed; nothing here changes the bytes of an output.

    Attributes:
        executor: "serial", "processes" or "dask".
        workers: how many.
        address: of a Dask scheduler; None starts a local cluster.
        shard: (i, N): only every N-th unit, beginning with the i-th (from 1).
        overwrite: predict all inputs again, whatever the output folder holds.
        strict: raise the first failure instead of putting it aside.
    """

    executor: str = "serial"
    workers: int = 1
    address: str | None = None
    shard: tuple[int, int] = (1, 1)
    overwrite: bool = False
    strict: bool = False

    @property
    def name(self) -> str:
        """What the names of this shard's own files end in; empty without shards."""
        return f"-{self.shard[0]}of{self.shard[1]}" if self.shard[1] > 1 else ""


def predict_batch(jobs: Sequence[Job], recipe: Recipe, out: Path, how: Execution, tick: Tick = silent) -> Outcome:
    """Predict every job that the manifest does not list as done; an input that fails does not affect the others.

    `tick` is called with the pixels done, and of how many.

    Raises:
        ConfigError: an output exists that another run made.
        DataError: with `strict`, an input failed.
        ResourceError: out of disk or memory.
        LockedError: another process predicts the same part.
    """
    if how.executor == "dask":
        jobs, recipe, out = _absolute(jobs, recipe, out)
    ensemble = load(recipe)
    with ExitStack() as stack:
        stack.enter_context(folder_lock(out, f".lock{how.name}"))
        # Either one process does everything, or several do a shard each.
        for other in (path.name for path in sorted(out.glob(".lock*"))):
            if other not in (f".lock{how.name}", FINDINGS_LOCK) and (not how.name or other == ".lock"):
                with folder_lock(out, other):
                    pass
        if not how.name:
            for folder in {job.class_raster.parent for job in jobs}:
                remove_leftovers(folder)
        return _predict(jobs, recipe, ensemble, out, how, tick)


def _predict(jobs: Sequence[Job], recipe: Recipe, ensemble: Ensemble, out: Path, how: Execution, tick: Tick) -> Outcome:
    manifest = Manifest(out, recipe.key(ensemble), how.name)
    every = cut_units(jobs, ensemble)
    earlier = manifest.latest()
    done = {} if how.overwrite else manifest.done(every, earlier)
    if not how.overwrite and not manifest.begun():
        for job in jobs:
            if job.class_raster.exists():
                raise ConfigError(
                    "output exists, and was not made with this model and these options",
                    job.class_raster,
                    "give --overwrite, or another -o",
                )
    foreign = manifest.unsound()
    manifest.begin()
    units = every[how.shard[0] - 1 :: how.shard[1]]
    result = Outcome(before=sum(job.name in done for unit in units for job in unit.jobs))
    if foreign:
        said = f"{foreign} lines are not what predict writes, and count as if they were not there"
        result.warnings.append((str(out / "manifest*.jsonl"), said))
    # A block of tiles is done again as a whole, because the bytes of a tile depend on its block.
    waiting = [unit for unit in units if any(job.name not in done for job in unit.jobs)]
    stamps = {job: stamp(job.source, *job.channels) for unit in waiting for job in unit.jobs}
    past, total = 0, sum(unit.pixels for unit in waiting)

    def inside(pixels: int) -> None:
        tick(past + pixels, total)

    for unit, answer in _run(waiting, recipe, how, inside):
        past += unit.pixels
        tick(past, total)
        for job, what in _answers(unit, answer):
            if isinstance(what, Report):
                manifest.add(job, what, unit.digest, stamps[job], earlier.get(job.name))
                result.done += job.name not in done
                result.warnings += [(str(job.source), warning) for warning in what.warnings]
                if (placed := what.facts.get("placed")) and placed["objects"]:
                    result.placed.append(placed["with_place"] > 0)
                continue
            if isinstance(what, DataError):
                manifest.drop(job, earlier.get(job.name))
            if how.strict:
                raise what
            result.failures.append({"input": str(job.source), "error": str(what), "exit_code": what.exit_code})
    _list_failures(out / f"failures{how.name}.jsonl", result.failures)
    result.read, result.tags = lambda: manifest.done(every, manifest.latest()), ensemble.tags
    if recipe.wanted.vectors or (out / "findings.csv").exists():  # those of an earlier run
        write_findings(jobs, result.read, out, ensemble.classes, recipe.wanted.vectors)
    return result


def alike(messages: Iterable[tuple[str, str]], listing: str) -> list[str]:
    """One line for all messages (input, text) that differ in the input's path and in numbers only: the first of them.

    Behind it stands how many more there are, and the file that lists them.
    """
    kinds: dict[str, list[str]] = {}
    for source, text in messages:
        kind = re.sub(r"(?<![A-Za-z])\d[\d.]*", "0", text.replace(source, ""))
        kinds.setdefault(kind, []).append(text)
    return [
        texts[0] + (f" (and {len(texts) - 1} more like it, all in {listing})" if texts[1:] else "")
        for texts in kinds.values()
    ]


def _absolute(jobs: Sequence[Job], recipe: Recipe, out: Path) -> tuple[list[Job], Recipe, Path]:
    """All paths made absolute: workers elsewhere have other current directories."""
    out = out.resolve()
    mask = recipe.wanted.mask
    wanted = replace(recipe.wanted, mask=mask and mask.resolve())
    recipe = replace(recipe, checkpoints=tuple(p.resolve() for p in recipe.checkpoints), wanted=wanted)
    here = [
        replace(j, source=j.source.resolve(), out=out, channels=tuple(c.resolve() for c in j.channels)) for j in jobs
    ]
    return here, recipe, out


def _run(
    units: Sequence[Unit], recipe: Recipe, how: Execution, tick: Callable[[int], None]
) -> executors.Outcome[Unit, list[Report | DataError]]:
    job = partial(work, recipe=recipe)
    match how.executor:
        case "processes":
            return executors.processes(units, job, how.workers)
        case "dask":
            return executors.dask(units, job, how.workers, how.address)
    return executors.serial(units, partial(job, tick=tick))


def _answers(
    unit: Unit, answer: list[Report | DataError] | ResourceError
) -> Iterable[tuple[Job, Report | SeepsegError]]:
    if isinstance(answer, ResourceError):
        return [(job, ResourceError(answer.what, job.source, answer.fix)) for job in unit.jobs]
    return zip(unit.jobs, answer, strict=True)


def _list_failures(path: Path, failures: Sequence[dict[str, Any]]) -> None:
    if failures:
        write_text(path, "".join(json.dumps(f) + "\n" for f in failures))
    else:
        path.unlink(missing_ok=True)
