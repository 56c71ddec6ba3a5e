"""Tiles to files: in batches across files, because one tile is little work for a network, and scene by scene."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

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
"""Scene → the limits of each member there."""


@dataclass(frozen=True)
class _Tile:
    """A tile in memory; its image is closed."""

    place: Tile
    rows: Rows
    image: Image

    @property
    def kind(self) -> tuple[str, np.dtype[Any]]:
        """Scene and dtype: what is measured together."""
        return self.place.group, self.rows.raw.dtype


def tile_limits(jobs: Sequence[Job], ensemble: Ensemble, mask: Path | None = None) -> GroupLimits:
    """Limits of each scene, measured on all its tiles among the inputs, for members that scale by scene.

    Tiles that cannot be read are left out here; they fail when their turn comes.
    """
    if not ensemble.by_scene:
        return {}

    def readable() -> Iterator[tuple[str, NDArray[np.generic], NDArray[np.bool_]]]:
        for job in jobs:
            with suppress(DataError):
                tile = _read(job, ensemble, mask)
                yield tile.place.group, *tile.rows

    by_member = [
        group_limits(m.scaling.config, readable()) if m.scaling.config.basis == "scene" else {}
        for m in ensemble.members
    ]
    return {group: [limits.get(group) for limits in by_member] for limits in by_member for group in limits}


@torch.inference_mode()
def predict_tiles(
    jobs: Sequence[Job],
    ensemble: Ensemble,
    wanted: Wanted,
    limits: GroupLimits,
    tick: Callable[[int], None] = lambda tiles: None,
) -> list[Report | DataError]:
    """Predict the tiles of one scene, or some others, and write what is wanted; the report or error of each.

    The network sees cells of a scene with a margin of their neighbours, and an object that crosses from one cell to
    the next is one object. `tick` is called with the number of tiles done.

    Raises:
        ConfigError: an output is not writable.
        ResourceError: disk or memory gave out.
    """
    results: dict[str, Report | DataError] = {}
    tiles: dict[str, _Tile] = {}
    for job in jobs:
        try:
            tiles[job.name] = _read(job, ensemble, wanted.mask)
        except DataError as error:
            results[job.name] = error
    unlike = _unlike(tiles.values(), ensemble, limits)
    by_name, without_polygons = {job.name: job for job in jobs}, replace(wanted, vectors=None, quicklook=False)
    for answer in _classified(tiles, ensemble, limits, tick):
        tile = tiles[answer.id]
        strip = Strip(0, tile.rows, answer.probabilities.permute(1, 2, 0))
        # A tile that lies nowhere on the map needs no polygons and no picture of its own.
        own = wanted if place_of(tile.image.georeference).crs else without_polygons
        report = write_outputs(by_name[answer.id], tile.image, [(strip, answer.prediction)], ensemble, own)
        report.add_distance(*unlike[tile.kind])
        results[answer.id] = report
    return [results[job.name] for job in jobs]


def _unlike(
    tiles: Iterable[_Tile], ensemble: Ensemble, limits: GroupLimits
) -> dict[tuple[str, np.dtype[Any]], tuple[float | None, list[str]]]:
    """How far tiles of one scene and dtype, taken together, lie from the training set, and what to warn of."""
    kinds: dict[tuple[str, np.dtype[Any]], list[Rows]] = {}
    for tile in tiles:
        kinds.setdefault(tile.kind, []).append(tile.rows)
    unlike = {}
    for (scene, dtype), parts in kinds.items():
        sample = np.concatenate([thin(rows.raw[:, rows.valid], SAMPLE // len(parts)) for rows in parts], axis=1)
        own = limits.get(scene, ensemble.no_limits)
        unlike[scene, dtype] = ensemble.unlike(dtype, sample, own, FAR_TILES)
    return unlike


def _classified(
    tiles: Mapping[str, _Tile], ensemble: Ensemble, limits: GroupLimits, tick: Callable[[int], None]
) -> Iterator[Answer]:
    """The tiles with their classes; those of whole objects by the classifier, where there is one."""
    scenes = {tile.place.group for tile in tiles.values()}
    members = {scene: ensemble.with_limits(limits.get(scene, ensemble.no_limits)) for scene in scenes}
    if ensemble.objects is None:
        return _decoded(tiles, members, ensemble, ensemble.config, tick)

    def image(name: str) -> NDArray[np.float32]:
        rows, member = tiles[name].rows, members[tiles[name].place.group][ensemble.shown]
        return member.scaling.to_unit(rows.raw, rows.valid, member.limits)

    places = {name: tile.place for name, tile in tiles.items()}
    answers = _decoded(tiles, members, ensemble, ensemble.config.model_copy(update=WHOLE), tick)
    return decide_objects(ensemble.objects, places, image, ensemble.config.min_pixels, answers)


def _decoded(
    tiles: Mapping[str, _Tile],
    members: Mapping[str, Sequence[Member]],
    ensemble: Ensemble,
    config: Predict,
    tick: Callable[[int], None],
) -> Iterator[Answer]:
    """The tiles with the classes that the networks give each pixel, in batches of one size.

    `members` are the networks as they scale the tiles of each scene.
    """
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
        own = [members[tile.place.group] for tile in block]
        height, width = block[0].rows.valid.shape
        if max(height, width) > config.window:
            planes = torch.stack([_in_windows(tile.rows, m, ensemble) for tile, m in zip(block, own, strict=True)])
        else:
            planes = _probabilities([_with_margin(tile, cells, margin) for tile in block], own)
            # A copy: a classifier keeps the tiles of a whole scene, which need no margins any more.
            planes = planes[..., margin : margin + height, margin : margin + width].contiguous()
        valid = torch.from_numpy(np.stack([tile.rows.valid for tile in block]))
        decoded = decode(planes, valid, config, ensemble.fit)
        for name, tile, classes, probabilities in zip(names, block, decoded, planes, strict=True):
            yield Answer(name, tile.rows.raw, np.full_like(classes, IGNORE), classes, probabilities)
        done += len(names)
        tick(done)


def _probabilities(rows: Sequence[Rows], members: Sequence[Sequence[Member]]) -> torch.Tensor:
    """Probabilities (N, K, H, W) of N images of one size, averaged over the members of each, which scale it."""
    answers: list[torch.Tensor] = []
    for one_of_each in zip(*members, strict=True):
        images = [member.image(image) for member, image in zip(one_of_each, rows, strict=True)]
        answers.append(one_of_each[0].predictor.probabilities(torch.from_numpy(np.stack(images))))
    return sum(answers[1:], answers[0]) / len(answers)


def _with_margin(tile: _Tile, cells: Mapping[tuple[str, Cell | None], _Tile], margin: int) -> Rows:
    """A tile with `margin` pixels of its neighbours on all sides."""

    def beside(cell: Cell) -> Rows | None:
        neighbour = cells.get((tile.place.group, cell))
        return None if neighbour is None else neighbour.rows

    return Rows(*framed(tile.rows, beside, tile.place.cell, margin, (0, False)))


def _in_windows(rows: Rows, members: Sequence[Member], ensemble: Ensemble) -> torch.Tensor:
    """Probabilities (K, H, W) of a tile larger than a window."""
    strips = stream(rows, members, len(ensemble.classes), ensemble.config)
    return torch.cat([strip.probabilities.clone() for strip in strips]).permute(2, 0, 1)


def _read(job: Job, ensemble: Ensemble, mask: Path | None) -> _Tile:
    place = ensemble.source.tile(job.source, job.name)
    with open_pixels(ensemble.source, job.source) as image, ExitStack() as stack:
        rows = SceneRows(image, stack.enter_context(open_mask(mask, image)) if mask else None)
        return _Tile(place, rows.read(0, image.height), image)
