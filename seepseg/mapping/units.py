"""Units of work: what one worker does at a time, and everything its outputs depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from seepseg.config import Predict, Runtime
from seepseg.data.source import inspect_pixels
from seepseg.errors import ConfigError, DataError
from seepseg.io.image import ImageInfo
from seepseg.machine.device import set_threads
from seepseg.mapping.ensemble import Ensemble, load_ensemble
from seepseg.mapping.jobs import Job, check_job
from seepseg.mapping.outputs import Report, Wanted
from seepseg.mapping.scene import predict_scene
from seepseg.mapping.tiles import predict_tiles


@dataclass(frozen=True)
class Recipe:
    """Everything that outputs depend on, apart from the inputs, in a form that can be sent to other processes.

    Attributes:
        checkpoints: the networks, which are averaged.
        runtime: device and number format; outputs do not depend on threads.
        config: windows and decoding.
        tta: average over test-time flips.
        wanted: the outputs.
        fitted: decode with the fit of the checkpoints, where they hold one.
    """

    checkpoints: tuple[Path, ...]
    runtime: Runtime
    config: Predict
    tta: bool
    wanted: Wanted
    fitted: bool = True

    def key(self, ensemble: Ensemble) -> str:
        """A digest of it all: outputs with equal keys are equal. A new field is in it without being named here."""
        predictor, mask = ensemble.members[0].predictor, self.wanted.mask
        parts = asdict(self) | {
            "checkpoints": ensemble.tags,
            "runtime": [predictor.device.type, str(predictor.dtype)],
            "config": self.config.model_dump(mode="json"),
            "wanted": asdict(self.wanted) | {"mask": mask and _digest(mask)},
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Unit:
    """What one worker does at a time: a scene, the tiles of one scene, or a block of other tiles.

    Units are always cut the same way, so that bytes are the same.
    """

    jobs: tuple[Job, ...]
    scene: bool
    pixels: int

    @cached_property
    def digest(self) -> str:
        """Names the inputs that are done together, and what a table says of them: their bytes depend on both."""
        names = "\0".join(job.name + (repr(job.said) if job.said else "") for job in self.jobs)
        return hashlib.sha256(names.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def cut_units(jobs: Sequence[Job], ensemble: Ensemble) -> list[Unit]:
    """Each scene alone, the tiles of one scene together, other tiles in blocks of eight batches, in the order of names.

    Tiles of one scene are cells of a grid, or scaled by the limits of their scene. A file no larger than a window is a
    tile, and so is every PNG and JPEG, because these are decoded whole.

    Raises:
        ConfigError: the map of a scene is to be a PNG.
    """
    window = ensemble.config.window
    tiles: list[Job] = []
    units: list[Unit] = []
    for job in jobs:
        info = _info(job, ensemble)
        # A file that cannot be read is reported when its turn comes.
        small = info is not None and max(info.height, info.width) <= window
        if info is not None and (info.kind in ("PNG", "JPEG") or (small and info.kind == "TIFF")):
            tiles.append(job)
            continue
        if info is not None and job.png:
            raise ConfigError("is a scene, and scenes become GeoTIFFs", job.source, "leave out --format")
        units.append(Unit((job,), True, info.height * info.width if info else 1))
    return [*units, *(Unit(block, False, len(block) * window**2) for block in _blocks(tiles, ensemble))]


def _blocks(tiles: Sequence[Job], ensemble: Ensemble) -> list[tuple[Job, ...]]:
    scenes: dict[tuple[Path, str], list[Job]] = {}
    loose = []
    for job in tiles:
        tile = ensemble.source.tile(job.source, job.name)
        if tile.cell or ensemble.by_scene:
            scenes.setdefault((job.source.parent, tile.group), []).append(job)
        else:
            loose.append(job)
    # Several batches, so that every core has some.
    size = 8 * ensemble.config.batch_size
    return [*map(tuple, scenes.values()), *(tuple(loose[i : i + size]) for i in range(0, len(loose), size))]


def _info(job: Job, ensemble: Ensemble) -> ImageInfo | None:
    """What the header of an input says; None if it cannot be read."""
    try:
        check_job(job)
        return inspect_pixels(ensemble.source, job.source)
    except DataError:
        return None


@lru_cache(maxsize=1)
def load(recipe: Recipe) -> Ensemble:
    """The networks of a recipe; kept in memory, so that a worker process loads them once."""
    set_threads(recipe.runtime)
    return load_ensemble(recipe.checkpoints, recipe.runtime, recipe.config, tta=recipe.tta, fitted=recipe.fitted)


def work(unit: Unit, recipe: Recipe, tick: Callable[[int], None] = lambda pixels: None) -> list[Report | DataError]:
    """The report or error of each job of a unit, by the networks of a recipe."""
    return predict_unit(unit, load(recipe), recipe.wanted, tick)


def predict_unit(
    unit: Unit, ensemble: Ensemble, wanted: Wanted, tick: Callable[[int], None] = lambda pixels: None
) -> list[Report | DataError]:
    """The report or error of each job of a unit; `tick` is called with the pixels done."""
    each = unit.pixels // len(unit.jobs)
    try:
        if not unit.scene:
            return predict_tiles(unit.jobs, ensemble, wanted, lambda done: tick(done * each))
        check_job(unit.jobs[0])
        return [predict_scene(unit.jobs[0], ensemble, wanted, tick)]
    except DataError as error:
        return [error] * len(unit.jobs)
