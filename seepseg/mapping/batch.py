"""Many inputs: the manifest, failures put aside, findings of the whole."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from seepseg.errors import ConfigError, DataError, ResourceError, SeepsegError
from seepseg.io.atomic import remove_leftovers, write_text
from seepseg.machine import executors
from seepseg.machine.progress import Tick, silent
from seepseg.mapping.ensemble import Ensemble
from seepseg.mapping.findings import FINDINGS_LOCK, write_findings
from seepseg.mapping.jobs import Job
from seepseg.mapping.manifest import Manifest, stamp
from seepseg.mapping.outputs import Report
from seepseg.mapping.tiles import GroupLimits, tile_limits
from seepseg.mapping.units import Recipe, Unit, cut_units, load, work
from seepseg.runs.folder import folder_lock


@dataclass
class Outcome:
    """What a batch came to: inputs done now, done before, and failed with the reason."""

    done: int = 0
    before: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Placement:
    """Where a batch runs.

    Attributes:
        executor: "serial", "processes" or "dask".
        workers: how many.
        address: of a Dask scheduler; None starts a local cluster.
        shard: (i, N): only every N-th unit, beginning with the i-th (from 1).
    """

    executor: str = "serial"
    workers: int = 1
    address: str | None = None
    shard: tuple[int, int] = (1, 1)

    @property
    def name(self) -> str:
        """How files of this shard are told apart; empty without shards."""
        return f"-{self.shard[0]}of{self.shard[1]}" if self.shard[1] > 1 else ""


def predict_batch(
    jobs: Sequence[Job],
    recipe: Recipe,
    out: Path,
    place: Placement,
    *,
    overwrite: bool = False,
    strict: bool = False,
    tick: Tick = silent,
) -> Outcome:
    """Predict every job that the manifest does not hold; an input that fails spoils no other.

    Args:
        overwrite: do all of them again, whatever lies in the output folder.
        strict: raise the first failure instead of putting it aside.
        tick: called as pixels get done.

    Raises:
        ConfigError: an output exists that is not of this run.
        DataError: with `strict`, an input failed.
        ResourceError: disk or memory gave out.
        LockedError: another process does the same part.
    """
    if place.executor == "dask":
        jobs, recipe, out = _absolute(jobs, recipe, out)
    ensemble = load(recipe)
    with ExitStack() as stack:
        stack.enter_context(folder_lock(out, f".lock{place.name}"))
        # One process does all, or several do a shard each.
        for other in (path.name for path in sorted(out.glob(".lock*"))):
            if other not in (f".lock{place.name}", FINDINGS_LOCK) and (not place.name or other == ".lock"):
                with folder_lock(out, other):
                    pass
        if not place.name:
            for folder in {job.class_raster.parent for job in jobs}:
                remove_leftovers(folder)
        return _predict(jobs, recipe, ensemble, out, place, overwrite=overwrite, strict=strict, tick=tick)


def _predict(
    jobs: Sequence[Job],
    recipe: Recipe,
    ensemble: Ensemble,
    out: Path,
    place: Placement,
    *,
    overwrite: bool,
    strict: bool,
    tick: Tick,
) -> Outcome:
    manifest = Manifest(out, recipe.key(ensemble), place.name)
    every = cut_units(jobs, ensemble)
    done = {} if overwrite else manifest.done(every)
    if not overwrite and not manifest.begun():
        for job in jobs:
            if job.class_raster.exists():
                raise ConfigError(
                    "output exists, made by another model, other options or nothing we know",
                    job.class_raster,
                    "give --overwrite, or another -o",
                )
    manifest.begin()
    units = every[place.shard[0] - 1 :: place.shard[1]]
    result = Outcome(before=sum(job.name in done for unit in units for job in unit.jobs))
    # A block of tiles is done again whole: its bytes hold for that block only.
    waiting = [unit for unit in units if any(job.name not in done for job in unit.jobs)]
    tiles = [job for unit in every if not unit.scene for job in unit.jobs]
    limits = tile_limits(tiles, ensemble, recipe.wanted.mask) if any(not unit.scene for unit in waiting) else {}
    stamps = {job: stamp(job.source) for unit in waiting for job in unit.jobs}
    bar = _Bar(tick, sum(unit.pixels for unit in waiting))
    for unit, answer in _run(waiting, recipe, limits, place, bar.inside):
        bar.past(unit.pixels)
        for job, what in _answers(unit, answer):
            if isinstance(what, Report):
                manifest.add(job, what, unit.digest, stamps[job])
                result.done += job.name not in done
                result.warnings += [f"{job.source}: {w}" for w in what.warnings]
                continue
            if isinstance(what, DataError):
                manifest.drop(job)
            if strict:
                raise what
            result.failures.append({"input": str(job.source), "error": str(what)})
    _list_failures(out / f"failures{place.name}.jsonl", result.failures)
    if recipe.wanted.vectors:
        write_findings(jobs, lambda: manifest.done(every), out, ensemble.classes)
    return result


class _Bar:
    """Pixels done, of whole units and within the one at work."""

    def __init__(self, tick: Tick, total: int) -> None:
        self._tick, self._total, self._done = tick, total, 0

    def inside(self, pixels: int) -> None:
        self._tick(self._done + pixels, self._total)

    def past(self, pixels: int) -> None:
        self._done += pixels
        self._tick(self._done, self._total)


def _absolute(jobs: Sequence[Job], recipe: Recipe, out: Path) -> tuple[list[Job], Recipe, Path]:
    """All paths written out: workers elsewhere have other current directories."""
    out = out.resolve()
    mask = recipe.wanted.mask
    wanted = replace(recipe.wanted, mask=mask and mask.resolve())
    recipe = replace(recipe, checkpoints=tuple(p.resolve() for p in recipe.checkpoints), wanted=wanted)
    return [replace(job, source=job.source.resolve(), out=out) for job in jobs], recipe, out


def _run(
    units: Sequence[Unit], recipe: Recipe, limits: GroupLimits, place: Placement, tick: Callable[[int], None]
) -> executors.Outcome[Unit, list[Report | DataError]]:
    job = partial(work, recipe=recipe, limits=limits)
    match place.executor:
        case "processes":
            return executors.processes(units, job, place.workers)
        case "dask":
            return executors.dask(units, job, place.workers, place.address)
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
