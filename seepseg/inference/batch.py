"""Many inputs: units of work, the manifest, failures put aside, findings of the whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch

from seepseg.config import Predict, Runtime
from seepseg.errors import ConfigError, DataError, ResourceError, SeepsegError
from seepseg.inference import executors
from seepseg.inference.device import set_threads
from seepseg.inference.ensemble import Ensemble, load_ensemble
from seepseg.inference.findings import write_findings
from seepseg.inference.jobs import Job
from seepseg.inference.manifest import Manifest
from seepseg.inference.scene import Report, Wanted, predict_scene
from seepseg.inference.tiles import GroupLimits, predict_tiles, tile_limits
from seepseg.io.atomic import remove_leftovers, write_text
from seepseg.io.tiff import inspect_tiff
from seepseg.runs.folder import folder_lock

Tick = Callable[[int, int], None]
"""(pixels done, of how many)"""


@dataclass(frozen=True)
class Recipe:
    """Everything outputs depend on besides the inputs, in a form that travels to other processes."""

    checkpoints: tuple[Path, ...]
    runtime: Runtime
    config: Predict
    tta: bool
    wanted: Wanted

    def key(self, ensemble: Ensemble) -> str:
        """A digest of it all: outputs with equal keys are equal."""
        mask = self.wanted.mask
        parts = {
            "tags": ensemble.tags,
            "config": self.config.model_dump(mode="json"),
            "tta": self.tta,
            "wanted": asdict(self.wanted) | {"mask": mask and hashlib.sha256(mask.read_bytes()).hexdigest()},
            "amp": str(ensemble.members[0].predictor.dtype),
            "device": ensemble.members[0].predictor.device.type,
            "threads": torch.get_num_threads(),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Unit:
    """What one worker does at once: a scene, or a block of tiles; always cut the same, so that bytes are the same."""

    jobs: tuple[Job, ...]
    scene: bool
    pixels: int


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
    tick: Tick = lambda done, of: None,
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
    ensemble = load(recipe)
    with folder_lock(out, f".lock{place.name}"):
        if not place.name:
            remove_leftovers(out)
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
    done = {} if overwrite else manifest.done(jobs)
    if not overwrite and not manifest.begun():
        for job in jobs:
            if job.class_raster.exists():
                raise ConfigError(
                    "output exists, made by another model, other options or nothing we know",
                    job.class_raster,
                    "give --overwrite, or another -o",
                )
    manifest.begin()
    every = _units(jobs, ensemble)
    units = every[place.shard[0] - 1 :: place.shard[1]]
    result = Outcome(before=sum(job.name in done for unit in units for job in unit.jobs))
    # A block of tiles is done again whole: its bytes hold for that block only.
    waiting = [unit for unit in units if any(job.name not in done for job in unit.jobs)]
    limits = tile_limits([job for unit in every if not unit.scene for job in unit.jobs], ensemble)
    bar = _Bar(tick, sum(unit.pixels for unit in waiting))
    for unit, answer in _run(waiting, recipe, limits, place, bar.inside):
        bar.past(unit.pixels)
        for job, what in _answers(unit, answer):
            if isinstance(what, Report):
                if job.name not in done:
                    manifest.add(job, what)
                    result.done += 1
                result.warnings += [f"{job.source}: {w}" for w in what.warnings]
            elif strict:
                raise what
            else:
                result.failures.append({"input": str(job.source), "error": str(what)})
    _list_failures(out / f"failures{place.name}.jsonl", result.failures)
    if recipe.wanted.vectors:
        write_findings(jobs, manifest.done(jobs), out, ensemble.classes)
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


@lru_cache(maxsize=1)
def load(recipe: Recipe) -> Ensemble:
    """The networks of a recipe; kept, so that a worker process loads them once."""
    set_threads(recipe.runtime)
    return load_ensemble(recipe.checkpoints, recipe.runtime, recipe.config, tta=recipe.tta)


def work(
    unit: Unit, recipe: Recipe, limits: GroupLimits, tick: Callable[[int], None] = lambda pixels: None
) -> list[Report | DataError]:
    """What became of each job of a unit."""
    ensemble = load(recipe)
    if not unit.scene:
        return predict_tiles(unit.jobs, ensemble, recipe.wanted, limits)
    try:
        return [predict_scene(unit.jobs[0], ensemble, recipe.wanted, tick)]
    except DataError as error:
        return [error]


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
        return [(job, ResourceError(answer.what, job.source, answer.mend)) for job in unit.jobs]
    return zip(unit.jobs, answer, strict=True)


def _units(jobs: Sequence[Job], ensemble: Ensemble) -> list[Unit]:
    """Scenes alone, tiles in blocks of a batch in order of their names.

    PNG files count as tiles: they hold no georeference.
    """
    size, window = ensemble.config.batch_size, ensemble.config.window
    shapes = {job: _shape(job, ensemble) for job in jobs}
    tiles = [job for job, shape in shapes.items() if job.png_source or 0 < max(shape) <= window]
    blocks = [tuple(tiles[i : i + size]) for i in range(0, len(tiles), size)]
    scenes = {job: shape for job, shape in shapes.items() if job not in set(tiles)}
    return [
        *(Unit((job,), True, max(1, shape[0] * shape[1])) for job, shape in scenes.items()),
        *(Unit(block, False, len(block) * window**2) for block in blocks),
    ]


def _shape(job: Job, ensemble: Ensemble) -> tuple[int, int]:
    """Height and width of a TIFF; 0 where the header cannot be read, which is told when its turn comes."""
    if job.png_source:
        return 0, 0
    try:
        info = inspect_tiff(job.source, ensemble.data.page, ensemble.data.bands, max_pixels=2**36)
    except DataError:
        return 0, 0
    return info.height, info.width


def _list_failures(path: Path, failures: Sequence[dict[str, Any]]) -> None:
    if failures:
        write_text(path, "".join(json.dumps(f, ensure_ascii=False) + "\n" for f in failures))
    else:
        path.unlink(missing_ok=True)
