"""Tiles to files: batched across files, since one tile is no work for a network, and cells of a scene together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.config import Predict
from seepseg.data.catalog import Tile
from seepseg.data.dataset import margin_of
from seepseg.data.mosaic import Cell, framed
from seepseg.data.scaling import Limits, group_limits, thin
from seepseg.data.source import open_pixels
from seepseg.errors import DataError
from seepseg.geo.mask import open_mask
from seepseg.geo.place import place_of
from seepseg.inference.decode import decode
from seepseg.inference.scene_objects import WHOLE, decide_objects
from seepseg.inference.score import Answer
from seepseg.inference.stream import Member, Rows, Strip, stream
from seepseg.io.image import Image
from seepseg.mapping.ensemble import FAR_TILES, Ensemble
from seepseg.mapping.jobs import Job
from seepseg.mapping.outputs import Report, Wanted, write_outputs
from seepseg.mapping.scene import SAMPLE, SceneRows

GroupLimits = dict[str, list[Limits | None]]
"""Scene of a tile, by its name → the limits for each member."""


@dataclass(frozen=True)
class _Tile:
    """A tile in memory; its image is closed."""

    place: Tile
    rows: Rows
    image: Image


def tile_limits(jobs: Sequence[Job], ensemble: Ensemble, mask: Path | None = None) -> GroupLimits:
    """Limits measured on the tiles of each scene among the inputs together, for members that scale by scene.

    What cannot be read is left out; it fails when its turn comes.
    """
    if not ensemble.by_scene:
        return {}

    def readable() -> Iterator[tuple[str, NDArray[np.generic], NDArray[np.bool_]]]:
        for job in jobs:
            with suppress(DataError):
                tile = _read(job, ensemble, mask)
                yield tile.place.group, *tile.rows

    fitted = [
        group_limits(m.scaling.config, readable()) if m.scaling.config.basis == "scene" else {}
        for m in ensemble.members
    ]
    return {group: [own.get(group) for own in fitted] for group in {g for own in fitted for g in own}}


@torch.inference_mode()
def predict_tiles(
    jobs: Sequence[Job],
    ensemble: Ensemble,
    wanted: Wanted,
    limits: GroupLimits,
    tick: Callable[[int], None] = lambda tiles: None,
) -> list[Report | DataError]:
    """Predict the tiles of one scene, or some others, and write what is wanted; a tile that fails is its error.

    Cells of a scene are shown with a margin of their neighbours, and objects that cross from one to the next are one.
    `tick` is told how many tiles are done.

    Raises:
        ConfigError: an output is not writable.
        ResourceError: disk or memory gave out.
    """
    results: list[Report | DataError] = [DataError("not predicted")] * len(jobs)
    numbers = {job.name: number for number, job in enumerate(jobs)}
    tiles: dict[str, _Tile] = {}
    for number, job in enumerate(jobs):
        try:
            tiles[job.name] = _read(job, ensemble, wanted.mask)
        except DataError as error:
            results[number] = error
    unlike = _unlike(tiles, ensemble, limits)
    loose = replace(wanted, vectors=None, quicklook=False)
    for answer in _decided(tiles, ensemble, limits, tick):
        job, tile = jobs[numbers[answer.id]], tiles[answer.id]
        strip = Strip(0, tile.rows, answer.probabilities.permute(1, 2, 0))
        # A training-like tile, which lies nowhere, needs no polygons and no picture of its own.
        own = wanted if place_of(tile.image.georeference).crs else loose
        report = write_outputs(job, tile.image, [(strip, answer.prediction)], ensemble, own)
        distance, warnings = unlike[tile.place.group]
        report.warnings += warnings
        if distance is not None:
            report.facts["distance_from_training"] = round(distance, 4)
        results[numbers[answer.id]] = report
    return results


def _unlike(
    tiles: Mapping[str, _Tile], ensemble: Ensemble, limits: GroupLimits
) -> dict[str, tuple[float | None, list[str]]]:
    """How far the tiles of each scene, looked at together, lie from the training set, and what to warn of."""
    scenes: dict[str, list[Rows]] = {}
    for tile in tiles.values():
        scenes.setdefault(tile.place.group, []).append(tile.rows)
    unlike = {}
    for scene, members in scenes.items():
        sample = np.concatenate([thin(rows.raw[:, rows.valid], SAMPLE // len(members)) for rows in members], axis=1)
        own: list[Limits | None] = limits.get(scene, [None] * len(ensemble.members))
        unlike[scene] = ensemble.unlike(members[0].raw.dtype, sample, own, FAR_TILES)
    return unlike


def _decided(
    tiles: Mapping[str, _Tile], ensemble: Ensemble, limits: GroupLimits, tick: Callable[[int], None]
) -> Iterator[Answer]:
    """The tiles with their classes, whole objects decided by the classifier where there is one."""
    fitted = {group: _members(group, ensemble, limits) for group in {t.place.group for t in tiles.values()}}
    if ensemble.objects is None:
        return _answers(tiles, fitted, ensemble, ensemble.config, tick)

    def unit(name: str) -> NDArray[np.float32]:
        rows, member = tiles[name].rows, fitted[tiles[name].place.group][ensemble.shown]
        return member.scaling.to_unit(rows.raw, rows.valid, member.limits)

    places = {name: tile.place for name, tile in tiles.items()}
    answers = _answers(tiles, fitted, ensemble, ensemble.config.model_copy(update=WHOLE), tick)
    return decide_objects(ensemble.objects, places, unit, ensemble.config.min_pixels, answers)


def _members(group: str, ensemble: Ensemble, limits: GroupLimits) -> tuple[Member, ...]:
    """The members as they scale the tiles of a scene."""
    none: list[Limits | None] = [None] * len(ensemble.members)
    return ensemble.fitted_to(limits.get(group, none))


def _answers(
    tiles: Mapping[str, _Tile],
    fitted: Mapping[str, Sequence[Member]],
    ensemble: Ensemble,
    config: Predict,
    tick: Callable[[int], None],
) -> Iterator[Answer]:
    """What the networks find in tiles, in batches of one size."""
    places = [tile.place for tile in tiles.values()]
    margin = min(margin_of(m.scaling.config, config.margin, places) for m in ensemble.members)
    cells: dict[tuple[str, Cell | None], _Tile] = {}
    for tile in tiles.values():
        cells.setdefault((tile.place.group, tile.place.cell), tile)
    sizes: dict[tuple[int, int], list[str]] = {}
    for name, tile in tiles.items():
        sizes.setdefault(tile.rows.valid.shape, []).append(name)
    size, done = config.batch_size, 0
    for names in (same[i : i + size] for same in sizes.values() for i in range(0, len(same), size)):
        block = [tiles[name] for name in names]
        groups = [fitted[tile.place.group] for tile in block]
        if max(block[0].rows.valid.shape) > config.window:
            likely = torch.stack([_in_windows(t.rows, own, ensemble) for t, own in zip(block, groups, strict=True)])
        else:
            seen = [_framed(tile, cells, margin) for tile in block]
            likely = _probabilities(seen, groups)
            height, width = block[0].rows.valid.shape
            # A copy: a classifier holds the tiles of a whole scene, which need no margins any more.
            likely = likely[..., margin : margin + height, margin : margin + width].contiguous()
        valid = torch.from_numpy(np.stack([tile.rows.valid for tile in block]))
        found = decode(likely, valid, config, ensemble.fit)
        for name, tile, classes, own in zip(names, block, found, likely, strict=True):
            yield Answer(name, tile.rows.raw, np.full_like(classes, IGNORE), classes, own)
        done += len(names)
        tick(done)


def _probabilities(seen: Sequence[Rows], groups: Sequence[Sequence[Member]]) -> torch.Tensor:
    """Probabilities (N, K, H, W) of images of one size, the mean over the members, which scale each image its way."""
    answers: list[torch.Tensor] = []
    for members in zip(*groups, strict=True):
        images = [member.image(rows) for member, rows in zip(members, seen, strict=True)]
        answers.append(members[0].predictor.probabilities(torch.from_numpy(np.stack(images))))
    return sum(answers[1:], answers[0]) / len(answers)


def _framed(tile: _Tile, cells: Mapping[tuple[str, Cell | None], _Tile], margin: int) -> Rows:
    """A tile with its margin on all sides."""

    def beside(cell: Cell) -> Rows | None:
        found = cells.get((tile.place.group, cell))
        return None if found is None else found.rows

    return Rows(*framed(tile.rows, beside, tile.place.cell, margin, (0, False)))


def _in_windows(rows: Rows, members: Sequence[Member], ensemble: Ensemble) -> torch.Tensor:
    """Probabilities (K, H, W) of a tile larger than a window."""
    strips = stream(_Held(rows), members, len(ensemble.classes), ensemble.config)
    return torch.cat([strip.probabilities.clone() for strip in strips]).permute(2, 0, 1)


class _Held:
    """Rows already in memory, as the engine reads them."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self.height, self.width = rows.valid.shape

    def read(self, start: int, stop: int) -> Rows:
        """Rows `start` … `stop` − 1."""
        return Rows(self._rows.raw[:, start:stop], self._rows.valid[start:stop])


def _read(job: Job, ensemble: Ensemble, mask: Path | None) -> _Tile:
    place = ensemble.source.tile(job.source, job.name)
    with open_pixels(ensemble.source, job.source) as image, ExitStack() as stack:
        rows = SceneRows(image, stack.enter_context(open_mask(mask, image)) if mask else None)
        return _Tile(place, rows.read(0, image.height), image)
