"""Tiles to files: in batches across files, because one tile is little work for a network, and scene by scene."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seepseg.classes import IGNORE
from seepseg.config import Predict, Scaling
from seepseg.data.catalog import Tile
from seepseg.data.dataset import margin_of
from seepseg.data.scaling import Limits, group_limits, thin
from seepseg.data.source import open_pixels
from seepseg.errors import DataError
from seepseg.geo.land import open_masks
from seepseg.geo.place import place_of
from seepseg.inference.decode import decode
from seepseg.inference.located import Placing, on_ground
from seepseg.inference.predictor import at_once
from seepseg.inference.scene_objects import WHOLE, View, decide_objects
from seepseg.inference.score import Answer
from seepseg.inference.stream import Member, Rows, mean_probabilities, stream, whole_strip
from seepseg.io.image import Image, Pixels
from seepseg.machine.ahead import in_streams
from seepseg.mapping.ensemble import FAR_TILES, Ensemble
from seepseg.mapping.jobs import Job
from seepseg.mapping.outputs import Report, Wanted, write_outputs
from seepseg.mapping.scene import SAMPLE, SceneRows
from seepseg.scenes.mosaic import Cell, framed


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


@torch.inference_mode()
def predict_tiles(
    jobs: Sequence[Job], ensemble: Ensemble, wanted: Wanted, tick: Callable[[int], None] = lambda tiles: None
) -> list[Report | DataError]:
    """Predict the tiles of one scene, or some others, and write what is wanted; the report or error of each.

    The network sees cells of a scene with a margin of their neighbours, and an object that crosses from one cell to
    the next is one object. Members that scale by scene measure all tiles together. `tick` is called with the number of
    tiles done.

    Raises:
        ConfigError: an output is not writable.
        ResourceError: disk or memory ran out.
    """
    results: dict[str, Report | DataError] = {}
    tiles: dict[str, _Tile] = {}
    for job in jobs:
        try:
            tiles[job.name] = _read(job, ensemble, wanted)
        except DataError as error:
            results[job.name] = error
    limits = [_limits(tiles.values(), member.scaling.config) for member in ensemble.members]
    unlike = _unlike(tiles.values(), ensemble, limits)
    by_name, without_polygons = {job.name: job for job in jobs}, replace(wanted, vectors=(), quicklook=False)
    placed = dict[str, Placing]()
    for answer in _classified(tiles, ensemble, ensemble.with_limits(limits), tick, placed):
        tile = tiles[answer.id]
        strip = whole_strip(tile.rows, answer.prediction, answer.probabilities.permute(1, 2, 0))
        # A tile that lies nowhere on the map needs no polygons and no picture of its own.
        own = wanted if place_of(tile.image.georeference).crs else without_polygons
        report = write_outputs(by_name[answer.id], tile.image, [strip], ensemble, own)
        distance, warnings = unlike[tile.kind]
        report.add_distance(distance, [*warnings, *ensemble.halved])
        report.add_placing(placed.get(answer.id))
        results[answer.id] = report
    return [results[job.name] for job in jobs]


def _limits(tiles: Iterable[_Tile], scaling: Scaling) -> Limits | None:
    """The limits of a scene of these tiles, where it is scaled by its own."""
    if scaling.basis != "scene":
        return None
    return group_limits(scaling, (("", *tile.rows) for tile in tiles)).get("")


def _unlike(
    tiles: Iterable[_Tile], ensemble: Ensemble, limits: Sequence[Limits | None]
) -> dict[tuple[str, np.dtype[Any]], tuple[float | None, list[str]]]:
    """How far tiles of one scene and dtype, taken together, lie from the training set, and what to warn of."""
    kinds: dict[tuple[str, np.dtype[Any]], list[Rows]] = {}
    for tile in tiles:
        kinds.setdefault(tile.kind, []).append(tile.rows)
    unlike = {}
    for kind, parts in kinds.items():
        sample = np.concatenate([thin(rows.raw[:, rows.valid], SAMPLE // len(parts)) for rows in parts], axis=1)
        unlike[kind] = ensemble.unlike(kind[1], sample, limits, FAR_TILES)
    return unlike


def _classified(
    tiles: Mapping[str, _Tile],
    ensemble: Ensemble,
    members: Sequence[Member],
    tick: Callable[[int], None],
    placed: dict[str, Placing],
) -> Iterator[Answer]:
    """The tiles with their classes; those of whole objects by the classifier, where there is one.

    What it knew of the places of objects is in `placed` before their tile comes.
    """
    if ensemble.objects is None:
        return _decoded(tiles, ensemble, members, ensemble.config, tick)
    shown = members[ensemble.shown]

    def image(name: str) -> NDArray[np.float32]:
        return shown.scaling.to_unit(*tiles[name].rows, shown.limits)

    def ground(name: str, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        return on_ground(place_of(tiles[name].image.georeference), pixels)

    def note(names: list[str], placing: Placing) -> None:
        placed.update(dict.fromkeys(names, placing))

    places = {name: tile.place for name, tile in tiles.items()}
    view = View(places, image, lambda name: Pixels(*tiles[name].rows), ground)
    answers = _decoded(tiles, ensemble, members, ensemble.config.model_copy(update=WHOLE), tick)
    return decide_objects(ensemble.objects, view, ensemble.config.min_pixels, answers, note)


def _decoded(
    tiles: Mapping[str, _Tile],
    ensemble: Ensemble,
    members: Sequence[Member],
    config: Predict,
    tick: Callable[[int], None],
) -> Iterator[Answer]:
    """The tiles with the classes that the networks give each pixel, in batches of one size."""
    places = [tile.place for tile in tiles.values()]
    margin = min(margin_of(m.scaling.config, config.margin, places) for m in members)
    cells: dict[Cell | None, _Tile] = {}
    for tile in tiles.values():
        cells.setdefault(tile.place.cell, tile)
    sizes: dict[tuple[int, int], list[str]] = {}
    for name, tile in tiles.items():
        sizes.setdefault(tile.rows.valid.shape, []).append(name)
    device = members[0].predictor.device
    blocks = [
        same[i : i + size]
        for (height, width), same in sizes.items()
        for size in (at_once(config.batch_size, height * width, device),)
        for i in range(0, len(same), size)
    ]
    small, large = list[list[str]](), list[list[str]]()
    for names in blocks:
        (small if max(tiles[names[0]].rows.valid.shape) <= config.window else large).append(names)

    def planes(names: list[str]) -> torch.Tensor:
        height, width = tiles[names[0]].rows.valid.shape
        framed = mean_probabilities(members, [_with_margin(tiles[name], cells, margin) for name in names])
        # A copy: a classifier keeps the tiles of a whole scene, which need no margins any more.
        return framed[..., margin : margin + height, margin : margin + width].contiguous()

    done = 0
    in_windows = ((names, _in_windows(tiles, names, members, ensemble)) for names in large)
    for names, probabilities in itertools.chain(in_streams(planes, small, device), in_windows):
        valid = torch.from_numpy(np.stack([tiles[name].rows.valid for name in names]))
        decoded = decode(probabilities, valid, config, ensemble.fit)
        for name, classes, own in zip(names, decoded, probabilities, strict=True):
            yield Answer(name, tiles[name].rows.raw, np.full_like(classes, IGNORE), classes, own)
        done += len(names)
        tick(done)


def _with_margin(tile: _Tile, cells: Mapping[Cell | None, _Tile], margin: int) -> Rows:
    """A tile with `margin` pixels of its neighbours on all sides."""

    def beside(cell: Cell) -> Rows | None:
        neighbour = cells.get(cell)
        return None if neighbour is None else neighbour.rows

    return Rows(*framed(tile.rows, beside, tile.place.cell, margin, (0, False)))


def _in_windows(
    tiles: Mapping[str, _Tile], names: Sequence[str], members: Sequence[Member], ensemble: Ensemble
) -> torch.Tensor:
    """Probabilities (N, K, H, W) of tiles larger than a window."""
    scenes = [
        stream(tiles[name].rows, members, len(ensemble.classes), ensemble.config, every_pixel=True) for name in names
    ]
    parts = [[strip.probabilities for strip in scene if strip.probabilities is not None] for scene in scenes]
    return torch.stack([torch.cat(part).permute(2, 0, 1) for part in parts])


def _read(job: Job, ensemble: Ensemble, wanted: Wanted) -> _Tile:
    place = ensemble.source.tile(job.source, job.name)
    with open_pixels(ensemble.source, job.source) as image, ExitStack() as stack:
        rows = SceneRows(image, stack.enter_context(open_masks(image, wanted.mask, wanted.land)))
        return _Tile(place, rows.read(0, image.height), image)
